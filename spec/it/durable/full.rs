//! A disk that fills up and is freed again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command as Tool, Stdio};

use reqwest::Method;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::client::{Caller, client};
use crate::eventually::eventually;

const RESERVE_BYTES: usize = 100_000_000;

/// Less than 32 writers write between two measurements of the free space.
const SMALL_RESERVE_BYTES: usize = 20_000_000;
const DISK: &str = "size=256m";
const BYTES: &str = "application/octet-stream";
const LONG: usize = 1_000_000;

/// A server on a small disk that only it sees.
struct Small {
    _server: Child,
    caller: Caller,
    /// The path of the disk in this process.
    disk: PathBuf,
    _dir: TempDir,
}

/// Returns arguments of `unshare` that allow mounting, if the system permits it.
fn unshare() -> Option<Vec<&'static str>> {
    let candidates = [vec!["--mount"], vec!["--mount", "--map-root-user"]];
    let works = |arguments: &Vec<&str>| {
        let tried = Tool::new("unshare").args(arguments).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    candidates.into_iter().find(works)
}

impl Small {
    /// Returns `None` and prints why where the system does not permit mounting.
    async fn start(reserve_bytes: usize) -> Option<Self> {
        let Some(unshare) = unshare() else {
            println!("skipped: this system does not permit mounting a small disk");
            return None;
        };
        let dir = TempDir::new().unwrap();
        let script = format!("mount -t tmpfs -o {DISK} none \"$0\" && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(unshare).args(["sh", "-c", &script]).arg(dir.path()).arg(env!("CARGO_BIN_EXE_exorelay"));
        command.args(["streams", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path()).kill_on_drop(true);
        command.env("EXORELAY__STREAMS__DISK_FREE_BYTES_MIN", reserve_bytes.to_string());
        let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut ready).await.unwrap();
        let address = ready.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let caller = Caller { client: client(), root: format!("http://{address}/v1/stream") };
        let root = PathBuf::from(format!("/proc/{}/root", server.id().unwrap()));
        let disk = root.join(dir.path().strip_prefix(Path::new("/")).unwrap());
        Some(Self { _server: server, caller, disk, _dir: dir })
    }

    async fn append(&self, record: Vec<u8>) -> u16 {
        self.caller.append("a", BYTES, record).await
    }

    async fn is_ready(&self) -> bool {
        let ready = self.caller.client.get(self.caller.root.replace("/v1/stream", "/ready")).send().await.unwrap();
        ready.status() == 200
    }

    async fn appends_answer(&self, status: u16) {
        let small = || async { (self.append(b"x".to_vec()).await == status).then_some(()) };
        eventually(("an append answered", status), small).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_content_until_space_is_free() {
    let Some(small) = Small::start(RESERVE_BYTES).await else { return };
    let caller = &small.caller;
    for path in ["a", "b"] {
        assert_eq!(caller.create(path, BYTES).await, 201);
    }
    assert_eq!(small.append(vec![b'a'; 1_000_000]).await, 204);
    std::fs::File::create(small.disk.join("of-others")).unwrap().write_all(&vec![1; 190_000_000]).unwrap();
    small.appends_answer(507).await;
    let (content, end) = caller.read("a", "-1").await.unwrap();
    let refused = caller.call(Method::POST, "a", &[("content-type", BYTES)], b"y".to_vec()).await;
    let refused = refused.unwrap();
    assert_eq!(refused.status(), 507);
    let problem = refused.text().await.unwrap();
    assert!(problem.contains("the disk is full"), "{problem}");
    // Reading and deleting still work.
    assert!(content.starts_with(&[b'a'; 1_000_000]));
    assert_eq!(caller.call(Method::DELETE, "b", &[], Vec::new()).await.unwrap().status(), 204);
    assert_eq!(caller.read("a", "-1").await.unwrap(), (content.clone(), end));
    std::fs::remove_file(small.disk.join("of-others")).unwrap();
    small.appends_answer(204).await;
    let (after, _) = caller.read("a", "-1").await.unwrap();
    assert_eq!(after, [content, b"x".to_vec()].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_streams_frees_space_on_a_full_disk() {
    let Some(small) = Small::start(RESERVE_BYTES).await else { return };
    let caller = &small.caller;
    let names: Vec<String> = (0..8).map(|number| format!("s{number}")).collect();
    for name in &names {
        assert_eq!(caller.create(name, BYTES).await, 201);
    }
    // In turns, so that the records of all streams are interleaved on the disk.
    let (mut kept, mut status) = (Vec::new(), 204);
    for (round, name) in (0..u8::MAX).flat_map(|round| names.iter().map(move |name| (round, name))) {
        status = caller.append(name, BYTES, vec![round; LONG]).await;
        if status != 204 {
            break;
        }
        if *name == names[0] {
            kept.extend_from_slice(&vec![round; LONG]);
        }
    }
    assert_eq!(status, 507);
    for name in &names[1..] {
        assert_eq!(caller.call(Method::DELETE, name, &[], Vec::new()).await.unwrap().status(), 204);
    }
    for round in 0..20 {
        let taken = || async { (caller.append(&names[0], BYTES, vec![round; LONG]).await == 204).then_some(()) };
        eventually("space for an append", taken).await;
        kept.extend_from_slice(&vec![round; LONG]);
    }
    let (content, _) = caller.read(&names[0], "-1").await.unwrap();
    assert!(content == kept, "{} of {} bytes, or others", content.len(), kept.len());
    assert!(small.is_ready().await);
}

/// Appends long records until 20 were refused; returns how many were accepted.
async fn fill(caller: Caller, name: String) -> usize {
    let (mut accepted, mut refused) = (0, 0);
    while refused < 20 {
        match caller.append(&name, BYTES, vec![accepted as u8; LONG]).await {
            204 => accepted += 1,
            507 => refused += 1,
            other => panic!("an append to {name} was answered {other}"),
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_are_refused_before_the_disk_is_full() {
    let Some(small) = Small::start(SMALL_RESERVE_BYTES).await else { return };
    let names: Vec<String> = (0..32).map(|number| format!("w{number}")).collect();
    for name in &names {
        assert_eq!(small.caller.create(name, BYTES).await, 201);
    }
    let writers: Vec<_> = names.iter().map(|name| tokio::spawn(fill(small.caller.clone(), name.clone()))).collect();
    let mut all = 0;
    for (name, writer) in names.iter().zip(writers) {
        let accepted = writer.await.unwrap();
        let (content, _) = small.caller.read(name, "-1").await.unwrap();
        let expected: Vec<u8> = (0..accepted).flat_map(|number| vec![number as u8; LONG]).collect();
        assert!(content == expected, "{name}: {} bytes, {} were accepted", content.len(), expected.len());
        all += accepted;
    }
    println!("{all} records were accepted");
    assert!(all > 0);
    assert!(small.is_ready().await);
    assert_eq!(small.caller.call(Method::DELETE, "w0", &[], Vec::new()).await.unwrap().status(), 204);
}
