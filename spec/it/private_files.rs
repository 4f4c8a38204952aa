//! Test of the rights of files: whatever umask a server is started with, no other user of the machine can read its data.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::eventually::eventually;
use crate::stage::reserve_address;

const BINARY: &str = env!("CARGO_BIN_EXE_exorelay");

/// Returns the command `exorelay ARGUMENTS`, run by a shell that lets everyone read and write what it creates.
fn open_to_all(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\"", BINARY]).args(arguments).env_clear();
    command.env("PATH", "/usr/bin:/bin").kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Starts a server of streams that writes a few records, and its subscriptions' signing key. Returns it and its address.
async fn start_streams(dir: &Path) -> (Child, String) {
    let address = reserve_address();
    let arguments = ["streams", "--listen", &address, "--data-dir", dir.to_str().unwrap()];
    let server = open_to_all(&arguments).stdout(Stdio::null()).spawn().unwrap();
    let url = format!("http://{address}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    eventually("a stream", || async {
        let created = client.put(format!("{url}/v1/stream/orders")).body("x".repeat(100_000)).send().await;
        created.is_ok_and(|answer| answer.status().is_success()).then_some(())
    })
    .await;
    (server, url)
}

/// Returns everything in a folder, itself included, that someone else has a right to.
fn open_below(folder: &Path) -> Vec<(PathBuf, String)> {
    let mode = fs::symlink_metadata(folder).unwrap().permissions().mode();
    let mut open = Vec::new();
    if mode & 0o077 != 0 {
        open.push((folder.to_owned(), format!("{mode:o}")));
    }
    if folder.is_dir() {
        open.extend(fs::read_dir(folder).unwrap().flat_map(|entry| open_below(&entry.unwrap().path())));
    }
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn data_folders_and_backups_are_their_owners_alone_whatever_the_umask_is() {
    let parent = TempDir::new().unwrap();
    let (data, backup) = (parent.path().join("of/streams"), parent.path().join("copies/today"));
    let (mut server, _) = start_streams(&data).await;
    let arguments = ["streams", "backup", "--data-dir", data.to_str().unwrap(), backup.to_str().unwrap()];
    let Output { status, stderr, .. } = open_to_all(&arguments).output().await.unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    server.kill().await.unwrap();
    // Flushes to the engine's own files.
    let (mut server, _) = start_streams(&data).await;
    server.kill().await.unwrap();
    assert!(data.join("keyspaces").is_dir() && backup.join("journal").is_dir());
    assert_eq!(open_below(&parent.path().join("of")), []);
    assert_eq!(open_below(&parent.path().join("copies")), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_others_may_enter_is_warned_about_and_its_content_is_taken_from_them() {
    let data = TempDir::new().unwrap();
    let (mut server, _) = start_streams(data.path()).await;
    server.kill().await.unwrap();
    for folder in [data.path().to_owned(), data.path().join("journal"), data.path().join("keyspaces")] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
    let (mut server, _) = start_streams(data.path()).await;
    server.start_kill().unwrap();
    let log = server.wait_with_output().await.unwrap().stderr;
    let log = String::from_utf8(log).unwrap();
    assert_eq!(log.matches(&format!("chmod -R go= {}", data.path().display())).count(), 1, "{log}");
    let inside = ["journal", "keyspaces"].map(|name| open_below(&data.path().join(name)));
    assert_eq!(inside, [[], []]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_the_sidecar_starts_has_the_umask_of_the_user() {
    let folder = TempDir::new().unwrap();
    let made = folder.path().join("made");
    let service = format!("umask > {}; sleep 60", made.display());
    let arguments = ["run", "--role", "users", "--bus", "embedded", "--api", "127.0.0.1:0", "--once", "--"];
    let arguments = [arguments.as_slice(), &["sh", "-c", &service]].concat();
    let mut sidecar = open_to_all(&arguments).stdout(Stdio::null()).spawn().unwrap();
    eventually("the umask of the service", || async {
        fs::read_to_string(&made).ok().filter(|text| text.trim() == "0000").map(drop)
    })
    .await;
    sidecar.kill().await.unwrap();
}
