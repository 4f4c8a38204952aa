//! The machine: what happens to a message, a registration, an outcome, and a moment of time.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::absent::Absent;
use super::{
    Attempt, Batch, Conversations, Declared, Effect, Key, Parcel, Reason, Roster, Routed, Routes, Rules, Work,
};
use crate::broker::config::Config;
use crate::broker::wire::{Address, Verdict};
use crate::message::{ActivityId, InstanceId, Message, MessageName, Role};

/// What a refused sender is told to wait.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Where an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process; it has no lease.
    Local,
    /// Somewhere else; it has a lease.
    Remote(Address),
    /// At the other end of a WebSocket; it stays as long as that.
    Socket,
}

/// The broker without its sockets. Every call takes the time and appends to `effects` what is to be done.
pub(crate) struct Exchange<H> {
    pub(super) config: Config,
    pub(super) roster: Roster<H>,
    pub(super) routes: Routes,
    pub(super) conversations: Conversations,
    /// What waits for a role that has no instance to take it.
    pub(super) orphans: HashMap<Role, VecDeque<Parcel>>,
    pub(super) absent: Absent,
    pub(super) declared: Declared,
    pub(super) tokens: HashMap<Role, String>,
    /// Unsettled parcels and their bytes, orphans included.
    pub(super) load: Load,
    pub(super) draining: bool,
    next_sequence: u64,
    picks: Vec<Pick>,
}

/// What all queues hold together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Load {
    pub(super) fn add(&mut self, parcel: &Parcel) {
        self.messages += 1;
        self.bytes += parcel.bytes();
    }

    pub(super) fn subtract(&mut self, parcel: &Parcel) {
        self.messages -= 1;
        self.bytes -= parcel.bytes();
    }
}

/// One instance chosen for a message.
pub(super) struct Pick {
    key: Key,
    pub(super) role: Role,
    name: MessageName,
    /// The role does not subscribe; the instance gets it because it asked.
    asked: bool,
}

impl<H: Clone> Exchange<H> {
    pub(crate) fn new(config: Config) -> Self {
        let rules = if config.compat { Rules::Original } else { Rules::Ours };
        let conversations = Conversations::new(config.conversations_max, config.conversation_idle());
        let absent = Absent::new(config.settle(), config.queue_messages_max);
        let tokens = config.token_of_role().unwrap_or_default();
        Self {
            config,
            roster: Roster::new(),
            routes: Routes::new(rules),
            conversations,
            orphans: HashMap::new(),
            absent,
            declared: Declared::default(),
            tokens,
            load: Load::default(),
            draining: false,
            next_sequence: 0,
            picks: Vec::new(),
        }
    }

