//! Ways back of replies, and the limits of the table.

use super::*;
use crate::message::MessageName;

const IDLE: Duration = Duration::from_secs(60);

fn id(text: &str) -> MessageId {
    MessageId::parse(text).unwrap()
}

fn instance(text: &str) -> InstanceId {
    InstanceId::parse(text).unwrap()
}

fn record(table: &mut Conversations, now: Instant, message: &str, conversation: &str, sender: &str) {
    let conversation = ActivityId::parse(conversation).unwrap();
    record_message(table, now, &Message::new(id(message), name("created")), &conversation, sender);
}

fn record_message(table: &mut Conversations, now: Instant, message: &Message, activity: &ActivityId, sender: &str) {
    let (sender, receivers) = (instance(sender), [InstanceKey(2)].into_iter());
    let origin = (Some(&sender), Some(InstanceKey(1)));
    table.record(
        now,
        Exchanged { message, conversation: activity, origin, receivers, absent: 0, answering: Vec::new() },
    );
}

fn name(text: &str) -> MessageName {
    MessageName::parse(text).unwrap()
}

fn table(entries_max: usize, open_requests_max: usize) -> Conversations {
    let config = Config { conversations_max: entries_max, open_requests_max, ..Config::default() };
    assert_eq!(config.conversation_idle(), IDLE);
    Conversations::new(&config)
}

/// A request of "web-1" that waits for this long, as part of the conversation "activity".
fn request(text: &str, timeout: Duration, many: bool) -> Message {
    let reply_to = Some(ReplyTo::new(instance("web-1"), timeout, many));
    let properties = crate::message::Properties { reply_to, ..Default::default() };
    Message { properties, ..Message::new(id(text), name("create")) }
}

fn ask(table: &mut Conversations, now: Instant, request: &Message) {
    record_message(table, now, request, &ActivityId::parse("activity").unwrap(), "web-1");
}

fn reply(to: &str) -> Message {
    Message { response_to: Some(id(to)), ..Message::new(id("reply"), name("created")) }
}

/// Records enough other messages to evict everything that may be evicted.
fn flood(table: &mut Conversations, now: Instant) {
    for number in 0..1_000 {
        record(table, now, &format!("m{number}"), &format!("m{number}"), "other");
    }
}

#[test]
fn a_reply_that_carries_only_response_to_finds_the_conversation() {
    let (mut table, now) = (table(8, 9), Instant::now());
    record(&mut table, now, "2", "1", "web-1");
    let mut reply = Message::new(id("3"), name("created"));
    reply.response_to = Some(id("2"));
    assert_eq!(table.conversation_of(now, &reply).as_str(), "1");
    assert_eq!(table.sender(now, &id("2")), Some(&instance("web-1")));
    let conversation = ActivityId::parse("1").unwrap();
    let keys: Vec<_> = table.participants(now, &conversation).iter().map(|participant| participant.key).collect();
    assert_eq!(keys, [InstanceKey(1), InstanceKey(2)]);
    assert_eq!(table.last_received(now, &conversation, InstanceKey(2)), Some(&id("2")));
    assert_eq!(table.last_received(now, &conversation, InstanceKey(1)), None);
    assert_eq!(table.age(now + IDLE / 2, &id("2")), Some(IDLE / 2));
}

#[test]
fn an_idle_conversation_expires() {
    let (mut table, now) = (table(8, 9), Instant::now());
    record(&mut table, now, "1", "1", "web-1");
    assert!(table.sender(now + IDLE / 2, &id("1")).is_some());
    assert!(table.sender(now + IDLE, &id("1")).is_none());
    table.sweep(now + IDLE);
    assert_eq!(table.len(), 0);
}

#[test]
fn at_the_limit_the_oldest_unused_entry_is_evicted() {
    let (mut table, now) = (table(3, 9), Instant::now());
    for number in 0..100 {
        record(&mut table, now + Duration::from_millis(number), "kept", "kept", "web-1");
        record(&mut table, now + Duration::from_millis(number), &format!("m{number}"), &format!("m{number}"), "web-1");
        assert!(table.len() <= 4, "{}", table.len());
    }
    assert!(table.sender(now + Duration::from_millis(100), &id("kept")).is_some());
}

#[test]
fn an_open_request_keeps_its_way_back_whatever_else_passes() {
    let (mut table, now) = (table(8, 9), Instant::now());
    let (activity, timeout) = (ActivityId::parse("activity").unwrap(), IDLE * 10);
    ask(&mut table, now, &request("r", timeout, false));
    flood(&mut table, now);
    let later = now + timeout - Duration::from_secs(1);
    table.sweep(later);
    flood(&mut table, later);
    assert_eq!(table.sender(later, &id("r")), Some(&instance("web-1")));
    assert_eq!(table.conversation_of(later, &reply("r")), activity);
    // For a service that states no request.
    assert_eq!(table.last_received(later, &activity, InstanceKey(2)), Some(&id("r")));
    assert!(table.is_open(&id("r")) && table.len() <= 8 + 2 + 1, "{}", table.len());
    table.sweep(now + timeout);
    assert!(!table.is_open(&id("r")));
    flood(&mut table, now + timeout);
    assert_eq!((table.sender(now + timeout, &id("r")), table.open_requests()), (None, 0));
    assert!(table.len() <= 8 + 1, "{}", table.len());
}

