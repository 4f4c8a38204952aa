//! `exorelay stream follow`

use axum::http::header::CONTENT_TYPE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::Response;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::messages::Form;
use super::pages::read_page;
use super::printer::Printer;
use super::progress::Progress;
use super::server::{At, Server, text_of, with_query};
use crate::cli::Error;
use crate::cli::follow::{WAIT_MAX, innermost};
use crate::cli::output::warn;
use crate::http::Backoff;
use crate::http::sse::{Decoder, Event};
use crate::streams::header;

/// Print what a stream holds and what comes, until the stream is closed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: everything, from the start on; only what comes from now on
  exorelay stream follow orders
  exorelay stream follow orders --from now | jq .id

A connection that drops, and a server that restarts, are waited for; nothing is left out and nothing printed twice.")]
pub(in crate::cli) struct Follow {
    /// The stream: its name, or its URL
    name: String,
    /// Where to begin: start, now, or an offset that the server gave out
    #[arg(long, value_name = "start|now|OFFSET", default_value = "start")]
    from: String,
    #[command(flatten)]
    at: At,
}

/// What a `control` event says. PROTOCOL "SSE".
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    stream_next_offset: String,
    stream_cursor: Option<String>,
    #[serde(default)]
    stream_closed: bool,
}

/// How a stream is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By server-sent events.
    Events,
    /// By long-polls.
    Polls,
}

/// How events ended, if not with an error.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// There will never be more.
    Closed,
    /// The connection is over; there is more to come.
    Over,
    /// This server, or this content, does not go with events.
    Unfit,
}

/// Somebody who follows. The place moves when what is before it has been printed, and not earlier.
struct Follower<'a> {
    server: &'a Server,
    url: &'a str,
    place: String,
    cursor: Option<String>,
    printer: Printer,
    backoff: Backoff,
}

