//! Tests of subscriptions through their routes and receivers.

mod calls;
mod restart;
mod routes;
mod waking;
mod world;
