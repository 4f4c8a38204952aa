//! Every form of a landscape: what it says, what is refused, and that all forms say the same.

mod application;
mod changes;
mod json;
mod ours;
mod stage;
