//! Ways back of replies, and instances whose service does not answer.

use super::model::Bench;
use super::{message, publish, small, stable};
use crate::broker::config::Config;
use crate::message::{FAILED, InstanceId, Message, MessageId, MessageName, Properties, ReplyTo, Verdict};

const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(90);

/// A request of the instance "i0" of web.
fn request(id: &str) -> Message {
    let reply_to = Some(ReplyTo::new(InstanceId::parse("i0").unwrap(), TIMEOUT, false));
    Message { properties: Properties { reply_to, ..Properties::default() }, ..message(id, "created") }
}

fn reply(id: &str, request: &str) -> Message {
    Message { response_to: MessageId::parse(request).ok(), ..message(id, "zonk") }
}

fn ids(bench: &Bench, instance: usize) -> Vec<&str> {
    bench.arrived[instance].iter().map(|(_, id)| id.as_str()).collect()
}

#[test]
fn a_reply_overtakes_the_full_queue_of_its_requester() {
    let mut bench = small(stable());
    bench.register(0);
    assert_eq!(publish(&mut bench, Some("i0"), request("ask")), Verdict::Accepted);
    for id in ["1", "2"] {
        assert_eq!(publish(&mut bench, None, message(id, "create")), Verdict::Accepted);
    }
    assert!(matches!(publish(&mut bench, None, message("3", "create")), Verdict::Busy { .. }));
    assert_eq!(publish(&mut bench, Some("i2"), reply("answer", "ask")), Verdict::Accepted);
    bench.round(0, usize::MAX);
    assert_eq!(ids(&bench, 0), ["answer", "ask", "1", "2"]);
    // The request is answered now: what else is sent in reply to it has to wait like everything else.
    (4..7).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "create"))));
    assert!(matches!(publish(&mut bench, Some("i2"), reply("late", "ask")), Verdict::Busy { .. }));
}

#[test]
fn a_reply_waits_for_a_requester_that_is_away_for_a_moment() {
    let mut bench = small(stable());
    bench.register(0);
    publish(&mut bench, Some("i0"), request("ask"));
    bench.leave(0);
    assert_eq!(publish(&mut bench, Some("i2"), reply("answer", "ask")), Verdict::Accepted);
    bench.register(1);
    bench.register(0);
    bench.finish();
    assert!(ids(&bench, 0).contains(&"answer") && !ids(&bench, 1).contains(&"answer"), "{:?}", bench.arrived);
}

#[test]
fn at_the_limit_of_open_requests_new_ones_are_refused_as_busy() {
    let mut bench = small(Config { open_requests_max: 1, ..stable() });
    bench.register(0);
    assert_eq!(publish(&mut bench, Some("i0"), request("1")), Verdict::Accepted);
    assert!(matches!(publish(&mut bench, Some("i0"), request("2")), Verdict::Busy { .. }));
    assert_eq!(publish(&mut bench, None, message("3", "created")), Verdict::Accepted);
    assert_eq!(publish(&mut bench, Some("i2"), reply("4", "1")), Verdict::Accepted);
    assert_eq!(publish(&mut bench, Some("i0"), request("2")), Verdict::Accepted);
}

#[test]
fn a_chain_of_answers_to_answers_ends_at_its_limit() {
    let mut bench = Bench::new(Config { hops_max: 3, ..stable() });
    assert_eq!(publish(&mut bench, Some("i0"), message("0", "created")), Verdict::Accepted);
    let mut answer = |id: u32| {
        let request = MessageId::parse(&(id - 1).to_string()).ok();
        publish(&mut bench, Some("i2"), Message { response_to: request, ..message(&id.to_string(), "created") })
    };
    assert_eq!([1, 2, 3].map(&mut answer), [Verdict::Accepted, Verdict::Accepted, Verdict::Accepted]);
    let Verdict::Refused { detail } = answer(4) else { panic!("the chain goes on") };
    assert_eq!(
        detail,
        "'created' ends a chain of more than 3 messages that follow from one another, which is a loop (broker.hops_max)"
    );
}

#[test]
fn an_instance_whose_service_is_away_gets_nothing_while_another_one_answers() {
    let mut bench = Bench::with(stable(), &[2]);
    (0..3).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    bench.renew(2, true);
    // No other instance is there: it keeps what it has and gets more.
    publish(&mut bench, None, message("3", "created"));
    bench.register(3);
    (4..8).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    bench.finish();
    assert_eq!((ids(&bench, 2).len(), ids(&bench, 3).len()), (0, 8));
    bench.renew(2, false);
    (8..18).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    bench.finish();
    assert_eq!(ids(&bench, 2).len() + ids(&bench, 3).len(), 18);
    assert!(ids(&bench, 2).len() >= 3, "{:?}", bench.arrived);
}

