use std::sync::Mutex;

use futures_util::FutureExt;

use super::*;
use crate::message::{Completion, MessageId, MessageName};

const WAIT: Duration = Duration::from_millis(200);

/// An inbox with `capacity` for that many messages. Always takes messages named `awaited`, and answers those named
/// `slow` later.
#[derive(Default)]
struct TestInbox {
    slow: Mutex<VecDeque<Completion<Delivery>>>,
    capacity: Mutex<usize>,
    taken: Mutex<Vec<String>>,
    errors: Mutex<Vec<String>>,
    /// True while a request waits for its reply.
    has_request: Mutex<bool>,
}

impl Inbox for TestInbox {
    fn deliver(&self, message: Message) -> Receipt<Delivery> {
        let mut capacity = self.capacity.lock().unwrap();
        match message.name.as_str() {
            "zonk" => return Receipt::Now(Delivery::Unknown),
            "ugly" => return Receipt::Now(Delivery::Refused { detail: "too deep".into() }),
            "awaited" => {}
            _ if *capacity == 0 => return Receipt::Now(Delivery::Busy { retry_after: WAIT }),
            _ => *capacity -= 1,
        }
        self.taken.lock().unwrap().push(message.id.to_string());
        if message.name.as_str() != "slow" {
            return Receipt::Now(Delivery::Accepted);
        }
        let (completion, receipt) = Receipt::later(Delivery::Busy { retry_after: WAIT });
        self.slow.lock().unwrap().push_back(completion);
        receipt
    }

    fn awaits(&self, message: &Message) -> bool {
        message.name.as_str() == "awaited"
    }

    fn awaits_reply(&self, _request: Option<&MessageId>) -> bool {
        *self.has_request.lock().unwrap()
    }

    fn report_error(&self, detail: &str) {
        self.errors.lock().unwrap().push(detail.to_owned());
    }
}

struct Bench {
    inbox: Arc<TestInbox>,
    intake: Intake,
    start: Instant,
    number: usize,
}

impl Bench {
    fn new(peer: Peer, capacity: usize) -> Self {
        let inbox = Arc::new(TestInbox { capacity: Mutex::new(capacity), ..TestInbox::default() });
        Self { intake: Intake::new(peer, inbox.clone()), inbox, start: Instant::now(), number: 0 }
    }

    /// Receives messages with the next numbers as ids, `after` the start.
    fn take(&mut self, names: &[&str], after: Duration) {
        for name in names {
            self.number += 1;
            let id = MessageId::parse(&self.number.to_string()).unwrap();
            self.intake.take(Message::new(id, MessageName::parse(name).unwrap()), self.start + after);
        }
    }

    /// Makes the inbox answer its first slow message, or drop it unanswered.
    fn answer_slow(&mut self, delivery: Option<Delivery>) {
        assert!(self.intake.answered().now_or_never().is_none(), "answered early");
        let completion = self.inbox.slow.lock().unwrap().pop_front().unwrap();
        match delivery {
            Some(delivery) => completion.complete(delivery),
            None => drop(completion),
        }
        let answered = self.intake.answered().now_or_never().unwrap();
        self.intake.conclude(answered, self.start);
    }

    fn check_taken(&self, ids: &[&str]) {
        assert_eq!(*self.inbox.taken.lock().unwrap(), ids);
    }

    fn check_answers(&mut self, expected: &str) {
        assert_eq!(self.intake.answers().unwrap(), expected);
    }
}

#[test]
fn messages_are_answered_in_order() {
    let mut bench = Bench::new(Peer::Acknowledging, 9);
    bench.take(&["a", "zonk", "a"], Duration::ZERO);
    bench.intake.unreadable("missing message id".into());
    bench.check_answers(
        r#"[{"status":200},{"status":404,"detail":"unknown message"},{"status":200},{"status":400,"detail":"missing message id"}]"#,
    );
    assert_eq!(bench.intake.answers(), None);
    bench.check_taken(&["1", "3"]);
}

