//! Tests of the webhook between a relay and a service, over real sockets.

mod answers;
mod breaker;
mod faults;
mod formats;
mod service;
mod world;
