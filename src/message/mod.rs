//! The vocabulary: what a message is made of, and the one JSON form it travels in.
//!
//! Pure: no clock, no socket, no randomness. Outside text becomes one of these types once, at the edge; inside, the type
//! is the proof that the text was fit for use. Source of the rules: the ExoCom protocol of the HTTP era, with
//! `activityId` from the WebSocket era.

mod delivery;
mod envelope;
mod error;
mod inbox;
mod nearest;
pub mod optional;
mod payload;
mod receipt;
mod registration;
mod segment;
mod text;
mod trace;

pub use delivery::{Delivery, Verdict};
pub use envelope::Message;
pub use error::Error;
pub use inbox::Inbox;
pub(crate) use nearest::nearest;
pub use payload::{Payload, PayloadError};
pub use receipt::{Completion, Pending, Receipt};
pub use registration::Registration;
pub use segment::path_segment;
pub use text::{ActivityId, InstanceId, MessageId, MessageName, Role, TextError};
pub use trace::TraceParent;
