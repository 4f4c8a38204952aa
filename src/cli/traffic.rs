//! `exorelay tail --broker`: follows the traffic of a broker.

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;

use axum::http::HeaderMap;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::Error;
use super::follow::EventSource;
use super::output::{Output, one_line, print_line, warn};
use super::rendering;
use super::retry::CallOptions;
use super::server::{Server, base_url};
use super::server_kind::ServerKind;
use super::similar::unknown;
use crate::broker::{Missed, TrafficRow, Undelivered};
use crate::http::sse::Event;
use crate::message::{ActivityId, MessageName, Role, path_segment};

/// The broker to follow and the filters on its traffic.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct TrafficOptions {
    /// Follow the traffic of the broker at this address: a URL, HOST:PORT or a port
    #[arg(long, value_name = "URL", conflicts_with_all = ["api", "no_ack"])]
    broker: Option<String>,
    /// Only messages that this role sends or receives
    #[arg(long, value_name = "ROLE", requires = "broker")]
    role: Option<String>,
    /// Only messages of this activity
    #[arg(long, value_name = "ID", requires = "broker")]
    activity: Option<String>,
    /// Show payloads; requires a broker started with --log-payloads
    #[arg(long, requires = "broker")]
    payloads: bool,
}

/// Selection and form of the messages that `tail` prints.
pub(super) struct Following<'a> {
    /// Only messages that the sender, a receiver or the public calls so; all, if there are none.
    pub(super) names: &'a [MessageName],
    /// Number of messages to print; without it, there is no end.
    pub(super) count: Option<u64>,
    pub(super) output: Option<Output>,
    pub(super) retry: &'a CallOptions,
}

/// The names in a message event or an event of a failed delivery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    name: MessageName,
    public_name: Option<MessageName>,
    #[serde(default)]
    receivers: Vec<ReceiverName>,
}

#[derive(Deserialize)]
struct ReceiverName {
    name: MessageName,
}

/// The payload field of a message event.
#[derive(Deserialize)]
struct PayloadField<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

impl TrafficOptions {
    /// Returns true if `--broker` was given.
    pub(super) fn is_requested(&self) -> bool {
        self.broker.is_some()
    }

