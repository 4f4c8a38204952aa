//! Parts of a landscape, and the rules that hold for all forms.

use std::collections::HashSet;

use crate::broker::Error;
use crate::broker::wire::announcement::Address;
use crate::broker::wire::translation::Translation;
use crate::message::{MessageName, Role};

/// Role of the security adapter. exo 3.6.
const SECURITY: &str = "security";

/// Messages of the security adapter, which a landscape cannot change. exo 3.6.
const SECURITY_SENDS: [&str; 3] = ["message authorized", "message unauthorized", "security request"];
const SECURITY_RECEIVES: [&str; 2] = ["authorize message", "security response"];

/// Maximum number of roles in a landscape; more are refused.
const ROLES_MAX: usize = 65_536;

/// Configuration of all services. Replaces the previous landscape as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landscape {
    /// Form in which it was written and is displayed.
    pub form: Form,
    /// Roles, each at most once.
    pub roles: Vec<RoleRoutes>,
}

/// Form of a landscape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Array of services reached over HTTP; the messages they send are informative and not enforced. exo 2.3.
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
    /// The role.
    pub role: Role,
    /// Messages it receives, by its own names.
    pub receives: Vec<MessageName>,
    /// Messages it sends, by its own names. Others are refused, except in [`Form::Http`].
    pub sends: Vec<MessageName>,
    /// Translation of its message names.
    pub translation: Translation,
    /// HTTP address; `None` for a service that connects to the broker.
    pub address: Option<Address>,
}

impl Landscape {
    /// Builds a landscape. The role `security` gets the messages of the security adapter, except in [`Form::Http`],
    /// which
    /// has none. Errors: [`Error::RoleTwice`], [`Error::RolesMax`].
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
    /// Returns true for the role of the security adapter.
    pub fn is_security(&self) -> bool {
        self.role.as_str() == SECURITY
    }

    /// Sets the messages of the security adapter.
    fn adapt(&mut self) {
        self.sends = SECURITY_SENDS.map(constant).into();
        self.receives = SECURITY_RECEIVES.map(constant).into();
        self.translation = Translation::None;
    }
}

fn constant(name: &str) -> MessageName {
    MessageName::parse(name).expect("a constant that is a name")
}
