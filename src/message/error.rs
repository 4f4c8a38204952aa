//! Why bytes are not a message.

use super::{PayloadError, TextError};

/// Why bytes are not a message. The text is what the sender of those bytes reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not JSON, not UTF-8, or nested too deep.
    #[error("{0}")]
    Payload(#[from] PayloadError),
    /// A name, role or id is not fit for use.
    #[error("{0}")]
    Text(#[from] TextError),
    /// There is no `id`; the wording is part of the ExoCom contract.
    #[error("missing message id")]
    MissingId,
    /// There is no `name`, neither in the URL nor in the body.
    #[error("missing message name: expected a \"name\" beside the \"id\"")]
    MissingName,
    /// A field has a value of the wrong kind.
    #[error("\"{field}\" must be {expected}")]
    Field {
        /// The key in the envelope.
        field: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// The body is JSON, but not an object.
    #[error("the body must be a JSON object, like {{\"id\":\"…\",\"payload\":…}}")]
    NotAnObject,
}
