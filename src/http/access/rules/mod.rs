//! Decisions about requests, made of nothing but their heads. Pure.

mod hosts;
mod origins;
mod pages;
#[cfg(test)]
mod tests;

pub(crate) use hosts::{Hosts, Reach};
pub(crate) use origins::Origins;
pub(crate) use pages::{Links, Pages, Refusal};
