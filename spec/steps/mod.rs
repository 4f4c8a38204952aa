//! The words of the features, in running form.

mod broker;
mod building;
mod http;
mod outage;
mod process;
mod relay;
mod requests;
mod service;
mod traffic;
mod watching;
