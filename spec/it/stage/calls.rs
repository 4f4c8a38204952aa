//! HTTP calls as a service makes them, each over a connection of its own.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::{Client, Error, Method};
use serde_json::Value;

/// How long one call may take before its test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Called {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One call with a JSON body. Errors: there was no complete answer.
pub(crate) async fn call(method: Method, url: &str, body: Option<&Value>) -> Result<Called, Error> {
    // Connections belong to the runtime that opened them, and every test has its own: none is kept.
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        // The client insists on a provider even for plain HTTP. A second installation is refused, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap()
    });
    let mut request = CLIENT.request(method, url);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await?;
    Ok(Called { status: answer.status().as_u16(), body: answer.text().await? })
}

pub(crate) async fn get(url: &str) -> Called {
    call(Method::GET, url, None).await.unwrap_or_else(|error| panic!("GET {url}: {error:?}"))
}

pub(crate) async fn post(url: &str, body: &Value) -> Called {
    call(Method::POST, url, Some(body)).await.unwrap_or_else(|error| panic!("POST {url}: {error:?}"))
}
