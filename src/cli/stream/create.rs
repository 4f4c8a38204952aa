//! `exorelay stream create`

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use clap::Args;
use reqwest::Url;

use super::explain::{explained, named};
use super::input::Content;
use super::server::ServerOptions;
use crate::cli::Error;
use crate::cli::duration::duration;
use crate::cli::output::{print_line, warn};
use crate::streams::header;

/// Create a stream and print its URL; does nothing if an identical stream exists
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: JSON messages; a chat that expires an hour after its last use; a fork
  exorelay stream create orders --type application/json
  exorelay stream create chats/7 --type text/plain --ttl 1h
  exorelay stream create drafts/2 --fork-from drafts/1")]
pub(in crate::cli) struct Create {
    /// The name or URL of the stream
    name: String,
    #[command(flatten)]
    content: Content,
    /// The content type [default: application/octet-stream; for a fork, the type of its source]
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// Delete the stream this long after its last use, such as 90s or 2h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
    /// Delete the stream at this time, such as 2030-01-01T00:00:00Z
    #[arg(long, value_name = "INSTANT", conflicts_with = "ttl")]
    expires_at: Option<String>,
    /// Close the stream at once: it holds the given content and takes no appends
    #[arg(long)]
    closed: bool,
    /// Fork another stream, given by name or URL
    #[arg(long, value_name = "NAME", help_heading = "Fork")]
    fork_from: Option<String>,
    /// The offset up to which the fork shares the source [default: its end]
    #[arg(long, value_name = "OFFSET", help_heading = "Fork", requires = "fork_from")]
    fork_offset: Option<String>,
    /// Also share this many messages (or bytes) of the append after that offset
    #[arg(long, value_name = "N", help_heading = "Fork", requires = "fork_from")]
    fork_sub_offset: Option<u64>,
    #[command(flatten)]
    server: ServerOptions,
}

impl Create {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open()?.of(&self.name);
        let url = server.url_of(&self.name)?;
        let fork_from = self.fork_from.clone();
        let source = self.fork_from.as_deref().map(|source| server.url_of(source)).transpose()?;
        // The protocol identifies the source by the path of its URL.
        let source = source.and_then(|source| Url::parse(&source).ok()).map(|source| source.path().to_owned());
        let given = [
            (&CONTENT_TYPE, self.content_type),
            (&header::TTL, self.ttl.map(|ttl| ttl.as_millis().div_ceil(1_000).to_string())),
            (&header::EXPIRES_AT, self.expires_at),
            (&header::CLOSED, self.closed.then(|| true.to_string())),
            (&header::FORKED_FROM, source),
            (&header::FORK_OFFSET, self.fork_offset),
            (&header::FORK_SUB_OFFSET, self.fork_sub_offset.map(|count| count.to_string())),
        ];
        let body = self.content.open()?.map(super::input::Input::whole).transpose()?.unwrap_or_default();
        let made = server.call(|client| {
            let request = client.put(&url).body(body.clone());
            given.iter().fold(request, |request, (name, value)| match value {
                Some(value) => request.header(*name, value),
                None => request,
            })
        });
        let made = match &fork_from {
            Some(source) => named(&server, source, made.await).await?,
            None => explained(&server, &url, made.await).await?,
        };
        if made.status() == StatusCode::OK {
            warn("an identical stream exists: nothing to do");
        }
        print_line(&url)
    }
}
