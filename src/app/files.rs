//! How many files the process may have open. Every connection is one, and the 1,024 that a shell allows are few.

/// Lets the process have as many files open as the system allows it. Where that cannot be changed it stays as it is.
pub(super) fn raise_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files_max) => tracing::debug!(files_max, "open files allowed"),
        Err(error) => tracing::warn!(%error, "the limit on open files cannot be raised"),
    }
}
