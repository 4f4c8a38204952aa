//! placeholder
mod config;
pub use config::{Config, Format};
/// p
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// p
    #[error("x")]
    X,
}
/// p
pub struct Webhook;
impl Webhook {
    /// p
    pub fn start(_config: &Config) -> Result<Webhook, Error> {
        Ok(Webhook)
    }
    pub(crate) fn fallback(&self) -> crate::relay::Fallback {
        unimplemented!()
    }
}
