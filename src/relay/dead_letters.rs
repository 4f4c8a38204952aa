//! Dead letters: messages that could not be handled or sent, kept until they are replayed or discarded.

use std::sync::Mutex;
use std::time::SystemTime;

use super::metrics::Metrics;
use super::rules::{Cause, DeadLetter, DeadLetterId, DeadLetterQueue, Direction};
use crate::message::Message;
use crate::sync::lock;

/// The dead letters of one relay.
pub(super) struct DeadLetters {
    queue: Mutex<DeadLetterQueue>,
    metrics: Metrics,
}

impl DeadLetters {
    pub(super) fn new(letters_max: usize, metrics: Metrics) -> Self {
        Self { queue: Mutex::new(DeadLetterQueue::new(letters_max)), metrics }
    }

    /// Adds a message and returns the id of its dead letter. At the limit the oldest dead letter is lost, which is logged.
    pub(super) fn add(
        &self,
        message: &Message,
        (direction, cause): (Direction, Cause),
        reason: String,
    ) -> DeadLetterId {
        self.metrics.dead_letter(direction, cause);
        let (id, oldest) = lock(&self.queue).push(message.clone(), direction, reason, SystemTime::now());
        if let Some(lost) = oldest {
            tracing::error!(message_id = %lost, "dead letters are full: the oldest one is lost");
        }
        id
    }

    /// Returns all dead letters, oldest first.
    pub(super) fn list(&self) -> Vec<DeadLetter> {
        lock(&self.queue).list()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.queue).len()
    }

    /// Removes and returns a dead letter.
    pub(super) fn take(&self, id: DeadLetterId) -> Option<DeadLetter> {
        lock(&self.queue).take(id)
    }

    /// Puts a dead letter back that was taken to be replayed.
    pub(super) fn put_back(&self, letter: DeadLetter) {
        lock(&self.queue).put_back(letter);
    }
}