impl Follow {
    pub(super) async fn run(self) -> Result<(), Error> {
        tokio::select! {
            outcome = self.follow() => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        let server = self.at.server()?;
        let url = server.url_of(&self.name)?;
        let head = server.call(|client| client.head(&url)).await?;
        let content_type = text_of(head.headers(), &CONTENT_TYPE).unwrap_or_default().to_owned();
        let place = match self.from.as_str() {
            "start" => "-1".to_owned(),
            // The end as it is now, so that nothing is left out if the first connection breaks.
            "now" => text_of(head.headers(), &header::NEXT_OFFSET).unwrap_or("now").to_owned(),
            offset => offset.to_owned(),
        };
        // An event has no place for a text's own line breaks and leading blanks; a long-poll gives the bytes.
        let way = if content_type.starts_with("text/") { Way::Polls } else { Way::Events };
        let printer = Printer::new(Progress::silent());
        let follower =
            Follower { server: &server, url: &url, place, cursor: None, printer, backoff: Backoff::new(WAIT_MAX) };
        follower.run(way, Form::of(&content_type)).await
    }
}

impl Follower<'_> {
    async fn run(mut self, mut way: Way, form: Form) -> Result<(), Error> {
        loop {
            let ended = match way {
                Way::Events => self.events(form).await,
                Way::Polls => self.poll().await,
            };
            match ended {
                Ok(Ended::Closed) => return self.printer.end(),
                Ok(Ended::Unfit) => way = Way::Polls,
                Ok(Ended::Over) => {}
                // A server that was there and is away restarts, however long that takes.
                Err(error @ (Error::NoStreams { .. } | Error::StreamCall { .. })) => {
                    warn(&format!("{error}: trying again"));
                    sleep(self.backoff.next()).await;
                }
                Err(Error::StreamRefused { status: 500..600, detail }) => {
                    warn(&format!("{detail}: trying again"));
                    sleep(self.backoff.next()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn query<'a>(&'a self, live: &'a str) -> Vec<(&'static str, &'a str)> {
        let cursor = self.cursor.as_deref().map(|cursor| ("cursor", cursor));
        cursor.into_iter().chain([("live", live), ("offset", self.place.as_str())]).collect()
    }

    async fn poll(&mut self) -> Result<Ended, Error> {
        let (place, cursor) = (self.place.clone(), self.cursor.clone());
        let cursor = cursor.as_deref().map(|cursor| ("cursor", cursor));
        let query: Vec<_> = cursor.into_iter().chain([("live", "long-poll"), ("offset", place.as_str())]).collect();
        let began = Instant::now();
        let page = read_page(self.server, self.url, &query, &mut self.printer).await?;
        self.printer.flush()?;
        let moved = page.next.as_ref().is_some_and(|next| *next != place);
        if moved || began.elapsed() > WAIT_MAX {
            self.backoff.reset();
        } else if !page.closed {
            // A server that shuts down answers at once.
            sleep(self.backoff.next()).await;
        }
        self.place = page.next.unwrap_or(place);
        self.cursor = page.cursor;
        Ok(if page.closed { Ended::Closed } else { Ended::Over })
    }

    async fn events(&mut self, form: Form) -> Result<Ended, Error> {
        let opened = {
            let url = with_query(self.url, &self.query("sse"))?;
            self.server.call(|client| client.get(url.clone()).header("accept", "text/event-stream")).await
        };
        let mut response = match opened {
            Ok(response) if is_event_stream(&response) => response,
            Ok(_) | Err(Error::StreamRefused { status: 400 | 405 | 406 | 415 | 501, .. }) => return Ok(Ended::Unfit),
            Err(error) => return Err(error),
        };
        let encoded = text_of(response.headers(), &header::DATA_ENCODING) == Some("base64");
        let (mut decoder, mut waiting) = (Decoder::default(), Vec::new());
        let mut held_bytes = 0;
        loop {
            let bytes = match response.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    // Whoever ends a connection usually has its reasons, such as to start again.
                    sleep(self.backoff.next()).await;
                    return Ok(Ended::Over);
                }
                Err(error) => {
                    let url = self.server.root().to_owned();
                    return Err(Error::StreamCall { url, cause: innermost(&error) });
                }
            };
            let Ok(events) = decoder.push(&bytes) else { return Ok(Ended::Unfit) };
            for Event { name, data } in events {
                match name.as_str() {
                    "data" => {
                        held_bytes += data.len();
                        waiting.push(data);
                    }
                    "control" => {
                        held_bytes = 0;
                        if self.take(form, encoded, std::mem::take(&mut waiting), &data)? {
                            return Ok(Ended::Closed);
                        }
                    }
                    _ => {}
                }
            }
            if held_bytes > Decoder::EVENT_BYTES_MAX {
                return Ok(Ended::Unfit);
            }
        }
    }

    /// Prints what came before a `control` event, and goes to the place that it tells; says whether that is the end.
    fn take(&mut self, form: Form, encoded: bool, waiting: Vec<String>, control: &str) -> Result<bool, Error> {
        let strange = |cause: String| Error::StreamStranger { url: self.url.to_owned(), cause };
        let control: Control = serde_json::from_str(control).map_err(|error| strange(error.to_string()))?;
        for data in waiting {
            let bytes = match encoded {
                // Lines of an encoded event are one text.
                true => STANDARD.decode(data.replace('\n', "")).map_err(|error| strange(error.to_string()))?,
                false => data.into_bytes(),
            };
            self.printer.begin(form);
            self.printer.print(&bytes)?;
        }
        self.printer.flush()?;
        self.backoff.reset();
        (self.place, self.cursor) = (control.stream_next_offset, control.stream_cursor);
        Ok(control.stream_closed)
    }
}

fn is_event_stream(response: &Response) -> bool {
    text_of(response.headers(), &CONTENT_TYPE).is_some_and(|text| text.starts_with("text/event-stream"))
}
