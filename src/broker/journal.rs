//! The message log on stdout. exo 2.6.
//!
//! Lines go through a bounded channel to one thread, so that a slow terminal never holds up a message; what does not fit
//! is left out and counted.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::rules::Routed;
use super::wire::{Configuration, ServiceRow};

/// Entries that may wait to be written.
const ENTRIES_MAX: usize = 4_096;

/// How long the last lines may take to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the lines end up.
pub(crate) type Sink = Box<dyn Write + Send>;

/// Writes the message log. Its thread ends with it.
pub(crate) struct Journal {
    entries: mpsc::Sender<String>,
    lost: Arc<AtomicU64>,
    payloads: bool,
    written: oneshot::Receiver<()>,
}

impl Journal {
    /// Starts the thread that writes to `sink`; `payloads` tells whether payloads are written too. A thread of its own
    /// and not one of the runtime's, because a stuck terminal must not hold up the end of the process.
    pub(crate) fn start(payloads: bool, sink: Sink) -> Self {
        let (entries, inbox) = mpsc::channel(ENTRIES_MAX);
        let (done, written) = oneshot::channel();
        let lost = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lost);
        let write = move || {
            write_all(inbox, &count, sink);
            drop(done);
        };
        if let Err(error) = thread::Builder::new().name("message-log".into()).spawn(write) {
            tracing::error!(%error, "the message log cannot be started");
        }
        Self { entries, lost, payloads, written }
    }

    /// Waits until everything is written, for a moment at most.
    pub(crate) async fn close(self) {
        let Self { entries, written, .. } = self;
        drop(entries);
        if tokio::time::timeout(CLOSE_TIMEOUT, written).await.is_err() {
            tracing::warn!("the message log could not be written to its end");
        }
    }

    /// One line per name by which the message is received; below it the payload, if asked for.
    pub(crate) fn routed(&self, routed: &Routed) {
        self.write(delivery(routed, self.payloads));
    }

    /// The routing table.
    pub(crate) fn configured(&self, configuration: &Configuration) {
        self.write(setup(configuration));
    }

    fn write(&self, entry: String) {
        if self.entries.try_send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(mut inbox: mpsc::Receiver<String>, lost: &AtomicU64, mut sink: Sink) {
    while let Some(entry) = inbox.blocking_recv() {
        let missing = lost.swap(0, Ordering::Relaxed);
        let gap = if missing > 0 { format!("({missing} entries left out)\n") } else { String::new() };
        let written = sink.write_all(gap.as_bytes()).and_then(|()| sink.write_all(entry.as_bytes()));
        if let Err(error) = written.and_then(|()| if inbox.is_empty() { sink.flush() } else { Ok(()) }) {
            tracing::warn!(%error, "the message log cannot be written; it ends here");
            return;
        }
    }
}

fn delivery(routed: &Routed, payloads: bool) -> String {
    let Routed { message, receivers, response_time: _ } = routed;
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (role, name) in receivers {
        by_name.entry(name.as_str()).or_default().push(role.as_str());
    }
    let sender = message.sender.as_ref().map_or("?", |sender| sender.as_str());
    let mut lines = String::new();
    for (name, roles) in by_name {
        let roles = roles.join(" and ");
        lines += &match name == message.name.as_str() {
            true => format!("{sender}  --[ {name} ]->  {roles}\n"),
            false => format!("{sender}  --[ {} ]-[ {name} ]->  {roles}\n", message.name),
        };
    }
    if let Some(payload) = message.payload.as_ref().filter(|_| payloads) {
        // One line, so that no payload can look like a line of the log.
        lines += &payload.to_string().replace(['\n', '\r'], " ");
        lines.push('\n');
    }
    lines
}

fn setup(configuration: &Configuration) -> String {
    let mut lines = String::from("receiving routing setup:\n");
    let place = |row: &ServiceRow| format!("{} ({}:{})", row.name, row.host, row.port);
    for (name, receivers) in &configuration.routes {
        let receivers: Vec<_> = receivers.receivers.iter().map(place).collect();
        lines += &format!("  --[ {name} ]-> {}\n", receivers.join(" + "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{Message, MessageName, Role};

    fn check(receivers: &[(&str, &str)], payloads: bool, expected: &str) {
        let body = Bytes::from("{\"id\":\"1\",\"sender\":\"web\",\"payload\":{\n}}");
        let message = Message::from_json(Some(MessageName::parse("tweets.create").unwrap()), &body).unwrap();
        let receivers =
            receivers.iter().map(|(role, name)| (Role::parse(role).unwrap(), MessageName::parse(name).unwrap()));
        assert_eq!(
            delivery(&Routed { message, receivers: receivers.collect(), response_time: None }, payloads),
            expected
        );
    }

    #[test]
    fn a_delivery_is_one_line_that_names_sender_message_and_receivers() {
        let receivers = [("tweets", "tweets.create"), ("log", "tweets.create")];
        check(&receivers, false, "web  --[ tweets.create ]->  tweets and log\n");
    }

    #[test]
    fn a_translated_delivery_shows_both_names() {
        check(&[("tweets", "text.create")], false, "web  --[ tweets.create ]-[ text.create ]->  tweets\n");
    }

    #[test]
    fn the_payload_stands_on_one_line_below_when_asked_for() {
        check(&[("tweets", "tweets.create")], true, "web  --[ tweets.create ]->  tweets\n{ }\n");
    }
}
