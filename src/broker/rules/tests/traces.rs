//! Traces of messages.

use std::time::{Duration, Instant};

use super::stable;
use crate::broker::config::Config;
use crate::broker::rules::{Effect, Endpoint, Exchange, FailedDelivery, Filter, PackedTrace, Record};
use crate::broker::wire::{Address, Fate, Form, Landscape, RoleRoutes, Translation, Undelivered};
use crate::message::{ActivityId, InstanceId, Message, MessageId, MessageName, Payload, Registration, Role, Verdict};

fn role(text: &str) -> Role {
    Role::parse(text).unwrap()
}

fn name(text: &str) -> MessageName {
    MessageName::parse(text).unwrap()
}

fn activity(text: &str) -> ActivityId {
    ActivityId::parse(text).unwrap()
}

/// An exchange with an instance `i-ROLE` of each role.
struct Bench {
    exchange: Exchange<()>,
    now: Instant,
}

impl Bench {
    fn new(config: Config, roles: &[(&str, &[&str])]) -> Self {
        let mut bench = Self { exchange: Exchange::new(config, Default::default(), 7), now: Instant::now() };
        roles.iter().for_each(|(role, receives)| bench.register(registration(role, receives), Endpoint::Local));
        bench
    }

    fn register(&mut self, registration: Registration, place: Endpoint) {
        self.exchange.register(self.now, registration, place, (), &mut Vec::new()).unwrap();
    }

    /// Publishes a message of `sender` some time after the last one. Returns its traces.
    fn publish(&mut self, sender: &str, micros: u64, message: Message) -> (Verdict, Vec<PackedTrace>) {
        self.now += Duration::from_micros(micros);
        let (mut effects, origin) = (Vec::new(), InstanceId::parse(&format!("i-{sender}")).unwrap());
        let message = Message { sender: Some(role(sender)), ..message };
        let verdict = self.exchange.publish(self.now, Some(&origin), message, &mut effects);
        let traces = effects.into_iter().filter_map(|effect| match effect {
            Effect::Traced(trace) => Some(trace),
            Effect::Deliver { .. } | Effect::Wake { .. } | Effect::Undelivered { .. } => None,
            Effect::Note(_) | Effect::Routed(_) => None,
        });
        (verdict, traces.collect())
    }

    /// Publishes a message and returns its record.
    fn record(&mut self, sender: &str, micros: u64, message: Message) -> Record {
        let (_, traces) = self.publish(sender, micros, message);
        assert_eq!(traces.len(), 1, "{traces:?}");
        traces[0].record()
    }
}

fn registration(sender: &str, receives: &[&str]) -> Registration {
    Registration {
        role: role(sender),
        instance: InstanceId::parse(&format!("i-{sender}")).unwrap(),
        receives: receives.iter().map(|text| name(text)).collect(),
        sends: Vec::new(),
        namespace: None,
        batch: true,
        token: None,
        away: false,
    }
}

fn message(id: &str, called: &str) -> Message {
    Message { activity_id: Some(activity("a")), ..Message::new(MessageId::parse(id).unwrap(), name(called)) }
}

fn answer(id: &str, called: &str, request: &str) -> Message {
    Message { response_to: MessageId::parse(request).ok(), ..message(id, called) }
}

const USERS_AND_WEB: [(&str, &[&str]); 2] = [("users", &["create", "look"]), ("web", &["created"])];

#[test]
fn a_trace_has_the_receivers_and_all_names_of_a_message() {
    let mut bench = Bench::new(stable(), &[("web", &["tweets.created"])]);
    let tweets = Registration { namespace: Some("text".into()), ..registration("tweets", &["text.create"]) };
    bench.register(tweets, Endpoint::Local);
    let payload = Payload::parse(bytes::Bytes::from_static(b"[1]")).ok();
    let record = bench.record("web", 0, Message { payload, ..message("1", "tweets.create") });
    let receiver = &record.receivers[0];
    assert_eq!((&receiver.role, &receiver.name, record.receivers.len()), (&role("tweets"), &name("text.create"), 1));
    assert_eq!(receiver.instance, InstanceId::parse("i-tweets").ok());
    assert_eq!((record.payload_bytes, record.fate), (3, Fate::Routed));
    let record = bench.record("tweets", 0, message("2", "text.created"));
    assert_eq!((record.name, record.public), (name("text.created"), name("tweets.created")));
}

#[test]
fn the_response_time_counts_from_the_request_and_not_from_the_message_before() {
    let mut bench = Bench::new(stable(), &USERS_AND_WEB);
    assert_eq!(bench.record("web", 0, message("1", "create")).response_time, None);
    assert_eq!(bench.record("web", 5_000, message("2", "look")).response_time, None);
    let record = bench.record("users", 2_596, answer("3", "created", "1"));
    assert_eq!(record.response_time, Some(Duration::from_micros(7_596)));
    let record = bench.record("users", 1, answer("4", "created", "1"));
    assert_eq!(record.response_time, Some(Duration::from_micros(7_597)));
}

