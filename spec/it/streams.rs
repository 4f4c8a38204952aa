//! Durable Streams on bad days: the real server, on disk, and what happens to it.

mod bodies;
mod client;
mod deletes;
mod dice;
mod folder;
mod kills;
mod model;
mod writer;

use tempfile::TempDir;

use crate::stage::Process;

/// A server on a folder.
async fn server_on(folder: &TempDir, settings: &[(&str, &str)]) -> Process {
    Process::start(&format!("streams --data-dir {}", folder.path().display()), settings).await
}
