//! Message log on stdout, in the format of the original whose landscape form is in use. exo 2.6, 3.2, 3.3, 3.6, 3.8,
//! 3.9.
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
