//! The machine: what happens to a message, a registration, an outcome, and a moment of time.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::absent::Absent;
use super::publishing::Pick;
use super::{
    Attempt, Batch, Conversations, Declared, Effect, Guard, Key, Orphans, Outcome, Parcel, Reason, Roster, Routes,
    Rules, Work, bytes_of,
};
use crate::broker::config::Config;
use crate::broker::wire::Address;
use crate::message::{InstanceId, Message, MessageName, Role};

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
    pub(super) orphans: HashMap<Role, Orphans>,
    pub(super) absent: Absent,
    pub(super) declared: Declared,
    pub(super) tokens: HashMap<Role, String>,
    /// Unsettled parcels and their bytes, orphans included.
    pub(super) load: Load,
    pub(super) draining: bool,
    pub(super) guard: Guard,
    pub(super) picks: Vec<Pick>,
    /// How many follow the traffic.
    pub(super) followers: usize,
    next_sequence: u64,
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

impl<H: Clone> Exchange<H> {
    /// `seed` is where the ids of the broker's own messages come from.
    pub(crate) fn new(config: Config, seed: u128) -> Self {
        let guard = Guard::new(seed, config.security_held_max, config.queue_bytes_max);
        let rules = if config.compat { Rules::Original } else { Rules::Ours };
        let conversations = Conversations::new(config.conversations_max, config.conversation_idle());
        let absent = Absent::new(config.settle(), config.queue_messages_max, config.queue_bytes_max);
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
            guard,
            picks: Vec::new(),
            followers: 0,
            next_sequence: 0,
        }
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

    /// Notes that an instance of this process has got the parcel and will answer later, through
    /// [`Exchange::answered`]. Returns the parcel if the instance is no longer registered.
    pub(crate) fn defer(&mut self, key: Key, parcel: Parcel) -> Result<(), Parcel> {
        let Some(instance) = self.roster.get_mut(key) else { return Err(parcel) };
        self.load.add(&parcel);
        instance.queue.defer(parcel);
        Ok(())
    }

    /// Takes the answer to a deferred parcel. Returns true if it was delivered.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        (key, sequence): (Key, u64),
        outcome: Outcome,
        effects: &mut Vec<Effect<H>>,
    ) -> bool {
        let Some(instance) = self.roster.get_mut(key) else { return false };
        let Some(mut parcel) = instance.queue.answered(sequence) else { return false };
        self.load.subtract(&parcel);
        let delivered = outcome == Outcome::Delivered;
        match outcome {
            Outcome::Delivered => {}
            Outcome::Rejected(reason) => give_up(parcel, reason, effects),
            Outcome::Later(_) => {
                parcel.tries += 1;
                self.load.add(&parcel);
                instance.queue.insert(parcel);
            }
        }
        if instance.gone && !instance.queue.is_out() {
            self.remove(now, key, effects);
        }
        delivered
    }

    /// What the courier of the instance should do.
    pub(crate) fn take(&mut self, now: Instant, key: Key, effects: &mut Vec<Effect<H>>) -> Work {
        let window = self.config.delivery_window();
        let Some(instance) = self.roster.get_mut(key).filter(|instance| !instance.gone) else { return Work::Gone };
        let together = instance.takes_several();
        let messages_max = if together { self.config.batch_messages_max } else { 1 };
        let mut late = Vec::new();
        let bounds = (messages_max, self.config.batch_bytes_max);
        let (messages, stamps) = instance.queue.take(bounds, (now, window), &mut late);
        let address = instance.address().cloned();
        let last_failure = instance.queue.last_failure();
        self.give_up_late(late, last_failure, effects);
        match messages.is_empty() {
            true => Work::Nothing,
            false => Work::Batch(Batch { address, together, messages, stamps }),
        }
    }

    /// Tells how the delivery went that [`Exchange::take`] gave out. Answers how many messages were delivered.
    pub(crate) fn settle(&mut self, now: Instant, key: Key, attempt: Attempt, effects: &mut Vec<Effect<H>>) -> usize {
        let Some(instance) = self.roster.get_mut(key) else { return 0 };
        let (delivered, rejected) = instance.queue.settle(attempt);
        let gone = instance.gone && !instance.queue.is_out();
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
        let response_time = message.response_to.as_ref().and_then(|request| self.conversations.age(now, request));
        let (accepted, reported, logged, tries) = (now, true, true, 0);
        Parcel { sequence, accepted, message, public, role, only, origin, response_time, reported, logged, tries }
    }

    pub(super) fn enqueue(&mut self, key: Key, parcel: Parcel, effects: &mut Vec<Effect<H>>) {
        let Some(instance) = self.roster.get_mut(key) else { return };
        if instance.queue.is_idle() {
            effects.push(Effect::Wake { handle: instance.handle.clone() });
        }
        self.load.add(&parcel);
        instance.queue.insert(parcel);
    }

    /// Whether the instance can be given a message that was not accepted yet.
    pub(super) fn has_room(&self, key: Key, message: &Message) -> bool {
        self.roster.get(key).is_some_and(|instance| {
            let queue = &instance.queue;
            let direct = instance.is_local() && queue.is_idle();
            let few = queue.len() < self.config.queue_messages_max;
            direct || (few && self.has_share(queue.bytes(), bytes_of(message)))
        })
    }

    /// Whether the instance can be given a message that was accepted before, and has to go somewhere.
    pub(super) fn fits(&self, key: Key, parcel: &Parcel) -> bool {
        let length = self.roster.get(key).map_or(usize::MAX, |instance| instance.queue.len());
        length < self.config.queue_messages_max && self.has_bytes(parcel.bytes())
    }

    pub(super) fn has_bytes(&self, bytes: usize) -> bool {
        self.load.bytes.saturating_add(bytes) <= self.config.queue_bytes_max
    }

    /// Whether a queue that has `held` bytes may get as many more: none may have more than it leaves to all others
    /// together, so that those who take nothing never take all the room from those who do.
    pub(super) fn has_share(&self, held: usize, bytes: usize) -> bool {
        let left = self.config.queue_bytes_max.saturating_sub(self.load.bytes);
        held.saturating_add(bytes) <= left
    }

    pub(super) fn give_up_late(&mut self, late: Vec<Parcel>, failure: Option<String>, effects: &mut Vec<Effect<H>>) {
        for parcel in late {
            self.load.subtract(&parcel);
            let window = self.config.delivery_window();
            give_up(parcel, Reason::Window { window, last_failure: failure.clone() }, effects);
        }
    }
}

pub(super) fn give_up<H>(parcel: Parcel, reason: Reason, effects: &mut Vec<Effect<H>>) {
    if parcel.reported {
        effects.push(Effect::Undelivered { parcel, reason });
    }
}
