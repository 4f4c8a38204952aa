//! A message on its way in: may it be sent, who gets it, and by which name. exo 3.3.

use std::time::{Duration, Instant};

use super::exchange::give_up;
use super::waiting::Awaited;
use super::{Effect, Exchange, Key, Note, Parcel, Reason, Routed};
use crate::broker::wire::Fate;
use crate::http::access::equals_secret;
use crate::message::{ActivityId, InstanceId, Message, MessageName, Role, Verdict};

/// What a refused sender is told to wait.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// One instance chosen for a message.
pub(super) struct Pick {
    pub(super) key: Key,
    pub(super) role: Role,
    pub(super) name: MessageName,
    /// The role does not subscribe; the instance gets it because it asked.
    asked: bool,
}

/// How the broker knows what a message answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The sender said so, or the message answers nothing.
    Told,
    /// The sender took part in the conversation, and the last it got there is what it is taken to answer.
    Guessed,
}

impl<H: Clone> Exchange<H> {
    /// Takes one message: checks that it may be sent, has it judged if the landscape wants that, and routes it to one
    /// instance of every role that receives it.
    pub(crate) fn publish(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        mut message: Message,
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        if self.draining {
            return Verdict::Busy { retry_after: Duration::from_secs(1) };
        }
        let origin = origin.filter(|id| self.roster.key_of(id).is_some());
        self.sign(origin, &mut message);
        if !self.declared.permits(message.sender.as_ref(), &message.name) {
            let (sender, name) = (message.sender.clone(), message.name.clone());
            let who = sender.as_ref().map_or("", Role::as_str);
            let detail = format!("service '{who}' is not allowed to broadcast the message '{name}'");
            effects.push(Effect::Note(Note::Forbidden { sender, name }));
            return self.forbid(now, origin, &message, detail, effects);
        }
        let answer = self.place_in_conversation(now, origin, &mut message);
        match self.is_guarded() {
            true => self.judge(now, origin, (message, answer), effects),
            false => self.pass(now, origin, (message, answer), effects),
        }
    }

    /// Gives up a message for which there never was room.
    pub(crate) fn overflow(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: Message,
        effects: &mut Vec<Effect<H>>,
    ) {
        let public = self.public_name(origin, message.sender.as_ref(), &message.name);
        let parcel = self.parcel(now, (message, public), super::waiting::nobody(), None, origin.cloned());
        give_up(parcel, Reason::QueueFull, effects);
    }

    /// Whether a sender may use the name of `role`: a role with a token is spoken for by its own instances, and those
    /// reached over HTTP show the token each time.
    pub(crate) fn may_speak_for(&self, role: &Role, origin: Option<&InstanceId>, token: Option<&str>) -> bool {
        let Some(expected) = self.tokens.get(role) else { return true };
        let instance = origin.and_then(|id| self.roster.get(self.roster.key_of(id)?));
        let connected = instance.is_some_and(|instance| instance.role == *role && instance.address().is_none());
        connected || token.is_some_and(|token| equals_secret(token, expected))
    }

    /// What everybody else calls the message that `sender`, or the role of `origin`, calls `name`.
    pub(crate) fn public_name(
        &self,
        origin: Option<&InstanceId>,
        sender: Option<&Role>,
        name: &MessageName,
    ) -> MessageName {
        let origin = origin.and_then(|id| self.roster.get(self.roster.key_of(id)?));
        let Some(sender) = sender.or_else(|| origin.map(|instance| &instance.role)) else { return name.clone() };
        if let Some(language) = self.declared.language(sender) {
            return self.routes.rules().sending(sender, &language.translation, name);
        }
        let instance = origin.filter(|instance| instance.role == *sender);
        let instance = instance.or_else(|| self.roster.get(*self.roster.of_role(sender).first()?));
        let Some(instance) = instance else { return name.clone() };
        self.routes.rules().sending(sender, &instance.language.translation, name)
    }

    /// Routes a message that may pass; an operator is told if nobody receives it.
    pub(super) fn pass(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        (message, answer): (Message, Answer),
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        let verdict = self.route(now, origin, (&message, answer), effects);
        if verdict == Verdict::NoReceivers {
            self.show_stopped(now, origin, &message, (Fate::NoReceivers, ""), effects);
            effects.push(Effect::Note(Note::NoReceivers { name: message.name }));
        }
        verdict
    }

    /// Routes a message that may pass to one instance of every role that receives it.
    pub(super) fn route(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        (message, answer): (&Message, Answer),
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        let public = self.public_name(origin, message.sender.as_ref(), &message.name);
        let conversation = self.conversations.name(now, message);
        let mut picks = std::mem::take(&mut self.picks);
        self.pick(now, (message, answer), &public, &conversation, &mut picks);
        let mut awaited = Awaited::default();
        let verdict = if !picks.is_empty() && !picks.iter().any(|pick| self.has_room(pick.key, message)) {
            Verdict::Busy { retry_after: RETRY_AFTER }
        } else {
            awaited = self.await_absent(now, origin, (message, &public), &picks, effects);
            if picks.is_empty() && !awaited.takes { Verdict::NoReceivers } else { Verdict::Accepted }
        };
        if verdict == Verdict::Accepted {
            let origin_key = origin.and_then(|id| self.roster.key_of(id));
            let keys = picks.iter().map(|pick| pick.key);
            self.conversations.record(now, &message.id, &conversation, origin, origin_key, keys);
            self.log(now, message, &picks, effects);
            self.show_routed(now, origin, (message, &public, &conversation), (&picks, &awaited.roles), effects);
            self.dispatch(now, origin, (message, &public), &mut picks, effects);
        }
        picks.clear();
        self.picks = picks;
        verdict
    }

