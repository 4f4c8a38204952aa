//! Decisions about requests: by their heads alone, and by who makes them. Pure.

mod hosts;
mod origins;
mod pages;
mod pattern;
mod table;
#[cfg(test)]
mod tests;
mod verb;
mod who;

pub(crate) use hosts::{Hosts, Reach};
pub(crate) use origins::Origins;
pub(crate) use pages::{Links, Pages, Refusal};
pub(crate) use pattern::Target;
pub(crate) use table::{Decision, Rule, Rules, Written};
pub(crate) use verb::{System, Verb};
