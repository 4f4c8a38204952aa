//! Damage on the disk: noticed, reported, and never served.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Method;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::client::{Caller, Dice, Streams, client};
use crate::eventually::eventually;

/// Number of flipped bits for each kind of file.
const FLIPS: usize = 10;

/// Maximum size of the log: a flipped bit is reported in a few lines, not once for each page.
const LOG_BYTES_MAX: usize = 16 * 1024;

/// Path, record size and number of records: some go to pages, others to retained journal segments; enough for both.
const LARGES: [(&str, usize, usize); 2] = [("large", 16 * 1024, 1400), ("huge", 64 * 1024, 330)];

/// Returns path, record size and content of each stream.
fn contents() -> Vec<(String, usize, Vec<u8>)> {
    let large = |bytes: usize, count: usize| (0..count).flat_map(|number| vec![(number % 251) as u8; bytes]).collect();
    let larges = LARGES.map(|(path, bytes, count)| (path.to_owned(), bytes, large(bytes, count)));
    let small = |stream: usize| (0..40).flat_map(|number| format!("{stream}/{number};").into_bytes()).collect();
    let smalls = (0..8).map(|stream| (format!("small-{stream}"), 7, small(stream)));
    larges.into_iter().chain(smalls).collect()
}

async fn fill(caller: &Caller, dir: &Path) {
    let kind = "application/octet-stream";
    for (path, record, content) in contents() {
        assert_eq!(caller.create(&path, kind).await, 201);
        for record in content.chunks(record) {
            assert_eq!(caller.append(&path, kind, record.to_vec()).await, 204);
        }
    }
    let written = || async { (!files(dir, "blobs").is_empty() && !files(dir, "tables").is_empty()).then_some(()) };
    eventually("tables and blobs", written).await;
}

/// Returns the files below a directory that are in directories of this name, or have it as extension.
fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, kind));
            continue;
        }
        let inside = path.parent().and_then(Path::file_name).is_some_and(|name| name == kind);
        if inside || path.extension().is_some_and(|extension| extension == kind) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Flips a bit before the trailing zeros, and returns where.
fn flip(path: &Path, dice: &mut Dice) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    let filled = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let at = dice.throw(filled as u64) as usize;
    bytes[at] ^= 1 << dice.throw(8);
    std::fs::write(path, bytes).unwrap();
    format!("byte {at} of {filled} of {}", path.display())
}

/// The result of starting a server on a directory.
enum Opened {
    Serving(Box<Child>, String),
    Refused { code: Option<i32>, words: String },
}

async fn open(dir: &Path) -> Opened {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    command.args(["streams", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir).env_clear().kill_on_drop(true);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).await.unwrap();
    match ready.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next()) {
        Some(address) => Opened::Serving(Box::new(child), format!("http://{address}/v1/stream")),
        None => {
            let mut words = String::new();
            child.stderr.take().unwrap().read_to_string(&mut words).await.unwrap();
            Opened::Refused { code: child.wait().await.unwrap().code(), words }
        }
    }
}

/// Checks that a server on a damaged directory refuses to start and names the directory, or serves prefixes of what was
/// written and reports what is missing.
async fn check(dir: &Path, caller: impl Fn(String) -> Caller, what: &str) {
    let (mut child, root) = match open(dir).await {
        Opened::Serving(child, root) => (child, root),
        Opened::Refused { code, words } => {
            assert!(!words.contains("panicked"), "{what}: {words}");
            assert_eq!(code, Some(1), "{what}: {words}");
            assert!(words.contains("streams.data_dir"), "{what}: {words}");
            assert!(words.contains(&dir.display().to_string()), "{what}: {words}");
            return;
        }
    };
    let mut stderr = child.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut log = String::new();
        stderr.read_to_string(&mut log).await.map(|_| log)
    });
    let caller = caller(root);
    let mut incomplete = Vec::new();
    for (path, _, expected) in contents() {
        match caller.read(&path, "-1").await {
            Ok((content, _)) => {
                assert!(expected.starts_with(&content), "{what}: {path} serves bytes that were never written");
                incomplete.extend((content.len() < expected.len()).then(|| path.clone()));
            }
            Err((500, problem)) => {
                assert!(problem.contains(&path), "{what}: {problem}");
                incomplete.push(path.clone());
            }
            Err((404, _)) => incomplete.push(path.clone()),
            Err((status, problem)) => panic!("{what}: {status} {problem}"),
        }
    }
    child.kill().await.unwrap();
    let log = log.await.unwrap().unwrap();
    assert!(!log.contains("panicked"), "{what}: {log}");
    assert!(log.len() < LOG_BYTES_MAX, "{what} is reported in {} lines: {log}", log.lines().count());
    let reported = log.contains("damaged") || log.contains("missing");
    assert!(incomplete.is_empty() || reported, "{what}: a loss in {incomplete:?} was not reported: {log}");
}

