//! The ExoCom broker: services register the messages they receive; it delivers each to one instance of every role.
//!
//! It speaks the protocols of the HTTP era (exo 2) and of the WebSocket era (exo 3) on one port, and adds to them:
//! services
//! register themselves and keep a lease, several instances share a role, messages wait for receivers that are away, and
//! undelivered messages are reported. All services share one roster, so those of one era reach those of the other:
//! every
//! message gets its conversation (`activityId`) and, if it is a reply, the message it answers (`responseTo`).
//!
//! A [`Landscape`] may declare what each role sends and receives; other messages are then refused. If it has the role
//! `security`, that service authorizes every message before it is routed.
//!
//! ```sh
//! curl -X PUT localhost:3100/services/users -d '{"instance":"users-1","port":5002,"receives":["users.create"]}'
//! curl localhost:3100/send/users.create -d '{"id":"1","sender":"web","payload":{"name":"Will Riker"}}'
//! wscat -c ws://localhost:3100/services -x '{"name":"exocom.register-service","sender":"web","id":"1","activityId":"1"}'
//! ```
//!
//! Watch live traffic with `curl -N localhost:3100/traffic`, and read one conversation afterwards with
//! `curl localhost:3100/activities/1`, as far as the record goes back ([`Config::traffic_messages_max`]).
//!
//! Order is kept per sender and receiving instance, across retries. Delivery is at least once: if the
//! acknowledgement of a receiver is lost, it gets the message again with the same id.

mod callers;
mod config;
mod courier;
mod engine;
mod error;
pub mod exocom;
mod follower;
mod following;
#[cfg(test)]
mod fuzz;
mod handle;
mod journal;
mod matching;
mod member;
mod message_log;
mod metrics;
mod note_log;
mod notice;
mod opening;
mod recent;
mod response;
mod role_metrics;
pub mod routes;
mod rules;
mod service;
mod session;
#[cfg(test)]
mod tests;
mod traffic;
mod traffic_routes;
mod wire;

pub use config::Config;
pub use error::Error;
pub use matching::{Spoken, Unmatched};
pub use service::Broker;
pub use wire::{
    ACKS_HEADER, AbsentRow, Activity, ActivityRow, Address, Announcement, Application, Changes, ClientRow,
    Configuration, Dialect, Fate, Form, Frame, Hello, INSTANCE_HEADER, InstanceRow, Landscape, Lease, Listing, Missed,
    NamespaceRow, Pair, Part, ReceiverRow, Receivers, RoleRoutes, RouteRow, ServiceRow, Stamp, TrafficRow, Translation,
    Undelivered, UndeliveredRow, alive_frame, delivery_frame, sending_frame,
};
