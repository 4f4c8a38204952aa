//! The optional log of messages.

use std::sync::Mutex;

use super::journal::{Journal, Style};
use crate::sync::lock;

/// The message log, if messages are logged and until it is closed.
pub(crate) struct MessageLog(Mutex<Option<Journal>>);

impl MessageLog {
    pub(crate) fn new(journal: Option<Journal>) -> Self {
        Self(Mutex::new(journal))
    }

    /// Writes an entry, if messages are logged.
    pub(crate) fn write(&self, write: impl FnOnce(&Journal)) {
        if let Some(journal) = &*lock(&self.0) {
            write(journal);
        }
    }

    /// Changes the style of further entries.
    pub(crate) fn set_style(&self, style: Style) {
        lock(&self.0).iter_mut().for_each(|journal| journal.set_style(style));
    }

    /// Writes what is pending, and ends the log.
    pub(crate) async fn close(&self) {
        let journal = lock(&self.0).take();
        if let Some(journal) = journal {
            journal.close().await;
        }
    }
}
