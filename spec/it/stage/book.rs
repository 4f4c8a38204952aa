//! What has arrived at one receiver, in the order of arrival.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::eventually::eventually;

/// The payload of a numbered message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) sender: String,
    pub(crate) number: u64,
}

/// Clones are the same book.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Vec<Entry>>>);

impl Book {
    pub(crate) fn enter(&self, entry: Entry) {
        self.0.lock().unwrap().push(entry);
    }

    /// The numbers of one sender, as they came.
    pub(crate) fn numbers(&self, sender: &str) -> Vec<u64> {
        let entries = self.0.lock().unwrap();
        entries.iter().filter(|entry| entry.sender == sender).map(|entry| entry.number).collect()
    }

    /// Waits until every number of the range is there.
    pub(crate) async fn has(&self, sender: &str, numbers: std::ops::Range<u64>) {
        let missing = Arc::new(Mutex::new(Vec::new()));
        eventually((sender.to_owned(), numbers.clone(), "missing", missing.clone()), || async {
            let there: std::collections::HashSet<u64> = self.numbers(sender).into_iter().collect();
            let lacking: Vec<u64> = numbers.clone().filter(|number| !there.contains(number)).collect();
            let complete = lacking.is_empty();
            *missing.lock().unwrap() = lacking;
            complete.then_some(())
        })
        .await;
    }

    /// Nothing of this sender came twice, or before what was sent earlier.
    pub(crate) fn is_in_order(&self, sender: &str) {
        let numbers = self.numbers(sender);
        let wrong = numbers.windows(2).find(|pair| pair[0] >= pair[1]);
        assert_eq!(wrong, None, "of {} messages of {sender}", numbers.len());
    }
}
