//! Messages that a relay has accepted and has not begun to handle when it is closed.

use super::*;
use crate::message::{Delivery, Inbox, MessageId, MessageName};

async fn closed_with_a_waiting_message(unknown: &[&'static str], receives: &str) -> (World, usize) {
    let receives = vec![MessageName::parse(receives).unwrap()];
    let world = start(Config { handlers_concurrent_max: 1, receives, ..Config::default() }, false);
    world.bus.unknown.lock().unwrap().extend(unknown);
    world.relay.on("slow", |_, _| std::future::pending()).unwrap();
    world.relay.on("note", |_, _| async { Ok(()) }).unwrap();
    world.relay.ready().await;
    for name in ["slow", "note", "unread"] {
        let message = Message::new(MessageId::parse(name).unwrap(), MessageName::parse(name).unwrap());
        if name == "unread" && !world.relay.config().receives.contains(&message.name) {
            continue;
        }
        assert_eq!(world.relay.deliver(message).wait().await, Delivery::Accepted);
    }
    let left = world.relay.close_within(Duration::from_secs(1)).await;
    (world, left)
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_the_relay_closes_goes_to_another_instance() {
    let (world, left) = closed_with_a_waiting_message(&[], "unread").await;
    // The handler that runs is ended for it, since nobody waits for a reply.
    world.check_published(&["note", "unread", "slow"]);
    assert!(world.published().iter().all(|message| message.properties.returned));
    assert!(world.relay.dead_letters().is_empty());
    assert!(world.published().iter().all(|message| message.properties.leaving));
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_the_last_instance_closes_becomes_a_dead_letter() {
    let (world, left) = closed_with_a_waiting_message(&["note", "unread", "slow"], "unread").await;
    world.check_published(&[]);
    let letters = world.relay.dead_letters();
    assert_eq!(letters.iter().map(|letter| letter.message.name.as_str()).collect::<Vec<_>>(), ["note", "unread"]);
    assert_eq!(letters[0].reason, "the relay of the service was closed before the message was handled");
    assert_eq!(left, 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_open_when_the_relay_closes_fails_and_counts_as_left() {
    let world = start(Config::default(), false);
    world.relay.ready().await;
    let ask = |key: Option<&str>| {
        let request = world.relay.request("ask", ()).timeout(Duration::from_secs(60));
        match key {
            Some(key) => request.idempotency_key(key).into_future(),
            None => request.into_future(),
        }
    };
    let (own, keyed) = (tokio::spawn(ask(None)), tokio::spawn(ask(Some("order-1"))));
    world.run_tasks().await;
    assert_eq!(world.relay.close_within(Duration::from_secs(1)).await, 2);
    for request in [own, keyed] {
        let outcome = request.await.unwrap();
        assert!(matches!(outcome, Err(Error::Closed)), "{outcome:?}");
    }
}
