//! Calling the broker.

use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use exorelay::http::{Answer, Client, ClientLimits};
use http_body_util::Full;

/// Timeout for anything; generous for a loaded machine, because only failures wait this long.
const DEADLINE: Duration = Duration::from_secs(10);

/// Makes one call and reads the whole answer.
pub(crate) async fn call(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let limits = ClientLimits { connect_timeout: DEADLINE, timeout: DEADLINE, answer_bytes_max: 16 * 1024 * 1024 };
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    Client::new(limits).call(request).await.unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}
