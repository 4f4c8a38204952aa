//! Tests with services of the HTTP era and relays that use HTTP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::Register;
use crate::relay::{Config, Context, Relay};
use crate::testing::{Error, MockBroker};

/// Connects a relay of `role` that replies to `ping` with `pong`.
async fn pinger(broker: &MockBroker, role: &str, register: Register) -> Relay {
    let relay = Relay::builder(role).bus(broker.url()).register(register).connect().await.unwrap();
    relay
        .on("ping", |_, context: Context| async move {
            context.reply("pong", "from the handler").await?;
            Ok(())
        })
        .unwrap();
    relay
}

#[tokio::test]
async fn a_relay_registers_itself_and_deregisters_on_close() {
    let broker = MockBroker::start().await.unwrap();
    assert!(!broker.knows("users"));
    let relay = pinger(&broker, "users", Register::Auto).await;
    broker.wait_until_known("users").await.unwrap();
    relay.close().await;
    assert!(!broker.knows("users"));
}

#[tokio::test]
async fn a_service_that_does_not_register_is_registered_by_the_test() {
    let broker = MockBroker::start().await.unwrap();
    let relay = pinger(&broker, "users", Register::Off).await;
    assert!(!broker.knows("users"));
    broker.register("users", relay.address().unwrap()).unwrap();
    let ping = broker.send("users", "ping").auth("session-1").await.unwrap();
    assert_eq!(broker.last_response_code(), Some(200));
    let pong = broker.wait_until_received("pong").await.unwrap();
    assert_eq!(pong.payload::<String>().unwrap(), "from the handler");
    assert_eq!((pong.response_to, pong.activity_id), (Some(ping.id), ping.activity_id));
    assert_eq!(pong.auth.unwrap().to::<String>().unwrap(), "session-1");
    assert_eq!(pong.sender.unwrap().as_str(), "users");
}

#[tokio::test]
async fn the_response_code_tells_an_unknown_message_from_an_unknown_service() {
    let broker = MockBroker::start().await.unwrap();
    let _relay = pinger(&broker, "users", Register::Auto).await;
    broker.wait_until_known("users").await.unwrap();
    broker.send("users", "zonk").await.unwrap();
    assert_eq!(broker.last_response_code(), Some(404));
    let error = broker.send("zonk", "ping").await.unwrap_err();
    assert_eq!(error.to_string(), "unknown service: 'zonk'");
    broker.register("gone", "127.0.0.1:1").unwrap();
    let error = broker.send("gone", "ping").await.unwrap_err();
    assert!(matches!(error, Error::Away { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot deliver ping to the service 'gone': cannot connect to 127.0.0.1:1"));
}

#[tokio::test]
async fn single_and_batched_messages_are_recorded_in_order() {
    let broker = MockBroker::start().await.unwrap();
    for config in [Config::default(), Config { batch_messages_max: 1, ..Config::default() }] {
        let relay = Relay::builder("web").config(config).bus(broker.url()).connect().await.unwrap();
        for number in 0..50 {
            relay.send("count", number).await.unwrap();
        }
        let counted = broker.wait_until_received_times("count", 50).await.unwrap();
        let numbers: Vec<u32> = counted.iter().map(|message| message.payload().unwrap()).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        assert_eq!(broker.received(), counted);
        relay.close().await;
        broker.reset();
        assert!(broker.received().is_empty());
    }
}

#[tokio::test]
async fn a_configured_reply_reaches_the_relay_that_asked() {
    let broker = MockBroker::start().await.unwrap();
    broker.reply_to("users.create", "users.created", json!({ "id": 456 })).unwrap();
    let other = pinger(&broker, "web", Register::Auto).await;
    let relay = pinger(&broker, "web", Register::Auto).await;
    for relay in [&relay, &other] {
        let created = relay.request("users.create", "Will").auth(7).await.unwrap();
        assert_eq!(created.name.as_str(), "users.created");
        assert_eq!(created.payload::<Value>().unwrap(), json!({ "id": 456 }));
        assert_eq!(created.auth.unwrap().to::<u8>().unwrap(), 7);
    }
    assert_eq!(broker.received().len(), 2);
}

#[tokio::test]
async fn a_cut_relay_registers_again_and_loses_nothing() {
    let broker = MockBroker::start().await.unwrap();
    let relay = pinger(&broker, "users", Register::Auto).await;
    broker.register("other", "127.0.0.1:1").unwrap();
    broker.drop_connections();
    assert!(!broker.knows("users"));
    assert!(broker.knows("other"));
    relay.send("hello", ()).await.unwrap();
    broker.wait_until_received("hello").await.unwrap();
    assert!(broker.knows("users"));
}

#[tokio::test]
async fn a_wait_times_out_and_lists_what_was_received_instead() {
    let broker = MockBroker::start().await.unwrap().patience(Duration::from_millis(50));
    let error = broker.received_anything().await.unwrap_err();
    assert_eq!(error.to_string(), "no message was received within 50 ms; received: none; known services: none");
    let relay = Relay::builder("web").bus(broker.url()).connect().await.unwrap();
    relay.send("hello", ()).await.unwrap();
    let broker = broker.patience(Duration::from_secs(10));
    assert_eq!(broker.received_anything().await.unwrap().name.as_str(), "hello");
    let broker = broker.patience(Duration::from_millis(50));
    let error = broker.wait_until_received("pong").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the message 'pong' was not received within 50 ms; received: 'hello' from 'web'; known services: 'web'"
    );
    let error = broker.wait_until_known("users").await.unwrap_err();
    assert!(error.to_string().starts_with("no service of the role 'users' registered within 50 ms; "), "{error}");
    broker.reset();
    assert!(broker.received_anything().await.is_err());
}

#[tokio::test]
async fn close_stops_listening_and_can_be_called_twice() {
    let broker = MockBroker::start().await.unwrap();
    let relay = Relay::builder("web").bus(broker.url()).connect().await.unwrap();
    relay.send("hello", ()).await.unwrap();
    broker.wait_until_received("hello").await.unwrap();
    broker.close().await;
    broker.close().await;
    assert!(tokio::net::TcpStream::connect(broker.address()).await.is_err());
    assert!(!broker.knows("web"));
    assert_eq!(broker.received().len(), 1);
    assert!(matches!(broker.send("web", "ping").await, Err(Error::UnknownService(_))));
}

#[tokio::test]
async fn dropping_the_broker_closes_it() {
    let broker = MockBroker::start().await.unwrap();
    let address = broker.address();
    drop(broker);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "it still listens");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn invalid_addresses_names_and_payloads_are_errors() {
    let broker = MockBroker::start().await.unwrap();
    for address in ["users", "", "https://users:1", "http://users", "a b:1"] {
        let error = broker.register("users", address).unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{address}: {error}");
    }
    assert_eq!(broker.register("", "127.0.0.1:1").unwrap_err().to_string(), "the role is empty");
    broker.register("users", "http://127.0.0.1:1").unwrap();
    for error in [
        broker.send("users", "").await.unwrap_err(),
        broker.send("users", "a").activity("").await.unwrap_err(),
        broker.send("users", "a").id("\n").await.unwrap_err(),
        broker.reply_to("", "b", ()).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Text(_)), "{error}");
    }
    let unwritable = std::collections::HashMap::from([(vec![1], 1)]);
    let error = broker.send("users", "a").payload(unwritable).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot send a: the payload cannot be written as JSON: "), "{error}");
}
