//! Tests of what a program in Rust can rely on: settings, tokens, streams on disk, requests of handlers, and errors.

use std::time::Duration;

use exorelay::broker::{self, Broker};
use exorelay::streams::{self, StoreKind, Streams};
use exorelay::{Config, Context, Message, Relay, Service, bus};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::stage::Process;

const SECOND: Duration = Duration::from_secs(1);

async fn broker_with_token() -> Process {
    Process::start("broker", &[("EXORELAY__BROKER__TOKENS", "web=letmein")]).await
}

async fn is_accepted(relay: &Relay) -> bool {
    tokio::time::timeout(SECOND, relay.ready()).await.is_ok()
}

/// The names that the only service of the broker receives.
async fn received(broker: &Process) -> Value {
    let services = reqwest::Client::new().get(format!("{}/services", broker.url("broker"))).bearer_auth("letmein");
    let services: Value = serde_json::from_str(&services.send().await.unwrap().text().await.unwrap()).unwrap();
    services["services"][0]["receives"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_in_bulk_undo_no_other_setting_before_or_after() {
    let broker = broker_with_token().await;
    let url = broker.url("broker");
    let single = |builder: exorelay::Builder| builder.bus(url.as_str()).token("letmein").receives(["b"]);
    let config = Config { receives: vec!["a".try_into().unwrap()], ..Config::default() };
    let bulk = |builder: exorelay::Builder| builder.config(config.clone()).bus_config(bus::Config::default());
    for builder in [bulk(single(Relay::builder("web"))), single(bulk(Relay::builder("web")))] {
        let relay = builder.connect().await.unwrap();
        assert!(is_accepted(&relay).await);
        assert_eq!(received(&broker).await, json!(["a", "b"]));
        relay.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_proves_its_role_with_a_token() {
    let broker = broker_with_token().await;
    let url = broker.url("broker").replace("http:", "ws:");
    let service = |token: Option<&str>| {
        let variables = token.map(|token| ("EXORELAY__BUS__TOKEN", token));
        Service::new("web").bus(url.as_str()).environment(variables)
    };
    for (service, expected) in [
        (service(None).token("letmein"), true),
        (service(Some("letmein")), true),
        (service(Some("wrong")).token("letmein"), true),
        (service(Some("wrong")), false),
        (service(None), false),
    ] {
        let relay = service.connect().await.unwrap();
        assert_eq!(is_accepted(&relay).await, expected);
        relay.close().await;
    }
    let error = service(None).token("two words").connect().await.map(drop).unwrap_err().to_string();
    assert!(error.contains("token: expected visible ASCII") && !error.contains("two words"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_opened_in_the_configured_store() {
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().join("streams").display().to_string();
    let config = streams::Config { store: StoreKind::Disk, data_dir, ..streams::Config::default() };
    let (path, request) = (streams::StreamPath::parse("notes").unwrap(), streams::CreateRequest::default());
    let streams = Streams::configured(config.clone()).await.unwrap();
    streams.create(&path, &request, "kept".into()).await.unwrap();
    streams.close().await;
    let streams = Streams::configured(config.clone()).await.unwrap();
    assert!(streams.describe(&path).is_ok());
    let error = Streams::configured(config.clone()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    streams.close().await;
    let missing = streams::Config { data_dir: String::new(), ..config };
    let error = Streams::configured(missing).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("data_dir is empty"), "{error}");
}

#[tokio::test]
async fn requests_of_a_handler_stay_in_its_conversation() {
    let broker = Broker::start(broker::Config { settle_ms: 0, ..broker::Config::default() });
    let (seen, mut messages) = mpsc::channel(8);
    let sent = seen.clone();
    let users = Relay::builder("users").broker(&broker).on("check", move |message: Message, context: Context| {
        let seen = seen.clone();
        async move {
            context.reply("checked", ()).await?;
            Ok(seen.send(message).await?)
        }
    });
    let users = users.on("note", move |message: Message, _| {
        let sent = sent.clone();
        async move { Ok(sent.send(message).await?) }
    });
    let orders = Relay::builder("orders").broker(&broker).on("order", |_: Message, context: Context| async move {
        context.request("check", 1).await?;
        context.send("note", 2).await?;
        context.reply("ordered", ()).await?;
        Ok(())
    });
    let (users, orders) = (users.connect().await.unwrap(), orders.connect().await.unwrap());
    let web = Relay::builder("web").broker(&broker).connect().await.unwrap();
    web.request("order", ()).activity("order-7").auth("ann").await.unwrap();
    let mut check = async |payload: u32, follows: bool| {
        let message = messages.recv().await.unwrap();
        assert_eq!(message.payload::<u32>().unwrap(), payload);
        assert_eq!(message.conversation().as_str() == "order-7", follows);
        assert_eq!(message.auth.map(|auth| auth.to_string()), follows.then(|| "\"ann\"".to_owned()));
        assert_eq!(message.properties.hops, 1);
        assert_eq!(message.response_to, None);
    };
    check(1, true).await;
    check(2, false).await;
    for relay in [web, orders, users] {
        relay.close().await;
    }
}

/// Checks that an error has a source, and that no text of the chain repeats a later one.
fn check_chain(error: &dyn std::error::Error, expected: &str) {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        texts.push(source.to_string());
        next = source.source();
    }
    assert!(texts.len() > 1, "{texts:?}");
    for (index, text) in texts.iter().enumerate() {
        assert!(texts[index + 1..].iter().all(|later| !text.contains(later.as_str())), "{texts:?}");
    }
    let whole = exorelay::chain(error);
    assert!(whole.contains(expected) && whole == texts.join(": "), "{whole}");
}

#[tokio::test]
async fn errors_name_their_sources_and_say_nothing_twice() {
    let web = Relay::builder("web").bus("http://127.0.0.1:1").connect().await.unwrap();
    check_chain(&web.request("hello", ()).await.unwrap_err(), "the bus is unreachable: cannot connect to 127.0.0.1:1");
    let wrong = std::collections::HashMap::from([((1, 2), 3)]);
    check_chain(&web.send("hello", wrong).await.unwrap_err(), "cannot be written as JSON: key must be a string");
    web.close().await;
    let listening = Relay::builder("web").listen("192.0.2.1:1").connect().await.map(drop).unwrap_err();
    check_chain(&listening, "cannot listen on 192.0.2.1:1; choose another address with Builder::listen: ");
    let landscape = exorelay::app::landscape::read(std::path::Path::new("/nowhere.toml")).unwrap_err();
    check_chain(&landscape, "cannot read the landscape /nowhere.toml: No such file");
}
