//! Writer thread of the log.
//!
//! Entries pass through a bounded channel to one thread, which formats and writes them, so that a slow terminal never
//! delays a message. Entries that do not fit are dropped and counted.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::lines::{Colours, Line, Style};
use crate::broker::rules::{Note, Routed};
use crate::broker::wire::{Configuration, Undelivered};

/// Maximum number of entries waiting to be written.
const ENTRIES_MAX: usize = 4_096;

/// Maximum bytes of the messages in the waiting entries; a single entry may exceed it.
const ENTRIES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Maximum time to write the remaining lines at shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Output of the log.
pub(crate) enum Sink {
    /// Stdout, with colours if it is a terminal.
    Stdout,
    /// Another writer, without colours.
    Other(Box<dyn Write + Send>),
}

/// Message log. Its thread ends when it is dropped.
pub(crate) struct Journal {
    entries: mpsc::Sender<Entry>,
    backlog: Arc<Backlog>,
    style: Style,
    payloads: bool,
    written: oneshot::Receiver<()>,
}

/// Entries in the channel, and the number of dropped ones.
#[derive(Default)]
struct Backlog {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

struct Entry {
    style: Style,
    bytes: usize,
    event: Event,
}

enum Event {
    Routed(Routed),
    Noted(Note),
    GivenUp(Undelivered),
    Configured(Configuration),
}

impl Journal {
    /// Starts the thread that writes to `sink`; `payloads` includes payloads. Not a thread of the
    /// runtime, because a blocked terminal must not delay the end of the process.
    pub(crate) fn start(payloads: bool, sink: Sink) -> Self {
        let (entries, inbox) = mpsc::channel(ENTRIES_MAX);
        let (done, written) = oneshot::channel();
        let backlog = Arc::new(Backlog::default());
        let pen = Pen::of(sink, payloads, Arc::clone(&backlog));
        let write = move || {
            pen.write_all(inbox);
            drop(done);
        };
        if let Err(error) = thread::Builder::new().name("message-log".into()).spawn(write) {
            tracing::error!(%error, "the message log cannot be started");
        }
        Self { entries, backlog, style: Style::Http, payloads, written }
    }

    /// Switches the format.
    pub(crate) fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    /// Waits a bounded time until everything is written.
    pub(crate) async fn close(self) {
        let Self { entries, written, .. } = self;
        drop(entries);
        if tokio::time::timeout(CLOSE_TIMEOUT, written).await.is_err() {
            tracing::warn!("the message log could not be written to its end");
        }
    }

    /// Logs a routed message.
    pub(crate) fn routed(&self, mut routed: Routed) {
        if !self.payloads {
            (routed.message.payload, routed.message.auth) = (None, None);
        }
        let bytes = routed.message.memory_bytes();
        self.enter(Event::Routed(routed), bytes);
    }

    /// Logs an event for operators.
    pub(crate) fn noted(&self, note: &Note) {
        self.enter(Event::Noted(note.clone()), 0);
    }

    /// Logs an undelivered message.
    pub(crate) fn given_up(&self, row: &Undelivered) {
        self.enter(Event::GivenUp(row.clone()), 0);
    }

    /// Logs the routing table.
    pub(crate) fn configured(&self, configuration: Configuration) {
        self.enter(Event::Configured(configuration), 0);
    }

    fn enter(&self, event: Event, bytes: usize) {
        let waiting = self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = waiting == 0 || waiting.saturating_add(bytes) <= ENTRIES_BYTES_MAX;
        let entry = Entry { style: self.style, bytes, event };
        if !has_room || self.entries.try_send(entry).is_err() {
            self.backlog.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.backlog.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Pen {
    sink: Box<dyn Write + Send>,
    colours: Colours,
    payloads: bool,
    backlog: Arc<Backlog>,
}

impl Pen {
    fn of(sink: Sink, payloads: bool, backlog: Arc<Backlog>) -> Self {
        use std::io::IsTerminal;
        match sink {
            Sink::Stdout => {
                let stdout = std::io::stdout();
                let colours = if stdout.is_terminal() { Colours::Shown } else { Colours::LeftOut };
                Self { sink: Box::new(stdout), colours, payloads, backlog }
            }
            Sink::Other(sink) => Self { sink, colours: Colours::LeftOut, payloads, backlog },
        }
    }

    fn write_all(mut self, mut inbox: mpsc::Receiver<Entry>) {
        while let Some(entry) = inbox.blocking_recv() {
            let written = self.write(&entry);
            self.backlog.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
            if let Err(error) = written.and_then(|()| if inbox.is_empty() { self.sink.flush() } else { Ok(()) }) {
                tracing::warn!(%error, "the message log cannot be written; it ends here");
                return;
            }
        }
    }

    fn write(&mut self, entry: &Entry) -> std::io::Result<()> {
        let missing = self.backlog.lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            self.sink.write_all(format!("({missing} entries left out)\n").as_bytes())?;
        }
        let text: String = self.lines(entry).iter().map(|line| line.text(self.colours)).collect();
        self.sink.write_all(text.as_bytes())
    }

    fn lines(&self, entry: &Entry) -> Vec<Line> {
        match &entry.event {
            Event::Routed(routed) => entry.style.routed(routed, self.payloads),
            Event::Noted(note) => entry.style.noted(note),
            Event::GivenUp(row) => entry.style.given_up(row),
            Event::Configured(configuration) => entry.style.configured(configuration),
        }
    }
}
