//! Passes received messages to the inbox in order, and holds them back while it is full.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::handshake::Peer;
use crate::http::websocket::Reading;
use crate::message::{Delivery, Inbox, Message, Pending, Receipt};

/// Maximum number of messages held back for a full inbox; beyond it the connection stops reading. Awaited replies
/// overtake held messages, as long as they are read.
const HELD_MESSAGES_MAX: usize = 256;

/// Delivers received messages to the inbox.
pub(super) struct Intake {
    inbox: Arc<dyn Inbox>,
    mode: Mode,
    /// Number of messages that the inbox has and has not answered yet.
    unanswered: usize,
}

/// Handling of messages, which depends on whether the sender reads acknowledgements.
enum Mode {
    /// Acknowledges each message in order. The sender repeats a message that was answered `Busy`; until then later ones are
    /// refused too, so that order is kept.
    Answer { answers: VecDeque<Receipt<Delivery>>, full_until: Option<Instant> },
    /// Acknowledges nothing and gets nothing twice, so messages are held here until the inbox has taken them. `retry_at` is
    /// set while some of them have to be offered again.
    Hold { held: VecDeque<Held>, retry_at: Option<Instant> },
}

/// A message that its inbox has not taken yet.
struct Held {
    message: Message,
    /// The answer to come; `None` if the message has to be offered again.
    pending: Option<Pending<Delivery>>,
}

impl Intake {
    pub(super) fn new(peer: Peer, inbox: Arc<dyn Inbox>) -> Self {
        let mode = match peer {
            Peer::Acknowledging => Mode::Answer { answers: VecDeque::new(), full_until: None },
            Peer::Original => Mode::Hold { held: VecDeque::new(), retry_at: None },
        };
        Self { inbox, mode, unanswered: 0 }
    }

    /// Takes one message.
    pub(super) fn take(&mut self, message: Message, now: Instant) {
        match &mut self.mode {
            Mode::Answer { answers, full_until } => {
                let full = full_until.filter(|until| *until > now && !self.inbox.awaits(&message));
                if let Some(until) = full {
                    answers.push_back(Receipt::Now(Delivery::Busy { retry_after: until - now }));
                    return;
                }
                let receipt = self.inbox.deliver(message);
                match &receipt {
                    Receipt::Now(Delivery::Busy { retry_after }) => *full_until = Some(now + *retry_after),
                    Receipt::Now(_) => {}
                    Receipt::Later(_) => self.unanswered += 1,
                }
                answers.push_back(receipt);
            }
            Mode::Hold { held, retry_at } => {
                if retry_at.is_some() && !self.inbox.awaits(&message) {
                    held.push_back(Held { message, pending: None });
                    return;
                }
                match offer(&*self.inbox, &message) {
                    Offer::Done => {}
                    Offer::Busy(wait) => {
                        held.push_back(Held { message, pending: None });
                        retry_at.get_or_insert(now + wait);
                    }
                    Offer::Later(pending) => {
                        held.push_back(Held { message, pending: Some(pending) });
                        self.unanswered += 1;
                    }
                }
            }
        }
    }

    /// Reports a frame that is not a valid message.
    pub(super) fn unreadable(&mut self, detail: String) {
        self.inbox.report_error(&detail);
        match &mut self.mode {
            Mode::Answer { answers, .. } => answers.push_back(Receipt::Now(Delivery::Refused { detail })),
            Mode::Hold { .. } => {}
        }
    }

    /// Waits for the inbox to answer the first message that it has not answered yet. Pass the result to
    /// [`Intake::conclude`]. Cancel-safe.
    pub(super) async fn answered(&mut self) -> Answered {
        match &mut self.mode {
            _ if self.unanswered == 0 => {}
            Mode::Answer { answers, .. } => {
                for (index, receipt) in answers.iter_mut().enumerate() {
                    if let Receipt::Later(pending) = receipt {
                        return Answered { index, delivery: pending.await };
                    }
                }
            }
            Mode::Hold { held, .. } => {
                for (index, held) in held.iter_mut().enumerate() {
                    if let Some(pending) = &mut held.pending {
                        return Answered { index, delivery: pending.await };
                    }
                }
            }
        }
        std::future::pending().await
    }

