//! The security adapter: messages held until the security service authorizes them, and the requests it makes meanwhile.
//! exo 3.6.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::bytes_of;
use super::ids::IdGenerator;
use super::selection::Correlation;
use crate::broker::config::{Config, SecurityAbsent};
use crate::broker::wire::{Dialect, delivery_frame};
use crate::memory::Share;
use crate::message::{self, ActivityId, InstanceId, Message, MessageId, MessageName, Payload, Role};

/// The role of the security service. exo 3.6.
const SECURITY: &str = "security";

/// Messages between the broker and the security service.
const AUTHORIZE: &str = "authorize message";
const AUTHORIZED: &str = "message authorized";
const UNAUTHORIZED: &str = "message unauthorized";
const REQUEST: &str = "security request";
const RESPONSE: &str = "security response";

/// The state of the security adapter. Bounded in messages and bytes: at the limit no further message is held, and no further
/// request is taken.
pub(crate) struct SecurityAdapter {
    held: HashMap<ActivityId, HeldMessage>,
    /// Requests of the security service, by the conversation they were sent in.
    requests: HashMap<ActivityId, SecurityRequest>,
    /// Activities of both tables in the order of arrival; those removed from the tables are skipped.
    order: VecDeque<(Instant, ActivityId)>,
    held_max: usize,
    held_bytes: usize,
    held_bytes_max: usize,
    /// Of the held messages, with their texts.
    memory: Share,
    hold: Duration,
    absent: SecurityAbsent,
    role: Role,
    ids: IdGenerator,
}

/// A message that waits for authorization.
pub(crate) struct HeldMessage {
    pub(crate) message: Message,
    pub(crate) correlation: Correlation,
    pub(crate) origin: Option<InstanceId>,
    pub(crate) accepted: Instant,
}

/// A request that the security service sent before it decides about a message.
struct SecurityRequest {
    /// The activity in which the request was made, and in which its response is expected.
    authorization: ActivityId,
    /// The service's message that carried the request.
    id: MessageId,
}

/// The meaning of a message from the security service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecurityCommand {
    /// The held message may be routed.
    Authorized,
    /// The held message is refused.
    Unauthorized,
    /// The payload is a message to route on behalf of the security service.
    Request,
    /// An ordinary message.
    Other,
}

impl SecurityCommand {
    pub(crate) fn of(message: &Message) -> Self {
        match message.name.as_str() {
            AUTHORIZED => Self::Authorized,
            UNAUTHORIZED => Self::Unauthorized,
            REQUEST => Self::Request,
            _ => Self::Other,
        }
    }
}

impl SecurityAdapter {
    /// `seed` determines the ids of the adapter's own messages.
    pub(crate) fn new(config: &Config, seed: u128) -> Self {
        Self {
            held: HashMap::new(),
            requests: HashMap::new(),
            order: VecDeque::new(),
            held_max: config.security_held_max,
            held_bytes: 0,
            held_bytes_max: config.queue_bytes_max,
            memory: Share::new(&config.memory, usize::MAX),
            hold: config.security_hold(),
            absent: config.security_absent,
            role: Role::parse(SECURITY).expect("a valid role"),
            ids: IdGenerator::new(seed),
        }
    }

    /// Returns the role of the security service.
    pub(crate) fn role(&self) -> &Role {
        &self.role
    }

    /// Returns the policy for messages while the security service is absent.
    pub(crate) fn policy_when_absent(&self) -> SecurityAbsent {
        self.absent
    }

    /// Returns the maximum time a message is held.
    pub(crate) fn hold_time(&self) -> Duration {
        self.hold
    }

    /// Returns true if another message can be held.
    pub(crate) fn has_capacity(&self, message: &Message) -> bool {
        let bytes = self.held_bytes.saturating_add(bytes_of(message));
        let has_memory = self.memory.check(message.memory_bytes()).is_ok();
        self.held.len() < self.held_max && bytes <= self.held_bytes_max && has_memory
    }

