//! Dead letters: messages that could not be handled or sent, kept until they are replayed or discarded.

use std::sync::Mutex;
use std::time::SystemTime;

use super::Config;
use super::metrics::Metrics;
use super::rules::{Cause, DeadLetter, DeadLetterId, DeadLetterPage, DeadLetterQueue, Direction};
use crate::memory::Share;
use crate::message::Message;
use crate::sync::lock;

/// The dead letters of one relay.
pub(super) struct DeadLetters {
    queue: Mutex<DeadLetterQueue>,
    metrics: Metrics,
}

impl DeadLetters {
    pub(super) fn new(config: &Config, metrics: Metrics) -> Self {
        let bytes = Share::new(&config.memory, config.dead_letters_bytes_max);
        Self { queue: Mutex::new(DeadLetterQueue::new(config.dead_letters_max, bytes)), metrics }
    }

    /// Adds a message and returns the id of its dead letter. At the limits the oldest dead letters are lost, which is logged.
    pub(super) fn add(
        &self,
        message: &Message,
        (direction, cause): (Direction, Cause),
        reason: String,
    ) -> DeadLetterId {
        self.metrics.dead_letter(direction, cause);
        let (id, oldest) = lock(&self.queue).push(message.clone(), direction, reason, SystemTime::now());
        for lost in oldest {
            tracing::error!(message_id = %lost, "dead letters are full: the oldest one is lost");
        }
        id
    }

    /// Returns all dead letters, oldest first.
    pub(super) fn list(&self) -> Vec<DeadLetter> {
        lock(&self.queue).list()
    }

    /// Returns one of them.
    pub(super) fn get(&self, id: DeadLetterId) -> Option<DeadLetter> {
        lock(&self.queue).get(id).cloned()
    }

    /// Returns the oldest after `after`: see [`DeadLetterQueue::page`].
    pub(super) fn page(&self, after: Option<DeadLetterId>, letters_max: usize, bytes_max: usize) -> DeadLetterPage {
        lock(&self.queue).page(after, letters_max, bytes_max)
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
