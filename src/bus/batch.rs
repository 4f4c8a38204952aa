//! Size limits of a batch sent to a broker.

use crate::message::Message;

/// Maximum of payload and `auth` of a batch of several messages, in total.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// Returns how many of the first messages to send together: at least one, at most `messages_max`, and no more payload than
/// [`BATCH_BYTES_MAX`] unless it is a single message.
pub(super) fn batch_len(batch: &[Message], messages_max: usize) -> usize {
    let mut bytes = 0;
    let fits = |message: &&Message| {
        let values = [&message.payload, &message.auth].into_iter().flatten();
        bytes += values.map(|value| value.as_bytes().len()).sum::<usize>();
        bytes <= BATCH_BYTES_MAX
    };
    batch.iter().take(messages_max).take_while(fits).count().max(1)
}
