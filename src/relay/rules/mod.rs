//! Pure rules that both directions share.

mod cause;
mod dead_letters;

pub(crate) use cause::{Attributed, Cause};
pub use dead_letters::{DeadLetter, DeadLetterId, Direction};
pub(crate) use dead_letters::{DeadLetterPage, DeadLetterQueue};