#[test]
fn a_service_that_states_no_request_is_taken_to_reply_to_the_last_message_it_received() {
    let mut bench = Bench::new(stable(), &[("web", &["created"])]);
    bench.register(Registration { batch: false, ..registration("users", &["create"]) }, Endpoint::Socket);
    bench.record("web", 0, message("1", "create"));
    bench.record("web", 1_000, message("2", "zonk"));
    let record = bench.record("users", 500, message("3", "created"));
    assert_eq!(record.response_to, MessageId::parse("1").ok());
    assert_eq!(record.response_time, Some(Duration::from_micros(1_500)));
}

#[test]
fn nothing_is_traced_if_no_traces_are_kept_and_nobody_follows() {
    let mut bench = Bench::new(Config { traffic_messages_max: 0, ..stable() }, &USERS_AND_WEB);
    let count = |bench: &mut Bench| {
        let of = |(_, traces): (Verdict, Vec<PackedTrace>)| traces.len();
        of(bench.publish("web", 1, message("1", "create"))) + of(bench.publish("web", 1, message("2", "zonk")))
    };
    assert_eq!(count(&mut bench), 0);
    bench.exchange.follow();
    assert_eq!(count(&mut bench), 2);
    bench.exchange.unfollow();
    assert_eq!(count(&mut bench), 0);
}

#[test]
fn a_message_that_is_not_routed_is_traced_with_the_reason() {
    let mut bench = Bench::new(stable(), &USERS_AND_WEB);
    assert_eq!(bench.record("web", 0, message("1", "zonk")).fate, Fate::NoReceivers);
    let web = RoleRoutes {
        role: role("web"),
        sends: vec![name("create")],
        receives: Vec::new(),
        translation: Translation::None,
        address: None,
    };
    let landscape = Landscape { form: Form::Translations, roles: vec![web] };
    bench.exchange.configure(bench.now, &landscape, || (), &mut Vec::new()).unwrap();
    let record = bench.record("web", 0, message("2", "look"));
    assert_eq!(record.fate, Fate::Forbidden);
    let detail = "service 'web' is not allowed to broadcast the message 'look'";
    assert_eq!((record.detail.as_deref(), record.activity), (Some(detail), activity("a")));
}

#[test]
fn a_message_is_traced_when_it_is_accepted_not_when_it_is_refused_as_busy() {
    let mut bench = Bench::new(Config { queue_messages_max: 1, ..stable() }, &[]);
    bench.register(registration("users", &["create"]), Endpoint::Remote(Address::new("localhost", 1).unwrap()));
    assert_eq!(bench.publish("web", 0, message("1", "create")).1.len(), 1);
    let (verdict, traces) = bench.publish("web", 0, message("2", "create"));
    assert!(matches!(verdict, Verdict::Busy { .. }) && traces.is_empty());
}

#[test]
fn a_trace_has_the_absent_roles_a_message_waits_for() {
    let mut bench = Bench::new(stable(), &[]);
    bench.register(registration("users", &["create"]), Endpoint::Remote(Address::new("localhost", 1).unwrap()));
    bench.exchange.leave(bench.now, &role("users"), &InstanceId::parse("i-users").unwrap(), &mut Vec::new());
    let record = bench.record("web", 0, message("1", "create"));
    assert_eq!((record.absent, record.receivers.len(), record.fate), (vec![role("users")], 0, Fate::Routed));
    let mut bench = Bench::new(Config { settle_ms: 5_000, ..stable() }, &[]);
    let record = bench.record("web", 0, message("1", "create"));
    assert_eq!((record.absent.len(), record.receivers.len(), record.fate), (0, 0, Fate::Routed));
}

#[test]
fn traces_have_payloads_only_if_those_may_be_logged() {
    let payload = Payload::parse(bytes::Bytes::from_static(b"[1]")).ok();
    for log_payloads in [false, true] {
        let mut bench = Bench::new(Config { log_payloads, ..stable() }, &USERS_AND_WEB);
        let (_, traces) = bench.publish("web", 0, Message { payload: payload.clone(), ..message("1", "create") });
        assert_eq!(traces[0].payload, payload.clone().filter(|_| log_payloads));
    }
}

#[test]
fn a_filter_matches_every_name_and_both_ends() {
    let mut bench = Bench::new(stable(), &USERS_AND_WEB);
    let record = bench.record("web", 0, message("1", "create"));
    let row = Undelivered {
        id: record.id.clone(),
        name: record.public.clone(),
        sender: record.sender.clone(),
        receiver: Some(role("users")),
        reason: "away".into(),
        at: String::new(),
        activity_id: record.activity.clone(),
    };
    let (receiver_name, response_to) = (name("users.create"), None);
    let failure = FailedDelivery { at: bench.now, row, receiver_name, response_to, payload_bytes: 0 };
    let check = |filter: Filter, expected: bool| {
        assert_eq!((filter.matches(&record), filter.matches_failure(&failure)), (expected, expected), "{filter:?}");
    };
    check(Filter::default(), true);
    check(Filter { message: Some(name("create")), ..Filter::default() }, true);
    check(Filter { message: Some(name("created")), ..Filter::default() }, false);
    check(Filter { role: Some(role("web")), ..Filter::default() }, true);
    check(Filter { role: Some(role("users")), activity: Some(activity("a")), ..Filter::default() }, true);
    check(Filter { role: Some(role("log")), ..Filter::default() }, false);
    check(Filter { role: Some(role("web")), activity: Some(activity("b")), ..Filter::default() }, false);
}
