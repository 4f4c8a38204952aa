//! The message that was meant by a misspelt name.

use std::time::Duration;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use serde::Deserialize;

use super::Error;
use super::server::{Server, configured_broker};
use super::server_kind::ServerKind;
use crate::http::Answer;
use crate::message::nearest;

/// Timeout of the question which messages there are.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The part of `GET /services` that is used here.
#[derive(Deserialize)]
struct Services {
    services: Vec<Receiver>,
}

#[derive(Deserialize)]
struct Receiver {
    receives: Vec<String>,
}

/// Adds to the refusal of a message that no service receives the name that was probably meant, if the configured broker knows
/// one.
pub(super) async fn with_similar(name: &str, accepted: Result<Answer, Error>) -> Result<Answer, Error> {
    match accepted {
        Err(Error::Refused { status: 404, detail }) => {
            let meant = meant(name).await.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            Err(Error::Refused { status: 404, detail: detail + &meant })
        }
        accepted => accepted,
    }
}

async fn meant(name: &str) -> Option<String> {
    let broker = Server::new(ServerKind::Broker, configured_broker().ok()?, TIMEOUT);
    let answer = broker.call(Method::GET, "/services", HeaderMap::new(), Bytes::new()).await.ok()?;
    let Services { services } = serde_json::from_slice(&answer.body).ok()?;
    let received = services.iter().flat_map(|receiver| &receiver.receives).map(String::as_str);
    nearest(name, received.filter(|known| *known != name)).map(str::to_owned)
}
