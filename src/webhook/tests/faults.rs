//! Services that hang, reset connections, send garbage or flood.

use std::time::Instant;

use tokio::net::TcpListener;

use super::service::{Reaction, Service, answer};
use super::world::{World, message, quick};
use crate::webhook::Config;

/// Returns settings with a short deadline.
fn short() -> Config {
    Config { deadline_ms: 600, timeout_ms: 100, ..quick() }
}

/// Delivers one message and expects a dead letter after more than one attempt, with `expected` in its reason.
async fn check_gives_up(config: Config, script: impl IntoIterator<Item = Reaction>, expected: &str) {
    let world = World::start(config, script).await;
    let reason = world.handle(message("1")).await.unwrap_err();
    let attempts = reason.strip_prefix("gave up after ").unwrap().split(' ').next().unwrap();
    assert!(attempts.parse::<u32>().unwrap() > 1, "{reason}");
    assert!(reason.contains(expected), "{reason}");
}

#[tokio::test]
async fn a_service_that_always_hangs_makes_a_dead_letter() {
    check_gives_up(short(), std::iter::repeat_n(Reaction::Hang, 100), "did not answer within ").await;
}

#[tokio::test]
async fn a_service_that_hangs_once_is_called_again() {
    let world = World::start(Config { timeout_ms: 500, ..quick() }, [Reaction::Hang]).await;
    assert_eq!(world.handle(message("1")).await, Ok(()));
    assert_eq!(world.service.calls().len(), 2);
}

#[tokio::test]
async fn a_service_that_always_fails_makes_a_dead_letter_with_its_last_answer() {
    let script = std::iter::repeat_n(answer(500, "boom").into(), 10_000);
    check_gives_up(short(), script, "the service answered 500: boom").await;
}

#[tokio::test]
async fn an_unreachable_service_makes_a_dead_letter() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = Config { forward: format!("http://{closed}"), ..short() };
    check_gives_up(config, [], &format!("cannot connect to {closed}: ")).await;
}

#[tokio::test]
async fn a_service_that_resets_every_connection_makes_a_dead_letter() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Closing with the request unread resets the connection.
            stream.readable().await.unwrap();
        }
    });
    let config = Config { forward: format!("http://{address}"), ..short() };
    check_gives_up(config, [], &format!("the connection to {address} broke: ")).await;
}

#[tokio::test]
async fn an_oversized_answer_is_cut_off_and_not_retried() {
    let flood = answer(200, vec![b'x'; 10_000_000]).header("content-type", "application/json");
    let world = World::start(Config { timeout_ms: 5_000, ..quick() }, [flood.into()]).await;
    let reason = world.handle(message("1")).await.unwrap_err();
    assert!(reason.contains("its reply cannot be read: the answer of "), "{reason}");
    assert!(reason.ends_with("(200 OK) is over the limit of 1024 bytes"), "{reason}");
    assert_eq!(world.handle(message("2")).await, Ok(()));
    assert_eq!(world.service.calls().len(), 2);
}

#[tokio::test]
async fn an_oversized_error_answer_counts_as_a_failure() {
    let world = World::start(quick(), [answer(500, vec![b'x'; 10_000_000]).into()]).await;
    assert_eq!(world.handle(message("1")).await, Ok(()));
    assert_eq!(world.service.calls().len(), 2);
}

#[tokio::test]
async fn redirects_are_never_followed() {
    let private = Service::start([]).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = answer(status, "").header("location", format!("{}/admin", private.url));
        let world = World::start(quick(), [redirect.into()]).await;
        let reason = world.handle(message("1")).await.unwrap_err();
        let location = format!("{}/admin", private.url);
        let expected =
            format!("the service answered with redirect {status} to {location:?}; redirects are never followed");
        assert_eq!(reason, expected);
        assert_eq!(world.service.calls().len(), 1);
    }
    assert_eq!(private.calls().len(), 0);
}

#[tokio::test]
async fn a_garbage_answer_never_panics() {
    for body in [&b"\xff\xfe"[..], b"[[[[", b"\xef\xbb\xbf\xef\xbb\xbf"] {
        let script = [answer(200, body).header("content-type", "application/json").into()];
        assert_eq!(World::start(quick(), script).await.handle(message("1")).await, Ok(()));
    }
    for body in [&b"{\"reply\":\"\xff\"}"[..], b"{\"reply\":{\"name\":\"\\ud800\"}}", b"{\"reply\":"] {
        let script = [answer(200, body).header("content-type", "application/json").into()];
        let world = World::start(quick(), script).await;
        let reason = world.handle(message("1")).await.unwrap_err();
        assert!(reason.starts_with("the service handled the message, but its reply cannot be sent: "), "{reason}");
    }
}

#[tokio::test]
async fn concurrent_calls_are_limited() {
    let world = World::start(Config { concurrent_max: 3, ..quick() }, []).await;
    let ids: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let handled = futures_util::future::join_all(ids.iter().map(|id| world.handle(message(id)))).await;
    assert!(handled.iter().all(Result::is_ok), "{handled:?}");
    assert_eq!(world.service.calls().len(), 50);
    assert!((1..=3).contains(&world.service.concurrent_peak()), "{}", world.service.concurrent_peak());
}

#[tokio::test]
async fn a_message_waiting_for_its_next_attempt_does_not_block_others() {
    let script = [answer(503, "").header("retry-after", "1").into()];
    let world = World::start(Config { concurrent_max: 1, ..quick() }, script).await;
    let ended = |outcome: Result<(), String>| (outcome, Instant::now());
    let (first, second) = tokio::join!(async { ended(world.handle(message("1")).await) }, async {
        while world.service.calls().is_empty() {
            tokio::task::yield_now().await;
        }
        ended(world.handle(message("2")).await)
    });
    assert_eq!((&first.0, &second.0), (&Ok(()), &Ok(())));
    assert!(second.1 < first.1, "the second message waited for the first one's retry");
}
