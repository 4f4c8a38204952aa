//! Notices about the fate of messages.

use super::*;
use crate::message::{
    Delivery, FAILED, Failure, Inbox, MessageId, MessageName, Payload, ReplyTo, UNDELIVERED, Undeliverable,
};
use crate::relay::{Direction, Event};

fn notice(name: &str, about: &str, payload: &impl serde::Serialize) -> Message {
    let id = MessageId::parse(&format!("notice-{about}")).unwrap();
    Message {
        payload: Payload::of(payload).ok(),
        response_to: MessageId::parse(about).ok(),
        ..Message::new(id, MessageName::parse(name).unwrap())
    }
}

fn failure(id: &MessageId) -> Failure {
    Failure {
        id: id.clone(),
        name: MessageName::parse("ask").unwrap(),
        role: Role::parse("users").unwrap(),
        reason: "the disk is full".into(),
        payload: None,
    }
}

/// The message that comes back, a request if `is_request`.
fn undeliverable(is_request: bool) -> Undeliverable {
    let mut message = Message::new(MessageId::parse("lost").unwrap(), MessageName::parse("create").unwrap());
    if is_request {
        let web = InstanceId::parse("web-1").unwrap();
        message.properties.reply_to = Some(ReplyTo::new(web, Duration::from_secs(1), false));
    }
    Undeliverable {
        name: message.name.clone(),
        receiver: Role::parse("users").ok(),
        reason: "its lease has ended".into(),
        message: Payload::parse(message.to_json()).ok(),
    }
}

