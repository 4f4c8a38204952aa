//! Tests of calls that are dropped midway, and of times that no clock can represent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use exorelay::broker::{self, Broker};
use exorelay::{Builder, Context, Error, Event, Message, Relay, Service};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::eventually::{eventually, pause};
use crate::stage::{Process, get};

const MOMENT: Duration = Duration::from_millis(300);

/// Forwards to `broker`, whose answers come back later than any caller waits. Returns the URL.
async fn slow_way_to(broker: &Process) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let broker = broker.address("broker").to_owned();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let broker = TcpStream::connect(&broker).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_broker, mut to_broker)) =
                (client.into_split(), broker.into_split());
            tokio::spawn(async move { drop(tokio::io::copy(&mut from_client, &mut to_broker).await) });
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                while let Ok(read @ 1..) = from_broker.read(&mut bytes).await {
                    pause(900).await;
                    drop(to_client.write_all(&bytes[..read]).await);
                }
            });
        }
    });
    url
}

async fn services(broker: &Process) -> usize {
    let services = get(&format!("{}/services", broker.url("broker"))).await.json();
    services["services"].as_array().unwrap().len()
}

async fn has_services(broker: &Process, count: usize) {
    eventually("services", || async { (services(broker).await == count).then_some(()) }).await;
}

/// A handler that counts its calls.
fn counting(builder: Builder, calls: &Arc<AtomicUsize>) -> Builder {
    let calls = Arc::clone(calls);
    builder.on("hello", move |_: Message, context: Context| {
        calls.fetch_add(1, Ordering::SeqCst);
        async move {
            context.reply("greeting", ()).await?;
            Ok(())
        }
    })
}

async fn check_no_ghost(broker: &Process, calls: &AtomicUsize) {
    has_services(broker, 0).await;
    let web = Relay::builder("web").bus(broker.url("broker")).connect().await.unwrap();
    let error = web.request("hello", ()).timeout(MOMENT).await.unwrap_err();
    // The broker may wait a while for a service that has left.
    assert!(matches!(error, Error::NoReceivers(_) | Error::NoReply { .. }), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    web.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_is_dropped_leaves_no_role_behind() {
    let broker = Process::start("broker", &[("EXORELAY__BROKER__SETTLE_MS", "0")]).await;
    let calls = Arc::default();
    let connecting = counting(Relay::builder("users").bus(slow_way_to(&broker).await), &calls).connect();
    let (connecting, registered) = (timeout(MOMENT, connecting), has_services(&broker, 1));
    let (connected, ()) = tokio::join!(connecting, registered);
    assert!(connected.is_err());
    check_no_ghost(&broker, &calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_dropped_before_it_is_ready_leaves_no_role_behind() {
    let broker = Process::start("broker", &[("EXORELAY__BROKER__SETTLE_MS", "0")]).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = Service::new("users")
        .bus(broker.url("broker"))
        .environment([("", ""); 0])
        .on("hello", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok(()) }
        })
        .before_all(|_| std::future::pending());
    let (connected, ()) = tokio::join!(timeout(MOMENT, service.connect()), has_services(&broker, 1));
    assert!(connected.is_err());
    check_no_ghost(&broker, &calls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_dropped_goes_on() {
    let broker = Process::start("broker", &[]).await;
    for url in [broker.url("broker"), broker.url("broker").replace("http:", "ws:")] {
        let users = Relay::builder("users").bus(url.as_str()).on("work", |_, context: Context| async move {
            pause(900).await;
            context.reply("done", ()).await?;
            Ok(())
        });
        let users = users.connect().await.unwrap();
        users.ready().await;
        let mut events = users.events();
        let web = Relay::builder("web").bus(url.as_str()).connect().await.unwrap();
        let working = tokio::spawn(web.request("work", json!(1)).into_future());
        pause(150).await;
        assert!(
            timeout(MOMENT / 2, users.close_within(Duration::from_secs(10))).await.is_err(),
            "it waits for the work"
        );
        assert_eq!(working.await.unwrap().unwrap().name.as_str(), "done");
        while !matches!(events.next().await, Some(Event::Offline)) {}
        web.close().await;
        has_services(&broker, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_time_of_all_is_no_panic() {
    const FOREVER: Duration = Duration::MAX;
    let broker = Broker::start(broker::Config { settle_ms: 0, ..broker::Config::default() });
    let users = Relay::builder("users").broker(&broker).on("hello", |_: Message, context: Context| async move {
        context.reply("greeting", ()).await?;
        Ok(())
    });
    let users = users.connect().await.unwrap();
    let web = Relay::builder("web").broker(&broker).connect().await.unwrap();
    let watch = web.wait_for_activity("a", FOREVER);
    assert_eq!(web.request("hello", ()).timeout(FOREVER).activity("a").await.unwrap().name.as_str(), "greeting");
    assert_eq!(watch.await.unwrap().name.as_str(), "greeting");
    web.request("hello", ()).timeout(FOREVER).idempotency_key("k").await.unwrap();
    let mut replies = web.request("hello", ()).timeout(FOREVER).at_most(1).replies().unwrap();
    assert!(replies.next().await.unwrap().is_ok() && replies.next().await.is_none());
    assert_eq!(users.close_within(FOREVER).await + web.close_within(FOREVER).await, 0);
    assert_eq!(broker.close(FOREVER).await, 0);

    let service = Service::new("users").bus("embedded").environment([("", ""); 0]).grace(FOREVER);
    let failing = service.before_all(|_| async { Err("no".into()) });
    assert!(failing.connect().await.is_err());
}
