//! The rules about web pages: by example, and against a naive model.

mod examples;
mod model;