    /// A message without a sender gets the role of its origin.
    fn sign(&self, origin: Option<&InstanceId>, message: &mut Message) {
        if message.sender.is_none() {
            let instance = origin.and_then(|id| self.roster.get(self.roster.key_of(id)?));
            message.sender = instance.map(|instance| instance.role.clone());
        }
    }

    /// Gives the message what its receivers, each in its own dialect, find answers by: its conversation, and what it
    /// answers. Services that know only conversations do not tell the latter.
    fn place_in_conversation(&self, now: Instant, origin: Option<&InstanceId>, message: &mut Message) -> Answer {
        let mut answer = Answer::Told;
        let key = origin.and_then(|id| self.roster.key_of(id));
        let tells_nothing = |key: &Key| self.roster.get(*key).is_some_and(|instance| !instance.takes_answers());
        if let (None, Some(activity), Some(key)) =
            (&message.response_to, &message.activity_id, key.filter(tells_nothing))
        {
            message.response_to = self.conversations.answered(now, activity, key).cloned();
            answer = Answer::Guessed;
        }
        message.activity_id = Some(self.conversations.name(now, message));
        answer
    }

    /// Chooses one instance of every role that receives the message. The instance that asked for a reply gets it even
    /// if its role does not subscribe to it, except by the original's rules, or when it is a guess and others
    /// subscribe.
    fn pick(
        &mut self,
        now: Instant,
        (message, answer): (&Message, Answer),
        public: &MessageName,
        conversation: &ActivityId,
        picks: &mut Vec<Pick>,
    ) {
        let asked = message.response_to.as_ref().and_then(|id| self.conversations.sender(now, id));
        let asker = asked.and_then(|id| self.roster.key_of(id));
        let asker = asker.and_then(|key| Some((key, self.roster.get(key)?)));
        let participants = self.conversations.participants(now, conversation);
        let length = |key| self.roster.get(key).map_or(usize::MAX, |instance| instance.queue.len());
        let compat = self.config.compat;
        for target in self.routes.targets(public) {
            let known = participants.iter().map(|participant| participant.key);
            let own = asker.filter(|(_, instance)| instance.role == target.role);
            let later = own.is_some_and(|(key, instance)| {
                let unasked = target.name_for(key).is_none();
                unasked && !compat && instance.takes_answers() && answer == Answer::Told
            });
            if later {
                continue;
            }
            let (key, name) = target.choose(own.map(|(key, _)| key).into_iter().chain(known), length);
            let name = name.clone();
            picks.push(Pick { key, role: target.role.clone(), name, asked: false });
        }
        let wanted = |instance: &super::Instance<H>| {
            !compat && instance.takes_answers() && (answer == Answer::Told || picks.is_empty())
        };
        let asker = asker.filter(|(key, instance)| wanted(instance) && picks.iter().all(|pick| pick.key != *key));
        if let Some((key, instance)) = asker {
            let name = self.routes.rules().delivering(&instance.role, &instance.language.translation, public);
            picks.push(Pick { key, role: instance.role.clone(), name, asked: true });
        }
    }

    fn dispatch(
        &mut self,
        now: Instant,
        origin: Option<&InstanceId>,
        (message, public): (&Message, &MessageName),
        picks: &mut Vec<Pick>,
        effects: &mut Vec<Effect<H>>,
    ) {
        for Pick { key, role, name, asked } in picks.drain(..) {
            let only = if asked { self.roster.get(key).and_then(|instance| instance.id.clone()) } else { None };
            let message = Message { name, ..message.clone() };
            let parcel = self.parcel(now, (message, public.clone()), role, only, origin.cloned());
            self.hand_in(key, parcel, effects);
        }
    }

    /// Gives the parcel to the instance: at once if it is of this process and idle, else into its queue.
    pub(super) fn hand_in(&mut self, key: Key, parcel: Parcel, effects: &mut Vec<Effect<H>>) {
        match self.roster.get(key) {
            Some(instance) if instance.is_local() && instance.queue.is_idle() => {
                effects.push(Effect::Deliver { handle: instance.handle.clone(), key, parcel });
            }
            Some(_) if self.has_room(key, &parcel.message) => self.enqueue(key, parcel, effects),
            Some(_) | None => give_up(parcel, Reason::QueueFull, effects),
        }
    }

    fn log(&self, now: Instant, message: &Message, picks: &[Pick], effects: &mut Vec<Effect<H>>) {
        if self.config.log_messages && !picks.is_empty() {
            let receivers = picks.iter().map(|pick| (pick.role.clone(), pick.name.clone())).collect();
            let response_time = message.response_to.as_ref().and_then(|id| self.conversations.age(now, id));
            effects.push(Effect::Routed(Routed { message: message.clone(), receivers, response_time }));
        }
    }
}
