//! The words of the features, in running form.

mod broker;
mod building;
mod exocom;
mod files;
mod http;
mod outage;
mod process;
mod relay;
mod requests;
mod service;
