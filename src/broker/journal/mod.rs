//! The message log on stdout, in the words of the original whose landscape is in force. exo 2.6, 3.2, 3.3, 3.6, 3.8, 3.9.
//!
//! ```text
//! 'users' registered
//! web  --[ create user ]-[ mongo create ]->  users
//! {"name":"Will Riker"}
//! ```

mod duration;
mod lines;
mod writer;

pub(crate) use lines::Style;
pub(crate) use writer::{Journal, Sink};
