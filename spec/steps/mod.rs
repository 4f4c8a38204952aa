//! Step definitions of the features.

mod access;
mod broker;
mod broker_access;
mod building;
mod certificates;
mod exocom;
mod exocom_messages;
mod failures;
mod files;
mod http;
mod original;
mod outage;
mod pages;
mod process;
mod registry;
mod relay;
mod requests;
mod service;
mod sockets;
mod streams;
mod streams_limits;
mod streams_subscriptions;
mod testing;
mod traffic;
mod watching;
