//! All settings, and the layers that give them their values.
//!
//! There are four layers, each overriding the one before: built-in defaults, `exorelay.toml`, the environment, flags. Every
//! value remembers its layer, and every error names it:
//!
//! ```text
//! $ EXORELAY__WEBHOOK__TIMEOUT_MS=soon exorelay config check
//! exorelay: webhook.timeout_ms (environment EXORELAY__WEBHOOK__TIMEOUT_MS) is "soon": expected milliseconds, …
//! ```

mod check;
mod check_access;
mod environment;
mod error;
mod file;
#[cfg(test)]
mod fuzz;
mod given;
mod hide;
mod idle;
mod merge;
mod purpose;
mod reference;
mod secret_files;
mod settings;
mod show;
mod sources;
mod tables;
#[cfg(test)]
mod tests;
mod urls;

pub use error::{Error, Errors};
pub use given::Origin;
pub use purpose::Purpose;
pub use reference::{markdown, toml_file};
pub use settings::{Config, Drain, Edge, Log, LogFormat, Ops};
pub use show::{to_json, to_toml};
pub use sources::{Resolved, Sources};
