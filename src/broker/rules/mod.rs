//! The state machine of the broker: registrations, messages, delivery outcomes and time come in, effects go out. Pure.
//!
//! [`Exchange`] is its interface. Each part owns its state and keeps its fields private:
//!
//! - [`Exchange`]: checks permissions, has messages authorized
//!   - [`SecurityAdapter`]: messages held for the security service
//!   - [`Dispatcher`]: registers services, routes messages
//!     - [`Departed`] and [`Startup`]: absent roles that are expected back, or may still register
//!     - [`Tracer`]: decides which messages are traced and logged
//!     - [`mailboxes::Mailboxes`]: gives envelopes to instances
//!       - [`Registry`]: instances ([`Roster`]), [`Routes`], [`DeclaredRoles`], [`Tokens`]
//!       - [`Queues`]: everything accepted and not delivered, with the limits on it
//!       - [`Conversations`]: participants of conversations

mod activity;
mod attempt;
mod backlog;
mod conversations;
mod declared_roles;
mod departed;
mod dispatcher;
mod effect;
mod envelope;
mod exchange;
mod ids;
mod instance;
mod key;
mod lane;
mod mailboxes;
mod open_requests;
mod queue;
mod queues;
mod record;
mod registry;
mod roster;
mod routing;
mod security;
mod selection;
mod signing;
mod startup;
#[cfg(test)]
mod tests;
mod tokens;
mod trace;
mod tracer;
mod translation;
mod views;

pub(crate) use activity::activity;
pub(crate) use attempt::{Attempt, Batch, Outcome, Portion, Reason, Taken, Timing, Work};
use backlog::Backlog;
use conversations::{Conversations, Exchanged, Participant};
use declared_roles::DeclaredRoles;
use departed::Departed;
use dispatcher::Dispatcher;
pub(crate) use effect::{Effect, Note, Routed};
pub(crate) use envelope::Envelope;
use envelope::bytes_of;
pub(crate) use exchange::Exchange;
pub(crate) use instance::Endpoint;
use instance::{Instance, Interface};
pub(crate) use key::InstanceKey;
pub(crate) use queue::Lanes;
use queue::Queue;
use queues::{AWAY, Occupancy, QueueLimits, QueueView, Queues};
pub(crate) use queues::{Load, RoleFigures};
#[cfg(test)]
pub(crate) use record::Record;
pub(crate) use record::{FailedDelivery, Filter, TimedRecord};
use registry::Registry;
use roster::Roster;
use routing::{Routes, Target};
use security::SecurityAdapter;
use startup::Startup;
pub(crate) use tokens::{Proof, Tokens};
pub(crate) use trace::PackedTrace;
use tracer::Tracer;
pub(crate) use translation::TranslationRules;
