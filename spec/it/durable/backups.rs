//! Backups of running servers, and checks of data folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;
use tokio::process::Command;

use super::client::{Caller, Streams, client};
use crate::stage::Process;

const BYTES: &str = "application/octet-stream";
const STREAMS: usize = 4;

/// Sizes of records: in the pages of tables, in blob files, and in retained segments.
const SIZES: [usize; 3] = [300, 20_000, 70_000];

fn record(stream: usize, number: u64) -> Vec<u8> {
    vec![(stream as u64 * 31 + number) as u8; SIZES[(number % 3) as usize]]
}

fn content(stream: usize, records: u64) -> Vec<u8> {
    (0..records).flat_map(|number| record(stream, number)).collect()
}

/// Runs `exorelay streams …`; returns its exit code and its output.
async fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    let ended =
        command.arg("streams").args(arguments).env_remove("EXORELAY__STREAMS__DATA_DIR").output().await.unwrap();
    let text = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8(text).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Appends to a stream until it is stopped, and counts what is acknowledged.
async fn append(caller: Caller, stream: usize, acknowledged: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let number = acknowledged.load(Ordering::Relaxed);
        assert_eq!(caller.append(&format!("s{stream}"), BYTES, record(stream, number)).await, 204);
        acknowledged.store(number + 1, Ordering::Release);
    }
}

