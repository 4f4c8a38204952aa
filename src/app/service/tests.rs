//! Services with a mock broker: hooks, messages that wait for them, and errors at the start.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::Service;
use crate::app::Error;
use crate::message::Message;
use crate::relay::{Context, Relay};
use crate::testing::MockBroker;

/// A service that replies to `ping` with `pong`.
fn pinger(broker: &MockBroker) -> Service {
    Service::new("pinger").environment([("", ""); 0]).bus(broker.url()).on("ping", |_, context: Context| async move {
        context.reply("pong", ()).await?;
        Ok(())
    })
}

/// Waits for a dead letter.
async fn dead_letter(relay: &Relay) -> String {
    let mut events = relay.events();
    loop {
        match relay.dead_letters().pop() {
            Some(letter) => return format!("{}: {}", letter.message.name, letter.reason),
            None => drop(events.next().await),
        }
    }
}

async fn check_refused(service: Service, expected: &str) {
    let error = service.connect().await.map(drop).unwrap_err();
    assert_eq!(crate::chain::chain(&error), expected);
}

#[tokio::test]
async fn messages_wait_for_the_hooks() {
    let broker = MockBroker::start().await.unwrap();
    let (release, held) = oneshot::channel::<()>();
    let service = pinger(&broker).before_all(|relay: Relay| async move {
        relay.send("hook has begun", ()).await?;
        held.await?;
        relay.send("hook has ended", ()).await?;
        Ok(())
    });
    let starting = tokio::spawn(service.connect());
    broker.wait_until_received("hook has begun").await.unwrap();
    broker.send("pinger", "ping").await.unwrap();
    assert_eq!(broker.last_response_code(), Some(200), "it is queued");
    release.send(()).unwrap();
    broker.wait_until_received("pong").await.unwrap();
    let names: Vec<String> = broker.received().iter().map(|message| message.name.to_string()).collect();
    assert_eq!(names, ["hook has begun", "hook has ended", "pong"]);
    starting.await.unwrap().unwrap().close().await;
}

#[tokio::test]
async fn hooks_can_send_requests() {
    let broker = MockBroker::start().await.unwrap();
    broker.reply_to("configuration.get", "configuration", "loud").unwrap();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (first, second) = (calls.clone(), calls.clone());
    let service = pinger(&broker)
        .before_all(|relay: Relay| async move {
            let configuration: Message = relay.request("configuration.get", ()).await?;
            first.lock().unwrap().push(configuration.payload::<String>()?);
            Ok(())
        })
        .before_all(|_| async move {
            second.lock().unwrap().push("second".into());
            Ok(())
        });
    let _relay = service.connect().await.unwrap();
    assert_eq!(*calls.lock().unwrap(), ["loud", "second"]);
}

#[tokio::test]
async fn no_message_reaches_a_hook() {
    let broker = MockBroker::start().await.unwrap();
    let _relay = pinger(&broker).before_all(|_| async { Ok(()) }).connect().await.unwrap();
    for name in ["before-all", "beforeAll", "before_all"] {
        broker.send("pinger", name).await.unwrap();
        assert_eq!(broker.last_response_code(), Some(404), "{name}");
    }
}

#[tokio::test]
async fn a_service_whose_hook_fails_does_not_start() {
    let broker = MockBroker::start().await.unwrap();
    let (sender, started) = oneshot::channel();
    let (release, held) = oneshot::channel::<()>();
    let service = pinger(&broker).before_all(|relay: Relay| async move {
        sender.send(relay).map_err(|_| "the test is over")?;
        held.await?;
        Err("the database is away".into())
    });
    let starting = tokio::spawn(service.connect());
    let relay = started.await.unwrap();
    broker.send("pinger", "ping").await.unwrap();
    release.send(()).unwrap();
    let error = starting.await.unwrap().map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the service cannot start: before_all failed: the database is away");
    assert_eq!(dead_letter(&relay).await, "ping: the service stopped before it handled its first message");
    assert!(!broker.knows("pinger"));
    let panicking = pinger(&broker).before_all(|_| async { panic!("of all things") });
    check_refused(panicking, "the service cannot start: before_all failed: it panicked").await;
}

#[tokio::test]
async fn connect_reports_wrong_handlers_and_a_missing_role() {
    let broker = MockBroker::start().await.unwrap();
    let again = pinger(&broker).on("ping", |_, _| async { Ok(()) });
    let twice =
        "there is already a handler for message 'ping': a name has one handler, give the second one another name";
    check_refused(again, twice).await;
    let unnamed = pinger(&broker).on("", |_, _| async { Ok(()) });
    let nameless = "cannot send this message: the message name is empty; give it a name such as \"users.create\"";
    check_refused(unnamed, nameless).await;
    let error = Service::new("").environment([("", ""); 0]).connect().await.map(drop).unwrap_err();
    assert!(matches!(error, Error::Environment { variable: "ROLE", .. }), "{error}");
}
