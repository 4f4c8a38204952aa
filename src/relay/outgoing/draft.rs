//! A message before it has an id.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::idempotency::Purpose;
use crate::message::{ActivityId, Message, MessageId, MessageName, Payload, Properties, Role, TraceParent};
use crate::relay::Error;

/// A message before it has an id and a sender.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: MessageName,
    pub(crate) payload: Option<Payload>,
    pub(crate) activity_id: Option<ActivityId>,
    pub(crate) response_to: Option<MessageId>,
    pub(crate) auth: Option<Payload>,
    pub(crate) is_security: bool,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) properties: Properties,
    pub(crate) idempotency_key: Option<String>,
}

impl Draft {
    pub(crate) fn new(name: MessageName, payload: Option<Payload>) -> Self {
        Self {
            name,
            payload,
            activity_id: None,
            response_to: None,
            auth: None,
            is_security: false,
            trace: None,
            properties: Properties::default(),
            idempotency_key: None,
        }
    }

    /// Serialises `payload`. `null` counts as no payload, as in the original implementations.
    pub(crate) fn of<N>(name: N, payload: &impl Serialize) -> Result<Self, Error>
    where
        N: TryInto<MessageName>,
        Error: From<N::Error>,
    {
        let name = name.try_into()?;
        let payload = match name.is_of_security() {
            true => Payload::of_carried(payload),
            false => Payload::of(payload),
        };
        let payload = payload.map_err(|cause| Error::Payload { name: name.clone(), cause })?;
        Ok(Self::new(name, Some(payload).filter(|payload| !payload.is_null())))
    }

    pub(in crate::relay) fn in_activity<A>(mut self, activity: A) -> Result<Self, Error>
    where
        A: TryInto<ActivityId>,
        Error: From<A::Error>,
    {
        self.activity_id = Some(activity.try_into()?);
        Ok(self)
    }

    /// Makes the draft a reply to `request`, with its activity, trace and `auth`. exo 4.2.
    pub(in crate::relay) fn answering(mut self, request: &Message) -> Self {
        self.response_to = Some(request.id.clone());
        self.activity_id = Some(request.conversation());
        self.auth = request.auth.clone();
        self.is_security = request.is_security;
        self.trace = request.trace.clone();
        self.properties = request.properties.of_reply();
        self
    }

    /// Makes the draft follow from `cause`, whose handler sends it: with its activity, trace and `auth`.
    pub(in crate::relay) fn following(mut self, cause: &Message) -> Self {
        self.activity_id = Some(cause.conversation());
        self.auth = cause.auth.clone();
        self.trace = cause.trace.clone();
        self.properties = cause.properties.of_follower();
        self
    }

    pub(in crate::relay) fn on_behalf(mut self, auth: &impl Serialize) -> Result<Self, Error> {
        let auth = Payload::of(auth).map_err(|cause| Error::Payload { name: self.name.clone(), cause })?;
        self.auth = Some(auth).filter(|auth| !auth.is_null());
        Ok(self)
    }

    pub(in crate::relay) fn under_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Hash of everything that must be equal in two calls under one idempotency key.
    pub(super) fn fingerprint(&self, purpose: Purpose) -> u64 {
        let mut hasher = DefaultHasher::new();
        purpose.hash(&mut hasher);
        self.name.hash(&mut hasher);
        self.payload.as_ref().map(|payload| payload.as_bytes()).hash(&mut hasher);
        self.activity_id.hash(&mut hasher);
        self.response_to.hash(&mut hasher);
        self.auth.as_ref().map(|auth| auth.as_bytes()).hash(&mut hasher);
        self.is_security.hash(&mut hasher);
        hasher.finish()
    }

    /// Makes a message of the draft. Without an activity of its own it gets the default one: see
    /// [`Message::conversation`].
    pub(super) fn into_message(self, id: MessageId, sender: Role) -> Message {
        let mut message = Message {
            id,
            name: self.name,
            payload: self.payload,
            sender: Some(sender),
            activity_id: self.activity_id,
            response_to: self.response_to,
            auth: self.auth,
            is_security: self.is_security,
            trace: self.trace,
            properties: self.properties,
        };
        message.activity_id = Some(message.conversation());
        message
    }
}

/// Identifiers of a message that was accepted, as `POST /send` returns them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: MessageId,
    pub(crate) activity_id: ActivityId,
}

impl Sent {
    pub(super) fn of(message: &Message) -> Self {
        Self { id: message.id.clone(), activity_id: message.conversation() }
    }
}
