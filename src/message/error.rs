//! Errors of parsing a message.

use super::{PayloadError, TextError};

/// Error of parsing a message. Its text is shown to the sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not UTF-8, not JSON, or nested too deep.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A name, role or id is invalid.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The envelope has no `id`. The wording is part of the ExoCom contract.
    #[error("missing message id")]
    MissingId,
    /// Neither the URL nor the envelope has a name.
    #[error("missing message name: expected a \"name\" beside the \"id\"")]
    MissingName,
    /// A field has a value of the wrong type.
    #[error("\"{field}\" must be {expected}")]
    Field {
        /// Key in the envelope.
        field: &'static str,
        /// Expected type.
        expected: &'static str,
    },
    /// The body is JSON, but not an object.
    #[error("the body must be a JSON object, like {{\"id\":\"…\",\"payload\":…}}")]
    NotAnObject,
}
