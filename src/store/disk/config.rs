//! Settings of the disk store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the store is, and what it promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// The folder; made if it is not there. One process at a time has it open.
    pub dir: PathBuf,
    /// When a commit counts as written.
    pub durability: Durability,
    /// How much stays free on the disk: with less, there is no room for content.
    pub free_bytes_min: u64,
    /// How much memory is for what is read again and again.
    pub cache_bytes: u64,
}

impl DiskConfig {
    /// The part of the cache that is for whole pages; the rest is for files.
    pub(super) fn recent_bytes(&self) -> u64 {
        self.cache_bytes / 4
    }
}

/// When a commit counts as written. As text: `sync`, `interval 10ms`, `memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Durability {
    /// When it is on the disk: nothing that was answered is lost, also when the power goes.
    Sync,
    /// When the system has it; the disk has it so much later at the latest. Nothing that was answered is lost when the
    /// process ends in whatever way; what came in the last interval may be when the system does.
    Interval(Duration),
    /// When the system has it; the disk gets it when the system writes it, and when the store is closed. Nothing that was
    /// answered is lost when the process ends in whatever way; when the system does, anything may be that the system has
    /// not written yet.
    Memory,
}

/// What is wrong with the text of a durability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got:?} is no durability, expected sync, interval with a time from 1ms to 60s such as interval 10ms, or memory"
)]
pub struct DurabilityError {
    got: String,
}

/// The shortest and the longest interval.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

impl FromStr for Durability {
    type Err = DurabilityError;

    /// Reads `sync`, `interval 10ms` or `memory`; `interval` alone is 10 ms.
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
    fn a_durability_is_read_back() {
        for text in ["sync", "interval 10ms", "interval 2s", "memory"] {
            assert_eq!(text.parse::<Durability>().unwrap().to_string(), text);
        }
        assert_eq!("interval".parse::<Durability>().unwrap().to_string(), "interval 10ms");
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "never", "interval 0ms", "interval 2h", "interval ten", "sync 10ms", "interval 1s 2s"] {
            assert!(text.parse::<Durability>().is_err(), "{text}");
        }
    }
}
