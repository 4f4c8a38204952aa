//! Calls that are repeated under an idempotency key.

use tokio::time::Instant;

use super::*;
use crate::message::{Delivery, Inbox, MessageId, MessageName};
use crate::relay::Requesting;

const SECOND: Duration = Duration::from_secs(1);

async fn online() -> World {
    let world = start(Config { idempotency_keys_max: 2, ..Config::default() }, false);
    world.relay.ready().await;
    world
}

fn reply(world: &World, number: usize, name: &str) -> Message {
    let (id, name) = (MessageId::parse(&format!("reply-{number}")).unwrap(), MessageName::parse(name).unwrap());
    Message { response_to: Some(world.published()[0].id.clone()), ..Message::new(id, name) }
}

impl World {
    fn ask(&self, timeout: Duration) -> Requesting {
        self.relay.request("pay", 1).idempotency_key("order-1").timeout(timeout)
    }

    async fn answer(&self, number: usize, name: &str) {
        self.run_tasks().await;
        let delivery = self.relay.deliver(reply(self, number, name)).wait().await;
        assert_eq!(delivery, Delivery::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_reply_belongs_to_the_key_no_matter_who_waits() {
    let world = online().await;
    let error = world.ask(SECOND).await.unwrap_err();
    assert!(matches!(error, Error::NoReply { .. }), "{error}");
    drop(tokio::time::timeout(SECOND, world.ask(30 * SECOND)).await);
    assert_eq!(world.relay.waiting(), 0);
    world.answer(1, "paid").await;
    tokio::time::sleep(100 * SECOND).await;
    for _ in 0..2 {
        assert_eq!(world.ask(SECOND).await.unwrap().id.as_str(), "reply-1");
    }
    world.check_published(&["pay"]);
}

#[tokio::test(start_paused = true)]
async fn each_caller_of_a_key_waits_for_its_own_timeout() {
    let world = online().await;
    let mut first = world.ask(2 * SECOND).into_future();
    assert!(futures_util::poll!(&mut first).is_pending());
    let start = Instant::now();
    let error = world.ask(SECOND / 10).await.unwrap_err().to_string();
    assert_eq!((error.as_str(), start.elapsed().as_millis()), ("no reply to pay within 100 ms", 100));
    world.answer(1, "paid").await;
    assert_eq!(first.await.unwrap().id.as_str(), "reply-1");
    world.check_published(&["pay"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_published_is_made_again_under_its_id() {
    let world = online().await;
    *world.bus.busy.lock().unwrap() = Some("pay");
    let error = world.ask(SECOND).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    *world.bus.busy.lock().unwrap() = None;
    tokio::time::sleep(100 * SECOND).await;
    let mut asking = world.ask(SECOND).into_future();
    assert!(futures_util::poll!(&mut asking).is_pending());
    world.answer(1, "paid").await;
    asking.await.unwrap();
    world.check_published(&["pay"]);
    let sent = &world.published()[0];
    assert_eq!(sent.properties.repeat_ms, 500_000, "the rest of the window");
    assert_eq!(sent.properties.reply_to.as_ref().unwrap().timeout_ms, sent.properties.repeat_ms);
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_reply_when_another_receiver_cannot_be_reached() {
    let world = online().await;
    let first = tokio::spawn(world.ask(SECOND).into_future());
    world.answer(1, "paid").await;
    first.await.unwrap().unwrap();
    let id = world.published()[0].id.clone();
    let name = MessageName::parse(crate::message::UNDELIVERED).unwrap();
    let notice = Message { response_to: Some(id), ..Message::new(MessageId::parse("notice").unwrap(), name) };
    assert_eq!(world.relay.deliver(notice).wait().await, Delivery::Accepted);
    assert_eq!(world.ask(SECOND).await.unwrap().id.as_str(), "reply-1");
    world.check_published(&["pay"]);
}

#[tokio::test(start_paused = true)]
async fn repeated_streams_of_replies_join_the_first() {
    let world = online().await;
    let mut first = world.ask(30 * SECOND).until("done").replies().unwrap();
    world.answer(1, "one").await;
    assert_eq!(first.next().await.unwrap().unwrap().id.as_str(), "reply-1");
    drop(first);
    let mut second = world.ask(30 * SECOND).until("done").replies().unwrap();
    world.answer(2, "done").await;
    assert_eq!(second.next().await.unwrap().unwrap().id.as_str(), "reply-1");
    assert_eq!(second.next().await.unwrap().unwrap().id.as_str(), "reply-2");
    assert!(second.next().await.is_none());
    assert_eq!(world.ask(SECOND).await.unwrap().id.as_str(), "reply-1");
    world.check_published(&["pay"]);
}

#[tokio::test(start_paused = true)]
async fn callbacks_under_one_key_send_once_and_each_gets_the_reply() {
    let world = online().await;
    let (called, calls) = (Arc::new(Mutex::new(Vec::new())), 2);
    for number in 0..calls {
        let called = Arc::clone(&called);
        let callback = move |reply: Message, _| {
            called.lock().unwrap().push((number, reply.id.to_string()));
            async {}
        };
        world.relay.send("pay", 1).idempotency_key("order-1").on_reply(callback).await.unwrap();
    }
    world.answer(1, "paid").await;
    world.run_tasks().await;
    called.lock().unwrap().sort();
    assert_eq!(*called.lock().unwrap(), [(0, "reply-1".into()), (1, "reply-1".into())]);
    world.check_published(&["pay"]);
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_caller_hung_up_is_not_sent_again() {
    let world = world(9);
    let send = || world.relay.send("pay", 1).idempotency_key("order-1").into_future().boxed();
    let mut first = send();
    assert!(futures_util::poll!(&mut first).is_pending());
    drop(first);
    let mut second = send();
    assert!(futures_util::poll!(&mut second).is_pending());
    world.log.answer(Ok(()));
    let id = second.await.unwrap();
    assert_eq!(send().await.unwrap(), id);
    world.run_tasks().await;
    world.check_published(&["pay"]);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_was_not_stored_is_sent_by_the_next_call_under_its_id() {
    let world = world(9);
    let send = || world.relay.send("pay", 1).idempotency_key("order-1").into_future().boxed();
    let mut first = send();
    assert!(futures_util::poll!(&mut first).is_pending());
    world.log.answer(Err(Error::Incoming("the disk is full".into())));
    assert_eq!(first.await.unwrap_err().to_string(), "the disk is full");
    let mut second = send();
    assert!(futures_util::poll!(&mut second).is_pending());
    world.log.answer(Ok(()));
    let id = second.await.unwrap();
    world.run_tasks().await;
    assert_eq!(world.published()[0].id, id);
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded_and_none_is_dropped_within_its_window() {
    let world = online().await;
    let send = |key: usize| world.relay.send("note", key).idempotency_key(key.to_string());
    let first = send(1).await.unwrap();
    send(2).await.unwrap();
    let error = send(3).await.unwrap_err().to_string();
    assert!(error.starts_with("the table of idempotency keys is full (limit 2): try again in "), "{error}");
    assert_eq!(send(1).await.unwrap(), first);
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_a_bounded_number_of_replies() {
    let world = online().await;
    let mut replies = world.ask(30 * SECOND).replies().unwrap();
    for number in 0..70 {
        world.answer(number, "part").await;
    }
    for _ in 0..64 {
        replies.next().await.unwrap().unwrap();
    }
    let error = replies.next().await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("the list of replies under one idempotency key is full (limit 64)"), "{error}");
    assert!(replies.next().await.is_none());
}
