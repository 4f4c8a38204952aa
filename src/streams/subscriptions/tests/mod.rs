//! Subscriptions as their control routes and their receivers see them.

mod calls;
mod restart;
mod routes;
mod waking;
mod world;
