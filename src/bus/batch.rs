//! How much goes to a broker at once.

use crate::message::Message;

/// Payload that several messages may have that go together.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// How many of the first messages go together: at least one, at most `messages_max`, and not more payload than
/// [`BATCH_BYTES_MAX`] unless it is a single message.
pub(super) fn together(batch: &[Message], messages_max: usize) -> usize {
    let mut bytes = 0;
    let fits = |message: &&Message| {
        bytes += message.payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
        bytes <= BATCH_BYTES_MAX
    };
    batch.iter().take(messages_max).take_while(fits).count().max(1)
}