    /// Holds a message for which there is capacity, and returns the one that asks the security service to authorize it.
    pub(crate) fn hold(&mut self, held: HeldMessage) -> Message {
        let activity: ActivityId = self.ids.next().into();
        let question = self.message_about(AUTHORIZE, &held.message, activity.clone());
        self.append(held.accepted, activity.clone());
        self.held_bytes += bytes_of(&held.message);
        self.memory.add(held.message.memory_bytes());
        self.held.insert(activity, held);
        question
    }

    /// Removes and returns the message that waits for authorization in `activity`.
    pub(crate) fn release(&mut self, activity: &ActivityId) -> Option<HeldMessage> {
        let held = self.held.remove(activity)?;
        self.held_bytes -= bytes_of(&held.message);
        self.memory.remove(held.message.memory_bytes());
        Some(held)
    }

    /// Returns the message that informs subscribers of the refusal of `message`.
    pub(crate) fn refusal_of(&mut self, message: &Message) -> Message {
        self.message_about(UNAUTHORIZED, message, message.conversation())
    }

    /// Returns the message in a request of the security service, which gets an id if it has none. Errors: the payload of
    /// `request` is not a message.
    pub(crate) fn requested(&mut self, request: &Message) -> Result<Message, message::Error> {
        static NULL: bytes::Bytes = bytes::Bytes::from_static(b"null");
        let payload = request.payload.as_ref().map_or(&NULL, |payload| payload.as_bytes());
        let mut inner = Message::from_json_with(payload, || self.ids.next())?;
        inner.activity_id = Some(inner.conversation());
        inner.sender = Some(self.role.clone());
        Ok(inner)
    }

    /// Returns true if a reply in `conversation` can be awaited.
    pub(crate) fn takes_request(&self, conversation: &ActivityId) -> bool {
        self.requests.len() < self.held_max || self.has_request(conversation)
    }

    /// Remembers that the next message in `conversation` is meant for the security service, in reply to `request`.
    pub(crate) fn begin_request(&mut self, now: Instant, request: &Message, conversation: ActivityId) {
        assert!(self.takes_request(&conversation), "the caller checks the capacity first");
        let (authorization, id) = (request.conversation(), request.id.clone());
        self.append(now, conversation.clone());
        self.requests.insert(conversation, SecurityRequest { authorization, id });
    }

    /// Returns true if the security service waits for a reply in `conversation`.
    pub(crate) fn has_request(&self, conversation: &ActivityId) -> bool {
        self.requests.contains_key(conversation)
    }

    /// Returns the message that brings `reply` to the security service, if that waits for it.
    pub(crate) fn complete_request(&mut self, conversation: &ActivityId, reply: &Message) -> Option<Message> {
        let SecurityRequest { authorization, id } = self.requests.remove(conversation)?;
        let response = self.message_about(RESPONSE, reply, authorization);
        Some(Message { is_security: true, response_to: Some(id), ..response })
    }

