//! Settings of the disk store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of a disk store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// The data directory; created if missing. One process at a time has it open.
    pub dir: PathBuf,
    /// The durability of a commit when it returns.
    pub durability: Durability,
    /// Free bytes of the disk below which content is refused.
    pub free_bytes_min: u64,
    /// Memory for caches.
    pub cache_bytes: u64,
}

impl DiskConfig {
    /// Returns the part of the cache for whole pages; the rest is for blocks of files.
    pub(super) fn page_cache_bytes(&self) -> u64 {
        self.cache_bytes / 4
    }
}

/// The durability of a commit when it returns. As text: `sync`, `interval 10ms`, `memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Durability {
    /// On the disk: acknowledged commits survive a power failure.
    Sync,
    /// Handed to the operating system, and on the disk after this interval. Acknowledged commits survive a crash of the process;
    /// those of the last interval may be lost in a crash of the system.
    Interval(Duration),
    /// Handed to the operating system, which writes it to the disk at some time; synced when the store is closed. Acknowledged
    /// commits survive a crash of the process; in a crash of the system, those not yet written are lost.
    Memory,
}

/// The error of a text that is not a durability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got:?} is not a durability, expected sync, interval with a time from 1ms to 60s such as interval 10ms, or memory"
)]
pub struct DurabilityError {
    got: String,
}

/// Allowed intervals.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

impl FromStr for Durability {
    type Err = DurabilityError;

    /// Parses `sync`, `interval 10ms` or `memory`; `interval` alone is 10 ms.
    fn from_str(text: &str) -> Result<Self, DurabilityError> {
        let wrong = || DurabilityError { got: text.to_owned() };
        let mut words = text.split_whitespace();
        let (kind, time, more) = (words.next(), words.next(), words.next());
        match (kind, time, more) {
            (Some("sync"), None, None) => Ok(Self::Sync),
            (Some("memory"), None, None) => Ok(Self::Memory),
            (Some("interval"), None, None) => Ok(Self::Interval(Duration::from_millis(10))),
            (Some("interval"), Some(time), None) => {
                let every = humantime::parse_duration(time).ok().filter(|every| INTERVALS.contains(every));
                every.map(Self::Interval).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Durability {
    type Error = DurabilityError;

    fn try_from(text: String) -> Result<Self, DurabilityError> {
        text.parse()
    }
}

impl From<Durability> for String {
    fn from(durability: Durability) -> Self {
        durability.to_string()
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync => formatter.write_str("sync"),
            Self::Interval(every) => write!(formatter, "interval {}", humantime::format_duration(*every)),
            Self::Memory => formatter.write_str("memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durability_round_trips_as_text() {
        for text in ["sync", "interval 10ms", "interval 2s", "memory"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        assert_eq!("interval".parse::<Durability>().unwrap().to_string(), "interval 10ms");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "never", "interval 0ms", "interval 2h", "interval ten", "sync 10ms", "interval 1s 2s"] {
            assert!(text.parse::<Durability>().is_err(), "{text}");
        }
    }
}
