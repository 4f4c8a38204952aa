//! The landscape: which roles there are, what each receives, sends and calls its messages, and where it is reached.
//!
//! ```toml
//! [services.users]
//! receives = ["mongo.create"]
//! sends = ["mongo.created"]
//! namespace = "mongo"
//! ```
//!
//! Forms: ours ([`Landscape::from_toml`]), the JSON of every era of the original ([`Landscape::from_json`]), and the
//! files an application of the original is made of ([`Application`]). exo 2.3, 3.7, 3.8, 3.10.

mod application;
mod changes;
mod json;
mod ours;
mod roles;
#[cfg(test)]
mod tests;

pub use application::{Application, Part};
pub use changes::Changes;
pub use roles::{Form, Landscape, RoleRoutes};
