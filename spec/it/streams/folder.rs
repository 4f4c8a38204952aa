//! The folder of the disk store: one process at a time, and a great many streams.

use std::path::Path;
use std::sync::Arc;

use exorelay::store::{DiskConfig, DiskStore, Durability};
use exorelay::streams::{Config, CreateRequest, StreamPath, Streams};
use futures_util::future::join_all;
use tempfile::TempDir;

use super::client::Client;
use super::server_on;
use crate::stage::Revived;

#[tokio::test]
async fn a_second_process_on_a_folder_refuses_to_start_and_the_first_is_unharmed() {
    let folder = TempDir::new().unwrap();
    let mut first = server_on(&folder, &[]).await;
    let mut client = Client::of(first.address("streams"));
    client.create("a", "text/plain").await;
    assert_eq!(client.append("a", "text/plain", b"one").await.status, 204);
    // A server elsewhere, which then is told to use the same folder.
    let elsewhere = TempDir::new().unwrap();
    let mut second = server_on(&elsewhere, &[]).await;
    second.kill().await;
    std::fs::remove_dir_all(elsewhere.path()).unwrap();
    std::os::unix::fs::symlink(folder.path(), elsewhere.path()).unwrap();
    let Revived::Refused { code, log } = second.try_revive().await else { panic!("two processes on one folder") };
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&elsewhere.path().display().to_string()) && log.contains("in use"), "{log}");
    std::fs::remove_file(elsewhere.path()).unwrap();
    assert_eq!(client.append("a", "text/plain", b"two").await.status, 204);
    assert_eq!(client.read("a", "-1").await.unwrap().content, b"onetwo");
    first.stop().await;
    first.revive().await;
    assert_eq!(Client::of(first.address("streams")).read("a", "-1").await.unwrap().content, b"onetwo");
}

#[tokio::test]
async fn fifty_thousand_streams_are_there_again_after_a_stop_and_after_a_kill() {
    let folder = TempDir::new().unwrap();
    fill(folder.path()).await;
    let mut server = server_on(&folder, &[]).await;
    for killed in [true, false] {
        let files = server.open_files();
        assert!(files < 200, "{files} open files: a stream must not cost one");
        let mut client = Client::of(server.address("streams"));
        for number in (0..STREAMS).step_by(97) {
            let content = client.read(&format!("s/{number}"), "-1").await.unwrap().content;
            assert_eq!(String::from_utf8(content).unwrap(), format!("the content of {number}"));
        }
        assert_eq!(client.read("s/50000", "-1").await.err().unwrap().status, 404);
        match killed {
            true => server.kill().await,
            false => server.stop().await,
        }
        server.revive().await;
    }
}

const STREAMS: usize = 50_000;

/// Makes the streams as an application would that has the library in it: a call each would take longer.
async fn fill(dir: &Path) {
    let config = DiskConfig {
        dir: dir.to_owned(),
        durability: Durability::Memory,
        free_bytes_min: 0,
        cache_bytes: 1024 * 1024,
    };
    let streams = Streams::open(Config::default(), Arc::new(DiskStore::open(&config).unwrap())).unwrap();
    let request = CreateRequest::default();
    for first in (0..STREAMS).step_by(1000) {
        let created = (first..first + 1000).map(|number| {
            let (streams, request) = (&streams, &request);
            async move {
                let path = StreamPath::parse(&format!("s/{number}")).unwrap();
                streams.create(&path, request, format!("the content of {number}").into()).await.unwrap()
            }
        });
        assert!(join_all(created).await.iter().all(|created| created.new));
    }
    streams.close().await;
}
