//! Callbacks for replies, and streams of them.

use super::*;
use crate::message::{Inbox, MessageId, MessageName};
use crate::relay::{Context, Event, Replied};

/// Answers the published message number `index`.
async fn answer(world: &World, index: usize, name: &str) {
    world.run_tasks().await;
    let id = MessageId::parse(&format!("{name}-{index}")).unwrap();
    let reply = Message::new(id, MessageName::parse(name).unwrap());
    let request = world.published()[index].id.clone();
    drop(world.relay.deliver(Message { response_to: Some(request), ..reply }).wait().await);
    world.run_tasks().await;
}

/// Names of the replies for which a callback has run.
type Called = Arc<Mutex<Vec<String>>>;

/// Sends "ask" with a callback that panics if the reply is called "trap".
fn ask(world: &World) -> (Called, Replied<impl Fn(Message, Context) -> futures_util::future::Ready<()> + use<>>) {
    let called = Called::default();
    let record = Arc::clone(&called);
    let callback = move |reply: Message, _| {
        record.lock().unwrap().push(reply.name.to_string());
        assert_ne!(reply.name.as_str(), "trap", "it steps into the trap");
        futures_util::future::ready(())
    };
    (called, world.relay.send("ask", ()).on_reply(callback))
}

#[tokio::test(start_paused = true)]
async fn a_callback_ends_with_its_first_reply() {
    let world = start(Config::default(), false);
    let (called, asking) = ask(&world);
    asking.await.unwrap();
    answer(&world, 0, "one").await;
    assert_eq!((called.lock().unwrap().join(" ").as_str(), world.relay.waiting()), ("one", 0));
    let begin = tokio::time::Instant::now();
    assert_eq!(world.relay.close_within(Duration::from_secs(4)).await, 0);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_callback_ends_with_its_last_reply() {
    let world = start(Config::default(), false);
    for (index, (asking, expected)) in [
        (ask(&world).1.at_most(2), ["one", "two"].as_slice()),
        (ask(&world).1.until("two"), &["one", "two"]),
        (ask(&world).1.until("two").at_most(1), &["one"]),
    ]
    .into_iter()
    .enumerate()
    {
        asking.await.unwrap();
        for name in expected {
            assert_eq!(world.relay.waiting(), 1, "{name}");
            answer(&world, index, name).await;
        }
        assert_eq!(world.relay.waiting(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_ends_at_its_timeout_and_reports_that_nothing_came() {
    let world = start(Config::default(), false);
    let mut events = world.relay.events();
    let second = Duration::from_secs(1);
    ask(&world).1.timeout(second).await.unwrap();
    tokio::time::sleep(second).await;
    world.run_tasks().await;
    assert_eq!(world.relay.waiting(), 0);
    assert!(matches!(events.next().await, Some(Event::Online { .. })));
    let Some(Event::Error(error)) = events.next().await else { panic!("expected an error") };
    assert_eq!(error.to_string(), "no reply to ask within 1000 ms");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_is_reported_and_later_replies_still_come() {
    let world = start(Config::default(), false);
    let mut events = world.relay.events();
    let (called, asking) = ask(&world);
    asking.until("done").await.unwrap();
    for name in ["trap", "one", "done"] {
        answer(&world, 0, name).await;
    }
    assert_eq!(called.lock().unwrap().join(" "), "trap one done");
    assert!(matches!(events.next().await, Some(Event::Online { .. })));
    let Some(Event::Error(error)) = events.next().await else { panic!("expected an error") };
    let text = error.to_string();
    assert!(text.contains("the callback for its replies panicked") && text.contains("into the trap"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_acceptance_of_a_callback_ends_at_the_timeout() {
    let world = world(9);
    let error = ask(&world).1.timeout(Duration::from_secs(1)).await.unwrap_err().to_string();
    assert_eq!(error, "no reply to ask within 1000 ms");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_last_name_is_an_error() {
    let world = start(Config::default(), false);
    let errors = [
        ask(&world).1.until("r\n").await.unwrap_err(),
        world.relay.request("ask", ()).until("r\n").await.unwrap_err(),
        world.relay.request("ask", ()).until("").replies().map(drop).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| matches!(error, Error::Name(_))), "{errors:?}");
    world.run_tasks().await;
    world.check_published(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_ended_takes_no_further_replies() {
    let world = start(Config::default(), false);
    let mut replies = world.relay.request("ask", ()).at_most(1).replies().unwrap();
    answer(&world, 0, "one").await;
    assert_eq!(replies.next().await.unwrap().unwrap().name.as_str(), "one");
    assert_eq!(world.relay.waiting(), 0, "it takes nothing more, though it is not dropped");
    assert!(replies.next().await.is_none());
    assert_eq!(replies.id(), &world.published()[0].id);
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_a_stream_whose_replies_are_not_read() {
    let world = start(Config::default(), false);
    *world.bus.busy.lock().unwrap() = Some("ask");
    let mut replies = world.relay.request("ask", ()).replies().unwrap();
    world.run_tasks().await;
    assert!(matches!(replies.next().await, Some(Err(Error::Busy { .. }))));
    assert!(replies.next().await.is_none());
}
