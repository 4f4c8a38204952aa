//! Handlers by message name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::message::MessageName;
use crate::relay::Error;

/// Handler of the messages that have none of their own: the webhook.
#[derive(Clone)]
pub(crate) struct Fallback<H> {
    /// The handler.
    pub(crate) handler: H,
    /// Returns the reason why the service behind it cannot be reached, if that is known.
    pub(crate) error: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

/// Handlers by message name, and the fallback for all other names. `H` is the type of a handler.
pub(crate) struct HandlerTable<H> {
    handlers: HashMap<MessageName, H>,
    fallback: Option<Fallback<H>>,
}

impl<H> Default for HandlerTable<H> {
    fn default() -> Self {
        Self { handlers: HashMap::new(), fallback: None }
    }
}

impl<H: Clone> HandlerTable<H> {
    /// Adds a handler. Errors: [`Error::HandlerExists`].
    pub(crate) fn add(&mut self, name: MessageName, handler: H) -> Result<(), Error> {
        match self.handlers.entry(name) {
            Entry::Occupied(taken) => Err(Error::HandlerExists(taken.key().clone())),
            Entry::Vacant(free) => {
                free.insert(handler);
                Ok(())
            }
        }
    }

    /// Adds all handlers of `table`, or none. Errors: [`Error::HandlerExists`].
    pub(super) fn add_all(&mut self, table: Vec<(MessageName, H)>) -> Result<(), Error> {
        let mut added = HashMap::new();
        for (name, handler) in table {
            if self.contains(name.as_str()) || added.contains_key(&name) {
                return Err(Error::HandlerExists(name));
            }
            added.insert(name, handler);
        }
        self.handlers.extend(added);
        Ok(())
    }

    /// Sets the fallback.
    pub(crate) fn set_fallback(&mut self, fallback: Fallback<H>) {
        self.fallback = Some(fallback);
    }

    /// Returns true if `name` has a handler of its own.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.handlers.contains_key(name)
    }

    /// Returns the handler of `name`, else the fallback if it `wants` the message.
    pub(super) fn find(&self, name: &MessageName, wants: impl FnOnce() -> bool) -> Option<H> {
        let fallback = || self.fallback.as_ref().filter(|_| wants()).map(|fallback| &fallback.handler);
        self.handlers.get(name).or_else(fallback).cloned()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &MessageName> {
        self.handlers.keys()
    }

    pub(super) fn fallback_error(&self) -> Option<String> {
        self.fallback.as_ref().and_then(|fallback| (fallback.error)())
    }
}
