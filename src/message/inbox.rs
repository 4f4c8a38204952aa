//! The receiving end of a relay, as a bus sees it.

use super::{Delivery, Message};

/// Receiver of the messages that a bus delivers to this process.
pub trait Inbox: Send + Sync {
    /// Takes a message, or reports why it cannot. Never blocks; may be called from several threads at once.
    fn deliver(&self, message: Message) -> Delivery;

    /// Returns true if a caller is waiting for this very message, for example as the reply to its request. Such a message
    /// may overtake messages that wait for a full inbox: their handlers may themselves depend on it.
    fn awaits(&self, _message: &Message) -> bool {
        false
    }

    /// Reports something that arrived and could not be accepted, when there is no way to answer its sender.
    fn report_error(&self, detail: &str);
}
