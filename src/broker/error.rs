//! What can go wrong at the broker's door.

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
    #[error("service {index}: \"name\" must be unique, {name:?} stands there twice")]
    NameTwice {
        /// The second one's place in the array, counted from 0.
        index: usize,
        /// The name.
        name: Role,
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
