//! What can go wrong at the broker's door.

use std::fmt;

use crate::http::{Kind, Problem};
use crate::message::{self, InstanceId, PayloadError, Role, TextError};

/// Why the broker refused something. The text is for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not JSON.
    #[error("{0}")]
    Payload(#[from] PayloadError),
    /// The frame is no message.
    #[error("{0}")]
    Message(#[from] message::Error),
    /// The body is JSON of the wrong kind.
    #[error("the body must be {expected}")]
    Body {
        /// What would have been right.
        expected: &'static str,
    },
    /// A field is missing or has a value of the wrong kind.
    #[error("\"{field}\" must be {expected}")]
    Field {
        /// The key.
        field: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// A text in a field is not fit for use.
    #[error("\"{field}\": {source}")]
    Text {
        /// The key.
        field: &'static str,
        /// What is wrong with the text.
        source: TextError,
    },
    /// One service of a landscape is wrong; nothing was changed.
    #[error("service {index}: {source}")]
    Service {
        /// Its place in the array, counted from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// Two services of a landscape have one name; nothing was changed.
    #[error("service {index}: \"{field}\" must be unique, {name:?} stands there twice")]
    NameTwice {
        /// The second one's place in the array, counted from 0.
        index: usize,
        /// The key of the name.
        field: &'static str,
        /// The name.
        name: Role,
    },
    /// A part of a landscape is wrong; nothing was changed.
    #[error("{place}: {source}")]
    At {
        /// The part.
        place: String,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// A part of a landscape has the wrong kind.
    #[error("it must be {expected}")]
    Part {
        /// What would have been right.
        expected: &'static str,
    },
    /// A landscape declares a role twice.
    #[error("the role {role:?} is declared twice")]
    RoleTwice {
        /// The role.
        role: Role,
    },
    /// A landscape has too many roles.
    #[error("a landscape has at most {roles_max} roles")]
    RolesMax {
        /// The bound.
        roles_max: usize,
    },
    /// The text is not of the language it should be in.
    #[error("not {language}: {cause}")]
    Syntax {
        /// The language.
        language: &'static str,
        /// What its parser says, on one line.
        cause: String,
    },
    /// Our own form has no such key.
    #[error("unknown key {key:?}: {hint}")]
    UnknownKey {
        /// The key, from the root.
        key: String,
        /// The nearest key there is, or what there is to choose from.
        hint: String,
    },
    /// The key belongs to another form of landscapes.
    #[error("\"{key}\" belongs to another form of landscapes, in this one there is \"{instead}\"")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// What says the same in this form.
        instead: &'static str,
    },
    /// Two keys stand there of which each says the same in its own way.
    #[error("\"{}\" and \"{}\" cannot stand beside each other, keep one of them", keys[0], keys[1])]
    Both {
        /// The keys.
        keys: [&'static str; 2],
    },
    /// A role has both a namespace and pairs of names.
    #[error("\"{namespace}\" and \"{pairs}\" cannot stand beside each other: a role has either")]
    Translations {
        /// The key of the namespace.
        namespace: &'static str,
        /// The key of the pairs.
        pairs: &'static str,
    },
    /// Some roles of an array have namespaces, others pairs of names.
    #[error("service {namespace} has a namespace and service {pairs} has \"messageTranslations\": use either for all")]
    Mixed {
        /// The first place with a namespace, counted from 0.
        namespace: usize,
        /// The first place with pairs, counted from 0.
        pairs: usize,
    },
    /// The instance id is taken by an instance of another role.
    #[error("\"instance\" must be unique, {instance:?} is an instance of {role:?} already")]
    InstanceTaken {
        /// The id.
        instance: InstanceId,
        /// Who has it.
        role: Role,
    },
    /// The role is guarded, and the token is missing or wrong.
    #[error("the role {role:?} needs its token to register")]
    Token {
        /// The role.
        role: Role,
    },
    /// There is no place for another instance.
    #[error("the landscape is full: {instances_max} instances are registered")]
    Full {
        /// The bound.
        instances_max: usize,
    },
    /// The broker is shutting down.
    #[error("the broker is shutting down")]
    Draining,
}

impl Error {
    pub(crate) fn text(field: &'static str) -> impl Fn(TextError) -> Self {
        move |source| Self::Text { field, source }
    }

    pub(crate) fn at(place: &str) -> impl Fn(Self) -> Self {
        move |source| Self::At { place: format!("{place:?}"), source: Box::new(source) }
    }

    pub(crate) fn of_role(role: &str) -> impl Fn(Self) -> Self {
        move |source| Self::At { place: format!("role {role:?}"), source: Box::new(source) }
    }

    pub(crate) fn syntax(language: &'static str, cause: &impl fmt::Display) -> Self {
        let cause = cause.to_string();
        let lines: Vec<_> = cause.split(char::is_control).map(str::trim).filter(|line| !line.is_empty()).collect();
        Self::Syntax { language, cause: lines.join(", ") }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Payload(_)
            | Error::Message(_)
            | Error::Body { .. }
            | Error::Field { .. }
            | Error::Text { .. }
            | Error::Service { .. }
            | Error::NameTwice { .. }
            | Error::At { .. }
            | Error::Part { .. }
            | Error::RoleTwice { .. }
            | Error::RolesMax { .. }
            | Error::Syntax { .. }
            | Error::UnknownKey { .. }
            | Error::Misplaced { .. }
            | Error::Both { .. }
            | Error::Translations { .. }
            | Error::Mixed { .. }
            | Error::InstanceTaken { .. } => Kind::InvalidMessage,
            Error::Token { .. } => Kind::Forbidden,
            Error::Full { .. } => Kind::Busy,
            Error::Draining => Kind::Draining,
        };
        let problem = Self::new(kind, &error);
        match error {
            Error::Full { .. } | Error::Draining => problem.retry_after(std::time::Duration::from_secs(1)),
            _ => problem,
        }
    }
}
