//! `exorelay send`

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::output::{Output, print_line};
use super::server::{Api, CALL_TIMEOUT};
use super::similar::with_similar;
use super::{Error, payload};
use crate::message::{ActivityId, MessageId, MessageName, path_segment};

/// Send a message and print its id
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: a payload as an argument, and one from a file
  exorelay send users.create '{\"name\":\"Will\"}'
  exorelay send users.create - < user.json")]
pub(super) struct Send {
    /// Name of the message
    name: String,
    /// JSON payload; - reads it from stdin [default: no payload]
    json: Option<String>,
    /// Id of the activity that the message belongs to [default: a new one]
    #[arg(long, value_name = "ID", help_heading = "Message")]
    activity: Option<String>,
    /// Id of the message that it answers
    #[arg(long, value_name = "ID", help_heading = "Message")]
    response_to: Option<String>,
    /// Key that makes retries safe: the same key is sent only once
    #[arg(long, value_name = "KEY", help_heading = "Message")]
    idempotency_key: Option<String>,
    /// Output format; json prints {"id","activityId"}
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Api,
}

/// The sidecar's answer to `POST /send/{message}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_id: Option<String>,
}

impl Send {
    pub(super) async fn run(self) -> Result<(), Error> {
        let path = format!("/send/{}", path_segment(MessageName::parse(&self.name)?.as_str()));
        let headers = self.headers()?;
        let body = payload::read(self.json.as_deref())?.map(|payload| payload.as_bytes().clone()).unwrap_or_default();
        let sidecar = self.api.open(CALL_TIMEOUT)?;
        let answer = sidecar.call(Method::POST, &path, headers, body).await?;
        let answer = with_similar(&self.name, sidecar.accepted(answer).await).await?;
        let sent: Sent = match serde_json::from_slice(&answer.body) {
            Ok(sent) => sent,
            Err(error) => return Err(sidecar.unexpected(error).await),
        };
        match self.output {
            Output::Text => print_line(&sent.id),
            Output::Json => print_line(&serde_json::to_string(&sent).expect("strings can be written as JSON")),
        }
    }

    fn headers(&self) -> Result<HeaderMap, Error> {
        let activity = self.activity.as_deref().map(ActivityId::parse).transpose()?;
        let response_to = self.response_to.as_deref().map(MessageId::parse).transpose()?;
        let given = [
            ("--activity", "exo-activity-id", activity.as_ref().map(ActivityId::as_str)),
            ("--response-to", "exo-response-to", response_to.as_ref().map(MessageId::as_str)),
            ("--idempotency-key", "idempotency-key", self.idempotency_key.as_deref()),
        ];
        let mut headers = json_headers();
        for (flag, header, text) in given {
            if let Some(text) = text {
                let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Error::Header { flag })?;
                headers.insert(header, value);
            }
        }
        Ok(headers)
    }
}

/// Returns the headers of a call with a JSON payload.
pub(super) fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}
