//! Many streams.

use std::path::Path;
use std::sync::Arc;

use exorelay::store::{DiskConfig, DiskStore, Durability};
use exorelay::streams::{Config, CreateRequest, StreamPath, Streams};
use futures_util::future::join_all;

use super::client;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_streams_survive_a_stop_and_a_kill() {
    let mut server = client::Streams::start(&[]).await;
    server.process.stop().await;
    fill(server.dir.path()).await;
    for killed in [true, false, false] {
        server.process.restart().await;
        let files = server.process.open_files();
        assert!(files < 200, "{files} open files: a stream must not cost one");
        let caller = server.caller();
        for number in (0..STREAMS).step_by(97) {
            let (content, _) = caller.read(&format!("s/{number}"), "-1").await.unwrap();
            assert_eq!(String::from_utf8(content).unwrap(), format!("the content of {number}"));
        }
        assert_eq!(caller.read("s/50000", "-1").await.unwrap_err().0, 404);
        match killed {
            true => server.process.kill().await,
            false => server.process.stop().await,
        }
    }
}

const STREAMS: usize = 50_000;

/// Creates the streams through the library, which is faster than one HTTP call for each.
async fn fill(dir: &Path) {
    let config =
        DiskConfig { dir: dir.to_owned(), durability: Durability::Memory, free_bytes_min: 0, cache_bytes: 1024 * 1024 };
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