#[test]
fn a_message_that_is_given_back_goes_to_another_instance_of_the_role() {
    let mut bench = Bench::with(stable(), &[2]);
    publish(&mut bench, Some("i0"), message("1", "created"));
    bench.round(2, usize::MAX);
    let returned = |id: &str| {
        let properties = Properties { returned: true, ..Properties::default() };
        Message { properties, ..message(id, "created") }
    };
    assert_eq!(publish(&mut bench, Some("i2"), returned("1")), Verdict::NoReceivers);
    bench.register(3);
    assert_eq!(publish(&mut bench, Some("i2"), returned("1")), Verdict::Accepted);
    assert_eq!(publish(&mut bench, None, returned("1")), Verdict::NoReceivers);
    // Nor a message that the instance never had.
    assert_eq!(publish(&mut bench, Some("i2"), returned("other")), Verdict::NoReceivers);
    bench.finish();
    assert_eq!((ids(&bench, 2), ids(&bench, 3)), (vec!["1"], vec!["1"]));
}

#[test]
fn a_message_that_a_leaving_instance_gives_back_waits_for_the_next_one() {
    let mut bench = Bench::with(stable(), &[2]);
    publish(&mut bench, Some("i0"), message("1", "created"));
    bench.round(2, usize::MAX);
    let properties = Properties { returned: true, leaving: true, ..Properties::default() };
    let returned = Message { properties, ..message("1", "created") };
    assert_eq!(publish(&mut bench, Some("i2"), returned), Verdict::Accepted);
    bench.leave(2);
    bench.register(3);
    bench.finish();
    assert_eq!((ids(&bench, 2), ids(&bench, 3)), (vec!["1"], vec!["1"]));
}

#[test]
fn a_reply_does_not_go_to_another_instance_of_the_requesting_role() {
    let mut bench = small(stable());
    [0, 1].into_iter().for_each(|instance| bench.register(instance));
    publish(&mut bench, Some("i0"), request("ask"));
    // The role subscribes to the reply, and has one more instance.
    let answer = |id: &str| Message { response_to: MessageId::parse("ask").ok(), ..message(id, "create") };
    bench.leave(0);
    assert_eq!(publish(&mut bench, Some("i2"), answer("answer")), Verdict::Accepted);
    assert!(!ids(&bench, 1).contains(&"answer"), "{:?}", bench.arrived);
    bench.register(0);
    // In its queue when the connection breaks again.
    bench.leave(0);
    bench.register(0);
    bench.finish();
    assert!(ids(&bench, 0).contains(&"answer") && !ids(&bench, 1).contains(&"answer"), "{:?}", bench.arrived);
}

#[test]
fn a_request_has_failed_when_no_receiver_is_left_that_may_answer() {
    let mut bench = Bench::with(stable(), &[0, 2, 4]);
    // Received by users and log.
    let asked = Message { name: MessageName::parse("deleted").unwrap(), ..request("ask") };
    publish(&mut bench, Some("i0"), asked);
    let failure = |id: &str| {
        let to = InstanceId::parse("i0").ok();
        let properties = Properties { to, ..Properties::default() };
        Message { properties, response_to: MessageId::parse("ask").ok(), ..message(id, FAILED) }
    };
    for (origin, id) in [("i4", "first"), ("i2", "second"), ("i0", "third")] {
        assert_eq!(publish(&mut bench, Some(origin), failure(id)), Verdict::Accepted);
    }
    bench.finish();
    assert_eq!(ids(&bench, 0).iter().filter(|id| **id != "ask").collect::<Vec<_>>(), [&"third"]);
}

#[test]
fn what_does_not_fit_elsewhere_stays_with_an_instance_whose_service_is_away() {
    let mut bench = Bench::with(Config { queue_messages_max: 2, ..stable() }, &[0, 2]);
    (0..2).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    bench.busy = true;
    bench.register(3);
    (2..4).for_each(|id| drop(publish(&mut bench, None, message(&id.to_string(), "created"))));
    bench.renew(2, true);
    assert!(bench.given_up.iter().all(|(role, _)| role != "users"), "{:?}", bench.given_up);
}
