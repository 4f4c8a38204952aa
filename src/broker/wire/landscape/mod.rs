//! The landscape: all roles, the messages each receives and sends, their translations and addresses.
//!
//! ```toml
//! [services.users]
//! receives = ["mongo.create"]
//! sends = ["mongo.created"]
//! namespace = "mongo"
//! ```
//!
//! Forms: ours ([`Landscape::from_toml`]), the JSON of every era of the original ([`Landscape::from_json`]), also
//! without quotes ([`Landscape::from_relaxed_json`]), and the files of an original application ([`Application`]). exo 2.3, 3.7, 3.8, 3.10.

mod application;
mod changes;
mod json;
mod ours;
mod relaxed;
mod roles;
#[cfg(test)]
mod tests;

pub use application::{Application, Part};
pub use changes::Changes;
pub use roles::{Form, Landscape, RoleRoutes};
