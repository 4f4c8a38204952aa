//! The message or the role that was meant by a misspelt name.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::Error;
use super::output::one_line;
use super::retry::CallOptions;
use super::server::{Server, configured_broker};
use crate::http::Answer;
use crate::message::{MessageName, nearest};

/// Timeout of the question which messages there are.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The part of `GET /services` that is used here.
#[derive(Deserialize)]
struct Services {
    services: Vec<Receiver>,
}

#[derive(Deserialize)]
struct Receiver {
    receives: Vec<String>,
}

/// Adds to the refusal of a message that no service receives the name that was probably meant, if the configured broker knows
/// one.
pub(super) async fn with_similar(name: &str, accepted: Result<Answer, Error>) -> Result<Answer, Error> {
    match accepted {
        Err(Error::Refused { status: 404, detail }) => {
            let meant = meant(name).await.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            Err(Error::Refused { status: 404, detail: detail + &meant })
        }
        accepted => accepted,
    }
}

async fn meant(name: &str) -> Option<String> {
    let broker = Server::broker(configured_broker().ok()?, CallOptions::default());
    let asked = broker.call(Method::GET, "/services", HeaderMap::new(), Bytes::new());
    let answer = timeout(TIMEOUT, asked).await.ok()?.ok()?;
    let Services { services } = serde_json::from_slice(&answer.body).ok()?;
    let received = services.iter().flat_map(|receiver| &receiver.receives).map(String::as_str);
    nearest(name, received.filter(|known| *known != name)).map(str::to_owned)
}

/// The names of messages and the roles that a broker knows.
#[derive(Default)]
struct Known {
    messages: BTreeSet<String>,
    roles: BTreeSet<String>,
}

/// Returns a line for each of these names and for the role if the broker knows none such, with the one that was probably
/// meant. None, if it does not say what it knows.
pub(super) async fn unknown(broker: &Server, names: &[MessageName], role: Option<&str>) -> Vec<String> {
    let mut known = Known::default();
    if names.is_empty() && role.is_none() {
        return Vec::new();
    }
    let mut has_answered = false;
    for path in ["/services", "/config.json"] {
        let called = broker.call(Method::GET, path, HeaderMap::new(), Bytes::new());
        let Ok(Ok(answer)) = timeout(TIMEOUT, called).await else { continue };
        if let (true, Ok(listing)) = (answer.status.is_success(), serde_json::from_slice(&answer.body)) {
            known.add(&listing);
            has_answered = true;
        }
    }
    if has_answered { known.lines(names, role) } else { Vec::new() }
}

impl Known {
    /// Adds what `GET /services` or a form of `GET /config.json` says.
    fn add(&mut self, listing: &Value) {
        for list in ["services", "absent", "clients", "routes"] {
            match &listing[list] {
                Value::Array(rows) => rows.iter().for_each(|row| self.add_role(row["role"].as_str(), row)),
                Value::Object(rows) => {
                    for (key, row) in rows {
                        match row.get("receivers") {
                            Some(_) => drop(self.messages.insert(key.clone())),
                            None => self.add_role(Some(key), row),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn add_role(&mut self, role: Option<&str>, row: &Value) {
        self.roles.extend(role.map(str::to_owned));
        let named = ["receives", "sends"].into_iter().filter_map(|list| row[list].as_array()).flatten();
        self.messages.extend(named.filter_map(|name| name.as_str().map(str::to_owned)));
    }

    fn lines(&self, names: &[MessageName], role: Option<&str>) -> Vec<String> {
        let meant = |name: &str, known: &BTreeSet<String>| {
            let similar = nearest(name, known.iter().map(String::as_str));
            similar.map(|similar| format!("; did you mean {}?", one_line(similar))).unwrap_or_default()
        };
        let names = names.iter().map(MessageName::as_str).filter(|name| !self.messages.contains(*name));
        let lines = names.map(|name| {
            let meant = meant(name, &self.messages);
            format!("no such message is known to the broker: {name}{meant} (it is shown should it be sent)")
        });
        let role = role.filter(|role| !self.roles.contains(*role));
        let role = role.map(|role| format!("no such role is known to the broker: {role}{}", meant(role, &self.roles)));
        lines.chain(role).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(listings: &[Value], expected: &[&str]) {
        let names = ["usrs.create", "users.created", "zonk"].map(|name| MessageName::parse(name).unwrap());
        let mut known = Known::default();
        listings.iter().for_each(|listing| known.add(listing));
        assert_eq!(known.lines(&names, Some("usrs")), expected);
    }

    #[test]
    fn a_name_that_the_broker_does_not_know_is_said_with_the_one_that_was_meant() {
        let expected = [
            "no such message is known to the broker: usrs.create; did you mean users.create? (it is shown should it be sent)",
            "no such message is known to the broker: zonk (it is shown should it be sent)",
            "no such role is known to the broker: usrs; did you mean users?",
        ];
        let interface = json!({"role": "users", "receives": ["users.create"], "sends": ["users.created"]});
        check(&[json!({"services": [interface], "absent": []})], &expected);
        check(&[json!({"clients": {}, "routes": {"users": interface}})], &expected);
        let receivers = json!({"receivers": []});
        let http = json!({
            "services": {"users": {"name": "users"}},
            "routes": {"users.create": receivers, "users.created": receivers}
        });
        check(&[json!({"services": [], "absent": [{"role": "log"}]}), http], &expected);
    }
}
