//! Dead letters of a relay: list, replay, discard.

use super::Relay;
use crate::relay::rules::DeadLetterPage;
use crate::relay::{DeadLetter, DeadLetterId, Direction, Error};

impl Relay {
    /// Messages that could not be handled or sent, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.dead_letters.list()
    }

    /// Returns a dead letter.
    pub(crate) fn dead_letter(&self, id: DeadLetterId) -> Option<DeadLetter> {
        self.0.dead_letters.get(id)
    }

    /// Returns the oldest dead letters after `after`: at most `letters_max`, and at most `bytes_max`, but one at least.
    pub(crate) fn dead_letters_after(
        &self,
        after: Option<DeadLetterId>,
        letters_max: usize,
        bytes_max: usize,
    ) -> DeadLetterPage {
        self.0.dead_letters.page(after, letters_max, bytes_max)
    }

    /// Handles or sends a dead letter again. `None` if there is none with this id. After an error it is still a dead
    /// letter.
    pub(crate) async fn replay(&self, id: DeadLetterId) -> Option<Result<(), Error>> {
        let letter = self.0.dead_letters.take(id)?;
        let message = letter.message.clone();
        let outcome = match letter.direction {
            Direction::Incoming => self.0.incoming.accept_again(message).map(|accepted| self.run(accepted)),
            Direction::Outgoing => self.0.outgoing.dispatch(message, None).wait().await,
        };
        if outcome.is_err() {
            self.0.dead_letters.put_back(letter);
        }
        Some(outcome)
    }

    /// Removes a dead letter for good. Returns false if there is none with this id.
    pub(crate) fn discard(&self, id: DeadLetterId) -> bool {
        self.0.dead_letters.take(id).is_some()
    }
}
