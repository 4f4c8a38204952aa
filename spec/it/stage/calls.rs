//! HTTP calls, each over a connection of its own.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::{Client, Error, Method};
use serde_json::Value;

/// Timeout of one call.
const PATIENCE: Duration = Duration::from_secs(60);

/// The response to a call.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Makes a call with a JSON body. Errors: no complete response arrived.
pub(crate) async fn call(method: Method, url: &str, body: Option<&Value>) -> Result<Response, Error> {
    // Connections belong to the runtime that opened them, and each test has its own, so none is pooled.
    static CLIENT: LazyLock<Client> =
        LazyLock::new(|| Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap());
    let mut request = CLIENT.request(method, url);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let answer = request.send().await?;
    Ok(Response { status: answer.status().as_u16(), body: answer.text().await? })
}

pub(crate) async fn get(url: &str) -> Response {
    call(Method::GET, url, None).await.unwrap_or_else(|error| panic!("GET {url}: {error:?}"))
}

pub(crate) async fn post(url: &str, body: &Value) -> Response {
    call(Method::POST, url, Some(body)).await.unwrap_or_else(|error| panic!("POST {url}: {error:?}"))
}
