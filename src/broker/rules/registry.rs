//! The services that the broker knows: instances, routes, the declared landscape, and tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::selection::{Context, Correlation, Recipient};
use super::{
    DeclaredRoles, Endpoint, Instance, InstanceKey, Interface, Participant, QueueView, Roster, Routes, Tokens,
    TranslationRules, views,
};
use crate::broker::Error;
use crate::broker::config::Config;
use crate::broker::wire::{AbsentRow, Configuration, InstanceRow, Landscape, Listing};
use crate::http::access::TokenDigest;
use crate::memory::{Budget, Share};
use crate::message::{InstanceId, MessageName, Registration, Role};

/// The known services. Keeps the routes in step with the roster.
pub(crate) struct Registry<H> {
    roster: Roster<H>,
    routes: Routes,
    declared: DeclaredRoles,
    tokens: Arc<Tokens>,
    /// Of the interfaces that the instances registered with.
    interfaces: Share,
    /// Lease of instances that register over HTTP.
    lease: Duration,
}

impl<H> Registry<H> {
    pub(crate) fn new(config: &Config, tokens: Arc<Tokens>) -> Self {
        let rules = if config.compat { TranslationRules::Original } else { TranslationRules::Current };
        let (routes, declared) = (Routes::new(rules), DeclaredRoles::default());
        // Not part of the memory for queues: a service must be able to come for the messages that fill them.
        let interfaces = Share::new(&Budget::default(), config.registrations_bytes_max);
        Self { roster: Roster::new(), routes, declared, tokens, interfaces, lease: config.lease() }
    }

    /// Returns the number of instances, those included whose last delivery has not ended.
    pub(crate) fn len(&self) -> usize {
        self.roster.len()
    }

    /// Returns an instance, even if it has left.
    pub(crate) fn get(&self, key: InstanceKey) -> Option<&Instance<H>> {
        self.roster.get(key)
    }

    pub(crate) fn key_of(&self, id: &InstanceId) -> Option<InstanceKey> {
        self.roster.key_of(id)
    }

    /// Returns the instance of this id.
    pub(crate) fn instance(&self, id: Option<&InstanceId>) -> Option<&Instance<H>> {
        self.roster.get(self.roster.key_of(id?)?)
    }

    /// Returns true if the role has an instance.
    pub(crate) fn has_instance_of(&self, role: &Role) -> bool {
        !self.roster.of_role(role).is_empty()
    }

    /// Returns the roles that have an instance, without repetition.
    pub(crate) fn roles(&self) -> Vec<Role> {
        let mut roles: Vec<Role> = self.roster.present().map(|(_, instance)| instance.role.clone()).collect();
        roles.sort();
        roles.dedup();
        roles
    }

    /// Returns the instances whose lease has ended.
    pub(crate) fn expired(&self, now: Instant) -> Vec<InstanceKey> {
        self.roster.expired(now)
    }

    /// Returns the instances of the posted landscape.
    pub(crate) fn posted(&self) -> Vec<InstanceKey> {
        self.roster.present().filter(|(_, instance)| instance.id.is_none()).map(|(key, _)| key).collect()
    }

    /// Returns the role's instance of the posted landscape.
    pub(crate) fn posted_of(&self, role: &Role) -> Option<InstanceKey> {
        self.roster.posted(role)
    }

    /// Returns the instances that have not left, with their keys.
    pub(crate) fn present(&self) -> impl Iterator<Item = (InstanceKey, &Instance<H>)> {
        self.roster.present()
    }

    /// Returns the number of instances that have not left.
    pub(crate) fn present_len(&self) -> usize {
        self.roster.present().count()
    }

    /// Checks the token of a registration. Errors: [`Error::Token`].
    pub(crate) fn check_token(&self, registration: &Registration) -> Result<(), Error> {
        let Registration { role, token, .. } = registration;
        let permitted =
            !self.tokens.protect(role) || self.tokens.permit(role, token.as_deref().map(TokenDigest::of).as_ref());
        if permitted { Ok(()) } else { Err(Error::Token { role: role.clone() }) }
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Checks that there is memory for a registration, which may replace that of an instance. Errors:
    /// [`Error::RegistrationsFull`].
    pub(crate) fn check_memory(&self, registration: &Registration, known: Option<InstanceKey>) -> Result<(), Error> {
        let names = registration.receives.iter().chain(&registration.sends);
        let namespace = registration.namespace.as_ref().map_or(0, String::len);
        let bytes = Interface::bytes_of(names) + namespace;
        let before = known.and_then(|key| self.roster.get(key)).map_or(0, |instance| instance.registered.bytes());
        match self.interfaces.check(bytes.saturating_sub(before)) {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::RegistrationsFull { bytes_max: self.interfaces.bytes_max() }),
        }
    }

    /// Checks the size of a landscape. Errors: [`Error::LandscapeTooLarge`].
    pub(crate) fn check_landscape(&self, landscape: &Landscape) -> Result<(), Error> {
        let bytes: usize = landscape.roles.iter().map(|routes| Interface::of(routes).bytes()).sum();
        let bytes_max = self.interfaces.bytes_max();
        if bytes <= bytes_max { Ok(()) } else { Err(Error::LandscapeTooLarge { bytes, bytes_max }) }
    }