#[test]
fn messages_behind_a_busy_one_are_busy_too_until_it_is_repeated() {
    let mut bench = Bench::new(Peer::Acknowledging, 0);
    bench.take(&["a"], Duration::ZERO);
    *bench.inbox.capacity.lock().unwrap() = 9;
    bench.take(&["a", "awaited"], WAIT / 2);
    bench.check_answers(r#"[{"status":503,"retryAfterMs":200},{"status":503,"retryAfterMs":100},{"status":200}]"#);
    bench.take(&["a"], WAIT);
    bench.check_answers(r#"[{"status":200}]"#);
    bench.check_taken(&["3", "4"]);
}

#[test]
fn without_acknowledgements_messages_for_a_full_inbox_are_held_and_retried_in_order() {
    let mut bench = Bench::new(Peer::Original, 1);
    bench.take(&["a", "a", "a", "awaited", "a"], Duration::ZERO);
    bench.check_taken(&["1", "4"]);
    assert_eq!(bench.intake.due(), Some(bench.start + WAIT));
    *bench.inbox.capacity.lock().unwrap() = 2;
    bench.intake.retry(bench.start + WAIT);
    bench.check_taken(&["1", "4", "2", "3"]);
    assert_eq!(bench.intake.due(), Some(bench.start + 2 * WAIT));
    *bench.inbox.capacity.lock().unwrap() = 9;
    bench.intake.retry(bench.start + WAIT);
    bench.check_taken(&["1", "4", "2", "3"]);
    bench.intake.retry(bench.start + 2 * WAIT);
    bench.check_taken(&["1", "4", "2", "3", "5"]);
    assert_eq!(bench.intake.due(), None);
}

#[test]
fn reading_stops_at_the_limit_of_held_messages() {
    let mut bench = Bench::new(Peer::Original, 0);
    for _ in 0..HELD_MESSAGES_MAX {
        assert_eq!(bench.intake.reading(), Reading::On);
        bench.take(&["a"], Duration::ZERO);
    }
    assert_eq!(bench.intake.reading(), Reading::Off);
    *bench.inbox.capacity.lock().unwrap() = 1;
    bench.intake.retry(bench.start + WAIT);
    assert_eq!(bench.intake.reading(), Reading::On);
}

#[test]
fn messages_still_held_at_the_end_are_reported() {
    let mut bench = Bench::new(Peer::Original, 0);
    bench.take(&["a"], Duration::ZERO);
    bench.intake.give_up();
    let expected = ["message 'a' was dropped: the inbox stayed full"];
    assert_eq!(*bench.inbox.errors.lock().unwrap(), expected);
}

#[test]
fn without_acknowledgements_errors_are_reported() {
    let mut bench = Bench::new(Peer::Original, 9);
    bench.take(&["zonk", "ugly"], Duration::ZERO);
    bench.intake.unreadable("missing message id".into());
    let expected = ["unknown message: 'zonk'", "message 'ugly' was refused: too deep", "missing message id"];
    assert_eq!(*bench.inbox.errors.lock().unwrap(), expected);
    assert_eq!((bench.intake.answers(), bench.intake.due()), (None, None));
}

#[test]
fn a_delayed_answer_holds_back_later_answers() {
    let mut bench = Bench::new(Peer::Acknowledging, 9);
    bench.take(&["slow", "a", "slow"], Duration::ZERO);
    assert_eq!(bench.intake.answers(), None);
    bench.answer_slow(Some(Delivery::Accepted));
    bench.check_answers(r#"[{"status":200},{"status":200}]"#);
    bench.answer_slow(None);
    bench.take(&["a"], Duration::ZERO);
    bench.check_answers(r#"[{"status":503,"retryAfterMs":200},{"status":503,"retryAfterMs":200}]"#);
}

#[test]
fn a_held_message_is_kept_until_answered_and_offered_again_if_busy() {
    let mut bench = Bench::new(Peer::Original, 9);
    bench.take(&["slow", "slow"], Duration::ZERO);
    assert!(bench.intake.is_holding());
    bench.answer_slow(None);
    bench.answer_slow(None);
    bench.take(&["a"], Duration::ZERO);
    bench.check_taken(&["1", "2"]);
    bench.intake.retry(bench.start + WAIT);
    bench.check_taken(&["1", "2", "1", "2", "3"]);
    bench.answer_slow(Some(Delivery::Accepted));
    bench.answer_slow(Some(Delivery::Accepted));
    assert!(!bench.intake.is_holding());
    assert_eq!(bench.intake.due(), None);
}

#[test]
fn the_reply_to_an_open_request_is_read_behind_messages_that_nobody_takes() {
    let mut bench = Bench::new(Peer::Original, 0);
    bench.take(&["created"; HELD_MESSAGES_MAX], Duration::ZERO);
    assert_eq!(bench.intake.reading(), Reading::Off);
    *bench.inbox.has_request.lock().unwrap() = true;
    assert_eq!(bench.intake.reading(), Reading::On);
    bench.take(&["created", "awaited"], Duration::ZERO);
    assert_eq!(*bench.inbox.taken.lock().unwrap(), [(HELD_MESSAGES_MAX + 2).to_string()]);
    bench.take(&["created"; HELD_WHILE_AWAITING_MAX], Duration::ZERO);
    assert_eq!(bench.intake.reading(), Reading::Off);
}
