//! Errors of the broker's API.

use std::fmt;

use crate::http::{Kind, Problem};
use crate::message::{self, InstanceId, MessageName, PayloadError, Role, TextError};

/// Reason why the broker refused a request. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not JSON.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The frame is not a valid message.
    #[error(transparent)]
    Message(#[from] message::Error),
    /// The body is JSON of the wrong type.
    #[error("the body must be {expected}")]
    Body {
        /// Expected value.
        expected: &'static str,
    },
    /// A field is missing or has a value of the wrong type.
    #[error("\"{field}\" must be {expected}")]
    Field {
        /// The key.
        field: &'static str,
        /// Expected value.
        expected: &'static str,
    },
    /// A field contains an invalid name or id.
    #[error("\"{field}\": {source}")]
    Text {
        /// The key.
        field: &'static str,
        /// Cause.
        source: TextError,
    },
    /// A service of the landscape is invalid; nothing was changed.
    #[error("service {index}: {source}")]
    Service {
        /// Index in the array, from 0.
        index: usize,
        /// Cause.
        source: Box<Error>,
    },
    /// Two services of the landscape have the same name; nothing was changed.
    #[error("service {index}: \"{field}\" must be unique, but {name:?} is used twice")]
    NameTwice {
        /// Index of the second one in the array, from 0.
        index: usize,
        /// The key of the name.
        field: &'static str,
        /// The name.
        name: Role,
    },
    /// A part of the landscape is invalid; nothing was changed.
    #[error("{place}: {source}")]
    At {
        /// The part.
        place: String,
        /// Cause.
        source: Box<Error>,
    },
    /// A part of the landscape has the wrong type.
    #[error("it must be {expected}")]
    Part {
        /// Expected value.
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
    /// The text does not parse.
    #[error("not {language}: {cause}")]
    Syntax {
        /// The language.
        language: &'static str,
        /// Error of the parser, on one line.
        cause: String,
    },
    /// Our own form has no such key.
    #[error("unknown key {key:?}: {hint}")]
    UnknownKey {
        /// The key, from the root.
        key: String,
        /// Nearest known key, or all known keys.
        hint: String,
    },
    /// The key belongs to another form of landscapes.
    #[error("\"{key}\" belongs to another form of landscape; use \"{instead}\" here")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// Equivalent key in this form.
        instead: &'static str,
    },
    /// Two equivalent keys are present.
    #[error("\"{}\" and \"{}\" cannot be used together; keep one of them", keys[0], keys[1])]
    Both {
        /// The keys.
        keys: [&'static str; 2],
    },
    /// A role has both a namespace and translation pairs.
    #[error("\"{namespace}\" and \"{pairs}\" cannot be used together: a role has one or the other")]
    Translations {
        /// The key of the namespace.
        namespace: &'static str,
        /// The key of the pairs.
        pairs: &'static str,
    },
    /// Some roles of an array have namespaces, others translation pairs.
    #[error("service {namespace} has a namespace and service {pairs} has \"messageTranslations\": use either for all")]
    Mixed {
        /// Index of the first role with a namespace.
        namespace: usize,
        /// Index of the first role with pairs.
        pairs: usize,
    },
    /// The instance id is in use by an instance of another role.
    #[error("\"instance\" must be unique, {instance:?} is an instance of {role:?} already")]
    InstanceTaken {
        /// The id.
        instance: InstanceId,
        /// Role of the other instance.
        role: Role,
    },
    /// The role is guarded, and the token is missing or wrong.
    #[error("the role {role:?} needs its token to register")]
    Token {
        /// The role.
        role: Role,
    },
    /// No rule lets the caller act as a role that has no token.
    #[error("the role {role:?}: {detail}")]
    Rights {
        /// The role.
        role: Role,
        /// The decision of the rules.
        detail: String,
    },
    /// The sender's role is guarded, and the token is missing or wrong.
    #[error("sending as {role:?} needs the token of that role")]
    SenderToken {
        /// The role.
        role: Role,
    },
    /// The instance that sends is not one of the sender's role.
    #[error("an instance of {role:?} cannot send as {sender:?}")]
    OtherSender {
        /// The sender that the message names.
        sender: Role,
        /// The role of the instance.
        role: Role,
    },
    /// Every role needs a token, and the message names no sender.
    #[error("a message needs a sender and the token of its role, since every role has one")]
    Anonymous,
    /// Only the broker itself sends messages of this name.
    #[error("only the broker sends messages of the name '{name}'")]
    Reserved {
        /// The name.
        name: MessageName,
    },
    /// The message answers a request that its sender did not get.
    #[error("'{name}' answers a request that {} did not get", sender.as_ref().map_or("its sender".into(), |role| format!("{role:?}")))]
    Answer {
        /// The sender.
        sender: Option<Role>,
        /// The name of the message.
        name: MessageName,
    },
    /// The call is for operators, and their token is missing or wrong.
    #[error("this call needs the token of an operator, in `Authorization: Bearer` (broker.operator_tokens)")]
    Operator,
    /// The call is for members of the bus, and no token of theirs is presented.
    #[error("this call needs the token of a role or of an operator, in `Authorization: Bearer` (broker.tokens)")]
    Member,
    /// The broker may not call this address.
    #[error("{cause}")]
    Address {
        /// The reason.
        cause: String,
    },
    /// The maximum number of instances is registered.
    #[error("the landscape is full: {instances_max} instances are registered")]
    Full {
        /// The bound.
        instances_max: usize,
    },
    /// The registrations have as many bytes as they may have together.
    #[error(
        "the registrations of all services have {bytes_max} bytes, which is the maximum \
         (broker.registrations_bytes_max): try again later"
    )]
    RegistrationsFull {
        /// The bound.
        bytes_max: usize,
    },
    /// A landscape has too many names; nothing was changed.
    #[error(
        "the landscape counts for {bytes} bytes, 128 and its length for each name; at most {bytes_max} are allowed \
         (broker.registrations_bytes_max)"
    )]
    LandscapeTooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
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
            Error::Token { .. }
            | Error::Rights { .. }
            | Error::SenderToken { .. }
            | Error::OtherSender { .. }
            | Error::Anonymous
            | Error::Reserved { .. }
            | Error::Answer { .. }
            | Error::Operator
            | Error::Member
            | Error::Address { .. } => Kind::Forbidden,
            Error::Full { .. } | Error::RegistrationsFull { .. } => Kind::Busy,
            Error::LandscapeTooLarge { .. } => Kind::BodyTooLarge,
            Error::Draining => Kind::Draining,
        };
        let problem = Self::new(kind, &error);
        match error {
            Error::Full { .. } | Error::RegistrationsFull { .. } | Error::Draining => {
                problem.retry_after(std::time::Duration::from_secs(1))
            }
            _ => problem,
        }
    }
}
