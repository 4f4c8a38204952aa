//! What is done with messages that come: they are given to the inbox in their order, and wait where it has no room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::handshake::Peer;
use crate::http::Reading;
use crate::message::{Delivery, Inbox, Message};

/// Messages that may wait here for an inbox without room; then nothing more is read. Replies that somebody waits for
/// are among what comes behind them, and pass them.
const HELD_MESSAGES_MAX: usize = 256;

/// Gives messages to the inbox.
pub(super) struct Intake {
    inbox: Arc<dyn Inbox>,
    way: Way,
}

/// What becomes of a message that finds no room.
enum Way {
    /// It is answered so and comes again; until then the others behind it are not taken either, so that order is kept.
    Answer { answers: Vec<Delivery>, full_until: Option<Instant> },
    /// It waits here, since it would not come again.
    Hold { held: VecDeque<Message>, retry_at: Option<Instant> },
}

impl Intake {
    pub(super) fn new(peer: Peer, inbox: Arc<dyn Inbox>) -> Self {
        let way = match peer {
            Peer::Acknowledging => Way::Answer { answers: Vec::new(), full_until: None },
            Peer::Original => Way::Hold { held: VecDeque::new(), retry_at: None },
        };
        Self { inbox, way }
    }

    /// Takes one message.
    pub(super) fn take(&mut self, message: Message, now: Instant) {
        match &mut self.way {
            Way::Answer { answers, full_until } => {
                let full = full_until.filter(|until| *until > now && !self.inbox.awaits(&message));
                if let Some(until) = full {
                    answers.push(Delivery::Busy { retry_after: until - now });
                    return;
                }
                let delivery = self.inbox.deliver(message);
                if let Delivery::Busy { retry_after } = &delivery {
                    *full_until = Some(now + *retry_after);
                }
                answers.push(delivery);
            }
            Way::Hold { held, retry_at } => {
                if !held.is_empty() && !self.inbox.awaits(&message) {
                    held.push_back(message);
                } else if let Some(wait) = offer(&*self.inbox, &message) {
                    held.push_back(message);
                    retry_at.get_or_insert(now + wait);
                }
            }
        }
    }

    /// Takes note of a frame that is no message. `words` say why.
    pub(super) fn unreadable(&mut self, words: String) {
        self.inbox.report_error(&words);
        match &mut self.way {
            Way::Answer { answers, .. } => answers.push(Delivery::Refused { detail: words }),
            Way::Hold { .. } => {}
        }
    }

    /// The answers to what came since the last time, as one frame; none if there is nothing to answer.
    pub(super) fn answers(&mut self) -> Option<Bytes> {
        match &mut self.way {
            Way::Answer { answers, .. } if !answers.is_empty() => {
                let frame = Delivery::list_to_json(answers);
                answers.clear();
                Some(frame)
            }
            Way::Answer { .. } | Way::Hold { .. } => None,
        }
    }

    /// Whether more may come.
    pub(super) fn reading(&self) -> Reading {
        match &self.way {
            Way::Hold { held, .. } if held.len() >= HELD_MESSAGES_MAX => Reading::Off,
            Way::Hold { .. } | Way::Answer { .. } => Reading::On,
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
        while let Some(message) = held.front() {
            if let Some(wait) = offer(&*self.inbox, message) {
                *retry_at = Some(now + wait);
                return;
            }
            held.pop_front();
        }
    }

    /// Ends without the messages that wait here, and tells of each.
    pub(super) fn give_up(self) {
        let Way::Hold { held, .. } = self.way else { return };
        for message in held {
            self.inbox
                .report_error(&format!("message '{}' was not taken: there was no room for it in time", message.name));
        }
    }
}

/// Gives the message to the inbox where nobody can be answered. `Some` if it has no room, and for how long.
fn offer(inbox: &dyn Inbox, message: &Message) -> Option<Duration> {
    match inbox.deliver(message.clone()) {
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

    use super::*;
    use crate::message::{MessageId, MessageName};

    const WAIT: Duration = Duration::from_millis(200);

    /// Has `room` for so many messages, and takes those called `awaited` always.
    #[derive(Default)]
    struct Shelf {
        room: Mutex<usize>,
        taken: Mutex<Vec<String>>,
        troubles: Mutex<Vec<String>>,
    }

    impl Inbox for Shelf {
        fn deliver(&self, message: Message) -> Delivery {
            let mut room = self.room.lock().unwrap();
            match message.name.as_str() {
                "zonk" => return Delivery::Unknown,
                "ugly" => return Delivery::Refused { detail: "too deep".into() },
                "awaited" => {}
                _ if *room == 0 => return Delivery::Busy { retry_after: WAIT },
                _ => *room -= 1,
            }
            self.taken.lock().unwrap().push(message.id.to_string());
            Delivery::Accepted
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
}
