//! Work that is woken from everywhere, and connections that are dealt out.

use std::time::Duration;

use axum::http::Request;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Notify, mpsc, oneshot};

use super::*;
use crate::http::{Client, ClientLimits, Limits, Listening, Serving};

fn some(count: usize) -> Workers {
    Workers::start(NonZeroUsize::new(count).unwrap()).unwrap()
}

async fn slots(workers: &Workers, count: usize) -> Vec<(Accepted, WorkerSlot)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut slots = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        slots.push(workers.assign(Accepted::Tcp(stream)).unwrap());
    }
    slots
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

/// The name of the thread that works for a slot.
async fn thread_of(slot: &WorkerSlot) -> String {
    let (tell, told) = oneshot::channel();
    slot.spawn(&TaskTracker::new(), async move { tell.send(thread_name()).unwrap() });
    told.await.unwrap()
}

#[tokio::test]
async fn a_connection_goes_to_the_worker_with_the_fewest_and_frees_its_slot_when_it_ends() {
    let workers = some(3);
    let mut slots = slots(&workers, 6).await;
    let mut threads = Vec::new();
    for (_, slot) in &slots {
        threads.push(thread_of(slot).await);
    }
    assert_eq!(threads, ["worker-1", "worker-2", "worker-3", "worker-1", "worker-2", "worker-3"]);
    drop(slots.remove(1));
    let (_stream, slot) = self::slots(&workers, 1).await.remove(0);
    assert_eq!(thread_of(&slot).await, "worker-2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_from_another_thread_is_lost() {
    const ROUNDS: usize = 2_000;
    let workers = some(2);
    let tasks = TaskTracker::new();
    let mut callers = Vec::new();
    for (_, slot) in slots(&workers, 64).await {
        let (ask, mut asked) = mpsc::channel::<oneshot::Sender<usize>>(1);
        slot.spawn(&tasks, async move {
            let mut count = 0;
            while let Some(asker) = asked.recv().await {
                count += 1;
                asker.send(count).unwrap();
            }
        });
        callers.push(tokio::spawn(async move {
            for round in 1..=ROUNDS {
                let (answer, answered) = oneshot::channel();
                ask.send(answer).await.unwrap();
                assert_eq!(answered.await.unwrap(), round);
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn everybody_who_is_woken_at_once_wakes() {
    let workers = some(2);
    let tasks = TaskTracker::new();
    let slots = slots(&workers, 100).await;
    let event = Arc::new(Notify::new());
    let (tell, mut told) = mpsc::channel(slots.len());
    for (_, slot) in &slots {
        let (event, tell) = (Arc::clone(&event), tell.clone());
        slot.spawn(&tasks, async move {
            let mut woken = std::pin::pin!(event.notified());
            woken.as_mut().enable();
            tell.send(thread_name()).await.unwrap();
            woken.await;
            tell.send(thread_name()).await.unwrap();
        });
    }
    for _ in &slots {
        told.recv().await.unwrap();
    }
    event.notify_waiters();
    for _ in &slots {
        assert!(told.recv().await.unwrap().starts_with("worker-"), "at home");
    }
}

/// A client with one connection, as long as it makes one call at a time.
fn client() -> Client {
    let time = Duration::from_secs(10);
    Client::new(ClientLimits { connect_timeout: time, timeout: time, answer_bytes_max: 1024 })
}

/// A listener with two workers.
async fn serve(router: Router) -> (Serving, String) {
    let workers = some(2);
    let listening = Listening::bind("listen", "127.0.0.1:0").await.unwrap();
    let serving = listening.serve_with(workers, router, &Limits::default());
    let url = format!("http://{}/", serving.address());
    (serving, url)
}

async fn ask(client: &Client, url: &str) -> Bytes {
    client.call(Request::get(url).body(Full::default()).unwrap()).await.unwrap().body
}

#[tokio::test]
async fn a_connection_stays_with_its_worker() {
    let router = Router::new().route("/", get(async || thread_name()));
    let (serving, url) = serve(router).await;
    let (one, two) = (client(), client());
    for _ in 0..10 {
        assert_eq!(ask(&one, &url).await, "worker-1");
        assert_eq!(ask(&two, &url).await, "worker-2");
    }
    assert!(serving.drain(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn a_streak_lasts_until_another_connection_asks_the_same_worker() {
    let (sent, mut streaks) = mpsc::channel(8);
    let answer =
        async move |Extension(worker): Extension<WorkerHandle>| sent.try_send(worker.streak().unwrap()).unwrap();
    let router = Router::new().route("/", get(answer));
    let (_serving, url) = serve(router).await;
    let (here, elsewhere, here_too) = (client(), client(), client());
    let mut streak_of = async |client: &Client| {
        ask(client, &url).await;
        streaks.recv().await.unwrap()
    };
    let first = streak_of(&here).await;
    assert_ne!(streak_of(&elsewhere).await, first);
    assert_eq!(streak_of(&here).await, first, "requests to another worker do not count");
    assert_ne!(streak_of(&here_too).await, first);
    assert_ne!(streak_of(&here).await, first, "another connection has asked in between");
}

#[tokio::test]
async fn connections_that_a_drain_leaves_end_with_their_workers() {
    let (begun, mut begins) = mpsc::channel(8);
    let never = async move || {
        begun.try_send(()).unwrap();
        std::future::pending::<()>().await;
    };
    let (serving, _) = serve(Router::new().route("/", get(never))).await;
    let mut stream = TcpStream::connect(serving.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    begins.recv().await.unwrap();
    assert!(!serving.drain(Duration::from_millis(1)).await);
    assert_eq!(begins.try_recv(), Err(TryRecvError::Disconnected), "what its answer held is let go of already");
    assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_drain_lets_what_has_begun_finish() {
    let (begun, mut begins) = mpsc::channel(8);
    let go = Arc::new(Notify::new());
    let answer = {
        let go = Arc::clone(&go);
        async move || {
            begun.try_send(()).unwrap();
            go.notified().await;
            "finished"
        }
    };
    let (serving, url) = serve(Router::new().route("/", get(answer))).await;
    let asking = tokio::spawn(async move { ask(&client(), &url).await });
    begins.recv().await.unwrap();
    serving.stop();
    let draining = tokio::spawn(serving.drain(Duration::from_secs(10)));
    tokio::time::sleep(Duration::from_millis(20)).await;
    go.notify_one();
    assert_eq!(asking.await.unwrap(), "finished");
    assert!(draining.await.unwrap());
}
