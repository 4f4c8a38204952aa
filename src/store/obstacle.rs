//! Conditions of the system that keep a store from working although its data is intact.

use std::fmt;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// A condition of the system, and not of the data: nothing is damaged, and a later try can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// This process has reached its limit of open files (`EMFILE`).
    Descriptors,
    /// The whole system has reached its limit of open files (`ENFILE`).
    SystemDescriptors,
    /// The disk, a quota or a limit on the size of files leaves no space (`ENOSPC`, `EDQUOT`, `EFBIG`).
    Space,
    /// The system has no memory left (`ENOMEM`).
    Memory,
    /// The disk reports an input/output error (`EIO`).
    Device,
    /// The process lacks a permission (`EACCES`, `EPERM`), or the file system is mounted read-only (`EROFS`).
    Permission,
}

impl Obstacle {
    /// Returns the obstacle behind an error of the system; `None` for any other error.
    pub fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some(Self::Descriptors),
            Errno::NFILE => Some(Self::SystemDescriptors),
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Some(Self::Space),
            Errno::NOMEM => Some(Self::Memory),
            Errno::IO => Some(Self::Device),
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Some(Self::Permission),
            _ => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors => match descriptors_max() {
                Some(limit) => write!(
                    formatter,
                    "too many open files: this process may have {limit}; raise its limit (ulimit -n, LimitNOFILE, \
                     --ulimit nofile)"
                ),
                None => formatter.write_str("too many open files"),
            },
            Self::SystemDescriptors => {
                formatter.write_str("the system has too many open files; raise its limit (sysctl fs.file-max)")
            }
            Self::Space => formatter.write_str("no space is left on the disk (or a quota is used up)"),
            Self::Memory => formatter.write_str("the system has no memory left"),
            Self::Device => formatter.write_str("the disk reports an input/output error; look at the system's log"),
            Self::Permission => formatter.write_str("the permission is missing, or the file system is read-only"),
        }
    }
}

/// Returns the number of files that this process may have open; `None` if that is unlimited.
pub(crate) fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Returns the message of an error of the system, in words that say what to do where there are some.
pub(super) fn message_of(error: &io::Error) -> String {
    Obstacle::of(error).map_or_else(|| error.to_string(), |obstacle| obstacle.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_something_differs_from_damage() {
        let of = |errno: Errno| Obstacle::of(&io::Error::from(errno));
        for (errno, expected) in [
            (Errno::MFILE, Obstacle::Descriptors),
            (Errno::NFILE, Obstacle::SystemDescriptors),
            (Errno::NOSPC, Obstacle::Space),
            (Errno::DQUOT, Obstacle::Space),
            (Errno::FBIG, Obstacle::Space),
            (Errno::NOMEM, Obstacle::Memory),
            (Errno::IO, Obstacle::Device),
            (Errno::ACCESS, Obstacle::Permission),
            (Errno::ROFS, Obstacle::Permission),
        ] {
            assert_eq!(of(errno), Some(expected), "{errno:?}");
        }
        assert_eq!(of(Errno::NOENT), None, "a missing file is damage");
        assert_eq!(Obstacle::of(&io::ErrorKind::UnexpectedEof.into()), None, "and so is one that ends too early");
    }

    #[test]
    fn the_message_names_the_limit() {
        let limit = descriptors_max().unwrap().to_string();
        assert!(Obstacle::Descriptors.to_string().contains(&limit));
    }
}
