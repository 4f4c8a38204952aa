//! The messages received by one receiver, in order of arrival.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::eventually::eventually;

/// The payload of a numbered message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) sender: String,
    pub(crate) number: u64,
}

/// A record of received messages. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Vec<Entry>>>);

impl Received {
    pub(crate) fn record(&self, entry: Entry) {
        self.0.lock().unwrap().push(entry);
    }

    /// Returns the numbers of one sender, in order of arrival.
    pub(crate) fn numbers(&self, sender: &str) -> Vec<u64> {
        let entries = self.0.lock().unwrap();
        entries.iter().filter(|entry| entry.sender == sender).map(|entry| entry.number).collect()
    }

    /// Waits until every number of the range has been received.
    pub(crate) async fn wait_for(&self, sender: &str, numbers: std::ops::Range<u64>) {
        let missing = Arc::new(Mutex::new(Vec::new()));
        eventually((sender.to_owned(), numbers.clone(), "missing", missing.clone()), || async {
            let received: std::collections::HashSet<u64> = self.numbers(sender).into_iter().collect();
            let still_missing: Vec<u64> = numbers.clone().filter(|number| !received.contains(number)).collect();
            let complete = still_missing.is_empty();
            *missing.lock().unwrap() = still_missing;
            complete.then_some(())
        })
        .await;
    }

    /// Asserts that the messages of a sender arrived in order, without duplicates.
    pub(crate) fn assert_in_order(&self, sender: &str) {
        let numbers = self.numbers(sender);
        let out_of_order = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
        assert_eq!(out_of_order, None, "of {} messages of {sender}", numbers.len());
    }
}
