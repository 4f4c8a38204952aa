//! What the machine shows of itself.

use std::time::Instant;

use super::exchange::Load;
use super::{Exchange, Instance, Key, Place};
use crate::broker::wire::{Configuration, InstanceRow, Receivers, ServiceRow};

impl<H: Clone> Exchange<H> {
    /// Roles and routes, as the original shows them. exo 2.4.
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

fn row<H>(instance: &Instance<H>) -> ServiceRow {
    let address = instance.address();
    ServiceRow {
        name: instance.role.clone(),
        host: address.map_or("localhost", |address| address.host()).to_owned(),
        port: address.map_or(0, |address| address.port()),
        internal_namespace: instance.language.translation.namespace().map(str::to_owned),
    }
}
