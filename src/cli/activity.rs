//! `exorelay activity`

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use clap::Args;

use super::output::{Output, one_line, print_line};
use super::server::BrokerAddress;
use super::{Error, rendering};
use crate::broker;
use crate::message::{ActivityId, path_segment};

/// Print the messages of one activity as an indented timeline
#[derive(Debug, Args)]
#[command(after_help = "\
Example: the activity of a message, by the id that `exorelay send` printed
  exorelay activity 01a203f0-b276-73d1-8f73-f164fd9e6ed6

Each message is indented below the one it answers, else below the last one its sender had received. Times at the start
of a line count from the first message; `answered after` counts from the request.")]
pub(super) struct Activity {
    /// The id of the activity
    id: String,
    /// Output format; json prints {"activityId","messages"}
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    broker: BrokerAddress,
}

impl Activity {
    pub(super) async fn run(self) -> Result<(), Error> {
        let id = ActivityId::parse(&self.id)?;
        let broker = self.broker.open()?;
        let path = format!("/activities/{}", path_segment(id.as_str()));
        let answer = broker.call(Method::GET, &path, HeaderMap::new(), Bytes::new()).await?;
        let answer = broker.accepted(answer).await?;
        let activity: broker::Activity = match serde_json::from_slice(&answer.body) {
            Ok(activity) => activity,
            Err(error) => return Err(broker.unexpected(error).await),
        };
        match self.output {
            Output::Text => print_line(&rendering::timeline(&activity)),
            Output::Json => print_line(&one_line(&String::from_utf8_lossy(&answer.body))),
        }
    }
}
