//! The roles that a landscape declares: which messages each may send, and which it receives. exo 3.3.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Interface, TranslationRules};
use crate::broker::wire::{Form, Landscape};
use crate::message::{MessageName, Role};

/// The declared roles. A landscape of the HTTP era declares none: its services join the roster.
#[derive(Default)]
pub(crate) struct DeclaredRoles {
    form: Form,
    roles: HashMap<Role, Arc<Interface>>,
    by_public: HashMap<MessageName, Vec<Role>>,
    needs_authorization: bool,
}

impl DeclaredRoles {
    pub(crate) fn new(landscape: &Landscape, rules: TranslationRules) -> Self {
        let mut declared = Self { form: landscape.form, ..Self::default() };
        if landscape.form == Form::Http {
            return declared;
        }
        for routes in &landscape.roles {
            let interface = Arc::new(Interface::of(routes));
            for internal in &interface.receives {
                let public = rules.public_when_received(&routes.role, &interface.translation, internal);
                let roles = declared.by_public.entry(public).or_default();
                if !roles.contains(&routes.role) {
                    roles.push(routes.role.clone());
                }
            }
            declared.needs_authorization |= routes.is_security();
            declared.roles.insert(routes.role.clone(), interface);
        }
        declared
    }

    /// Returns the form in which the landscape was written.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Returns the interface of a role, if the landscape declares it.
    pub(crate) fn interface(&self, role: &Role) -> Option<&Arc<Interface>> {
        self.roles.get(role)
    }

    /// Returns the roles that receive the message of this public name.
    pub(crate) fn receivers(&self, public: &MessageName) -> &[Role] {
        self.by_public.get(public).map_or(&[], Vec::as_slice)
    }

    /// Returns true if the role may send messages of this name. Without declared roles everybody may send everything.
    pub(crate) fn permits(&self, sender: Option<&Role>, name: &MessageName) -> bool {
        if self.roles.is_empty() {
            return true;
        }
        let interface = sender.and_then(|sender| self.roles.get(sender));
        interface.is_some_and(|interface| interface.sends.contains(name))
    }

    /// Returns true if the landscape has a security service, which authorizes every message.
    pub(crate) fn needs_authorization(&self) -> bool {
        self.needs_authorization
    }

    /// Returns the declared roles, in no particular order.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&Role, &Interface)> {
        self.roles.iter().map(|(role, interface)| (role, &**interface))
    }
}
