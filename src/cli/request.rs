//! `exorelay request`

use std::time::Duration;

use axum::http::{HeaderMap, Method};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::duration::duration;
use super::output::{Output, one_line, print_line};
use super::send::json_headers;
use super::server::{Api, CALL_TIMEOUT};
use super::similar::with_similar;
use super::{Error, payload};
use crate::http::Answer;
use crate::message::{MessageName, path_segment};

/// Send a message, wait for the reply and print its payload
#[derive(Debug, Args)]
#[command(after_help = "\
Example: send the greeter of exorelay dev a request
  exorelay request hello '{\"name\":\"world\"}'")]
pub(super) struct Request {
    /// Name of the message
    name: String,
    /// JSON payload; - reads it from stdin [default: no payload]
    json: Option<String>,
    /// Maximum wait for the reply, up to 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Output format; json prints {"message","id","payload"}
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Api,
}

#[derive(Serialize)]
struct Reply<'a> {
    message: Option<&'a str>,
    id: Option<&'a str>,
    payload: Option<&'a RawValue>,
}

impl Request {
    pub(super) async fn run(self) -> Result<(), Error> {
        let name = MessageName::parse(&self.name)?;
        let path = format!("/request/{}?timeout={}ms", path_segment(name.as_str()), self.timeout.as_millis());
        let body = payload::read(self.json.as_deref())?.map(|payload| payload.as_bytes().clone()).unwrap_or_default();
        let sidecar = self.api.open(self.timeout.saturating_add(CALL_TIMEOUT))?;
        let answer = sidecar.call(Method::POST, &path, json_headers(), body).await?;
        let answer = with_similar(&self.name, sidecar.accepted(answer).await).await?;
        match (self.output, as_json(&answer)) {
            (Output::Text, _) => print_line(String::from_utf8_lossy(&answer.body).trim_end()),
            (Output::Json, Ok(json)) => print_line(&json),
            (Output::Json, Err(error)) => Err(sidecar.unexpected(error).await),
        }
    }
}

fn as_json(answer: &Answer) -> serde_json::Result<String> {
    let payload = match answer.body.trim_ascii() {
        b"" => None,
        json => Some(serde_json::from_slice(json)?),
    };
    let reply =
        Reply { message: text(&answer.headers, "exo-message"), id: text(&answer.headers, "exo-message-id"), payload };
    Ok(one_line(&serde_json::to_string(&reply)?))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}
