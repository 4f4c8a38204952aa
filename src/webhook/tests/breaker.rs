//! A service that goes down and comes back.

use std::time::Duration;

use super::service::{Reaction, answer};
use super::world::{World, message, quick};
use crate::relay::{Error, Event, Events};
use crate::webhook::Config;

fn config() -> Config {
    Config { breaker_failures: 3, breaker_open_ms: 100, breaker_open_max_ms: 150, ..quick() }
}

fn failures(count: usize) -> impl Iterator<Item = Reaction> {
    std::iter::repeat_n(answer(503, "boom").into(), count)
}

/// Returns the next event about the service.
async fn next(events: &mut Events) -> String {
    let found = async {
        loop {
            match events.next().await.unwrap() {
                Event::Error(error @ Error::ServiceAway { .. }) => return error.to_string(),
                Event::Error(_) | Event::Online { .. } | Event::Offline => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.expect("each opening of the breaker is announced")
}

#[tokio::test]
async fn calls_to_a_dead_service_pause_and_its_messages_wait() {
    // One call at a time, so that the failures are consecutive.
    let world = World::start(Config { concurrent_max: 1, ..config() }, failures(5)).await;
    let mut events = world.relay.events();
    let ids: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let handled = futures_util::future::join_all(ids.iter().map(|id| world.handle(message(id)))).await;
    assert!(handled.iter().all(Result::is_ok), "{handled:?}");
    // Each opening of the breaker is announced; probes are single calls.
    let authority = world.service.url.trim_start_matches("http://");
    for _ in ["opened", "first probe", "second probe"] {
        let expected = format!("the service at {authority} is not responding: the service answered 503: boom");
        assert_eq!(next(&mut events).await, expected);
    }
    assert_eq!(world.service.calls().len(), 25);
    assert_eq!(world.webhook.trouble(), None);
    assert_eq!(world.metrics.breaker_open.get(), 0);
}

#[tokio::test]
async fn an_open_breaker_is_reported_as_service_trouble() {
    let config = Config { breaker_open_ms: 60_000, deadline_ms: 300, ..config() };
    let world = World::start(config, failures(100)).await;
    assert_eq!(world.relay.service_error(), None);
    let reason = world.handle(message("1")).await.unwrap_err();
    let held = ": calls to the service are paused: the service answered 503: boom";
    assert!(reason.starts_with("gave up after 3 attempts in ") && reason.ends_with(held), "{reason}");
    let authority = world.service.url.trim_start_matches("http://");
    let trouble = format!("the service at {authority} is not responding: the service answered 503: boom");
    assert_eq!(world.relay.service_error(), Some(trouble));
    assert_eq!(world.metrics.breaker_open.get(), 1);
    // A message that arrives now waits as well and is never attempted.
    let reason = world.handle(message("2")).await.unwrap_err();
    assert!(reason.starts_with("gave up after 0 attempts in "), "{reason}");
    assert_eq!(world.service.calls().len(), 3);
}

#[tokio::test]
async fn probes_run_one_at_a_time() {
    let world = World::start(Config { breaker_failures: 1, ..config() }, failures(4)).await;
    let mut events = world.relay.events();
    assert_eq!(world.handle(message("1")).await, Ok(()));
    for _ in 0..4 {
        next(&mut events).await;
    }
    assert_eq!(world.service.calls().len(), 5);
    assert_eq!(world.service.concurrent_peak(), 1);
}

#[tokio::test]
async fn a_service_that_asks_to_wait_is_not_dead() {
    let busy = std::iter::repeat_n(answer(429, "").into(), 10);
    let world = World::start(Config { breaker_open_ms: 60_000, ..config() }, busy).await;
    assert_eq!(world.handle(message("1")).await, Ok(()));
    assert_eq!(world.service.calls().len(), 11);
}