    /// Returns the instance that a registration renews or replaces. Errors: [`Error::InstanceTaken`].
    pub(crate) fn find(&self, registration: &Registration) -> Result<Option<InstanceKey>, Error> {
        match self.instance(Some(&registration.instance)).filter(|other| other.role != registration.role) {
            Some(other) => {
                let (instance, role) = (registration.instance.clone(), other.role.clone());
                Err(Error::InstanceTaken { instance, role })
            }
            None => Ok(self.roster.key_of(&registration.instance)),
        }
    }

    /// Returns the instance that a registration describes. The landscape decides about its interface if it declares
    /// the role.
    pub(crate) fn describe(
        &self,
        now: Instant,
        registration: Registration,
        endpoint: Endpoint,
        handle: H,
    ) -> Instance<H> {
        let Registration { role, instance, receives, sends, namespace, batch, token: _, away } = registration;
        let expires = match endpoint {
            Endpoint::Local | Endpoint::Socket => None,
            Endpoint::Remote(_) => Some(now + self.lease),
        };
        let registered = Arc::new(Interface { receives, sends, translation: namespace.into() });
        let interface = Arc::clone(self.declared.interface(&role).unwrap_or(&registered));
        Instance {
            role,
            id: Some(instance),
            endpoint,
            interface,
            registered,
            batch,
            expires,
            handle,
            away,
            gone: false,
        }
    }

    pub(crate) fn add(&mut self, instance: Instance<H>) -> InstanceKey {
        self.interfaces.add(instance.registered.bytes());
        let key = self.roster.add(instance);
        if let Some(instance) = self.roster.get(key) {
            self.routes.add(key, instance);
        }
        key
    }

    /// Updates an instance. Returns true if its interface has changed, and with it the names of its messages.
    pub(crate) fn renew(&mut self, key: InstanceKey, new: Instance<H>) -> bool {
        let interface = Arc::clone(&new.interface);
        if let Some(old) = self.roster.get(key).filter(|old| old.registered != new.registered) {
            self.interfaces.remove(old.registered.bytes());
            self.interfaces.add(new.registered.bytes());
        }
        self.roster.renew(key, new);
        self.set_interface(key, interface)
    }

    /// Puts a landscape into force. Returns the instances whose interface has changed.
    pub(crate) fn declare(&mut self, landscape: &Landscape) -> Vec<InstanceKey> {
        self.declared = DeclaredRoles::new(landscape, self.routes.rules());
        let registered = self.roster.present().filter(|(_, instance)| instance.id.is_some());
        let interface = |instance: &Instance<H>| {
            Arc::clone(self.declared.interface(&instance.role).unwrap_or(&instance.registered))
        };
        let interfaces: Vec<_> = registered.map(|(key, instance)| (key, interface(instance))).collect();
        interfaces.into_iter().filter_map(|(key, new)| self.set_interface(key, new).then_some(key)).collect()
    }

    /// Hides an instance that has left, until [`Registry::remove`]. Returns the public names that its role no longer
    /// receives.
    pub(crate) fn retire(&mut self, key: InstanceKey) -> Vec<MessageName> {
        let unserved = self.roster.get(key).map(|instance| self.routes.remove(key, instance)).unwrap_or_default();
        self.roster.retire(key);
        unserved
    }

    pub(crate) fn remove(&mut self, key: InstanceKey) {
        if let Some(instance) = self.roster.get(key) {
            self.interfaces.remove(instance.registered.bytes());
        }
        self.roster.remove(key);
    }

    /// Returns true if the landscape permits the message.
    pub(crate) fn permits(&self, sender: Option<&Role>, name: &MessageName) -> bool {
        self.declared.permits(sender, name)
    }

    /// Returns true if the landscape has a security service, which authorizes every message.
    pub(crate) fn needs_authorization(&self) -> bool {
        self.declared.needs_authorization()
    }

    /// Returns the public name of the message that `sender`, or the role of `origin`, calls `name`.
    pub(crate) fn public_name(
        &self,
        origin: Option<&InstanceId>,
        sender: Option<&Role>,
        name: &MessageName,
    ) -> MessageName {
        let origin = self.instance(origin);
        let Some(sender) = sender.or_else(|| origin.map(|instance| &instance.role)) else { return name.clone() };
        let instance = || {
            let own = origin.filter(|instance| instance.role == *sender);
            own.or_else(|| self.roster.get(*self.roster.of_role(sender).first()?))
        };
        let interface = self.declared.interface(sender).or_else(|| instance().map(|instance| &instance.interface));
        let Some(interface) = interface else { return name.clone() };
        self.routes.rules().public_when_sent(sender, &interface.translation, name)
    }

    /// Returns the name under which an instance receives a message.
    pub(crate) fn internal_name(&self, key: InstanceKey, public: &MessageName) -> MessageName {
        self.roster.get(key).map_or_else(|| public.clone(), |instance| self.translate(instance, public))
    }

