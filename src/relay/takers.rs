//! What takes messages from the first one on: they may come as soon as the relay has joined.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Error;
use super::context::Handler;
use crate::message::MessageName;

/// Who takes the messages of a relay that is about to start.
#[derive(Default)]
pub(crate) struct Takers {
    /// By the name of the message that each takes.
    pub(crate) handlers: HashMap<MessageName, Handler>,
    /// What takes messages that have no handler.
    pub(crate) fallback: Option<Fallback>,
}

/// What takes messages that have no handler: the webhook.
#[derive(Clone)]
pub(crate) struct Fallback {
    /// Runs for each such message.
    pub(crate) handler: Handler,
    /// Why the service behind it is not reachable, if it is not.
    pub(crate) trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Takers {
    /// Adds a handler. Errors: [`Error::HandlerExists`].
    pub(crate) fn add(&mut self, name: MessageName, handler: Handler) -> Result<(), Error> {
        match self.handlers.entry(name) {
            Entry::Occupied(taken) => Err(Error::HandlerExists(taken.key().clone())),
            Entry::Vacant(free) => {
                free.insert(handler);
                Ok(())
            }
        }
    }
}
