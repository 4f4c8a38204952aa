//! The ExoCom broker: services tell it what they receive, it brings every message to one instance of each role.
//!
//! It speaks the protocol of the HTTP era (exo 2) and adds to it: services register themselves and keep a lease, several
//! instances share a role, messages wait for receivers that are away, and what cannot be delivered is reported.
//!
//! ```sh
//! curl -X PUT localhost:3100/services/users -d '{"instance":"users-1","port":5002,"receives":["users.create"]}'
//! curl localhost:3100/send/users.create -d '{"id":"1","sender":"web","payload":{"name":"Will Riker"}}'
//! ```
//!
//! Order is kept per sender and receiving instance, across retries. Delivery is at least once: a receiver that has a
//! message but whose answer was lost gets it again, with the same id.

mod config;
mod courier;
mod error;
mod journal;
mod member;
mod metrics;
pub mod routes;
mod rules;
mod service;
mod shell;
mod socket;
#[cfg(test)]
mod tests;
mod wire;

pub use config::Config;
pub use error::Error;
pub use service::{Broker, Inbox};
pub use wire::{
    ACKS_HEADER, Address, Announcement, Configuration, Delivery, Dialect, Form, Frame, Hello, INSTANCE_HEADER,
    InstanceRow, Landscape, Lease, Pair, Receivers, Registration, RoleRoutes, ServiceRow, Stamp, Translation,
    Undelivered, Verdict, alive_frame, delivery_frame, sending_frame,
};
