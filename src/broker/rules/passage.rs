//! What comes by: one trace per message, for those who watch the broker, and what it tells.
//!
//! Nothing of this is made unless traces are kept or somebody follows. A sender that is told to come again later leaves
//! no trace until its message is taken.

use std::time::{Duration, Instant, SystemTime};

use super::publishing::Pick;
use super::{Effect, Exchange, GivenUp, Trace};
use crate::broker::wire::{Fate, ReceiverRow, TrafficRow, millis};
use crate::message::{ActivityId, InstanceId, Message, MessageId, MessageName, Role, Verdict};

/// One message that came by.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    /// When it was routed or stopped.
    pub(crate) at: Instant,
    pub(crate) id: MessageId,
    /// As its sender calls it.
    pub(crate) name: MessageName,
    /// As everybody else does.
    pub(crate) public: MessageName,
    pub(crate) sender: Option<Role>,
    /// The instance that sent it.
    pub(crate) origin: Option<InstanceId>,
    pub(crate) activity: ActivityId,
    /// The message it answers.
    pub(crate) response_to: Option<MessageId>,
    /// How long after that message it came.
    pub(crate) response_time: Option<Duration>,
    pub(crate) receivers: Vec<Receiver>,
    /// The roles it waits for.
    pub(crate) awaited: Vec<Role>,
    /// How many more of both there are.
    pub(crate) left_out: usize,
    pub(crate) payload_bytes: usize,
    pub(crate) fate: Fate,
    /// Why it was forbidden.
    pub(crate) detail: Option<String>,
}

/// Who gets it.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) role: Role,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) name: MessageName,
}

/// One message that came by, and what the clock on the wall said.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) wall: SystemTime,
    pub(crate) passage: Passage,
}

impl Seen {
    /// What others get to see of it.
    pub(crate) fn row(&self) -> TrafficRow {
        let passage = &self.passage;
        let receiver = |receiver: &Receiver| ReceiverRow {
            role: receiver.role.clone(),
            instance: receiver.instance.clone(),
            name: receiver.name.clone(),
        };
        TrafficRow {
            at: humantime::format_rfc3339_micros(self.wall).to_string(),
            id: passage.id.clone(),
            name: passage.name.clone(),
            public_name: passage.public.clone(),
            sender: passage.sender.clone(),
            instance: passage.origin.clone(),
            activity_id: passage.activity.clone(),
            response_to: passage.response_to.clone(),
            response_time_ms: passage.response_time.map(millis),
            receivers: passage.receivers.iter().map(receiver).collect(),
            waiting_for: passage.awaited.clone(),
            left_out: passage.left_out,
            payload_bytes: passage.payload_bytes,
            fate: passage.fate,
            detail: passage.detail.clone(),
        }
    }
}

/// What a follower wants to see; everything that is `None` is all the same to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// A name of the message: its sender's, a receiver's, or everybody else's.
    pub(crate) message: Option<MessageName>,
    /// Who sends it or should get it.
    pub(crate) role: Option<Role>,
    pub(crate) activity: Option<ActivityId>,
}

impl Filter {
    /// Whether it wants to see this message.
    pub(crate) fn wants(&self, passage: &Passage) -> bool {
        let Passage { name, public, sender, receivers, awaited, activity, .. } = passage;
        let named = |wanted: &MessageName| {
            wanted == name || wanted == public || receivers.iter().any(|receiver| receiver.name == *wanted)
        };
        let concerned = |wanted: &Role| {
            let gets = receivers.iter().any(|receiver| receiver.role == *wanted) || awaited.contains(wanted);
            gets || sender.as_ref() == Some(wanted)
        };
        self.message.as_ref().is_none_or(named)
            && self.role.as_ref().is_none_or(concerned)
            && self.activity.as_ref().is_none_or(|wanted| wanted == activity)
    }

    /// Whether it wants to see this failure.
    pub(crate) fn wants_failure(&self, given_up: &GivenUp) -> bool {
        let row = &given_up.row;
        let concerned = |wanted: &Role| row.sender.as_ref() == Some(wanted) || row.receiver.as_ref() == Some(wanted);
        self.message.as_ref().is_none_or(|wanted| *wanted == row.name || *wanted == given_up.called)
            && self.role.as_ref().is_none_or(concerned)
            && self.activity.as_ref().is_none_or(|wanted| *wanted == row.activity_id)
    }
}

impl<H: Clone> Exchange<H> {
    /// Somebody follows the traffic, until [`Exchange::unfollow`].
    pub(crate) fn follow(&mut self) {
        self.followers += 1;
    }

    /// One follower less.
    pub(crate) fn unfollow(&mut self) {
        self.followers = self.followers.saturating_sub(1);
    }

    /// Refuses a message for good.
    pub(crate) fn forbid(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        detail: String,
        effects: &mut Vec<Effect<H>>,
    ) -> Verdict {
        self.show_stopped(now, origin, message, (Fate::Forbidden, &detail), effects);
        Verdict::Forbidden { detail }
    }

    /// Shows a message that goes to the picked instances, and waits for the roles that are `awaited`.
    pub(super) fn show_routed(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        (message, public, activity): (&Message, &MessageName, &ActivityId),
        (picks, awaited): (&[Pick], &[Role]),
        effects: &mut Vec<Effect<H>>,
    ) {
        if !self.is_watched() {
            return;
        }
        let mut trace = self.trace(now, origin, message, (public, activity));
        for Pick { key, role, name, .. } in picks {
            let instance = self.roster.get(*key).and_then(|instance| instance.id.as_ref());
            trace.receiver(role, instance, Some(name).filter(|name| *name != public));
        }
        awaited.iter().for_each(|role| trace.awaited(role));
        effects.push(Effect::Passed(trace));
    }

    /// Shows a message that goes nowhere.
    pub(super) fn show_stopped(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        (fate, detail): (Fate, &str),
        effects: &mut Vec<Effect<H>>,
    ) {
        if !self.is_watched() {
            return;
        }
        let public = self.public_name(origin, message.sender.as_ref(), &message.name);
        let activity = self.conversations.name(now, message);
        let trace = self.trace(now, origin, message, (&public, &activity)).stopped(fate, detail);
        effects.push(Effect::Passed(trace));
    }

    fn is_watched(&self) -> bool {
        self.config.traffic_messages_max > 0 || self.followers > 0
    }

    fn trace(
        &self,
        now: Instant,
        origin: Option<&InstanceId>,
        message: &Message,
        names: (&MessageName, &ActivityId),
    ) -> Trace {
        let response_time = message.response_to.as_ref().and_then(|id| self.conversations.age(now, id));
        let mut trace = Trace::new(now, message, names, origin, response_time);
        if self.config.log_payloads {
            trace.payload = message.payload.clone();
        }
        trace
    }
}