    /// Records a delayed answer of the inbox.
    pub(super) fn conclude(&mut self, Answered { index, delivery }: Answered, now: Instant) {
        self.unanswered -= 1;
        match &mut self.mode {
            Mode::Answer { answers, full_until } => {
                if let Delivery::Busy { retry_after } = &delivery {
                    *full_until = Some(now + *retry_after);
                }
                answers[index] = Receipt::Now(delivery);
            }
            Mode::Hold { held, retry_at } => match busy_for(&*self.inbox, &held[index].message, delivery) {
                Some(wait) => {
                    held[index].pending = None;
                    retry_at.get_or_insert(now + wait);
                }
                None => drop(held.remove(index)),
            },
        }
    }

    /// Returns the known answers up to the first outstanding one as one frame, or `None` if there are none.
    pub(super) fn answers(&mut self) -> Option<Bytes> {
        let Mode::Answer { answers, .. } = &mut self.mode else { return None };
        let known = answers.iter().take_while(|receipt| matches!(receipt, Receipt::Now(_))).count();
        let known = answers.drain(..known).filter_map(|receipt| match receipt {
            Receipt::Now(delivery) => Some(delivery),
            Receipt::Later(_) => None,
        });
        let known: Vec<Delivery> = known.collect();
        (!known.is_empty()).then(|| Delivery::list_to_json(&known))
    }

    /// Returns whether the connection may read more.
    pub(super) fn reading(&self) -> Reading {
        match &self.mode {
            Mode::Hold { held, .. } if held.len() >= HELD_MESSAGES_MAX => Reading::Off,
            Mode::Hold { .. } | Mode::Answer { .. } => Reading::On,
        }
    }

    /// Returns true while messages are held, to be offered again or answered.
    pub(super) fn is_holding(&self) -> bool {
        match &self.mode {
            Mode::Hold { held, .. } => !held.is_empty(),
            Mode::Answer { .. } => false,
        }
    }

    /// Returns the time at which held messages are due to be offered again.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.mode {
            Mode::Hold { retry_at, .. } => *retry_at,
            Mode::Answer { .. } => None,
        }
    }

    /// Offers held messages again, if due.
    pub(super) fn retry(&mut self, now: Instant) {
        let Mode::Hold { held, retry_at } = &mut self.mode else { return };
        if retry_at.is_none_or(|at| at > now) {
            return;
        }
        *retry_at = None;
        let mut index = 0;
        while let Some(next) = held.get_mut(index) {
            if next.pending.is_some() {
                index += 1;
                continue;
            }
            match offer(&*self.inbox, &next.message) {
                Offer::Done => drop(held.remove(index)),
                Offer::Later(pending) => {
                    next.pending = Some(pending);
                    self.unanswered += 1;
                }
                Offer::Busy(wait) => {
                    *retry_at = Some(now + wait);
                    return;
                }
            }
        }
    }

    /// Drops the held messages and reports each of them.
    pub(super) fn give_up(self) {
        let Mode::Hold { held, .. } = self.mode else { return };
        for Held { message, .. } in held {
            let detail = format!("message '{}' was dropped: the inbox stayed full", message.name);
            self.inbox.report_error(&detail);
        }
    }
}

/// A delayed answer of the inbox, for [`Intake::conclude`].
pub(super) struct Answered {
    index: usize,
    delivery: Delivery,
}

/// Result of offering a message to the inbox.
enum Offer {
    /// The message is taken, or refused for good.
    Done,
    /// The inbox is full for this long.
    Busy(Duration),
    /// The inbox has the message and answers later.
    Later(Pending<Delivery>),
}

/// Offers a message to the inbox when its sender expects no answer.
fn offer(inbox: &dyn Inbox, message: &Message) -> Offer {
    match inbox.deliver(message.clone()) {
        Receipt::Now(delivery) => busy_for(inbox, message, delivery).map_or(Offer::Done, Offer::Busy),
        Receipt::Later(pending) => Offer::Later(pending),
    }
}

/// Returns the retry delay if the inbox is full. Reports a message that is refused for good.
fn busy_for(inbox: &dyn Inbox, message: &Message, delivery: Delivery) -> Option<Duration> {
    match delivery {
        Delivery::Accepted => None,
        Delivery::Busy { retry_after } => Some(retry_after),
        Delivery::Unknown => {
            inbox.report_error(&format!("unknown message: '{}'", message.name));
            None
        }
        Delivery::Refused { detail } => {
            inbox.report_error(&format!("message '{}' was refused: {detail}", message.name));
            None
        }
    }
}

#[cfg(test)]
mod tests {
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
}