/// Flips a bit in one file of a kind, and checks that it is noticed and never served.
async fn check_flips(kind: &str) {
    let mut streams = Streams::start(&[]).await;
    fill(&streams.caller(), streams.dir.path()).await;
    streams.process.kill().await;
    let seed = u64::from(std::process::id());
    let mut dice = Dice::new(seed);
    for round in 0..FLIPS {
        let damaged = TempDir::new().unwrap();
        copy(streams.dir.path(), damaged.path());
        let found = files(damaged.path(), kind);
        let place = flip(&found[dice.throw(found.len() as u64) as usize], &mut dice);
        let caller = |root| Caller { root, ..streams.caller() };
        let what = format!("seed {seed}, round {round}, {place}");
        check(damaged.path(), caller, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_the_journal_is_reported_and_never_served() {
    check_flips("journal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_page_is_reported_with_its_stream_and_never_served() {
    check_flips("blobs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_table_is_reported_and_never_served() {
    check_flips("tables").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_list_of_files_is_refused_with_its_path() {
    let mut streams = Streams::start(&[]).await;
    fill(&streams.caller(), streams.dir.path()).await;
    streams.process.kill().await;
    // Earlier versions kept copies here, which nothing reads any more.
    std::fs::create_dir_all(streams.dir.path().join("copies/1")).unwrap();
    std::fs::write(streams.dir.path().join("copies/1/v1-0"), "copy").unwrap();
    for damage in [flip_first, truncate, remove] as [fn(&Path); 3] {
        let damaged = TempDir::new().unwrap();
        copy(streams.dir.path(), damaged.path());
        let file = damaged.path().join("keyspaces/2/current");
        damage(&file);
        let Opened::Refused { code, words } = open(damaged.path()).await else { panic!("a damaged list was read") };
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("streams.data_dir") && words.contains(&file.display().to_string()), "{words}");
    }
    assert!(matches!(open(streams.dir.path()).await, Opened::Serving(..)));
}

fn flip_first(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

fn truncate(file: &Path) {
    std::fs::write(file, "").unwrap();
}

fn remove(file: &Path) {
    std::fs::remove_file(file).unwrap();
}

/// Flips a bit of a text wherever it occurs in the journal.
fn flip_text(dir: &Path, text: &[u8]) {
    let mut flipped = 0;
    for journal in files(dir, "journal") {
        let mut bytes = std::fs::read(&journal).unwrap();
        while let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 1;
            flipped += 1;
        }
        std::fs::write(journal, bytes).unwrap();
    }
    assert!(flipped > 0, "the text was not found");
}

/// Flips a bit in one of two records of the stream `one`, starts the server twice, and checks that the loss is reported and the
/// stream `other` is intact. What is `readable` comes before the damage, and the rest is `behind` it.
async fn check_reported(record: &str, readable: &str, behind: &str) {
    let kind = "text/plain";
    let mut streams = Streams::start(&[]).await;
    let caller = streams.caller();
    for path in ["one", "other"] {
        assert_eq!(caller.create(path, kind).await, 201);
    }
    for append in ["first", "last"] {
        for path in ["other", "one"] {
            assert_eq!(caller.append(path, kind, format!("{append} of {path};").into()).await, 204);
        }
    }
    let (_, end) = caller.read("one", "-1").await.unwrap();
    let (_, other_end) = caller.read("other", "-1").await.unwrap();
    let tagged = caller.call(Method::GET, "one?offset=-1", &[], Vec::new()).await.unwrap();
    let tag = tagged.headers()["etag"].to_str().unwrap().to_owned();
    streams.process.kill().await;
    flip_text(streams.dir.path(), record.as_bytes());
    streams.process.restart().await;
    let log = streams.process.log();
    assert!(log.contains(r#""path":"one""#), "the log does not name the stream: {log}");
    let mut caller = Caller { client: client(), ..streams.caller() };
    for coding in ["identity", "gzip"] {
        check_cut(&caller, coding, readable).await;
    }
    for start in ["first", "second"] {
        let added = if start == "first" { "" } else { "later" };
        check_read_on(&caller, readable.len(), &format!("{behind}{added}")).await;
        let (status, problem) = caller.read("one", "-1").await.unwrap_err();
        assert!(status == 500 && problem.contains("the stream one is damaged"), "{start} start: {status} {problem}");
        assert_eq!(caller.read("other", "-1").await.unwrap().0, b"first of other;last of other;");
        if start == "first" {
            assert_eq!(caller.append("one", kind, b"later".to_vec()).await, 204);
            streams.kill_and_revive().await;
            caller = streams.caller();
        }
        let (status, problem) = caller.read("one", &end).await.unwrap_err();
        assert!(status == 410 && problem.contains("damage cost it records"), "{start} start: {status} {problem}");
        let changed = caller.call(Method::GET, "one?offset=-1", &[("if-none-match", &tag)], Vec::new()).await.unwrap();
        assert_ne!(changed.status(), 304, "the tag is from before the damage");
        let position = end.split_once('_').unwrap().1;
        let later = caller.call(Method::HEAD, "one", &[], Vec::new()).await.unwrap();
        let era = later.headers()["stream-next-offset"].to_str().unwrap().split_once('_').unwrap().0.to_owned();
        assert_eq!(
            caller.read("one", &format!("{era}_{position}")).await.unwrap().0,
            b"later",
            "positions do not change"
        );
        assert!(caller.read("other", &other_end).await.unwrap().0.is_empty(), "the other stream keeps its offsets");
    }
}

/// Checks that a read of everything gets what comes before the damage and does not look whole.
async fn check_cut(caller: &Caller, coding: &str, readable: &str) {
    let accepted = [("accept-encoding", coding)];
    let mut cut = caller.call(Method::GET, "one?offset=-1", &accepted, Vec::new()).await.unwrap();
    if readable.is_empty() {
        assert_eq!(cut.status(), 500);
        return;
    }
    assert!(!cut.headers().contains_key("stream-up-to-date"), "there is more that cannot be read");
    assert_eq!((cut.status().as_u16(), cut.headers()["cache-control"].to_str().unwrap()), (200, "no-store"));
    let mut content = Vec::new();
    let end = loop {
        match cut.chunk().await {
            Ok(Some(bytes)) => content.extend_from_slice(&bytes),
            end => break end,
        }
    };
    assert!(end.is_err(), "{coding}: the answer must not end as if it was whole");
    assert!(coding != "identity" || content == readable.as_bytes(), "{content:?}");
}

/// Checks that every way of reading says where the content goes on behind the damage, and that it does.
async fn check_read_on(caller: &Caller, position: usize, behind: &str) {
    let tail = caller.call(Method::HEAD, "one", &[], Vec::new()).await.unwrap();
    let era = tail.headers()["stream-next-offset"].to_str().unwrap().split_once('_').unwrap().0.to_owned();
    let damage = if position == 0 { "-1".to_owned() } else { format!("{era}_{position:016}") };
    for live in ["", "&live=long-poll", "&live=sse"] {
        let refused = caller.call(Method::GET, &format!("one?offset={damage}{live}"), &[], Vec::new()).await.unwrap();
        assert_eq!(refused.status(), 500, "{live}");
        let next = refused.headers()["stream-next-offset"].to_str().unwrap().to_owned();
        let problem: serde_json::Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
        assert_eq!(
            (&problem["until"], &problem["type"]),
            (&next.clone().into(), &"urn:exorelay:problem:damaged".into())
        );
        assert_eq!(String::from_utf8(caller.read("one", &next).await.unwrap().0).unwrap(), behind, "{live}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_last_record_is_reported_with_its_stream() {
    check_reported("last of one", "first of one;", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_first_record_is_reported_with_its_stream() {
    check_reported("first of one", "", "last of one;").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_that_nothing_is_left_of_makes_every_earlier_offset_a_former_one() {
    let kind = "text/plain";
    let mut streams = Streams::start(&[]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("one", kind).await, 201);
    assert_eq!(caller.append("one", kind, b"kept;".to_vec()).await, 204);
    let length = files(streams.dir.path(), "journal").iter().map(|file| written(file)).max().unwrap();
    assert_eq!(caller.append("one", kind, b"lost;".to_vec()).await, 204);
    let (_, end) = caller.read("one", "-1").await.unwrap();
    streams.process.kill().await;
    for file in files(streams.dir.path(), "journal").into_iter().filter(|file| written(file) > length) {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[length..].fill(0);
        std::fs::write(file, bytes).unwrap();
    }
    streams.process.restart().await;
    let caller = Caller { client: client(), ..streams.caller() };
    assert_eq!(caller.read("one", "-1").await.unwrap().0, b"kept;");
    assert_eq!(caller.append("one", kind, b"other".to_vec()).await, 204);
    assert_eq!(caller.read("one", &end).await.unwrap_err().0, 410);
    assert_eq!(caller.read("one", "-1").await.unwrap().0, b"kept;other");
}

/// Returns the length of a file without the zeros at its end.
fn written(file: &Path) -> usize {
    std::fs::read(file).unwrap().iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_and_its_owner_unharmed() {
    let streams = Streams::start(&[]).await;
    let caller = streams.caller();
    assert_eq!(caller.create("a", "text/plain").await, 201);
    let Opened::Refused { code, words } = open(streams.dir.path()).await else {
        panic!("two servers on one directory")
    };
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("in use by another process"), "{words}");
    assert!(words.contains(&streams.dir.path().display().to_string()), "{words}");
    assert_eq!(caller.append("a", "text/plain", b"unharmed".to_vec()).await, 204);
    assert_eq!(caller.read("a", "-1").await.unwrap().0, b"unharmed");
}
