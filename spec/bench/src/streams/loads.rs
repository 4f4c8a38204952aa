//! The loads that every server is put under.

use bytes::Bytes;
use clap::ValueEnum;

use crate::cells::{Cell, Shape};

/// One load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its row in the tables.
    pub title: String,
    /// Operation.
    pub work: Work,
    /// Connections at work; with [`Work::Follow`], subscribers.
    pub connections: usize,
    /// Bytes of one append.
    pub bytes: usize,
}

/// Operation of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Appends to this number of streams.
    Append {
        /// Streams, which the connections share among them.
        streams: usize,
    },
    /// Creates streams.
    Create,
    /// Reads a small stream.
    Read,
    /// Reads a large stream that was made by small appends.
    CatchUp(Content),
    /// Waits for appends as server-sent events.
    Follow,
}

/// Content of a large stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes.
    Binary,
    /// JSON messages.
    Json,
}

/// Loads that are reported together, by the name that `--loads` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Appends
    Append,
    /// New streams
    Create,
    /// Small reads
    Read,
    /// Large reads
    CatchUp,
    /// Server-sent events
    Follow,
    /// Resident memory
    Memory,
    /// Opening a store with many streams
    Open,
}

/// Size of the stream of the small reads.
pub const READ_BYTES: usize = 1_024;
/// Size of one append to the large streams.
pub const RECORD_BYTES: usize = 100;

/// All loads, in the order in which they run.
pub fn loads() -> Vec<Load> {
    let mut loads = Vec::new();
    for connections in [1, 64] {
        for streams in [1, 64] {
            for (bytes, size) in [(100, "100 B"), (1_024, "1 KB"), (64 * 1_024, "64 KB")] {
                let title = format!("{size}, {}, {}", count(connections, "connection"), count(streams, "stream"));
                loads.push(Load { title, work: Work::Append { streams }, connections, bytes });
            }
        }
    }
    let more = [
        ("creates, 16 connections", Work::Create, 16, 0),
        ("reads of 1 KB, 64 connections", Work::Read, 64, READ_BYTES),
        ("catch-up, binary", Work::CatchUp(Content::Binary), 1, RECORD_BYTES),
        ("catch-up, JSON", Work::CatchUp(Content::Json), 1, RECORD_BYTES),
        ("events, 1 subscriber", Work::Follow, 1, RECORD_BYTES),
        ("events, 100 subscribers", Work::Follow, 100, RECORD_BYTES),
    ];
    loads.extend(more.map(|(title, work, connections, bytes)| Load {
        title: title.to_owned(),
        work,
        connections,
        bytes,
    }));
    loads
}

/// Bytes of that length that mean nothing.
pub fn payload(bytes: usize) -> Bytes {
    vec![b'x'; bytes].into()
}

impl Load {
    /// Family it is reported with.
    pub fn family(&self) -> Family {
        match self.work {
            Work::Append { .. } => Family::Append,
            Work::Create => Family::Create,
            Work::Read => Family::Read,
            Work::CatchUp(_) => Family::CatchUp,
            Work::Follow => Family::Follow,
        }
    }

    /// Pace of its calls.
    pub fn cell(&self) -> Cell {
        Cell { title: "", shape: Shape::Closed { in_flight: self.connections }, payload_bytes: self.bytes }
    }
}

impl Content {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Binary => "application/octet-stream",
            Self::Json => "application/json",
        }
    }

    /// A record of [`RECORD_BYTES`] with `number` in it, of which it holds eight digits.
    pub fn record(self, number: u64) -> Vec<u8> {
        let (before, after) = match self {
            Self::Binary => ("", ""),
            Self::Json => (r#"{"id":""#, r#"","text":""#),
        };
        let end = if self == Self::Json { r#""}"# } else { "" };
        let head = format!("{before}{number:08}{after}");
        let text = "x".repeat(RECORD_BYTES - head.len() - end.len());
        format!("{head}{text}{end}").into_bytes()
    }

    /// The number in a record; `None` for anything else.
    pub fn number(self, record: &[u8]) -> Option<u64> {
        let at = if self == Self::Json { 7 } else { 0 };
        let number: u64 = std::str::from_utf8(record.get(at..at + 8)?).ok()?.parse().ok()?;
        (record == self.record(number)).then_some(number)
    }
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_their_size_and_tell_their_number() {
        for content in [Content::Binary, Content::Json] {
            let record = content.record(12_345_678);
            assert_eq!((record.len(), content.number(&record)), (RECORD_BYTES, Some(12_345_678)));
            assert_eq!(content.number(&record[1..]), None);
        }
        assert!(serde_json::from_slice::<serde_json::Value>(&Content::Json.record(1)).is_ok());
    }
}