async fn deliver(world: &World, message: Message) {
    assert_eq!(world.relay.deliver(message).wait().await, Delivery::Accepted);
    world.run_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_a_request_a_stream_and_a_callback() {
    let world = start(Config::default(), false);
    let mut events = world.relay.events();
    let one = tokio::spawn(world.relay.request("ask", ()).into_future());
    world.run_tasks().await;
    let mut many = world.relay.request("ask", ()).replies().unwrap();
    world.relay.send("ask", ()).on_reply(|_, _| async { panic!("there is no reply") }).await.unwrap();
    world.run_tasks().await;
    for message in world.published() {
        deliver(&world, notice(FAILED, message.id.as_str(), &failure(&message.id))).await;
    }
    let expected = "'users' could not handle ask: the disk is full";
    assert_eq!(one.await.unwrap().unwrap_err().to_string(), expected);
    assert_eq!(many.next().await.unwrap().unwrap_err().to_string(), expected);
    assert!(many.next().await.is_none());
    assert!(matches!(events.next().await, Some(Event::Online { .. })));
    let Some(Event::Error(error)) = events.next().await else { panic!("expected an error") };
    assert_eq!((error.to_string().as_str(), world.relay.waiting()), (expected, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_kept_under_its_key() {
    let world = start(Config::default(), false);
    let ask = || world.relay.request("ask", ()).idempotency_key("k").into_future();
    let first = tokio::spawn(ask());
    world.run_tasks().await;
    let id = world.published()[0].id.clone();
    deliver(&world, notice(FAILED, id.as_str(), &failure(&id))).await;
    for asking in [first, tokio::spawn(ask())] {
        assert!(matches!(asking.await.unwrap(), Err(Error::Failed { .. })));
    }
    world.check_published(&["ask"]);
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_nobody_waits_for_is_counted_and_reaches_no_handler() {
    let world = start(Config::default(), false);
    let mut events = world.relay.events();
    let trap = |_, _| async { panic!("a notice is not for handlers") };
    world.relay.on_many([FAILED, UNDELIVERED].map(|name| (name, crate::relay::handler(trap)))).unwrap();
    let id = MessageId::parse("ended").unwrap();
    deliver(&world, notice(FAILED, "ended", &failure(&id))).await;
    deliver(&world, notice(FAILED, "gone", &"not a failure")).await;
    deliver(&world, notice(UNDELIVERED, "lost", &undeliverable(true))).await;
    assert!(matches!(events.next().await, Some(Event::Online { .. })));
    assert!(futures_util::poll!(Box::pin(events.next())).is_pending(), "they are no events");
    assert!(world.relay.dead_letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_back_is_a_dead_letter_that_can_be_sent_again() {
    let world = start(Config::default(), false);
    world.relay.ready().await;
    deliver(&world, notice(UNDELIVERED, "lost", &undeliverable(false))).await;
    let letters = world.relay.dead_letters();
    assert_eq!((letters.len(), letters[0].direction), (1, Direction::Outgoing));
    assert_eq!(letters[0].reason, "create could not be delivered: its lease has ended");
    world.relay.replay(letters[0].id).await.unwrap().unwrap();
    world.run_tasks().await;
    assert_eq!(world.published()[0].id.as_str(), "lost");
}

/// A request of the instance web-2.
fn request() -> Message {
    let mut message = Message::new(MessageId::parse("asked").unwrap(), MessageName::parse("ask").unwrap());
    let asker = InstanceId::parse("web-2").unwrap();
    message.properties.reply_to = Some(ReplyTo::new(asker, Duration::from_secs(30), false));
    message
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_the_bus_refuses_fails_its_request() {
    let world = start(Config::default(), false);
    *world.bus.unknown.lock().unwrap() = vec!["answer"];
    let answer = |_, context: crate::relay::Context| async move { Ok(context.reply("answer", ()).await.map(drop)?) };
    world.relay.on("ask", answer).unwrap();
    world.relay.ready().await;
    deliver(&world, request()).await;
    world.check_published(&[FAILED]);
    let notice = &world.published()[0];
    assert_eq!(notice.response_to.as_ref().unwrap().as_str(), "asked");
    assert_eq!((notice.properties.to.as_ref().unwrap().as_str(), notice.properties.hops), ("web-2", 1));
    let reason = notice.payload::<Failure>().unwrap().reason;
    assert_eq!(
        reason,
        "its reply was not sent: no service receives 'answer': check the name, and that its service is registered"
    );
    let letters = world.relay.dead_letters();
    assert_eq!((letters.len(), letters[0].message.name.as_str()), (1, "answer"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_answer_that_names_only_the_id_of_its_request_fails_it_too() {
    let world = start(Config::default(), false);
    *world.bus.unknown.lock().unwrap() = vec!["answer"];
    world.relay.on("ask", |_, _| async { Ok(()) }).unwrap();
    world.relay.ready().await;
    deliver(&world, request()).await;
    let mut answer = Message::new(MessageId::parse("answer-1").unwrap(), MessageName::parse("answer").unwrap());
    answer.response_to = Some(MessageId::parse("asked").unwrap());
    world.relay.forward(answer).await.unwrap();
    world.run_tasks().await;
    world.check_published(&[FAILED]);
    let notice = &world.published()[0];
    assert_eq!(notice.response_to.as_ref().unwrap().as_str(), "asked");
    assert_eq!((notice.properties.to.as_ref().unwrap().as_str(), notice.properties.hops), ("web-2", 1));
}

#[tokio::test(start_paused = true)]
async fn the_notice_of_a_failure_whose_requester_is_gone_is_counted_only() {
    let world = start(Config::default(), false);
    *world.bus.unknown.lock().unwrap() = vec![FAILED];
    world.relay.on("ask", |_, _| async { Err("the disk is full".into()) }).unwrap();
    world.relay.ready().await;
    let mut events = world.relay.events();
    deliver(&world, request()).await;
    let lost = Message::new(MessageId::parse("lost").unwrap(), MessageName::parse(FAILED).unwrap());
    let undeliverable = Undeliverable { message: Payload::parse(lost.to_json()).ok(), ..undeliverable(false) };
    deliver(&world, notice(UNDELIVERED, "lost", &undeliverable)).await;
    let letters: Vec<_> = world.relay.dead_letters().into_iter().map(|letter| letter.direction).collect();
    assert_eq!(letters, [Direction::Incoming], "the request that failed");
    assert!(matches!(events.next().await, Some(Event::Online { .. })));
    assert!(matches!(events.next().await, Some(Event::Error(Error::HandlerFailed { .. }))));
    assert!(futures_util::poll!(Box::pin(events.next())).is_pending(), "the notices are no events");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_came_back_is_sent_by_the_next_call_under_its_key() {
    let world = start(Config::default(), false);
    let send = || world.relay.send("create", 1).idempotency_key("order-1");
    let id = send().await.unwrap();
    assert_eq!(send().await.unwrap(), id);
    world.run_tasks().await;
    deliver(&world, notice(UNDELIVERED, id.as_str(), &undeliverable(false))).await;
    assert_eq!(world.relay.dead_letters().len(), 1);
    assert_eq!(send().await.unwrap(), id);
    world.run_tasks().await;
    let published: Vec<_> = world.published().into_iter().map(|message| message.id).collect();
    assert_eq!(published, [id.clone(), id]);
}
