//! The security adapter: a service of the role `security` judges every message before it is routed. exo 3.6.

use std::time::Instant;

use super::exchange::give_up;
use super::guard::{Held, Question};
use super::publishing::{Answer, RETRY_AFTER};
use super::{Effect, Exchange, Note, Reason};
use crate::broker::config::SecurityAbsent;
use crate::broker::wire::{Dialect, delivery_frame};
use crate::message::{ActivityId, InstanceId, Message, MessageName, Payload, Verdict};

/// What passes between broker and security service.
const AUTHORIZE: &str = "authorize message";
const AUTHORIZED: &str = "message authorized";
const UNAUTHORIZED: &str = "message unauthorized";
const REQUEST: &str = "security request";
const RESPONSE: &str = "security response";

impl<H: Clone> Exchange<H> {
    /// Whether the landscape has every message judged.
    pub(super) fn is_guarded(&self) -> bool {
        self.declared.is_guarded()
    }

    /// Has the message judged, or takes a judgement.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        (message, answer): (Message, Answer),
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        let activity = message.conversation();
        if self.comes_from_judge(origin, &message) {
            match message.name.as_str() {
                AUTHORIZED => self.authorized(now, &activity, &message.name, effects),
                UNAUTHORIZED => self.unauthorized(now, &activity, &message.name, effects),
                REQUEST => self.asked_by_judge(now, origin, &activity, &message, effects),
                _ => return self.pass(now, origin, (message, answer), effects),
            }
            return Verdict::Accepted;
        }
        if self.answers_judge(now, origin, &activity)
            && let Some(Question { judged_in, request }) = self.guard.answer(&activity)
        {
            let response = self.message_about(RESPONSE, &message, judged_in);
            let response = Message { is_security: true, response_to: Some(request), ..response };
            self.tell_judge(now, response, effects);
            return Verdict::Accepted;
        }
        self.hold(now, origin, (message, answer), effects)
    }

    /// Refuses what nobody judged in time.
    pub(super) fn expire_held(&mut self, now: Instant, effects: &mut Vec<Effect<H>>) {
        let hold = self.config.security_hold();
        for held in self.guard.expire(now, hold) {
            self.refuse(held, Reason::NotJudged { hold }, effects);
        }
    }

    /// Gives up what is not judged yet. Answers how many that were.
    pub(super) fn close_guard(&mut self, effects: &mut Vec<Effect<H>>) -> usize {
        let left = self.guard.drain();
        let count = left.len();
        left.into_iter().for_each(|held| self.refuse(held, Reason::Closed, effects));
        count
    }

    fn hold(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        (message, answer): (Message, Answer),
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        let judge_is_here = !self.roster.of_role(self.guard.judge()).is_empty();
        match self.config.security_absent {
            SecurityAbsent::Allow if !judge_is_here => return self.pass(now, origin, (message, answer), effects),
            SecurityAbsent::Refuse if !judge_is_here => {
                effects.push(Effect::Note(Note::NoService { role: self.guard.judge().clone() }));
                let detail = format!("no service of the role 'security' is there to judge '{}'", message.name);
                return self.forbid(now, origin, &message, detail, effects);
            }
            SecurityAbsent::Hold | SecurityAbsent::Refuse | SecurityAbsent::Allow => {}
        }
        if !self.guard.has_room(&message) {
            return Verdict::Busy { retry_after: RETRY_AFTER };
        }
        let activity: ActivityId = self.guard.id().into();
        let question = self.message_about(AUTHORIZE, &message, activity.clone());
        self.guard.hold(activity, Held { message, answer, origin: origin.cloned(), accepted: now });
        self.tell_judge(now, question, effects);
        Verdict::Accepted
    }

    fn authorized(&mut self, now: Instant, activity: &ActivityId, name: &MessageName, effects: &mut Vec<Effect<H>>) {
        let Some(held) = self.released(activity, name, effects) else { return };
        let Held { message, answer, origin, accepted } = held;
        let kept = (message.clone(), origin.clone());
        match self.pass(now, origin.as_ref(), (message, answer), effects) {
            Verdict::Accepted => {}
            verdict @ (Verdict::NoReceivers
            | Verdict::Busy { .. }
            | Verdict::Forbidden { .. }
            | Verdict::Refused { .. }) => {
                let reason = if verdict == Verdict::NoReceivers { Reason::NoReceivers } else { Reason::QueueFull };
                let (message, origin) = kept;
                self.refuse(Held { message, answer, origin, accepted }, reason, effects);
            }
        }
    }

    fn unauthorized(&mut self, now: Instant, activity: &ActivityId, name: &MessageName, effects: &mut Vec<Effect<H>>) {
        let Some(held) = self.released(activity, name, effects) else { return };
        let message = &held.message;
        let conversation = message.conversation();
        let (sender, called) = (message.sender.clone(), message.name.clone());
        effects.push(Effect::Note(Note::Unauthorized { name: called, sender, activity: conversation.clone() }));
        let told = self.message_about(UNAUTHORIZED, message, conversation);
        // Nobody has to listen to it.
        self.route(now, None, (&told, Answer::Told), effects);
        self.refuse(held, Reason::Unauthorized, effects);
    }

    fn asked_by_judge(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        judged_in: &ActivityId,
        request: &Message,
        effects: &mut Vec<Effect<H>>,
    ) {
        if !self.guard.holds(judged_in) {
            let (name, activity) = (request.name.clone(), judged_in.clone());
            effects.push(Effect::Note(Note::StrayVerdict { name, activity }));
            return;
        }
        let nothing = bytes::Bytes::from_static(b"null");
        let payload = request.payload.as_ref().map_or(&nothing, |payload| payload.as_bytes());
        let mut inner = match Message::from_json(None, payload) {
            Ok(inner) => inner,
            Err(error) => {
                effects.push(Effect::Note(Note::BadSecurityRequest { cause: error.to_string() }));
                return;
            }
        };
        let asked_in = inner.conversation();
        inner.activity_id = Some(asked_in.clone());
        inner.sender = Some(self.guard.judge().clone());
        self.guard.ask(now, asked_in, Question { judged_in: judged_in.clone(), request: request.id.clone() });
        self.pass(now, origin, (inner, Answer::Told), effects);
    }

    /// The held message that a verdict is about; a verdict about nothing is noted.
    fn released(&mut self, activity: &ActivityId, name: &MessageName, effects: &mut Vec<Effect<H>>) -> Option<Held> {
        let held = self.guard.release(activity);
        if held.is_none() {
            let (name, activity) = (name.clone(), activity.clone());
            effects.push(Effect::Note(Note::StrayVerdict { name, activity }));
        }
        held
    }

    fn refuse(&mut self, held: Held, reason: Reason, effects: &mut Vec<Effect<H>>) {
        let Held { message, origin, accepted, answer: _ } = held;
        let public = self.public_name(origin.as_ref(), message.sender.as_ref(), &message.name);
        let parcel = self.parcel(accepted, (message, public), self.guard.judge().clone(), None, origin);
        give_up(parcel, reason, effects);
    }

    fn comes_from_judge(&self, origin: Option<&InstanceId>, message: &Message) -> bool {
        let instance = origin.and_then(|id| self.roster.get(self.roster.key_of(id)?));
        message.sender.as_ref() == Some(self.guard.judge())
            && instance.is_some_and(|instance| instance.role == *self.guard.judge())
    }

    /// Whether this is the answer to something that the judge has asked: it comes from who got the question, as far as
    /// that can be told.
    fn answers_judge(&self, now: Instant, origin: Option<&InstanceId>, activity: &ActivityId) -> bool {
        if !self.guard.asked(activity) {
            return false;
        }
        let Some(key) = origin.and_then(|id| self.roster.key_of(id)) else { return true };
        self.conversations.answered(now, activity, key).is_some()
    }

    /// A message about a message, for the judge or for whoever listens to refusals. exo 3.6.
    fn message_about(&mut self, name: &str, about: &Message, activity: ActivityId) -> Message {
        let payload = Payload::parse(delivery_frame(about, Dialect::ActivityId, None)).ok();
        let name = MessageName::parse(name).expect("a constant that is a name");
        Message { payload, activity_id: Some(activity), ..Message::new(self.guard.id(), name) }
    }

    /// Gives a message to the security service, or lets it wait for one.
    fn tell_judge(&mut self, now: Instant, message: Message, effects: &mut Vec<Effect<H>>) {
        let activity = message.conversation();
        let participants = self.conversations.participants(now, &activity);
        let length = |key| self.roster.get(key).map_or(usize::MAX, |instance| instance.queue.len());
        let targets = self.routes.targets(&message.name).iter_mut();
        let judge = self.guard.judge().clone();
        let target = targets.into_iter().find(|target| target.role == judge);
        let known = participants.iter().map(|participant| participant.key);
        let key = target.map(|target| target.choose(known, length).0);
        let public = message.name.clone();
        let id = message.id.clone();
        let parcel = self.parcel(now, (message, public), self.guard.judge().clone(), None, None);
        match key {
            Some(key) => {
                self.conversations.record(now, &id, &activity, None, None, std::iter::once(key));
                self.hand_in(key, parcel, effects);
            }
            None => {
                effects.push(Effect::Note(Note::NoService { role: self.guard.judge().clone() }));
                self.orphan(parcel, effects);
            }
        }
    }
}
