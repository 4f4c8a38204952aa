//! The drop-in for the original broker, with its environment, messages and exit codes. exo 2.6, 3.7, 3.8.
//!
//! ```text
//! $ PORT=3100 SERVICE_DATA='{"web":{"sends":["create user"]},"users":{"receives":["create user"]}}' exocom
//! ExoCom online at port 3100
//! ```

mod error;
mod run;
mod setup;

pub use error::Error;
pub use run::run;
pub use setup::{Era, Setup};
