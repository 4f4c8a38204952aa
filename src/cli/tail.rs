//! `exorelay tail`

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use tokio_retry::strategy::{ExponentialBackoff, jitter};

use super::Error;
use super::event_stream::{Event, EventStream};
use super::output::{Output, one_line, print_line, warn};
use super::sidecar::{Api, CALL_TIMEOUT, CONNECT_TIMEOUT, Sidecar, is_refusal};
use crate::http::path_segment;
use crate::message::Message;

/// The longest wait before the next try to reach a sidecar that went away.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// After how much silence the system checks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Follow the messages that come in for a service, acknowledging each
#[derive(Debug, Args)]
#[command(after_help = "\
Example: wait for one message and take its payload apart
  exorelay tail --name users.created --count 1 --output json | jq .payload

A message that is acknowledged counts as handled. With --no-ack it is given out again after its lease, a few times.")]
pub(super) struct Tail {
    /// Only messages of these names, separated by commas; others are left alone
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    name: Vec<String>,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Do not acknowledge what is printed
    #[arg(long)]
    no_ack: bool,
    /// Who reads the output; json is one envelope a line
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    api: Api,
}

/// How a stream ended, if not with an error.
enum Ended {
    /// Everything asked for has been printed.
    Complete,
    /// The connection is gone.
    Dropped,
}

impl Tail {
    /// Follows until Ctrl-C, a closed stdout, or `--count`.
    pub(super) async fn run(self) -> Result<(), Error> {
        tokio::select! {
            outcome = self.follow() => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        let sidecar = Sidecar::new(self.api.url()?, CALL_TIMEOUT);
        let client = streaming_client(sidecar.url())?;
        let mut followed = Followed { printed: 0, waits: waits() };
        // Nobody there at the start is an error; nobody there later is a sidecar that restarts.
        let mut opened = Some(self.open(&client, &sidecar).await?);
        loop {
            let ended = match opened.take() {
                Some(response) => self.read(response, &sidecar, &mut followed).await?,
                None => Ended::Dropped,
            };
            if matches!(ended, Ended::Complete) {
                return Ok(());
            }
            tokio::time::sleep(followed.waits.next().unwrap_or(WAIT_MAX)).await;
            match self.open(&client, &sidecar).await {
                Ok(response) => opened = Some(response),
                Err(Error::NoSidecar { .. } | Error::Stream { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Errors: [`Error::Stream`] and [`Error::NoSidecar`] may pass with time; [`Error::Refused`] does not.
    async fn open(&self, client: &reqwest::Client, sidecar: &Sidecar) -> Result<reqwest::Response, Error> {
        let names: Vec<String> = self.name.iter().map(|name| path_segment(name)).collect();
        let query = if names.is_empty() { String::new() } else { format!("?name={}", names.join(",")) };
        let call = client.get(format!("{}/messages{query}", sidecar.url())).header("accept", "text/event-stream");
        let response = call.send().await.map_err(|error| stream_error(sidecar, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| stream_error(sidecar, &error))?;
        let detail = sidecar.detail(status, &body);
        if status.is_server_error() {
            return Err(Error::Stream { api: sidecar.url().to_owned(), cause: detail });
        }
        Err(Error::Refused { detail })
    }

    async fn read(
        &self,
        mut response: reqwest::Response,
        sidecar: &Sidecar,
        followed: &mut Followed,
    ) -> Result<Ended, Error> {
        let mut stream = EventStream::default();
        while let Ok(Some(bytes)) = response.chunk().await {
            let events = stream
                .push(&bytes)
                .map_err(|error| Error::NotASidecar { api: sidecar.url().to_owned(), cause: error.to_string() })?;
            for event in events {
                followed.waits = waits();
                followed.printed += self.take(event, sidecar).await?;
                if self.count.is_some_and(|count| followed.printed >= count) {
                    return Ok(Ended::Complete);
                }
            }
        }
        warn(&format!("the connection to {} is gone: trying again", sidecar.url()));
        Ok(Ended::Dropped)
    }

    /// Prints and acknowledges, in this order, so that a message nobody saw is given out again.
    /// Answers how many messages were printed.
    async fn take(&self, event: Event, sidecar: &Sidecar) -> Result<u64, Error> {
        if event.name != "message" {
            return Ok(0);
        }
        let message = match Message::from_json(None, &Bytes::from(event.data)) {
            Ok(message) => message,
            Err(error) => {
                warn(&format!("passed over an event that is no message: {error}"));
                return Ok(0);
            }
        };
        if !self.name.is_empty() && !self.name.iter().any(|name| name == message.name.as_str()) {
            return Ok(0);
        }
        print_line(&match self.output {
            Output::Text => as_text(&message, SystemTime::now()),
            Output::Json => one_line(&String::from_utf8_lossy(&message.to_json())),
        })?;
        if !self.no_ack {
            acknowledge(&message, sidecar).await;
        }
        Ok(1)
    }
}

/// What outlives a connection.
struct Followed {
    printed: u64,
    waits: Waits,
}

type Waits = Box<dyn Iterator<Item = Duration> + Send>;

/// Full jitter, so that many followers of one sidecar do not come back together.
fn waits() -> Waits {
    Box::new(ExponentialBackoff::from_millis(2).factor(50).max_delay(WAIT_MAX).map(jitter))
}

/// A failure costs a second delivery, not the stream.
async fn acknowledge(message: &Message, sidecar: &Sidecar) {
    let path = format!("/messages/{}/ack", path_segment(message.id.as_str()));
    let answer = sidecar.call(Method::POST, &path, HeaderMap::new(), Bytes::new()).await;
    if let Err(error) = answer.and_then(|answer| sidecar.accepted(answer)) {
        warn(&format!("cannot acknowledge {}: {error}", message.id));
    }
}

/// `time name sender payload`; what is missing is a dash.
fn as_text(message: &Message, now: SystemTime) -> String {
    let sender = message.sender.as_ref().map_or("-", |sender| sender.as_str());
    let payload = message.payload.as_ref().map_or_else(|| "-".to_owned(), |payload| one_line(&payload.to_string()));
    format!("{} {} {sender} {payload}", humantime::format_rfc3339_seconds(now), message.name)
}

fn streaming_client(api: &str) -> Result<reqwest::Client, Error> {
    // A second installation is refused, and means that the first one stands.
    drop(rustls::crypto::ring::default_provider().install_default());
    // No proxy: a sidecar is next door. No time-out of the whole: a stream has no end.
    let builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).tcp_keepalive(KEEPALIVE);
    builder.build().map_err(|error| Error::Stream { api: api.to_owned(), cause: error.to_string() })
}

fn stream_error(sidecar: &Sidecar, error: &reqwest::Error) -> Error {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let (api, cause) = (sidecar.url().to_owned(), innermost.to_string());
    if error.is_connect() && is_refusal(&cause) { Error::NoSidecar { api } } else { Error::Stream { api, cause } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(envelope: &'static str, expected: &str) {
        let message = Message::from_json(None, &Bytes::from(envelope)).unwrap();
        assert_eq!(as_text(&message, SystemTime::UNIX_EPOCH), format!("1970-01-01T00:00:00Z {expected}"));
    }

    #[test]
    fn a_message_is_one_line() {
        check(
            "{\"id\":\"1\",\"name\":\"users.created\",\"sender\":\"users\",\"payload\":{\n\"a\":1\n}}",
            "users.created users { \"a\":1 }",
        );
    }

    #[test]
    fn what_a_message_does_not_have_is_a_dash() {
        check("{\"id\":\"1\",\"name\":\"hello\"}", "hello - -");
    }
}
