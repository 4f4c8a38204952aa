//! Wire formats: service answers, CloudEvents and signatures. Pure.

mod answer;
mod cloudevents;
mod signature;

pub use answer::AnswerError;
pub(crate) use answer::{Meaning, Other, Reply, describe, excerpt, meaning};
pub(crate) use cloudevents::{TYPE_HEADER, attributes, event, event_meaning};
pub(crate) use signature::Secret;
pub use signature::SecretError;
