//! Wire formats: service answers, CloudEvents and signatures. Pure.

mod answer;
mod cloudevents;
mod signature;

pub use answer::AnswerError;
pub(crate) use answer::{Reply, excerpt, is_structured_event, replies};
pub(crate) use cloudevents::{TYPE_HEADER, attributes, event, structured_event};
pub(crate) use signature::Secret;
pub use signature::SecretError;
