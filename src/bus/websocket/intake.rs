//! Passes received messages to the inbox in order, and holds them back while it is full.

#[cfg(test)]
mod tests;

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

/// The same while a request waits for its reply, which may be behind those messages.
const HELD_WHILE_AWAITING_MAX: usize = 16_384;

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
            Mode::Answer { .. } => Reading::On,
            Mode::Hold { held, .. } => match held.len() {
                0..HELD_MESSAGES_MAX => Reading::On,
                HELD_MESSAGES_MAX..HELD_WHILE_AWAITING_MAX if self.inbox.awaits_reply(None) => Reading::On,
                _ => Reading::Off,
            },
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
