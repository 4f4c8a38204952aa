//! Listings of the services and routes, for clients and operators.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{DeclaredRoles, Endpoint, Instance, InstanceKey, Interface, QueueView, Roster, Routes};
use crate::broker::wire::{
    AbsentRow, ClientRow, Configuration, Form, InstanceRow, Listing, NamespaceRow, Receivers, RouteRow, ServiceRow,
};
use crate::message::Role;

/// Returns the answer to `/config.json`, in the form in which the landscape was written. exo 2.4, 3.7, 3.8.
pub(super) fn listing<H>(declared: &DeclaredRoles, roster: &Roster<H>, routes: &Routes) -> Listing {
    let form = declared.form();
    let rows = declared.roles().map(|(role, interface)| (role.clone(), route(form, interface))).collect();
    let clients = roster.present().map(|(_, instance)| instance);
    match form {
        Form::Http => Listing::Http(configuration(roster, routes)),
        Form::Namespaces => {
            let clients = clients.map(|instance| (instance.role.clone(), client(instance))).collect();
            Listing::Namespaces { clients, routes: rows }
        }
        Form::MessageTranslations | Form::Translations => {
            let mut counts: BTreeMap<Role, usize> = BTreeMap::new();
            clients.for_each(|instance| *counts.entry(instance.role.clone()).or_default() += 1);
            let clients = counts.into_iter().map(|(role, instances)| ClientRow { role, instances });
            let clients = Some(clients.collect::<Vec<_>>()).filter(|clients| !clients.is_empty());
            Listing::Pairs { clients, routes: rows }
        }
    }
}

/// Returns services and routes in the form of the HTTP era. exo 2.4.
pub(super) fn configuration<H>(roster: &Roster<H>, routes: &Routes) -> Configuration {
    let mut configuration = Configuration::default();
    for (_, instance) in roster.present() {
        configuration.services.entry(instance.role.clone()).or_insert_with(|| service(instance));
    }
    for (public, targets) in routes.all() {
        let receivers = targets.iter().filter_map(|target| roster.get(target.first()).map(service)).collect();
        configuration.routes.insert(public.clone(), Receivers { receivers });
    }
    configuration
}

/// Returns every instance; `queue` returns the queue of one.
pub(super) fn instances<H>(
    roster: &Roster<H>,
    now: Instant,
    queue: impl Fn(InstanceKey) -> QueueView,
) -> Vec<InstanceRow> {
    let row = |instance: &Instance<H>, queue: QueueView| InstanceRow {
        role: instance.role.clone(),
        instance: instance.id.clone(),
        kind: match (&instance.id, &instance.endpoint) {
            (_, Endpoint::Local) => "local",
            (_, Endpoint::Socket) => "connected",
            (Some(_), Endpoint::Remote(_)) => "registered",
            (None, Endpoint::Remote(_)) => "landscape",
        },
        address: instance.address().cloned(),
        namespace: instance.interface.translation.namespace().map(str::to_owned),
        batch: instance.batch,
        receives: instance.interface.receives.clone(),
        sends: instance.interface.sends.clone(),
        lease_left_ms: instance.expires.map(|expires| millis_between(now, expires)),
        away: queue.is_away,
        queue_length: queue.messages,
        oldest_ms: queue.oldest.map(|oldest| millis_between(oldest, now)),
    };
    roster.present().map(|(key, instance)| row(instance, queue(key))).collect()
}

/// Returns the roles without an instance: those that the landscape declares, and those for which messages wait.
pub(super) fn absent<'a, H>(
    declared: &DeclaredRoles,
    roster: &Roster<H>,
    backlogs: impl Iterator<Item = (&'a Role, QueueView)>,
    now: Instant,
) -> Vec<AbsentRow> {
    let declared = declared.roles().map(|(role, _)| (role.clone(), QueueView::default()));
    let mut roles: BTreeMap<Role, QueueView> = declared.collect();
    roles.extend(backlogs.map(|(role, view)| (role.clone(), view)));
    for (_, instance) in roster.present() {
        roles.remove(&instance.role);
    }
    let row = |(role, queue): (Role, QueueView)| AbsentRow {
        role,
        queue_length: queue.messages,
        oldest_ms: queue.oldest.map(|oldest| millis_between(oldest, now)),
    };
    roles.into_iter().map(row).collect()
}

fn millis_between(from: Instant, until: Instant) -> u64 {
    u64::try_from(until.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

fn client<H>(instance: &Instance<H>) -> NamespaceRow {
    let (client_name, service_type) = (instance.role.clone(), instance.role.clone());
    let internal_namespace = instance.interface.translation.namespace().map(str::to_owned);
    NamespaceRow { client_name, service_type, internal_namespace }
}

fn route(form: Form, interface: &Interface) -> RouteRow {
    let Interface { receives, sends, translation } = interface;
    let pairs = |of: Form| (form == of).then(|| translation.pairs().to_vec());
    RouteRow {
        receives: receives.clone(),
        sends: sends.clone(),
        internal_namespace: translation.namespace().map(str::to_owned),
        message_translations: pairs(Form::MessageTranslations),
        translations: pairs(Form::Translations),
    }
}

fn service<H>(instance: &Instance<H>) -> ServiceRow {
    let address = instance.address();
    ServiceRow {
        name: instance.role.clone(),
        host: address.map_or("localhost", |address| address.host()).to_owned(),
        port: address.map_or(0, |address| address.port()),
        internal_namespace: instance.interface.translation.namespace().map(str::to_owned),
    }
}