    /// Removes and returns the messages that were held too long; forgets requests of that age.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<HeldMessage> {
        let mut late = Vec::new();
        while self.order.front().is_some_and(|(since, _)| now.duration_since(*since) >= self.hold) {
            let Some((_, activity)) = self.order.pop_front() else { break };
            late.extend(self.release(&activity));
            self.requests.remove(&activity);
        }
        if self.held.is_empty() && self.requests.is_empty() {
            self.order.clear();
        }
        late
    }

    /// Removes and returns every held message.
    pub(crate) fn drain(&mut self) -> Vec<HeldMessage> {
        self.order.clear();
        self.requests.clear();
        self.held_bytes = 0;
        self.memory.remove(self.memory.held());
        let mut left: Vec<HeldMessage> = self.held.drain().map(|(_, held)| held).collect();
        left.sort_by_key(|held| held.accepted);
        left
    }

    /// Returns the number of held messages.
    pub(crate) fn held_len(&self) -> usize {
        self.held.len()
    }

    /// Returns the number of held messages and open requests.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.len() + self.requests.len()
    }

    /// Appends to the order. Drops obsolete entries now and then, which keeps it proportional to the tables.
    fn append(&mut self, since: Instant, activity: ActivityId) {
        if self.order.len() > 64 + 2 * (self.held.len() + self.requests.len()) {
            let Self { order, held, requests, .. } = self;
            order.retain(|(_, known)| held.contains_key(known) || requests.contains_key(known));
        }
        self.order.push_back((since, activity));
    }

    /// Returns a message whose payload is `about`. exo 3.6.
    fn message_about(&mut self, name: &str, about: &Message, activity: ActivityId) -> Message {
        let payload = Payload::parse_carried(delivery_frame(about, Dialect::ActivityId, None)).ok();
        let name = MessageName::parse(name).expect("a valid name");
        Message { payload, activity_id: Some(activity), ..Message::new(self.ids.next(), name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(10);

    fn adapter(security_held_max: usize) -> SecurityAdapter {
        SecurityAdapter::new(&Config { security_held_max, ..Config::default() }, 1)
    }

    fn message(id: &str) -> Message {
        Message::new(MessageId::parse(id).unwrap(), MessageName::parse("create user").unwrap())
    }

    fn hold(adapter: &mut SecurityAdapter, now: Instant) -> ActivityId {
        let (correlation, origin) = (Correlation::Stated, None);
        adapter.hold(HeldMessage { message: message("1"), correlation, origin, accepted: now }).conversation()
    }

    #[test]
    fn a_message_without_a_verdict_is_returned_once_after_the_hold_time() {
        let (mut adapter, now) = (adapter(8), Instant::now());
        let authorized = hold(&mut adapter, now);
        hold(&mut adapter, now);
        assert!(adapter.release(&authorized).is_some() && adapter.release(&authorized).is_none());
        assert_eq!(adapter.expire(now + HOLD / 2).len(), 0);
        assert_eq!(adapter.expire(now + HOLD).len(), 1);
        assert_eq!((adapter.len(), adapter.expire(now + HOLD).len()), (0, 0));
    }

    #[test]
    fn held_messages_and_requests_are_bounded() {
        let (mut adapter, now) = (adapter(3), Instant::now());
        for _ in 0..3 {
            assert!(adapter.has_capacity(&message("1")));
            hold(&mut adapter, now);
        }
        assert!(!adapter.has_capacity(&message("1")));
        let activity = |number: usize| ActivityId::parse(&number.to_string()).unwrap();
        for number in 0..3 {
            adapter.begin_request(now, &message("2"), activity(number));
        }
        assert!(!adapter.takes_request(&activity(3)) && adapter.takes_request(&activity(0)));
        for number in 0..1_000 {
            adapter.complete_request(&activity(number), &message("3")).unwrap();
            adapter.begin_request(now, &message("2"), activity(number + 3));
        }
        assert_eq!(adapter.len(), 3 + 3);
        assert!(adapter.order.len() <= 64 + 2 * adapter.len() + 1, "{}", adapter.order.len());
        assert!(adapter.expire(now + HOLD).len() == 3 && adapter.takes_request(&activity(0)));
    }

    #[test]
    fn a_requested_message_gets_an_id_if_it_has_none() {
        let mut adapter = adapter(8);
        let mut requested = |inner: serde_json::Value| {
            adapter.requested(&Message { payload: Payload::of(&inner).ok(), ..message("1") }).unwrap()
        };
        let given = requested(serde_json::json!({ "id": "3", "name": "get session", "activityId": "777" }));
        assert_eq!((given.id.as_str(), given.conversation().as_str()), ("3", "777"));
        for inner in [
            serde_json::json!({ "name": "get session" }),
            serde_json::json!({ "id": "", "name": "get session", "activityId": "" }),
        ] {
            let made = requested(inner);
            assert_eq!((made.id.as_str().len(), made.conversation()), (36, made.id.clone().into()));
        }
        let nothing = adapter.requested(&message("1")).unwrap_err();
        assert_eq!(nothing, message::Error::NotAnObject);
    }
}