    /// Returns the name under which a connected instance knows a message; the public name if it is not connected.
    pub(crate) fn internal_name_of(&self, id: &InstanceId, public: &MessageName) -> MessageName {
        self.instance(Some(id)).map_or_else(|| public.clone(), |instance| self.translate(instance, public))
    }

    /// Returns the public name of the message that an instance receives as `internal`.
    pub(crate) fn received_name(&self, key: InstanceKey, internal: &MessageName) -> MessageName {
        let instance = self.roster.get(key);
        instance.map_or_else(|| internal.clone(), |instance| self.routes.received_name(instance, internal))
    }

    /// Returns true for a service of the WebSocket era, whose messages only the limit of a frame bounds.
    pub(crate) fn is_original_socket(&self, id: Option<&InstanceId>) -> bool {
        self.instance(id).is_some_and(|instance| instance.endpoint == Endpoint::Socket && !instance.batch)
    }

    /// Returns an instance of a role that takes notices about its messages.
    pub(crate) fn notice_taker(&self, role: &Role) -> Option<InstanceKey> {
        let keys = self.roster.of_role(role).iter();
        keys.copied().find(|key| self.roster.get(*key).is_some_and(Instance::takes_notices))
    }

    /// Returns the instances of a role.
    pub(crate) fn keys_of(&self, role: &Role) -> Vec<InstanceKey> {
        self.roster.of_role(role).to_vec()
    }

    /// Returns true if an instance of the role receives the message.
    pub(crate) fn receives(&self, public: &MessageName, role: &Role) -> bool {
        self.routes.receives(public, role)
    }

    /// Returns true if an instance receives the message.
    pub(crate) fn has_receiver(&self, public: &MessageName) -> bool {
        self.routes.has_receiver(public)
    }

    /// Returns the roles that receive the message according to the landscape.
    pub(crate) fn declared_receivers(&self, public: &MessageName) -> &[Role] {
        self.declared.receivers(public)
    }

    /// Appends the receivers of a message, see [`Context::select`]; `ranking` orders instances of a role, lowest first.
    pub(crate) fn select(
        &mut self,
        public: &MessageName,
        request: (Option<InstanceKey>, Correlation),
        (participants, compat): (&[Participant], bool),
        ranking: impl Fn(InstanceKey) -> usize,
        recipients: &mut Vec<Recipient>,
    ) {
        let (requester, correlation) = request;
        let requester = requester.and_then(|key| Some((key, self.roster.get(key)?)));
        let context = Context { requester, correlation, participants, compat };
        context.select(self.routes.targets(public), ranking, recipients);
        if let Some((key, instance)) = context.unsubscribed(recipients) {
            let (role, name) = (instance.role.clone(), self.translate(instance, public));
            recipients.push(Recipient { key, role, name, requested: true });
        }
    }

    /// Returns an instance of `role` that receives the message, and its name for it: a participant in the conversation,
    /// else the one with the lowest `ranking`.
    pub(crate) fn select_of(
        &mut self,
        role: &Role,
        public: &MessageName,
        participants: &[Participant],
        ranking: impl Fn(InstanceKey) -> usize,
    ) -> Option<(InstanceKey, MessageName)> {
        let target = self.routes.targets(public).iter_mut().find(|target| target.role() == role)?;
        let (key, name) = target.choose(None, participants.iter().map(|participant| participant.key), ranking);
        Some((key, name.clone()))
    }

    /// Returns the answer to `/config.json`. exo 2.4, 3.7, 3.8.
    pub(crate) fn listing(&self) -> Listing {
        views::listing(&self.declared, &self.roster, &self.routes)
    }

    /// Returns services and routes in the form of the HTTP era. exo 2.4.
    pub(crate) fn configuration(&self) -> Configuration {
        views::configuration(&self.roster, &self.routes)
    }

    /// Returns every instance; `queue` returns the queue of one.
    pub(crate) fn instances(&self, now: Instant, queue: impl Fn(InstanceKey) -> QueueView) -> Vec<InstanceRow> {
        views::instances(&self.roster, now, queue)
    }

    /// Returns the roles without an instance, given the backlogs of all that have one.
    pub(crate) fn absent<'a>(
        &self,
        now: Instant,
        backlogs: impl Iterator<Item = (&'a Role, QueueView)>,
    ) -> Vec<AbsentRow> {
        views::absent(&self.declared, &self.roster, backlogs, now)
    }

    fn set_interface(&mut self, key: InstanceKey, interface: Arc<Interface>) -> bool {
        let Some(instance) = self.roster.get(key).filter(|instance| instance.interface != interface) else {
            return false;
        };
        self.routes.remove(key, instance);
        self.roster.set_interface(key, interface);
        if let Some(instance) = self.roster.get(key) {
            self.routes.add(key, instance);
        }
        true
    }

    fn translate(&self, instance: &Instance<H>, public: &MessageName) -> MessageName {
        self.routes.rules().internal(&instance.role, &instance.interface.translation, public)
    }
}
