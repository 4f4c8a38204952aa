//! What a landscape says about roles: who may send what, and who gets what as soon as it is there. exo 3.3.

use std::collections::HashMap;
use std::sync::Arc;

use super::guard::JUDGE;
use super::{Language, Rules};
use crate::broker::wire::{Form, Landscape, RoleRoutes};
use crate::message::{MessageName, Role};

/// The roles that the landscape declares. A landscape of the HTTP era declares none: its services are on the roster.
#[derive(Default)]
pub(crate) struct Declared {
    form: Form,
    roles: HashMap<Role, Arc<Language>>,
    by_public: HashMap<MessageName, Vec<Role>>,
    guarded: bool,
}

impl Declared {
    pub(crate) fn new(landscape: &Landscape, rules: Rules) -> Self {
        let mut declared = Self { form: landscape.form, ..Self::default() };
        if landscape.form == Form::Http {
            return declared;
        }
        for routes in &landscape.roles {
            let language = Arc::new(Language::of(routes));
            for internal in &language.receives {
                let public = rules.subscribing(&routes.role, &language.translation, internal);
                let roles = declared.by_public.entry(public).or_default();
                if !roles.contains(&routes.role) {
                    roles.push(routes.role.clone());
                }
            }
            declared.guarded |= routes.role.as_str() == JUDGE;
            declared.roles.insert(routes.role.clone(), language);
        }
        declared
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// What the landscape says about the role, if it declares it.
    pub(crate) fn language(&self, role: &Role) -> Option<&Arc<Language>> {
        self.roles.get(role)
    }

    /// The roles that receive the message of this public name.
    pub(crate) fn receivers(&self, public: &MessageName) -> &[Role] {
        self.by_public.get(public).map_or(&[], Vec::as_slice)
    }

    /// Whether the role may send messages of this name. Without declared roles everybody may send everything.
    pub(crate) fn permits(&self, sender: Option<&Role>, name: &MessageName) -> bool {
        if self.roles.is_empty() {
            return true;
        }
        let language = sender.and_then(|sender| self.roles.get(sender));
        language.is_some_and(|language| language.sends.contains(name))
    }

    /// Whether every message is judged.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// Every declared role, in no order.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&Role, &Language)> {
        self.roles.iter().map(|(role, language)| (role, &**language))
    }
}

impl Language {
    pub(super) fn of(routes: &RoleRoutes) -> Self {
        let RoleRoutes { receives, sends, translation, .. } = routes;
        Self { receives: receives.clone(), sends: sends.clone(), translation: translation.clone() }
    }
}
