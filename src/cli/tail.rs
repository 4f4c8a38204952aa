//! `exorelay tail`

use std::future::pending;
use std::ops::ControlFlow;
use std::time::SystemTime;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use futures_util::FutureExt;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use super::Error;
use super::exec::{ExecOptions, Runner, path_of};
use super::follow::EventSource;
use super::output::{Output, one_line, print_line, warn};
use super::server::{Api, CALL_TIMEOUT, Server};
use super::traffic::{Following, TrafficOptions};
use crate::api::{FOLLOWERS_HEADER, NOT_RECEIVED_HEADER, ROLE_HEADER};
use crate::http::sse::Event;
use crate::message::{Message, MessageName, path_segment};
use crate::relay::service_envelope;

/// Follow and acknowledge a service's incoming messages, or follow a broker's traffic
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: wait for one message and extract its payload; handle each message; follow the traffic of one role
  exorelay tail --name users.created --count 1 --output json | jq .payload
  exorelay tail --name users.create --exec ./create-user --reply users.created --concurrent 4
  exorelay tail --broker localhost:3100 --role users

Without --exec a message is acknowledged when it is printed, and then counts as handled. With --no-ack it is delivered again after its lease, a few
times; at most 16 messages are shown before the first of them.
With --exec CMD a message is acknowledged when CMD has exited with 0 and its reply, if any, is sent. After any other exit,
after --timeout, and when the reply is malformed or cannot be sent, it is delivered again after its lease, with EXO_ATTEMPT
one higher, and becomes a dead letter after the last attempt. Ctrl-C lets running commands finish. Output that is not a reply
is printed.
Following a broker does not affect its messages.")]
pub(super) struct Tail {
    /// Only messages with these names, separated by commas; of a broker, as the sender, a receiver or the public calls them
    #[arg(long, alias = "message", value_name = "A,B", value_delimiter = ',')]
    name: Vec<String>,
    /// Stop after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Do not acknowledge the printed messages
    #[arg(long)]
    no_ack: bool,
    #[command(flatten)]
    exec: ExecOptions,
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
    /// Follows until Ctrl-C, a closed stdout, or `--count` messages. With `--exec`, Ctrl-C, SIGTERM or SIGHUP lets running
    /// commands finish; a second Ctrl-C or SIGTERM ends them.
    pub(super) async fn run(self) -> Result<(), Error> {
        if self.exec.is_requested() {
            return self.handle().await;
        }
        tokio::select! {
            outcome = self.follow() => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        let names = self.names()?;
        if self.traffic.is_requested() {
            let retry = self.api.retry();
            let following = Following { names: &names, count: self.count, output: self.output, retry };
            return self.traffic.run(following).await;
        }
        let sidecar = self.api.open(CALL_TIMEOUT)?;
        let greeting = |headers: &HeaderMap| self.greeting(headers, &sidecar);
        let source = EventSource { server: &sidecar, path: self.path(None), greeting: &greeting };
        let mut left = self.count.unwrap_or(u64::MAX);
        let handle = async |event: Event| {
            left -= self.print(event, &sidecar).await?;
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        source.follow(handle).await
    }

    async fn handle(&self) -> Result<(), Error> {
        self.names()?;
        let (runner, mut end) = Runner::new(&self.exec, self.api.open(CALL_TIMEOUT)?, self.count)?;
        let sidecar = self.api.open(CALL_TIMEOUT)?;
        let greeting = |headers: &HeaderMap| self.greeting(headers, &sidecar);
        let path = self.path(Some(self.exec.concurrent()));
        let source = EventSource { server: &sidecar, path, greeting: &greeting };
        let handle = async |event: Event| {
            if let Some((message, attempt)) = self.message(event) {
                runner.begin(message, attempt).await;
            }
            Ok(ControlFlow::Continue(()))
        };
        // Fused: it is polled again below after it has ended.
        let follow = source.follow(handle).fuse();
        tokio::pin!(follow);
        let mut terminated = signal(SignalKind::terminate()).map_err(Error::Input)?;
        // Its default action would end this process, and leave the commands behind.
        let mut hung_up = signal(SignalKind::hangup()).map_err(Error::Input)?;
        let outcome = tokio::select! {
            outcome = &mut follow => outcome,
            Some(outcome) = end.recv() => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminated.recv() => Ok(()),
            _ = hung_up.recv() => Ok(()),
        };
        // The connection stays open meanwhile: a lost follower's messages are delivered to others at once. If it ends, the
        // running commands still finish.
        tokio::select! {
            () = runner.stop() => {}
            () = follow.then(|_| pending()) => {}
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
        outcome
    }

    /// Returns the names of messages to follow; all, if there are none. Errors: one is malformed.
    fn names(&self) -> Result<Vec<MessageName>, Error> {
        Ok(self.name.iter().map(|name| MessageName::parse(name)).collect::<Result<_, _>>()?)
    }

    /// Returns what is followed and on which sidecar, who shares it, and which names its service does not receive.
    fn greeting(&self, headers: &HeaderMap, sidecar: &Server) -> Vec<String> {
        let text = |header: &str| headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let messages = match (self.name.as_slice(), self.exec.is_requested()) {
            ([], true) => "the messages that the service receives".to_owned(),
            ([], false) => "all messages".to_owned(),
            (names, _) => names.join(", "),
        };
        let role = Some(text(ROLE_HEADER)).filter(|role| !role.is_empty());
        let of_role = role.map(|role| format!(" of {}", decoded(role))).unwrap_or_default();
        let acknowledged = match (self.no_ack, self.exec.is_requested()) {
            (true, _) => "none is acknowledged",
            (_, true) => "each is acknowledged when the command has handled it",
            (_, false) => {
                "each is acknowledged when it is printed (--no-ack: never; --exec CMD: when CMD has handled it)"
            }
        };
        let mut lines =
            vec![format!("following {messages} on the sidecar{of_role} at {}; {acknowledged}", sidecar.shown())];
        let others = text(FOLLOWERS_HEADER).parse::<u64>().unwrap_or(1).saturating_sub(1);
        if others > 0 {
            lines.push(format!("shared with {others} more: each message goes to one of the followers"));
        }
        for name in text(NOT_RECEIVED_HEADER).split(',').filter(|name| !name.is_empty()) {
            let (name, similar) = name.split_once('=').unwrap_or((name, ""));
            let meant = match similar {
                "" => String::new(),
                similar => format!("; did you mean {}?", decoded(similar)),
            };
            let name = decoded(name);
            lines.push(format!("no such message is received here: {name}{meant} (it can still come as a reply)"));
        }
        lines
    }

    /// Returns the path to follow.
    fn path(&self, unacknowledged: Option<u16>) -> String {
        let names: Vec<String> = self.name.iter().map(|name| path_segment(name).to_string()).collect();
        let names = Some(names).filter(|names| !names.is_empty()).map(|names| format!("name={}", names.join(",")));
        // A command that answers whatever comes would answer the replies to its own messages, too.
        let declared = if names.is_none() { "declared=true&" } else { "" };
        let unacknowledged = unacknowledged.map(|max| format!("{declared}unacknowledged={max}"));
        let query = names.into_iter().chain(unacknowledged).collect::<Vec<_>>().join("&");
        if query.is_empty() { "/messages".to_owned() } else { format!("/messages?{query}") }
    }

    /// Returns the message of an event, and the number of its delivery; `None` if it is not one that was asked for.
    fn message(&self, event: Event) -> Option<(Message, u32)> {
        if event.name != "message" {
            return None;
        }
        let attempt = Attempt::of(&event.data);
        match Message::from_json(None, &Bytes::from(event.data)) {
            Ok(message) => {
                let is_wanted = self.name.is_empty() || self.name.iter().any(|name| name == message.name.as_str());
                is_wanted.then_some((message, attempt))
            }
            Err(error) => {
                warn(&format!("skipped an event that is not a message: {error}"));
                None
            }
        }
    }

    /// Prints a message, then acknowledges it, so that a message that could not be printed is delivered again.
    /// Returns the number of printed messages.
    async fn print(&self, event: Event, sidecar: &Server) -> Result<u64, Error> {
        let Some((message, attempt)) = self.message(event) else { return Ok(0) };
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
    let path = path_of(message, "ack");
    let acknowledged = async {
        let answer = sidecar.call(Method::POST, &path, HeaderMap::new(), Bytes::new()).await?;
        sidecar.accepted(answer).await
    };
    if let Err(error) = acknowledged.await {
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
