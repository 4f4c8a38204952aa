//! The limit on open files. Every connection is one, and the usual default of 1,024 is low.

/// Raises the soft limit on open files to the hard limit. If that fails, the limit stays and a warning is logged.
pub(super) fn raise_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files_max) => tracing::debug!(files_max, "raised the limit on open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit on open files"),
    }
}
