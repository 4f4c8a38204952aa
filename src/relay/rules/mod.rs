//! Pure rules that both directions share.

mod dead_letters;

pub(crate) use dead_letters::DeadLetterQueue;
pub use dead_letters::{DeadLetter, DeadLetterId, Direction};