#[test]
fn a_request_is_open_until_its_first_reply_or_for_all_of_its_time_if_it_takes_many() {
    let (mut table, now) = (table(8, 9), Instant::now());
    for (text, many) in [("one", false), ("many", true)] {
        ask(&mut table, now, &request(text, IDLE, many));
        record_message(&mut table, now, &reply(text), &ActivityId::parse("activity").unwrap(), "users-1");
        assert_eq!(table.is_open(&id(text)), many);
        assert_eq!(table.sender(now, &id(text)), Some(&instance("web-1")));
    }
    table.sweep(now + IDLE);
    assert_eq!(table.open_requests(), 0);
}

#[test]
fn at_the_limit_of_open_requests_only_new_ones_are_refused() {
    let (mut table, now) = (table(8, 2), Instant::now());
    for text in ["a", "b"] {
        assert!(table.has_capacity(&request(text, IDLE, false)));
        ask(&mut table, now, &request(text, IDLE, false));
    }
    assert!(!table.has_capacity(&request("c", IDLE, false)));
    // A repeated request, and messages that are no requests.
    assert!(table.has_capacity(&request("a", IDLE, false)) && table.has_capacity(&reply("a")));
    ask(&mut table, now, &request("a", IDLE, false));
    record_message(&mut table, now, &reply("a"), &ActivityId::parse("activity").unwrap(), "users-1");
    assert!(table.has_capacity(&request("c", IDLE, false)));
    assert_eq!((table.is_open(&id("a")), table.is_open(&id("b"))), (false, true));
}

#[test]
fn a_message_of_the_same_id_does_not_take_over_an_open_request() {
    let (mut table, now) = (table(8, 9), Instant::now());
    ask(&mut table, now, &request("1", IDLE, false));
    record(&mut table, now, "1", "elsewhere", "other");
    assert_eq!(table.sender(now, &id("1")), Some(&instance("web-1")));
    assert_eq!(table.asker_role(&id("1")), None);
}

#[test]
fn a_reply_is_one_hop_further_than_its_request() {
    let (mut table, now) = (table(8, 9), Instant::now());
    let mut message = request("r", IDLE, false);
    message.properties.hops = 3;
    ask(&mut table, now, &message);
    assert_eq!(table.hops(now, &reply("r")), 4);
    assert_eq!(table.hops(now, &reply("unknown")), 0);
    assert_eq!(table.hops(now, &message), 3);
}

#[test]
fn a_timeout_beyond_all_clocks_is_no_problem() {
    let (mut table, now) = (table(8, 9), Instant::now());
    ask(&mut table, now, &request("r", Duration::MAX, false));
    assert!(table.is_open(&id("r")));
}

#[test]
fn every_receiver_of_an_open_request_is_remembered() {
    let (mut table, now) = (table(8, 9), Instant::now());
    let (activity, sender) = (ActivityId::parse("activity").unwrap(), instance("web-1"));
    let mut send = |message: &Message, receivers: std::ops::Range<u64>| {
        let receivers = receivers.map(InstanceKey);
        table.record(
            now,
            Exchanged {
                message,
                conversation: &activity,
                origin: (Some(&sender), None),
                receivers,
                absent: 0,
                answering: Vec::new(),
            },
        );
        let known = |key: u64| table.last_received(now, &activity, InstanceKey(key)).is_some();
        (table.participants(now, &activity).len(), known(0))
    };
    assert_eq!(send(&request("r", IDLE, false), 0..100), (100, true));
    assert_eq!(send(&Message::new(id("m"), name("more")), 100..200), (200, true));
    assert_eq!(send(&reply("r"), 200..201), (201, true));
    let max = PARTICIPANTS_MAX + 1;
    assert_eq!(send(&Message::new(id("n"), name("more")), 201..202), (max, false));
}

#[test]
fn the_table_is_bounded_in_bytes_too() {
    let bytes_max = 64 * 1024;
    let config = Config { conversations_bytes_max: bytes_max, ..Config::default() };
    let (mut table, now) = (Conversations::new(&config), Instant::now());
    let long = |number: usize| format!("{number:0>255}");
    for number in 0..1_000 {
        record(&mut table, now, &long(number), &long(number), "other");
        assert!(table.bytes <= bytes_max + 2_048, "{}", table.bytes);
    }
    assert!((20..100).contains(&table.len()), "{}", table.len());
    let counted: usize = table.entries.values().map(|entry| entry.bytes).sum();
    assert_eq!(counted, table.bytes);
    // Requests that wait are not evicted, so further ones are refused.
    let mut asked = 0;
    while table.has_capacity(&request(&long(asked), IDLE, false)) {
        ask(&mut table, now, &request(&long(asked), IDLE, false));
        asked += 1;
    }
    assert!((50..300).contains(&asked), "{asked}");
    table.sweep(now + IDLE);
    assert!(table.has_capacity(&request("new", IDLE, false)));
    assert_eq!((table.open_requests(), table.open.bytes), (0, 0));
}
