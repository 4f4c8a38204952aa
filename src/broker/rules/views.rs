//! What the machine shows of itself.

use std::collections::BTreeMap;
use std::time::Instant;

use super::exchange::Load;
use super::{Exchange, Instance, Key, Language, Place};
use crate::broker::wire::{
    ClientRow, Configuration, Form, InstanceRow, Listing, NamespaceRow, Receivers, RouteRow, ServiceRow,
};
use crate::message::Role;

impl<H: Clone> Exchange<H> {
    /// What `/config.json` shows, in the form in which the landscape was written. exo 2.4, 3.7, 3.8.
    pub(crate) fn listing(&self) -> Listing {
        let form = self.declared.form();
        let declared = self.declared.roles();
        let routes = declared.map(|(role, language)| (role.clone(), route(form, language))).collect();
        let clients = self.roster.present().into_iter().map(|(_, instance)| instance);
        match form {
            Form::Http => Listing::Http(self.configuration()),
            Form::Namespaces => {
                let clients = clients.map(|instance| (instance.role.clone(), client(instance))).collect();
                Listing::Namespaces { clients, routes }
            }
            Form::MessageTranslations | Form::Translations => {
                let mut counts: BTreeMap<Role, usize> = BTreeMap::new();
                clients.for_each(|instance| *counts.entry(instance.role.clone()).or_default() += 1);
                let clients = counts.into_iter().map(|(role, instances)| ClientRow { role, instances });
                let clients = Some(clients.collect::<Vec<_>>()).filter(|clients| !clients.is_empty());
                Listing::Pairs { clients, routes }
            }
        }
    }

    /// Services and routes, as the HTTP era shows them. exo 2.4.
    pub(crate) fn configuration(&self) -> Configuration {
        let mut configuration = Configuration::default();
        for (_, instance) in self.roster.present() {
            configuration.services.entry(instance.role.clone()).or_insert_with(|| row(instance));
        }
        for (public, targets) in self.routes.all() {
            let first = |key: Key| self.roster.get(key).map(row);
            let receivers = targets.iter().filter_map(|target| first(target.first())).collect();
            configuration.routes.insert(public.clone(), Receivers { receivers });
        }
        configuration
    }

    /// Every instance that is there.
    pub(crate) fn instances(&self, now: Instant) -> Vec<InstanceRow> {
        let millis =
            |expires: Instant| u64::try_from((expires.saturating_duration_since(now)).as_millis()).unwrap_or(u64::MAX);
        let row = |instance: &Instance<H>| InstanceRow {
            role: instance.role.clone(),
            instance: instance.id.clone(),
            kind: match (&instance.id, &instance.place) {
                (_, Place::Local) => "local",
                (_, Place::Socket) => "connected",
                (Some(_), Place::Remote(_)) => "registered",
                (None, Place::Remote(_)) => "landscape",
            },
            address: instance.address().cloned(),
            namespace: instance.language.translation.namespace().map(str::to_owned),
            batch: instance.batch,
            receives: instance.language.receives.clone(),
            sends: instance.language.sends.clone(),
            lease_left_ms: instance.expires.map(millis),
            queue_length: instance.queue.len(),
        };
        self.roster.present().into_iter().map(|(_, instance)| row(instance)).collect()
    }

    /// Unsettled parcels and their bytes.
    pub(crate) fn load(&self) -> Load {
        self.load
    }

    /// How many instances are there.
    pub(crate) fn instances_count(&self) -> usize {
        self.roster.len()
    }

    /// Whether it refuses messages because it shuts down.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }
}

fn client<H>(instance: &Instance<H>) -> NamespaceRow {
    let (client_name, service_type) = (instance.role.clone(), instance.role.clone());
    let internal_namespace = instance.language.translation.namespace().map(str::to_owned);
    NamespaceRow { client_name, service_type, internal_namespace }
}

fn route(form: Form, language: &Language) -> RouteRow {
    let Language { receives, sends, translation } = language;
    let pairs = |wanted: Form| (form == wanted).then(|| translation.pairs().to_vec());
    RouteRow {
        receives: receives.clone(),
        sends: sends.clone(),
        internal_namespace: translation.namespace().map(str::to_owned),
        message_translations: pairs(Form::MessageTranslations),
        translations: pairs(Form::Translations),
    }
}

fn row<H>(instance: &Instance<H>) -> ServiceRow {
    let address = instance.address();
    ServiceRow {
        name: instance.role.clone(),
        host: address.map_or("localhost", |address| address.host()).to_owned(),
        port: address.map_or(0, |address| address.port()),
        internal_namespace: instance.language.translation.namespace().map(str::to_owned),
    }
}
