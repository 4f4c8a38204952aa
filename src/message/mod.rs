//! Messages, names and ids, the JSON envelope, and what a relay and a bus exchange.
//!
//! Pure: no clock, no socket, no randomness. Text from outside is parsed into one of these types once, at the edge. The
//! format is that of the HTTP-era ExoCom protocol, with `activityId` from the WebSocket era.

mod bounds;
mod carried;
mod delivery;
mod envelope;
mod error;
#[cfg(test)]
mod fuzz;
mod held_names;
mod inbox;
mod nearest;
mod notices;
pub mod optional;
mod payload;
mod properties;
mod receipt;
mod registration;
mod segment;
mod text;
mod trace;

pub use bounds::{AUTH_BYTES_MAX, ENVELOPE_BYTES_MAX, OutOfBounds};
pub use delivery::{Delivery, Verdict};
pub use envelope::Message;
pub use error::Error;
pub use held_names::HeldNames;
pub use inbox::Inbox;
pub(crate) use nearest::nearest;
pub use notices::{FAILED, Failure, UNDELIVERED, Undeliverable};
pub use payload::{Payload, PayloadError};
pub use properties::{Properties, ReplyTo};
pub use receipt::{Completion, Pending, Receipt};
pub use registration::Registration;
pub use segment::path_segment;
pub use text::{ActivityId, InstanceId, MessageId, MessageName, Role, TextError};
pub use trace::TraceParent;
