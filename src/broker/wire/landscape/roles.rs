//! What a landscape is made of, and what holds whichever form it was written in.

use std::collections::HashSet;

use crate::broker::Error;
use crate::broker::wire::announcement::Address;
use crate::broker::wire::translation::Translation;
use crate::message::{MessageName, Role};

/// The role of the security adapter. exo 3.6.
const SECURITY: &str = "security";

/// What the security adapter sends and receives, whatever a landscape says about it. exo 3.6.
const SECURITY_SENDS: [&str; 3] = ["message authorized", "message unauthorized", "security request"];
const SECURITY_RECEIVES: [&str; 2] = ["authorize message", "security response"];

/// How many roles one landscape may have; more are refused.
const ROLES_MAX: usize = 65_536;

/// All services there are, as somebody configured them. Replaces the landscape before it as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landscape {
    /// Which form it was written in, which is also the form it is shown in.
    pub form: Form,
    /// One entry per role; no role twice.
    pub roles: Vec<RoleRoutes>,
}

/// The forms of a landscape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// An array of services that are reached over HTTP; what they send is told, not enforced. exo 2.3.
    #[default]
    Http,
    /// Roles with namespaces. exo 3.8.
    Namespaces,
    /// Roles with `messageTranslations`. exo 3.7.
    MessageTranslations,
    /// Roles with `translations`: ours, and the last of the originals'. exo 3.7.
    Translations,
}

/// One role of the landscape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRoutes {
    /// Who it is.
    pub role: Role,
    /// The messages it wants, in its own language.
    pub receives: Vec<MessageName>,
    /// The messages it sends, in its own language. Others are refused, except in [`Form::Http`].
    pub sends: Vec<MessageName>,
    /// How its language relates to everybody else's.
    pub translation: Translation,
    /// Where it is reached over HTTP; `None` for a service that connects by itself.
    pub address: Option<Address>,
}

impl Landscape {
    /// The landscape of these roles. The role `security` gets the messages of the security adapter, except in
    /// [`Form::Http`], which knows none. Errors: [`Error::RoleTwice`], [`Error::RolesMax`].
    pub(super) fn of(form: Form, mut roles: Vec<RoleRoutes>) -> Result<Self, Error> {
        if roles.len() > ROLES_MAX {
            return Err(Error::RolesMax { roles_max: ROLES_MAX });
        }
        let mut known = HashSet::with_capacity(roles.len());
        if let Some(twice) = roles.iter().find(|routes| !known.insert(&routes.role)) {
            return Err(Error::RoleTwice { role: twice.role.clone() });
        }
        if form != Form::Http {
            roles.iter_mut().filter(|routes| routes.is_security()).for_each(RoleRoutes::adapt);
        }
        Ok(Self { form, roles })
    }
}

impl RoleRoutes {
    /// Whether this is the role of the security adapter.
    pub fn is_security(&self) -> bool {
        self.role.as_str() == SECURITY
    }

    /// Gives the security adapter its messages.
    fn adapt(&mut self) {
        self.sends = SECURITY_SENDS.map(constant).into();
        self.receives = SECURITY_RECEIVES.map(constant).into();
        self.translation = Translation::None;
    }
}

fn constant(name: &str) -> MessageName {
    MessageName::parse(name).expect("a constant that is a name")
}
