//! Messages that could not be handled or sent: kept, shown, tried again, thrown away.

use std::time::SystemTime;

use super::rules::{DeadLetter, DeadLetterId, Direction};
use super::{Error, Relay};
use crate::message::Message;

impl Relay {
    /// Messages that could not be handled or sent, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.letters().list()
    }

    /// Tries a dead letter again. `None` if there is none of this id. Errors: why it could not even be queued; the
    /// letter is then still there.
    pub(crate) fn replay(&self, id: DeadLetterId) -> Option<Result<(), Error>> {
        let letter = self.letters().take(id)?;
        let outcome = match letter.direction {
            Direction::Incoming => self.receive_again(letter.message.clone()),
            Direction::Outgoing => self.dispatch(letter.message.clone(), None),
        };
        if outcome.is_err() {
            self.letters().put_back(letter);
        }
        Some(outcome)
    }

    /// Takes a dead letter out for good. `false` if there is none of this id.
    pub(crate) fn discard(&self, id: DeadLetterId) -> bool {
        self.letters().take(id).is_some()
    }

    pub(super) fn bury(&self, message: &Message, direction: Direction, reason: String) {
        self.metrics().dead_letters.inc();
        let oldest = self.letters().push(message.clone(), direction, reason, SystemTime::now());
        if let Some(lost) = oldest {
            tracing::error!(message_id = %lost, "dead letters are full: the oldest one is lost");
        }
    }
}
