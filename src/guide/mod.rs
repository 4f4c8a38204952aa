//! The user guide, one chapter per topic. Each chapter is a Markdown file that can be read as it is; `spec/docs` runs its
//! commands and snippets.

#[doc = include_str!("broker.md")]
pub mod broker {}
#[doc = include_str!("configuration.md")]
pub mod configuration {}
#[doc = include_str!("delivery.md")]
pub mod delivery {}
#[doc = include_str!("exocom.md")]
pub mod exocom {}
#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("rust.md")]
pub mod rust {}
#[doc = include_str!("security.md")]
pub mod security {}
#[doc = include_str!("streams.md")]
pub mod streams {}
#[doc = include_str!("webhooks.md")]
pub mod webhooks {}