    /// Follows until enough messages have been printed.
    pub(super) async fn run(&self, following: Following<'_>) -> Result<(), Error> {
        let Following { names, count, output, retry } = following;
        let path = self.path(names)?;
        let url = base_url(ServerKind::Broker, self.broker.as_deref().unwrap_or_default())?;
        let broker = Server::broker(url, retry.clone());
        let output = output.unwrap_or(match io::stdout().is_terminal() {
            true => Output::Text,
            false => Output::Json,
        });
        let (followed, connected) = (self.followed(names), Notify::new());
        let greeting = |_: &HeaderMap| {
            connected.notify_one();
            vec![format!("following the traffic of {}{followed}", broker.shown())]
        };
        let explained = async {
            connected.notified().await;
            unknown(&broker, names, self.role.as_deref()).await.iter().for_each(|line| warn(line));
            pending::<Infallible>().await
        };
        let (mut left, names) = (count.unwrap_or(u64::MAX), if names.len() > 1 { names } else { &[] });
        let handle = async |event: Event| {
            if has_name(&event, names) {
                left -= print(&event, output)?;
            }
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let source = EventSource { server: &broker, path, greeting: &greeting };
        tokio::select! {
            outcome = source.follow(handle) => outcome,
            never = explained => match never {},
        }
    }

    /// Returns the filters, for people; nothing, if there are none.
    fn followed(&self, names: &[MessageName]) -> String {
        let names = names.iter().map(MessageName::as_str).collect::<Vec<_>>().join(", ");
        let of = |what, text: &Option<String>| text.as_ref().map(|text| format!("of the {what} {}", one_line(text)));
        let filters =
            [Some(names).filter(|names| !names.is_empty()), of("role", &self.role), of("activity", &self.activity)];
        let given = filters.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if given.is_empty() { given } else { format!(": only {given}") }
    }

    /// Returns the path to follow. The broker selects one name; several are selected here.
    fn path(&self, names: &[MessageName]) -> Result<String, Error> {
        let message = names.first().filter(|_| names.len() == 1);
        let role = self.role.as_deref().map(Role::parse).transpose()?;
        let activity = self.activity.as_deref().map(ActivityId::parse).transpose()?;
        let filters = [
            ("message", message.map(MessageName::as_str)),
            ("role", role.as_ref().map(Role::as_str)),
            ("activity", activity.as_ref().map(ActivityId::as_str)),
            ("payloads", self.payloads.then_some("true")),
        ];
        let given = filters.into_iter().filter_map(|(key, text)| Some(format!("{key}={}", path_segment(text?))));
        let query = given.collect::<Vec<_>>().join("&");
        Ok(if query.is_empty() { "/traffic".to_owned() } else { format!("/traffic?{query}") })
    }
}

/// Returns true if an event is about a message that anybody calls by one of these names, or if there are no names.
fn has_name(event: &Event, names: &[MessageName]) -> bool {
    if names.is_empty() || !matches!(event.name.as_str(), "message" | "undelivered") {
        return true;
    }
    let Ok(of) = serde_json::from_str::<Names>(&event.data) else { return true };
    let received = of.receivers.iter().map(|receiver| &receiver.name);
    let mut all = received.chain([&of.name]).chain(&of.public_name);
    all.any(|name| names.contains(name))
}

/// Prints an event. Returns 1 for a message, 0 for a failed delivery, a gap or an unknown event.
fn print(event: &Event, output: Output) -> Result<u64, Error> {
    let lines = match output {
        Output::Text => as_text(event),
        Output::Json => Ok(as_json(event)),
    };
    match lines {
        Ok(Some(lines)) => print_line(&lines)?,
        Ok(None) => return Ok(0),
        Err(error) => warn(&format!("skipped an event that cannot be read: {error}")),
    }
    Ok(u64::from(event.name == "message"))
}

/// Formats an event for people; `None` for an unknown kind of event.
fn as_text(event: &Event) -> Result<Option<String>, serde_json::Error> {
    let data = event.data.as_str();
    match event.name.as_str() {
        "message" => {
            let (row, field): (TrafficRow, PayloadField<'_>) =
                (serde_json::from_str(data)?, serde_json::from_str(data)?);
            let payload = field.payload.map(|payload| format!("\n{}", one_line(payload.get())));
            Ok(Some(rendering::line(&row) + &payload.unwrap_or_default()))
        }
        "undelivered" => Ok(Some(rendering::failure_line(&serde_json::from_str::<Undelivered>(data)?))),
        "missed" => {
            let Missed { missed } = serde_json::from_str(data)?;
            Ok(Some(format!("({missed} left out)")))
        }
        _ => Ok(None),
    }
}

/// Formats an event as JSON: a message as its trace, a failed delivery under `undelivered`, a gap under `missed`.
fn as_json(event: &Event) -> Option<String> {
    match event.name.as_str() {
        "message" | "missed" => Some(one_line(&event.data)),
        "undelivered" => Some(format!("{{\"undelivered\":{}}}", one_line(&event.data))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, data: &str, text: Option<&str>, json: Option<&str>) {
        let event = Event { name: name.to_owned(), data: data.to_owned() };
        assert_eq!(as_text(&event).unwrap().as_deref(), text, "{name}");
        assert_eq!(as_json(&event).as_deref(), json, "{name}");
    }

    #[test]
    fn every_kind_of_event_is_printed() {
        let row = r#"{"at":"T","id":"1","name":"m","publicName":"m","sender":"web","activityId":"x","receivers":[],"payloadBytes":0,"fate":"no-receivers","payload":{"a":1.0}}"#;
        check("message", row, Some("T web  --[ m ]-x  nobody receives it\n{\"a\":1.0}"), Some(row));
        let row = r#"{"id":"1","name":"m","sender":"web","reason":"away","at":"T","activityId":"x"}"#;
        let json = format!("{{\"undelivered\":{row}}}");
        check("undelivered", row, Some("T web  --[ m ]-x  away"), Some(&json));
        check("missed", "{\"missed\":7}", Some("(7 left out)"), Some("{\"missed\":7}"));
        check("weather", "{}", None, None);
    }

    #[test]
    fn filters_are_sent_in_the_query() {
        let names = ["a b&c", "d"].map(|name| MessageName::parse(name).unwrap());
        let options = TrafficOptions { payloads: true, ..TrafficOptions::default() };
        assert_eq!(options.path(&names[..1]).unwrap(), "/traffic?message=a%20b%26c&payloads=true");
        assert_eq!(options.path(&names).unwrap(), "/traffic?payloads=true");
        assert_eq!(TrafficOptions::default().path(&[]).unwrap(), "/traffic");
        assert!(TrafficOptions { role: Some(String::new()), ..TrafficOptions::default() }.path(&[]).is_err());
    }

    #[test]
    fn several_names_are_those_of_anybody() {
        let names = ["mine", "theirs"].map(|name| MessageName::parse(name).unwrap());
        let has = |name: &str, data: &str| has_name(&Event { name: name.to_owned(), data: data.to_owned() }, &names);
        assert!(has("message", r#"{"name":"mine","publicName":"x","receivers":[]}"#));
        assert!(has("message", r#"{"name":"x","publicName":"x","receivers":[{"name":"theirs"}]}"#));
        assert!(!has("message", r#"{"name":"x","publicName":"y","receivers":[{"name":"z"}]}"#));
        assert!(!has("undelivered", r#"{"name":"x"}"#));
        assert!(has("missed", r#"{"missed":1}"#));
    }
}