async fn fill(caller: &Caller, records: u64) {
    for stream in 0..STREAMS {
        assert_eq!(caller.create(&format!("s{stream}"), BYTES).await, 201);
        for number in 0..records {
            assert_eq!(caller.append(&format!("s{stream}"), BYTES, record(stream, number)).await, 204);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_busy_server_opens_and_holds_every_append_acknowledged_before() {
    let streams = Streams::start(&[("EXORELAY__STREAMS__DURABILITY", "memory")]).await;
    fill(&streams.caller(), 0).await;
    let stop = Arc::new(AtomicBool::new(false));
    let counts: Vec<Arc<AtomicU64>> = (0..STREAMS).map(|_| Arc::default()).collect();
    let writers: Vec<_> = (0..STREAMS)
        .map(|stream| tokio::spawn(append(streams.caller(), stream, counts[stream].clone(), stop.clone())))
        .collect();
    let targets = TempDir::new().unwrap();
    let mut copies = Vec::new();
    for number in 0..3 {
        let target = targets.path().join(number.to_string());
        let before: Vec<u64> = counts.iter().map(|count| count.load(Ordering::Acquire)).collect();
        let (code, output) = run(&["backup", "--data-dir", text(streams.dir.path()), text(&target)]).await;
        assert_eq!(code, Some(0), "{output}");
        copies.push((target, before));
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    for (target, before) in copies {
        let (code, output) = run(&["verify", text(&target)]).await;
        assert_eq!(code, Some(0), "{output}");
        assert!(output.contains("nothing is damaged"), "{output}");
        let copy = Process::start(&format!("streams --data-dir {}", target.display()), &[]).await;
        let caller = Caller { client: client(), root: format!("{}/v1/stream", copy.url("streams")) };
        for (stream, before) in before.into_iter().enumerate() {
            let (found, _) = caller.read(&format!("s{stream}"), "-1").await.unwrap();
            let all = content(stream, counts[stream].load(Ordering::Relaxed));
            assert!(found.len() >= content(stream, before).len(), "{} bytes of s{stream}", found.len());
            assert!(all.starts_with(&found), "s{stream} has other bytes");
        }
    }
}

/// Returns the blob files of a folder.
fn blobs(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("keyspaces/2/blobs")).unwrap();
    files.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_the_damaged_stream_and_file_and_changes_nothing() {
    let mut streams = Streams::start(&[("EXORELAY__STREAMS__DURABILITY", "memory")]).await;
    fill(&streams.caller(), 40).await;
    let dir = streams.dir.path().to_owned();
    let (code, output) = run(&["verify", text(&dir)]).await;
    assert!(code == Some(1) && output.contains("is in use by another process"), "{output}");
    streams.process.stop().await;
    // A backup of a stopped server needs no server.
    let targets = TempDir::new().unwrap();
    let target = targets.path().join("copy");
    let (code, output) = run(&["backup", "--data-dir", text(&dir), text(&target)]).await;
    assert_eq!(code, Some(0), "{output}");
    let (code, output) = run(&["backup", "--data-dir", text(&dir), text(&target)]).await;
    assert!(code == Some(1) && output.contains("is not empty"), "{output}");
    let (code, output) = run(&["verify", text(&target)]).await;
    assert_eq!(code, Some(0), "{output}");
    let blob = blobs(&target).into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let changed = || std::fs::metadata(target.join("answered")).unwrap().modified().unwrap();
    let before = changed();
    let (code, output) = run(&["verify", text(&target)]).await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&format!("{} is damaged", text(&blob))), "{output}");
    assert!(output.contains("the stream s") && output.contains(" is damaged at "), "{output}");
    assert_eq!(changed(), before);
    let (code, output) = run(&["verify", "/nowhere"]).await;
    assert!(code == Some(64) && output.contains("no data folder /nowhere"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_number_of_the_last_append_warns_once_of_what_it_cannot_know() {
    let mut streams = Streams::start(&[("EXORELAY__STREAMS__DURABILITY", "memory")]).await;
    fill(&streams.caller(), 5).await;
    let dir = streams.dir.path().to_owned();
    let answered = dir.join("answered");
    let warnings = |log: &str| log.lines().filter(|line| line.contains("this start cannot know it")).count();
    let damages: [fn(&Path); 2] =
        [|file| std::fs::remove_file(file).unwrap(), |file| std::fs::write(file, [0; 16]).unwrap()];
    streams.process.stop().await;
    assert_eq!(warnings(&streams.process.log()), 0, "{}", streams.process.log());
    for damage in damages {
        damage(&answered);
        let (code, output) = run(&["verify", text(&dir)]).await;
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains(&format!("{} is ", text(&answered))), "{output}");
        for warned in [1, 0] {
            streams.process.restart().await;
            let (found, _) = streams.caller().read("s1", "-1").await.unwrap();
            assert!(found == content(1, 5), "{} bytes", found.len());
            streams.process.stop().await;
            assert_eq!(warnings(&streams.process.log()), warned, "{}", streams.process.log());
        }
        let (code, output) = run(&["verify", text(&dir)]).await;
        assert_eq!(code, Some(0), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_a_damaged_table_of_the_given_folder_in_plain_words() {
    let mut streams = Streams::start(&[("EXORELAY__STREAMS__DURABILITY", "memory")]).await;
    fill(&streams.caller(), 40).await;
    streams.process.stop().await;
    let targets = TempDir::new().unwrap();
    let target = targets.path().join("copy");
    let (code, output) = run(&["backup", "--data-dir", text(streams.dir.path()), text(&target)]).await;
    assert_eq!(code, Some(0), "{output}");
    for keyspace in ["0", "1", "2"] {
        for table in std::fs::read_dir(target.join("keyspaces").join(keyspace).join("tables")).unwrap() {
            let table = table.unwrap().path();
            let bytes = std::fs::read(&table).unwrap();
            for at in [10, bytes.len() / 2, bytes.len() - 10] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1;
                std::fs::write(&table, damaged).unwrap();
                let (code, output) = run(&["verify", text(&target)]).await;
                assert_eq!(code, Some(1), "{output}");
                assert!(output.contains(&format!("{} is damaged: its checksum", text(&table))), "{output}");
                assert!(!output.contains("FjallError") && !output.contains("exorelay-verify"), "{output}");
            }
            std::fs::write(&table, bytes).unwrap();
        }
    }
    let (code, output) = run(&["verify", text(&target)]).await;
    assert_eq!(code, Some(0), "{output}");
    let (code, output) = run(&["verify", text(targets.path())]).await;
    assert!(code == Some(1) && output.contains("is no data folder"), "{output}");
}
