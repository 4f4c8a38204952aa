//! What is done with messages that come: they are given to the inbox in their order, and wait where it has no room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::handshake::Peer;
use crate::http::websocket::Reading;
use crate::message::{Delivery, Inbox, Message, Pending, Receipt};

/// Messages that may wait here for an inbox without room; then nothing more is read. Replies that somebody waits for
/// are among what comes behind them, and pass them.
const HELD_MESSAGES_MAX: usize = 256;

/// Gives messages to the inbox.
pub(super) struct Intake {
    inbox: Arc<dyn Inbox>,
    way: Way,
    /// Number of messages that the inbox has and has not answered yet.
    unanswered: usize,
}

/// Treatment of messages, by what their sender does with the answers.
enum Way {
    /// Each message is answered, in order; one that was answered `Busy` comes again. Until then those behind it are not
    /// taken either, so that order is kept.
    Answer { answers: VecDeque<Receipt<Delivery>>, full_until: Option<Instant> },
    /// Nothing is answered and nothing comes again, so messages wait here until the inbox has taken them. `retry_at` is
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
        let way = match peer {
            Peer::Acknowledging => Way::Answer { answers: VecDeque::new(), full_until: None },
            Peer::Original => Way::Hold { held: VecDeque::new(), retry_at: None },
        };
        Self { inbox, way, unanswered: 0 }
    }

    /// Takes one message.
    pub(super) fn take(&mut self, message: Message, now: Instant) {
        match &mut self.way {
            Way::Answer { answers, full_until } => {
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
            Way::Hold { held, retry_at } => {
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

    /// Takes note of a frame that is no message. `words` say why.
    pub(super) fn unreadable(&mut self, words: String) {
        self.inbox.report_error(&words);
        match &mut self.way {
            Way::Answer { answers, .. } => answers.push_back(Receipt::Now(Delivery::Refused { detail: words })),
            Way::Hold { .. } => {}
        }
    }

    /// Waits for the inbox to answer the first message that it has not answered yet. Pass the result to
    /// [`Intake::conclude`]. Cancel-safe.
    pub(super) async fn answered(&mut self) -> Answered {
        match &mut self.way {
            _ if self.unanswered == 0 => {}
            Way::Answer { answers, .. } => {
                for (index, receipt) in answers.iter_mut().enumerate() {
                    if let Receipt::Later(pending) = receipt {
                        return Answered { index, delivery: pending.await };
                    }
                }
            }
            Way::Hold { held, .. } => {
                for (index, held) in held.iter_mut().enumerate() {
                    if let Some(pending) = &mut held.pending {
                        return Answered { index, delivery: pending.await };
                    }
                }
            }
        }
        std::future::pending().await
    }

    /// Takes an answer of the inbox that came later.
    pub(super) fn conclude(&mut self, Answered { index, delivery }: Answered, now: Instant) {
        self.unanswered -= 1;
        match &mut self.way {
            Way::Answer { answers, full_until } => {
                if let Delivery::Busy { retry_after } = &delivery {
                    *full_until = Some(now + *retry_after);
                }
                answers[index] = Receipt::Now(delivery);
            }
            Way::Hold { held, retry_at } => match wait_for_room(&*self.inbox, &held[index].message, delivery) {
                Some(wait) => {
                    held[index].pending = None;
                    retry_at.get_or_insert(now + wait);
                }
                None => drop(held.remove(index)),
            },
        }
    }

    /// The answers that are known, up to the first that is not, as one frame; none if there is nothing to answer.
    pub(super) fn answers(&mut self) -> Option<Bytes> {
        let Way::Answer { answers, .. } = &mut self.way else { return None };
        let known = answers.iter().take_while(|receipt| matches!(receipt, Receipt::Now(_))).count();
        let known = answers.drain(..known).filter_map(|receipt| match receipt {
            Receipt::Now(delivery) => Some(delivery),
            Receipt::Later(_) => None,
        });
        let known: Vec<Delivery> = known.collect();
        (!known.is_empty()).then(|| Delivery::list_to_json(&known))
    }

    /// Whether more may come.
    pub(super) fn reading(&self) -> Reading {
        match &self.way {
            Way::Hold { held, .. } if held.len() >= HELD_MESSAGES_MAX => Reading::Off,
            Way::Hold { .. } | Way::Answer { .. } => Reading::On,
        }
    }

    /// Returns true while messages wait here, to be offered again or to be answered.
    pub(super) fn is_holding(&self) -> bool {
        match &self.way {
            Way::Hold { held, .. } => !held.is_empty(),
            Way::Answer { .. } => false,
        }
    }

    /// When messages that wait here should be tried again.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.way {
            Way::Hold { retry_at, .. } => *retry_at,
            Way::Answer { .. } => None,
        }
    }

    /// Tries the messages that wait here, if it is time.
    pub(super) fn retry(&mut self, now: Instant) {
        let Way::Hold { held, retry_at } = &mut self.way else { return };
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

    /// Ends without the messages that wait here, and tells of each.
    pub(super) fn give_up(self) {
        let Way::Hold { held, .. } = self.way else { return };
        for Held { message, .. } in held {
            let detail = format!("message '{}' was not taken: there was no room for it in time", message.name);
            self.inbox.report_error(&detail);
        }
    }
}

/// An answer of the inbox that came later, for [`Intake::conclude`].
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

/// Gives the message to the inbox where nobody can be answered.
fn offer(inbox: &dyn Inbox, message: &Message) -> Offer {
    match inbox.deliver(message.clone()) {
        Receipt::Now(delivery) => wait_for_room(inbox, message, delivery).map_or(Offer::Done, Offer::Busy),
        Receipt::Later(pending) => Offer::Later(pending),
    }
}

/// Reports a message that is refused for good. `Some` if it was not taken for lack of room, and for how long.
fn wait_for_room(inbox: &dyn Inbox, message: &Message, delivery: Delivery) -> Option<Duration> {
    match delivery {
        Delivery::Accepted => None,
        Delivery::Busy { retry_after } => Some(retry_after),
        Delivery::Unknown => {
            inbox.report_error(&format!("unknown message: '{}'", message.name));
            None
        }
        Delivery::Refused { detail } => {
            inbox.report_error(&format!("message '{}' was not taken: {detail}", message.name));
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

    /// Has `room` for that many messages, always takes those called `awaited`, and answers those called `slow` later.
    #[derive(Default)]
    struct Shelf {
        slow: Mutex<VecDeque<Completion<Delivery>>>,
        room: Mutex<usize>,
        taken: Mutex<Vec<String>>,
        troubles: Mutex<Vec<String>>,
    }

    impl Inbox for Shelf {
        fn deliver(&self, message: Message) -> Receipt<Delivery> {
            let mut room = self.room.lock().unwrap();
            match message.name.as_str() {
                "zonk" => return Receipt::Now(Delivery::Unknown),
                "ugly" => return Receipt::Now(Delivery::Refused { detail: "too deep".into() }),
                "awaited" => {}
                _ if *room == 0 => return Receipt::Now(Delivery::Busy { retry_after: WAIT }),
                _ => *room -= 1,
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

        fn report_error(&self, words: &str) {
            self.troubles.lock().unwrap().push(words.to_owned());
        }
    }

    struct Bench {
        shelf: Arc<Shelf>,
        intake: Intake,
        start: Instant,
        number: usize,
    }

    impl Bench {
        fn new(peer: Peer, room: usize) -> Self {
            let shelf = Arc::new(Shelf { room: Mutex::new(room), ..Shelf::default() });
            Self { intake: Intake::new(peer, shelf.clone()), shelf, start: Instant::now(), number: 0 }
        }

        /// Messages with the next numbers as ids, `after` the start.
        fn take(&mut self, names: &[&str], after: Duration) {
            for name in names {
                self.number += 1;
                let id = MessageId::parse(&self.number.to_string()).unwrap();
                self.intake.take(Message::new(id, MessageName::parse(name).unwrap()), self.start + after);
            }
        }

        /// Lets the inbox answer the first of its slow messages, or drop it unanswered.
        fn answer_slow(&mut self, delivery: Option<Delivery>) {
            assert!(self.intake.answered().now_or_never().is_none(), "answered early");
            let completion = self.shelf.slow.lock().unwrap().pop_front().unwrap();
            match delivery {
                Some(delivery) => completion.complete(delivery),
                None => drop(completion),
            }
            let answered = self.intake.answered().now_or_never().unwrap();
            self.intake.conclude(answered, self.start);
        }

        fn check_taken(&self, ids: &[&str]) {
            assert_eq!(*self.shelf.taken.lock().unwrap(), ids);
        }

        fn check_answers(&mut self, expected: &str) {
            assert_eq!(self.intake.answers().unwrap(), expected);
        }
    }

    #[test]
    fn every_message_is_answered_in_its_order() {
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
    fn what_comes_behind_a_message_without_room_has_none_either_until_that_comes_again() {
        let mut bench = Bench::new(Peer::Acknowledging, 0);
        bench.take(&["a"], Duration::ZERO);
        *bench.shelf.room.lock().unwrap() = 9;
        bench.take(&["a", "awaited"], WAIT / 2);
        bench.check_answers(r#"[{"status":503,"retryAfterMs":200},{"status":503,"retryAfterMs":100},{"status":200}]"#);
        bench.take(&["a"], WAIT);
        bench.check_answers(r#"[{"status":200}]"#);
        bench.check_taken(&["3", "4"]);
    }

    #[test]
    fn what_finds_no_room_and_would_not_come_again_is_held_and_tried_again_in_order() {
        let mut bench = Bench::new(Peer::Original, 1);
        bench.take(&["a", "a", "a", "awaited", "a"], Duration::ZERO);
        bench.check_taken(&["1", "4"]);
        assert_eq!(bench.intake.due(), Some(bench.start + WAIT));
        *bench.shelf.room.lock().unwrap() = 2;
        bench.intake.retry(bench.start + WAIT);
        bench.check_taken(&["1", "4", "2", "3"]);
        assert_eq!(bench.intake.due(), Some(bench.start + 2 * WAIT));
        *bench.shelf.room.lock().unwrap() = 9;
        bench.intake.retry(bench.start + WAIT);
        bench.check_taken(&["1", "4", "2", "3"]);
        bench.intake.retry(bench.start + 2 * WAIT);
        bench.check_taken(&["1", "4", "2", "3", "5"]);
        assert_eq!(bench.intake.due(), None);
    }

    #[test]
    fn so_much_is_held_and_no_more_is_read() {
        let mut bench = Bench::new(Peer::Original, 0);
        for _ in 0..HELD_MESSAGES_MAX {
            assert_eq!(bench.intake.reading(), Reading::On);
            bench.take(&["a"], Duration::ZERO);
        }
        assert_eq!(bench.intake.reading(), Reading::Off);
        *bench.shelf.room.lock().unwrap() = 1;
        bench.intake.retry(bench.start + WAIT);
        assert_eq!(bench.intake.reading(), Reading::On);
    }

    #[test]
    fn what_is_held_to_the_end_is_told() {
        let mut bench = Bench::new(Peer::Original, 0);
        bench.take(&["a"], Duration::ZERO);
        bench.intake.give_up();
        let expected = ["message 'a' was not taken: there was no room for it in time"];
        assert_eq!(*bench.shelf.troubles.lock().unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_answered_is_told() {
        let mut bench = Bench::new(Peer::Original, 9);
        bench.take(&["zonk", "ugly"], Duration::ZERO);
        bench.intake.unreadable("missing message id".into());
        let expected = ["unknown message: 'zonk'", "message 'ugly' was not taken: too deep", "missing message id"];
        assert_eq!(*bench.shelf.troubles.lock().unwrap(), expected);
        assert_eq!((bench.intake.answers(), bench.intake.due()), (None, None));
    }

    #[test]
    fn an_answer_that_comes_later_holds_back_those_behind_it() {
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
    fn a_held_message_is_kept_until_its_answer_comes_and_offered_again_if_it_was_not_taken() {
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
