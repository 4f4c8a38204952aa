//! Files of an original application: `application.yml`, and one `service.yml` per service.
//!
//! ```yaml
//! # application.yml                        # the same in the form before 2017-08
//! services:                                services:
//!   tweets:                                  public:
//!     location: ./tweets-service               tweets:
//!     dependency-data:                           location: ./tweets-service
//!       exocom:                            message-translation:
//!         translations:                      - public: tweets create
//!           - public: tweets create            internal: text-snippets create
//!             internal: text-snippets create
//!
//! # tweets-service/service.yml
//! dependency-data:                         messages:
//!   exocom:                                  receives: [text-snippets create]
//!     receives: [text-snippets create]       sends: [text-snippets created]
//!     sends: [text-snippets created]         namespace: text-snippets
//! ```
//!
//! exo 2.3, 3.10, 5.5. All other keys are for other programs and are ignored.

use serde_json::Value;

use super::json::routes;
use super::{Form, Landscape, RoleRoutes};
use crate::broker::Error;
use crate::broker::wire::fields::Fields;
use crate::broker::wire::translation::{Pair, Translation};
use crate::message::Role;

/// Names of service groups, which may be empty.
const PROTECTION_LEVELS: [&str; 3] = ["public", "private", "worker"];

/// Keys of a service that a group of services does not have.
const KEYS_OF_A_SERVICE: [&str; 3] = ["location", "dependency-data", "message-translation"];

/// Parsed `application.yml`: the services and the location of their `service.yml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// One per role, sorted by name.
    pub parts: Vec<Part>,
}

/// One service of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Role of the service.
    pub role: Role,
    /// Folder of its `service.yml`, relative to that of `application.yml`.
    pub location: String,
    /// Translation of its message names.
    pairs: Vec<Pair>,
}

impl Application {
    /// Parses an `application.yml`. Errors: [`Error::Syntax`], and errors that name role and field.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let file = yaml(text)?;
        let file = Fields::of_part(&file, "a mapping with \"services\"")?;
        let expected = "a mapping of roles: this is what an application.yml has";
        let services = file.get("services").ok_or(Error::Field { field: "services", expected })?;
        let services = services.as_object().ok_or(Error::Field { field: "services", expected })?;
        let common = file.pairs("message-translation")?;
        let mut parts = Vec::new();
        for (name, value) in services {
            match group(name, value) {
                None => parts.push(part(name, value, &common)?),
                Some(group) => {
                    let inner: Result<Vec<_>, _> =
                        group.into_iter().map(|(role, value)| part(role, value, &common)).collect();
                    parts.extend(inner.map_err(Error::at(&format!("services.{name}")))?);
                }
            }
        }
        Ok(Self { parts })
    }
}

impl Part {
    /// Parses the role's `service.yml` and returns its routes. Errors: [`Error::Syntax`], and errors that name role and
    /// field.
    pub fn routes(&self, service: &str) -> Result<RoleRoutes, Error> {
        self.read(service).map_err(Error::of_role(self.role.as_str()))
    }

    fn read(&self, service: &str) -> Result<RoleRoutes, Error> {
        let file = yaml(service)?;
        let file = Fields::of_part(&file, "a mapping with \"dependency-data\", or with \"messages\"")?;
        let (place, messages) = match (file.get("messages"), exocom(&file)?) {
            (Some(_), Some(_)) => return Err(Error::Both { keys: ["messages", "dependency-data.exocom"] }),
            (Some(messages), None) => ("messages", messages),
            (None, Some(messages)) => ("dependency-data.exocom", messages),
            (None, None) => ("messages", &Value::Null),
        };
        let nothing = Value::Object(serde_json::Map::new());
        let messages = if messages.is_null() { &nothing } else { messages };
        let read = || {
            let fields = Fields::of_part(messages, "a mapping with receives and sends")?;
            let namespace = fields.text("namespace")?.map(str::to_owned);
            routes(self.role.clone(), &fields, self.translation(namespace)?)
        };
        read().map_err(Error::at(place))
    }

    fn translation(&self, namespace: Option<String>) -> Result<Translation, Error> {
        match (namespace, self.pairs.is_empty()) {
            (namespace, true) => Ok(namespace.into()),
            (None, false) => Ok(Translation::Pairs(self.pairs.clone().into())),
            (Some(_), false) => {
                Err(Error::Translations { namespace: "namespace", pairs: "translations of application.yml" })
            }
        }
    }
}

impl Landscape {
    /// Builds the landscape of an application from the [`Part::routes`] of all its parts.
    /// Errors: [`Error::RoleTwice`], [`Error::RolesMax`].
    pub fn of_application(roles: Vec<RoleRoutes>) -> Result<Self, Error> {
        let namespaces = roles.iter().any(|routes| routes.translation.namespace().is_some());
        let pairs = roles.iter().any(|routes| !routes.translation.pairs().is_empty());
        let form = if namespaces && !pairs { Form::Namespaces } else { Form::Translations };
        Self::of(form, roles)
    }
}

/// Returns the services in a group, or `None` if the value is a single service.
fn group<'a>(name: &str, value: &'a Value) -> Option<Vec<(&'a str, &'a Value)>> {
    let Ok(fields) = Fields::of_part(value, "a mapping") else {
        return (value.is_null() && PROTECTION_LEVELS.contains(&name)).then(Vec::new);
    };
    let is_service = KEYS_OF_A_SERVICE.iter().any(|key| fields.keys().any(|known| known == *key));
    let inner: Vec<_> = fields.entries().collect();
    let holds_services = inner.iter().all(|(_, value)| value.is_object());
    let has_any = !inner.is_empty() || PROTECTION_LEVELS.contains(&name);
    (!is_service && holds_services && has_any).then_some(inner)
}

fn part(name: &str, value: &Value, common: &[Pair]) -> Result<Part, Error> {
    let role = Role::parse(name).map_err(Error::text("role"))?;
    let read = || {
        let fields = Fields::of_part(value, "a mapping with \"location\"")?;
        let location = fields.text("location")?;
        let expected = "the folder of its service.yml, such as ./users-service";
        let location = location.ok_or(Error::Field { field: "location", expected })?.to_owned();
        let mut pairs = fields.pairs("message-translation")?;
        if let Some(exocom) = exocom(&fields)? {
            let place = "dependency-data.exocom";
            let exocom = Fields::of_part(exocom, "a mapping with translations").map_err(Error::at(place))?;
            pairs.extend(exocom.pairs("translations").map_err(Error::at(place))?);
        }
        pairs.extend_from_slice(common);
        Ok(Part { role, location, pairs })
    };
    read().map_err(Error::of_role(name))
}

/// Returns the value at `dependency-data.exocom`.
fn exocom<'a>(fields: &Fields<'a>) -> Result<Option<&'a Value>, Error> {
    let Some(dependencies) = fields.get("dependency-data") else { return Ok(None) };
    let dependencies = Fields::of_part(dependencies, "a mapping").map_err(Error::at("dependency-data"))?;
    Ok(dependencies.get("exocom"))
}

/// Parses YAML with only `true` and `false` as booleans, since a message may be called `on`. Tolerates the keys of
/// other
/// programs.
fn yaml(text: &str) -> Result<Value, Error> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Error::syntax("YAML", &error))
}
