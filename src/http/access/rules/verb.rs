//! Words for what a caller may do.

use crate::message::nearest;

/// One kind of action on messages, streams or a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    /// Sends a message, or a reply.
    Send,
    /// Sends a message and waits for the reply.
    Request,
    /// Gets incoming messages, and acknowledges them.
    Receive,
    /// Registers as a role, and acts in its name.
    Register,
    /// Reads and follows a stream.
    Read,
    /// Appends to a stream, or closes it.
    Append,
    /// Creates a stream.
    Create,
    /// Deletes a stream.
    Delete,
    /// Creates and uses subscriptions, which call a URL or write to a stream when there is something new.
    Subscribe,
    /// Sees which services there are.
    Landscape,
    /// Changes which services there are.
    Configure,
    /// Sees who sends what to whom.
    Traffic,
    /// Sees messages that could not be delivered.
    Undelivered,
    /// Sees, replays and discards messages that could not be handled or sent.
    DeadLetters,
    /// Sees counters, and why a process is not ready.
    Metrics,
    /// Drains a process.
    Drain,
}

impl Verb {
    /// All verbs, in the order of the documentation.
    pub(crate) const ALL: [Self; 16] = [
        Self::Send,
        Self::Request,
        Self::Receive,
        Self::Register,
        Self::Read,
        Self::Append,
        Self::Create,
        Self::Delete,
        Self::Subscribe,
        Self::Landscape,
        Self::Configure,
        Self::Traffic,
        Self::Undelivered,
        Self::DeadLetters,
        Self::Metrics,
        Self::Drain,
    ];

    /// Returns the word for it in rules.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Request => "request",
            Self::Receive => "receive",
            Self::Register => "register",
            Self::Read => "read",
            Self::Append => "append",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Subscribe => "subscribe",
            Self::Landscape => "landscape",
            Self::Configure => "configure",
            Self::Traffic => "traffic",
            Self::Undelivered => "undelivered",
            Self::DeadLetters => "dead-letters",
            Self::Metrics => "metrics",
            Self::Drain => "drain",
        }
    }

    /// Returns the system whose objects it is about.
    pub(crate) fn system(self) -> System {
        match self {
            Self::Send | Self::Request | Self::Receive | Self::Register => System::Messages,
            Self::Read | Self::Append | Self::Create | Self::Delete | Self::Subscribe => System::Streams,
            Self::Landscape
            | Self::Configure
            | Self::Traffic
            | Self::Undelivered
            | Self::DeadLetters
            | Self::Metrics
            | Self::Drain => System::Administration,
        }
    }

    /// Parses the word. Errors: the text for the user, with the nearest word.
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|verb| verb.word() == word);
        found.ok_or_else(|| unknown(word, Self::ALL.iter().map(|verb| verb.word())))
    }
}

/// The kind of object that a verb is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// Names of messages and roles, with dots between their segments.
    Messages,
    /// Paths of streams, with slashes between their segments.
    Streams,
    /// The process as a whole, which has no name.
    Administration,
}

impl System {
    /// All systems.
    pub(crate) const ALL: [Self; 3] = [Self::Messages, Self::Streams, Self::Administration];

    /// Returns the word in rules for all verbs of the system.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Streams => "streams",
            Self::Administration => "administration",
        }
    }

    /// Returns the letter between two segments of a name.
    pub(crate) fn separator(self) -> char {
        match self {
            Self::Messages | Self::Administration => '.',
            Self::Streams => '/',
        }
    }
}

/// Returns the text about a word that is none of `known`.
pub(super) fn unknown<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(meant) => format!("{word:?} is not known: did you mean {meant}?"),
        None => format!("{word:?} is not known: expected {}", known.collect::<Vec<_>>().join(", ")),
    }
}