    /// Routes one message to one instance of every role that receives it.
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
        let public = self.public_name(origin, message.sender.as_ref(), &message.name);
        let conversation = self.conversations.name(now, &message);
        let mut picks = std::mem::take(&mut self.picks);
        self.pick(now, &message, &public, &conversation, &mut picks);
        let verdict = if !picks.is_empty() && !picks.iter().any(|pick| self.has_room(pick.key, &message)) {
            Verdict::Busy { retry_after: RETRY_AFTER }
        } else if self.await_absent(now, origin, (&message, &public), &picks, effects) || !picks.is_empty() {
            Verdict::Accepted
        } else {
            Verdict::NoReceivers
        };
        if verdict == Verdict::Accepted {
            let keys =
                origin.and_then(|id| self.roster.key_of(id)).into_iter().chain(picks.iter().map(|pick| pick.key));
            self.conversations.record(now, &message.id, &conversation, origin, keys);
            self.log(&message, &picks, effects);
            self.dispatch(now, origin, (&message, &public), &mut picks, effects);
        }
        picks.clear();
        self.picks = picks;
        verdict
    }

    /// Whether an instance of this id is on the roster.
    pub(crate) fn knows(&self, id: &InstanceId) -> bool {
        self.roster.key_of(id).is_some()
    }

    /// Puts a message for one instance into its queue, if the instance is there and has room; otherwise nothing
    /// happens. Such a message is never reported.
    pub(crate) fn tell(&mut self, now: Instant, id: &InstanceId, message: Message, effects: &mut Vec<Effect<H>>) {
        let Some(key) = self.roster.key_of(id) else { return };
        let Some(instance) = self.roster.get(key).filter(|instance| instance.is_local() || instance.batch) else {
            return;
        };
        let role = instance.role.clone();
        if self.has_room(key, &message) {
            let public = message.name.clone();
            let parcel = self.parcel(now, (message, public), role, Some(id.clone()), None);
            self.enqueue(key, Parcel { reported: false, ..parcel }, effects);
        }
    }

    /// Takes back a parcel that an instance of this process had no room for.
    pub(crate) fn put_back(&mut self, now: Instant, key: Key, parcel: Parcel, effects: &mut Vec<Effect<H>>) {
        match self.roster.get(key) {
            Some(instance) if !instance.gone => match self.fits(key, &parcel) {
                true => self.enqueue(key, parcel, effects),
                false => give_up(parcel, Reason::QueueFull, effects),
            },
            Some(_) | None => self.reroute(now, VecDeque::from([parcel]), effects),
        }
    }

    /// What the courier of the instance should do.
    pub(crate) fn take(&mut self, now: Instant, key: Key, effects: &mut Vec<Effect<H>>) -> Work {
        let window = self.config.delivery_window();
        let Some(instance) = self.roster.get_mut(key).filter(|instance| !instance.gone) else { return Work::Gone };
        let together = instance.takes_several();
        let messages_max = if together { self.config.batch_messages_max } else { 1 };
        let mut late = Vec::new();
        let bounds = (messages_max, self.config.batch_bytes_max);
        let messages = instance.queue.take(bounds, (now, window), &mut late);
        let address = instance.address().cloned();
        let last_failure = instance.queue.last_failure();
        self.give_up_late(late, last_failure, effects);
        match messages.is_empty() {
            true => Work::Nothing,
            false => Work::Batch(Batch { address, together, messages }),
        }
    }

    /// Tells how the delivery went that [`Exchange::take`] gave out. Answers how many messages were delivered.
    pub(crate) fn settle(&mut self, now: Instant, key: Key, attempt: Attempt, effects: &mut Vec<Effect<H>>) -> usize {
        let Some(instance) = self.roster.get_mut(key) else { return 0 };
        let (delivered, rejected) = instance.queue.settle(attempt);
        let gone = instance.gone;
        for parcel in &delivered {
            self.load.subtract(parcel);
        }
        for (parcel, reason) in rejected {
            self.load.subtract(&parcel);
            give_up(parcel, reason, effects);
        }
        if gone {
            self.remove(now, key, effects);
        }
        delivered.len()
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
        let instance = origin.filter(|instance| instance.role == *sender);
        let instance = instance.or_else(|| self.roster.get(*self.roster.of_role(sender).first()?));
        let Some(instance) = instance else { return name.clone() };
        self.routes.rules().sending(sender, &instance.language.translation, name)
    }

    /// A message without a sender gets the role of its origin.
    fn sign(&self, origin: Option<&InstanceId>, message: &mut Message) {
        if message.sender.is_none() {
            let instance = origin.and_then(|id| self.roster.get(self.roster.key_of(id)?));
            message.sender = instance.map(|instance| instance.role.clone());
        }
    }

    /// Chooses one instance of every role that receives the message. The instance that asked for a reply gets it even
    /// if its role does not subscribe to it, except by the original's rules.
    fn pick(
        &mut self,
        now: Instant,
        message: &Message,
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
            let (key, name) = match asker.filter(|(_, instance)| instance.role == target.role) {
                Some((key, _)) if target.name_for(key).is_none() && !compat => continue,
                Some((key, _)) => target.choose(&[key], length),
                None => target.choose(participants, length),
            };
            let name = name.clone();
            picks.push(Pick { key, role: target.role.clone(), name, asked: false });
        }
        if let Some((key, instance)) = asker.filter(|(key, _)| !compat && picks.iter().all(|pick| pick.key != *key)) {
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
            match self.roster.get(key) {
                Some(instance) if instance.is_local() && instance.queue.is_idle() => {
                    effects.push(Effect::Deliver { handle: instance.handle.clone(), key, parcel });
                }
                Some(_) if self.fits(key, &parcel) => self.enqueue(key, parcel, effects),
                Some(_) | None => give_up(parcel, Reason::QueueFull, effects),
            }
        }
    }

    pub(super) fn parcel(
        &mut self,
        now: Instant,
        (message, public): (Message, MessageName),
        role: Role,
        only: Option<InstanceId>,
        origin: Option<InstanceId>,
    ) -> Parcel {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Parcel { sequence, accepted: now, message, public, role, only, origin, reported: true, tries: 0 }
    }

    pub(super) fn enqueue(&mut self, key: Key, parcel: Parcel, effects: &mut Vec<Effect<H>>) {
        let Some(instance) = self.roster.get_mut(key) else { return };
        if instance.queue.is_idle() {
            effects.push(Effect::Wake { handle: instance.handle.clone() });
        }
        self.load.add(&parcel);
        instance.queue.insert(parcel);
    }

    fn has_room(&self, key: Key, message: &Message) -> bool {
        let bytes = message.payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
        self.roster.get(key).is_some_and(|instance| {
            let direct = instance.is_local() && instance.queue.is_idle();
            direct || (instance.queue.len() < self.config.queue_messages_max && self.has_bytes(bytes))
        })
    }

    pub(super) fn fits(&self, key: Key, parcel: &Parcel) -> bool {
        let length = self.roster.get(key).map_or(usize::MAX, |instance| instance.queue.len());
        length < self.config.queue_messages_max && self.has_bytes(parcel.bytes())
    }

    pub(super) fn has_bytes(&self, bytes: usize) -> bool {
        self.load.bytes.saturating_add(bytes) <= self.config.queue_bytes_max
    }

    pub(super) fn give_up_late(&mut self, late: Vec<Parcel>, failure: Option<String>, effects: &mut Vec<Effect<H>>) {
        for parcel in late {
            self.load.subtract(&parcel);
            let window = self.config.delivery_window();
            give_up(parcel, Reason::Window { window, last_failure: failure.clone() }, effects);
        }
    }

    fn log(&self, message: &Message, picks: &[Pick], effects: &mut Vec<Effect<H>>) {
        if self.config.log_messages {
            let receivers = picks.iter().map(|pick| (pick.role.clone(), pick.name.clone())).collect();
            effects.push(Effect::Routed(Routed { message: message.clone(), receivers }));
        }
    }
}

pub(super) fn give_up<H>(parcel: Parcel, reason: Reason, effects: &mut Vec<Effect<H>>) {
    if parcel.reported {
        effects.push(Effect::Undelivered { parcel, reason });
    }
}
