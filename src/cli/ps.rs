//! `exorelay ps`

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::output::{Output, one_line, print_line};
use super::rendering::duration;
use super::server::BrokerAddress;
use super::table::columns;
use super::{Error, output};

/// List the services of a broker: roles, instances, health, and what waits for them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: a table; the roles for which something waits
  exorelay ps
  exorelay ps --output json | jq -r 'select(.queueLength > 0).role'

HEALTH is `up`; `away` if the service behind a sidecar does not answer; `absent` if a role has no instance, but is in the landscape
or has messages that wait for it. QUEUE counts the messages that wait or are being delivered, OLDEST is the age of the oldest.")]
pub(super) struct Ps {
    /// Output format; json prints one object per line
    #[arg(long, alias = "format", value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    broker: BrokerAddress,
}

/// Body of `GET /services`.
#[derive(Deserialize)]
struct Services {
    services: Vec<Service>,
    #[serde(default)]
    absent: Vec<Service>,
}

/// An instance, or a role without one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    role: String,
    instance: Option<String>,
    kind: Option<String>,
    address: Option<String>,
    #[serde(default)]
    away: bool,
    queue_length: u64,
    oldest_ms: Option<u64>,
}

/// A row of the output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    role: String,
    instance: Option<String>,
    health: &'static str,
    queue_length: u64,
    oldest_ms: Option<u64>,
    kind: Option<String>,
    address: Option<String>,
}

impl Service {
    fn row(self, health: &'static str) -> Row {
        let Self { role, instance, kind, address, away: _, queue_length, oldest_ms } = self;
        Row { role, instance, health, queue_length, oldest_ms, kind, address }
    }
}

impl Ps {
    pub(super) async fn run(self) -> Result<(), Error> {
        let broker = self.broker.open()?;
        let answer = broker.call(Method::GET, "/services", HeaderMap::new(), Bytes::new()).await?;
        let answer = broker.accepted(answer).await?;
        let rows = match serde_json::from_slice(&answer.body) {
            Ok(services) => rows(services),
            Err(error) => return Err(broker.unexpected(error).await),
        };
        match self.output {
            Output::Json => rows.iter().try_for_each(|row| print_line(&json(row))),
            Output::Text if rows.is_empty() => {
                output::warn(&format!("no service is registered with the broker at {}", broker.shown()));
                Ok(())
            }
            Output::Text => table(&rows).iter().try_for_each(|line| print_line(line)),
        }
    }
}

fn rows(services: Services) -> Vec<Row> {
    let health = |away: bool| if away { "away" } else { "up" };
    let present = services.services.into_iter().map(|service| {
        let health = health(service.away);
        service.row(health)
    });
    let mut rows: Vec<Row> = present.chain(services.absent.into_iter().map(|role| role.row("absent"))).collect();
    rows.sort_by(|one, other| (&one.role, &one.instance).cmp(&(&other.role, &other.instance)));
    rows
}

fn json(row: &Row) -> String {
    one_line(&serde_json::to_string(row).expect("strings and numbers can be written as JSON"))
}

fn table(rows: &[Row]) -> Vec<String> {
    let title = ["ROLE", "INSTANCE", "HEALTH", "QUEUE", "OLDEST", "ADDRESS"].map(str::to_owned);
    let dash = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), one_line);
    let cells = rows.iter().map(|row| {
        let oldest = row.oldest_ms.map_or_else(|| "-".to_owned(), |ms| duration(ms as f64));
        let address = row.address.clone().or_else(|| row.kind.clone());
        let queue = row.queue_length.to_string();
        [one_line(&row.role), dash(&row.instance), row.health.to_owned(), queue, oldest, dash(&address)]
    });
    columns(&std::iter::once(title).chain(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Vec<Row> {
        let body = r#"{"services":[
            {"role":"web","instance":"w1","kind":"connected","address":null,"queueLength":2,"oldestMs":3200,"away":true},
            {"role":"users","instance":null,"kind":"landscape","address":"h:1","queueLength":0,"oldestMs":null,"away":false}],
            "absent":[{"role":"log","queueLength":12,"oldestMs":40}]}"#;
        rows(serde_json::from_str(body).unwrap())
    }

    #[test]
    fn instances_and_absent_roles_are_a_table_by_role() {
        assert_eq!(
            table(&listed()),
            [
                "ROLE   INSTANCE  HEALTH  QUEUE  OLDEST   ADDRESS",
                "log    -         absent  12     40.0 ms  -",
                "users  -         up      0      -        h:1",
                "web    w1        away    2      3.20 s   connected",
            ]
        );
    }

    #[test]
    fn json_is_an_object_for_each() {
        let expected = r#"{"role":"log","instance":null,"health":"absent","queueLength":12,"oldestMs":40,"kind":null,"address":null}"#;
        assert_eq!(json(&listed()[0]), expected);
    }
}
