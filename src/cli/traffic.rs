//! `exorelay tail --broker`: what goes through a broker, while it does.

use std::io::{self, IsTerminal};

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Error;
use super::follow::{Stream, Wanted};
use super::output::{Output, one_line, print_line, warn};
use super::rendering;
use super::server::{Server, base_url};
use super::server_kind::ServerKind;
use crate::broker::{Missed, TrafficRow, Undelivered};
use crate::http::sse::Event;
use crate::message::{ActivityId, MessageName, Role, path_segment};

/// Which broker is followed, and what of its traffic is shown.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct Watch {
    /// Follow the traffic of the broker at this address instead
    #[arg(long, value_name = "URL", conflicts_with_all = ["api", "name", "no_ack"])]
    broker: Option<String>,
    /// Only messages of this name: its sender's, a receiver's or everybody else's
    #[arg(long, value_name = "NAME", requires = "broker")]
    message: Option<String>,
    /// Only messages that this role sends or should get
    #[arg(long, value_name = "ROLE", requires = "broker")]
    role: Option<String>,
    /// Only messages of this activity
    #[arg(long, value_name = "ID", requires = "broker")]
    activity: Option<String>,
    /// Payloads too, if the broker was started with --log-payloads
    #[arg(long, requires = "broker")]
    payloads: bool,
}

/// The payload beside a row.
#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

impl Watch {
    /// Whether a broker is to be followed.
    pub(super) fn is_wanted(&self) -> bool {
        self.broker.is_some()
    }

    /// Follows until `count` messages have been shown, or for ever.
    pub(super) async fn run(&self, count: Option<u64>, output: Option<Output>) -> Result<(), Error> {
        let path = self.path()?;
        let broker = Server::broker(base_url(ServerKind::Broker, self.broker.as_deref().unwrap_or_default())?);
        let output = output.unwrap_or(match io::stdout().is_terminal() {
            true => Output::Text,
            false => Output::Json,
        });
        let greeting = Some(format!("following the traffic of {}", broker.url()));
        let mut left = count.unwrap_or(u64::MAX);
        let take = async |event: Event| {
            left -= show(&event, output)?;
            Ok(if left == 0 { Wanted::Enough } else { Wanted::More })
        };
        Stream { server: &broker, path, greeting }.follow(take).await
    }

    fn path(&self) -> Result<String, Error> {
        let message = self.message.as_deref().map(MessageName::parse).transpose()?;
        let role = self.role.as_deref().map(Role::parse).transpose()?;
        let activity = self.activity.as_deref().map(ActivityId::parse).transpose()?;
        let filters = [
            ("message", message.as_ref().map(MessageName::as_str)),
            ("role", role.as_ref().map(Role::as_str)),
            ("activity", activity.as_ref().map(ActivityId::as_str)),
            ("payloads", self.payloads.then_some("true")),
        ];
        let given = filters.into_iter().filter_map(|(key, text)| Some(format!("{key}={}", path_segment(text?))));
        let query = given.collect::<Vec<_>>().join("&");
        Ok(if query.is_empty() { "/traffic".to_owned() } else { format!("/traffic?{query}") })
    }
}

/// Prints an event. Answers how many messages that were; failures and gaps are none.
fn show(event: &Event, output: Output) -> Result<u64, Error> {
    let lines = match output {
        Output::Text => as_text(event),
        Output::Json => Ok(as_json(event)),
    };
    match lines {
        Ok(Some(lines)) => print_line(&lines)?,
        Ok(None) => return Ok(0),
        Err(error) => warn(&format!("passed over an event that cannot be read: {error}")),
    }
    Ok(u64::from(event.name == "message"))
}

/// `None` for an event of a kind that is not known here.
fn as_text(event: &Event) -> Result<Option<String>, serde_json::Error> {
    let data = event.data.as_str();
    match event.name.as_str() {
        "message" => {
            let (row, shown): (TrafficRow, Shown<'_>) = (serde_json::from_str(data)?, serde_json::from_str(data)?);
            let payload = shown.payload.map(|payload| format!("\n{}", one_line(payload.get())));
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

/// A message is its trace, a failure stands under `undelivered`, a gap under `missed`.
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
    fn every_event_has_its_lines() {
        let row = r#"{"at":"T","id":"1","name":"m","publicName":"m","sender":"web","activityId":"x","receivers":[],"payloadBytes":0,"fate":"no-receivers","payload":{"a":1.0}}"#;
        check("message", row, Some("T web  --[ m ]-x  nobody receives it\n{\"a\":1.0}"), Some(row));
        let row = r#"{"id":"1","name":"m","sender":"web","reason":"away","at":"T","activityId":"x"}"#;
        let json = format!("{{\"undelivered\":{row}}}");
        check("undelivered", row, Some("T web  --[ m ]-x  away"), Some(&json));
        check("missed", "{\"missed\":7}", Some("(7 left out)"), Some("{\"missed\":7}"));
        check("weather", "{}", None, None);
    }

    #[test]
    fn filters_stand_in_the_query() {
        let watch = Watch { message: Some("a b&c".into()), payloads: true, ..Watch::default() };
        assert_eq!(watch.path().unwrap(), "/traffic?message=a%20b%26c&payloads=true");
        assert_eq!(Watch::default().path().unwrap(), "/traffic");
        assert!(Watch { role: Some(String::new()), ..Watch::default() }.path().is_err());
    }
}
