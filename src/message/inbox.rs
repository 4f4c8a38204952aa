//! The receiving end of a relay, as a bus sees it.

use super::{Delivery, Message, MessageId, Receipt};

/// Receiver of the messages that a bus delivers to this process.
///
/// An inbox takes messages in the order of the calls to [`Inbox::deliver`]. A bus may deliver further messages before an
/// earlier one is answered; to keep the order intact, an inbox that answers a message `Busy` also answers `Busy` to those
/// delivered after it and not answered yet. The bus then delivers all of them again, in order.
pub trait Inbox: Send + Sync {
    /// Takes a message, or reports why it cannot. Never blocks; may be called from several threads at once.
    ///
    /// An answer that has to wait for something, such as a sync to disk, follows through a [`super::Completion`], whose
    /// fallback should be [`Delivery::Busy`]: the bus then delivers the message again and nothing is lost.
    fn deliver(&self, message: Message) -> Receipt<Delivery>;

    /// Returns true if a caller is waiting for this very message, for example as the reply to its request. Such a message
    /// may overtake messages that wait for a full inbox: their handlers may themselves depend on it.
    fn awaits(&self, _message: &Message) -> bool {
        false
    }

    /// Returns true if a caller waits for a reply to `request`; to any request, if it is `None`.
    fn awaits_reply(&self, _request: Option<&MessageId>) -> bool {
        false
    }

    /// Reports something that arrived and could not be accepted, when there is no way to answer its sender.
    fn report_error(&self, detail: &str);
}
