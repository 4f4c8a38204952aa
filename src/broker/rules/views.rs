//! Listings of the services and routes, for clients and operators.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{DeclaredRoles, Endpoint, Instance, InstanceKey, Interface, Roster, Routes};
use crate::broker::wire::{
    ClientRow, Configuration, Form, InstanceRow, Listing, NamespaceRow, Receivers, RouteRow, ServiceRow,
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

/// Returns every instance; `queue_length` returns the number of messages queued for one.
pub(super) fn instances<H>(
    roster: &Roster<H>,
    now: Instant,
    queue_length: impl Fn(InstanceKey) -> usize,
) -> Vec<InstanceRow> {
    let millis =
        |expires: Instant| u64::try_from(expires.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX);
    let row = |(key, instance): (InstanceKey, &Instance<H>)| InstanceRow {
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
        lease_left_ms: instance.expires.map(millis),
        queue_length: queue_length(key),
    };
    roster.present().map(row).collect()
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
