//! The webhook between a relay and a service, over real sockets.

mod answers;
mod bad_days;
mod breaker;
mod formats;
mod service;
mod world;
