//! The vocabulary: what a message is made of, and the one JSON form it travels in.
//!
//! Pure: no clock, no socket, no randomness. Outside text becomes one of these types once, at the edge; inside, the type
//! is the proof that the text was fit for use. Source of the rules: the ExoCom protocol of the HTTP era, with
//! `activityId` from the WebSocket era.

mod envelope;
pub mod optional;
mod payload;
mod text;
mod trace;

pub use envelope::Message;
pub use payload::{Payload, PayloadError};
pub use text::{ActivityId, InstanceId, MessageId, MessageName, Role, TextError};
pub use trace::TraceParent;

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
