//! `exorelay tail`

use std::ops::ControlFlow;
use std::time::SystemTime;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use serde::Deserialize;

use super::Error;
use super::follow::EventSource;
use super::output::{Output, one_line, print_line, warn};
use super::server::{Api, CALL_TIMEOUT, Server};
use super::traffic::TrafficOptions;
use crate::http::sse::Event;
use crate::message::{Message, path_segment};
use crate::relay::service_envelope;

/// Follow and acknowledge a service's incoming messages, or follow a broker's traffic
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: wait for one message and extract its payload; follow the traffic of one role
  exorelay tail --name users.created --count 1 --output json | jq .payload
  exorelay tail --broker localhost:3100 --role users

An acknowledged message counts as handled. With --no-ack it is delivered again after its lease, a few
times; at most 16 messages are shown before the first of them.
Following a broker does not affect its messages.")]
pub(super) struct Tail {
    /// Only messages with these names, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    name: Vec<String>,
    /// Stop after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Do not acknowledge the printed messages
    #[arg(long)]
    no_ack: bool,
    /// Output format; json prints one envelope (of a broker: one trace) per line [default: text; of a broker json unless on
    /// a terminal]
    #[arg(long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    traffic: TrafficOptions,
}

impl Tail {
    /// Follows until Ctrl-C, a closed stdout, or `--count` messages.
    pub(super) async fn run(self) -> Result<(), Error> {
        tokio::select! {
            outcome = self.follow() => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        if self.traffic.is_requested() {
            return self.traffic.run(self.count, self.output).await;
        }
        let sidecar = Server::sidecar(self.api.url()?, CALL_TIMEOUT);
        let names: Vec<String> = self.name.iter().map(|name| path_segment(name).to_string()).collect();
        let query = if names.is_empty() { String::new() } else { format!("?name={}", names.join(",")) };
        let source = EventSource { server: &sidecar, path: format!("/messages{query}"), greeting: None };
        let mut left = self.count.unwrap_or(u64::MAX);
        let handle = async |event: Event| {
            left -= self.print(event, &sidecar).await?;
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        source.follow(handle).await
    }

    /// Prints a message, then acknowledges it, so that a message that could not be printed is delivered again.
    /// Returns the number of printed messages.
    async fn print(&self, event: Event, sidecar: &Server) -> Result<u64, Error> {
        if event.name != "message" {
            return Ok(0);
        }
        let attempt = Attempt::of(&event.data);
        let message = match Message::from_json(None, &Bytes::from(event.data)) {
            Ok(message) => message,
            Err(error) => {
                warn(&format!("skipped an event that is not a message: {error}"));
                return Ok(0);
            }
        };
        if !self.name.is_empty() && !self.name.iter().any(|name| name == message.name.as_str()) {
            return Ok(0);
        }
        print_line(&match self.output.unwrap_or(Output::Text) {
            Output::Text => as_text(&message, SystemTime::now()),
            Output::Json => one_line(&String::from_utf8_lossy(&service_envelope(&message, attempt))),
        })?;
        if !self.no_ack {
            acknowledge(&message, sidecar).await;
        }
        Ok(1)
    }
}

/// Acknowledges a message. A failure only means that it is delivered again, so it does not end the command.
async fn acknowledge(message: &Message, sidecar: &Server) {
    let sender = message.sender.as_ref().map(|sender| format!("?sender={}", path_segment(sender.as_str())));
    let path = format!("/messages/{}/ack{}", path_segment(message.id.as_str()), sender.unwrap_or_default());
    let answer = sidecar.call(Method::POST, &path, HeaderMap::new(), Bytes::new()).await;
    if let Err(error) = answer.and_then(|answer| sidecar.accepted(answer)) {
        warn(&format!("cannot acknowledge {}: {error}", message.id));
    }
}

/// Number of the delivery of a message, as its envelope says; 1 if it does not.
#[derive(Deserialize)]
struct Attempt {
    attempt: Option<u32>,
}

impl Attempt {
    fn of(envelope: &str) -> u32 {
        let found = serde_json::from_str(envelope).ok().and_then(|Self { attempt }| attempt);
        found.unwrap_or(1)
    }
}

/// Formats a message as `time name sender payload`; missing parts are a dash.
fn as_text(message: &Message, now: SystemTime) -> String {
    let sender = message.sender.as_ref().map_or("-", |sender| sender.as_str());
    let payload = message.payload.as_ref().map_or_else(|| "-".to_owned(), |payload| one_line(&payload.to_string()));
    format!("{} {} {sender} {payload}", humantime::format_rfc3339_seconds(now), message.name)
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
    fn missing_parts_are_a_dash() {
        check("{\"id\":\"1\",\"name\":\"hello\"}", "hello - -");
    }
}
