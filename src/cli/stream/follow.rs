//! `exorelay stream follow`

use std::cell::RefCell;

use axum::http::header::CONTENT_TYPE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::Response;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::explain::named;
use super::messages::Form;
use super::pages::read_page;
use super::position::Position;
use super::printer::Printer;
use super::progress::Progress;
use super::server::{Server, ServerOptions, text_of, with_query};
use crate::cli::Error;
use crate::cli::follow::innermost;
use crate::cli::retry::{Notice, RETRY_WAIT_MAX};
use crate::http::Backoff;
use crate::http::sse::{Decoder, Event};
use crate::streams::header;

/// Print the content of a stream and new data as it arrives, until the stream is closed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: everything from the beginning; only new messages
  exorelay stream follow orders
  exorelay stream follow orders --from now | jq .id

Follow reconnects after lost connections and server restarts without gaps or repetitions.")]
pub(in crate::cli) struct Follow {
    /// The name or URL of the stream
    name: String,
    #[command(flatten)]
    position: Position,
    #[command(flatten)]
    server: ServerOptions,
}

/// The data of a `control` event. PROTOCOL "SSE".
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Control {
    stream_next_offset: String,
    stream_cursor: Option<String>,
    #[serde(default)]
    stream_closed: bool,
}

/// The transport of a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// Server-sent events.
    Events,
    /// Long-polls.
    Polls,
}

/// The reason why a request ended without an error.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The stream is closed.
    Closed,
    /// The connection ended; the stream goes on.
    Over,
    /// The server does not support events for this content.
    Unsupported,
}

/// A follower of one stream.
struct Follower<'a> {
    server: &'a Server,
    url: &'a str,
    /// Everything before it has been printed.
    offset: &'a RefCell<String>,
    cursor: Option<String>,
    printer: Printer,
    backoff: Backoff,
    notice: Notice,
}

impl Follow {
    pub(super) async fn run(self) -> Result<(), Error> {
        let server = self.server.open_for_content()?.of(&self.name);
        let offset = RefCell::new(self.position.offset().to_owned());
        let mut terminated = signal(SignalKind::terminate()).map_err(Error::Input)?;
        let outcome = tokio::select! {
            outcome = self.follow(&server, &offset) => named(&server, &self.name, outcome).await,
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminated.recv() => Ok(()),
        };
        self.position.print(&offset.borrow());
        outcome
    }

    async fn follow(&self, server: &Server, offset: &RefCell<String>) -> Result<(), Error> {
        let url = server.url_of(&self.name)?;
        let head = server.call(|client| client.head(&url)).await?;
        let content_type = text_of(head.headers(), &CONTENT_TYPE).unwrap_or_default().to_owned();
        if self.position.offset() == "now" {
            // The current end offset, so that nothing is lost if the first connection breaks.
            text_of(head.headers(), &header::NEXT_OFFSET).unwrap_or("now").clone_into(&mut offset.borrow_mut());
        }
        // Events cannot carry a text's exact line breaks and leading spaces; long-polls return the exact bytes.
        let transport = if content_type.starts_with("text/") { Transport::Polls } else { Transport::Events };
        let printer = Printer::new(Progress::silent());
        let follower = Follower {
            server,
            url: &url,
            offset,
            cursor: None,
            printer,
            backoff: Backoff::new(RETRY_WAIT_MAX),
            notice: Notice::lines(),
        };
        follower.run(transport, Form::of(&content_type)).await
    }
}

impl Follower<'_> {
    async fn run(mut self, mut transport: Transport, form: Form) -> Result<(), Error> {
        loop {
            let ended = match transport {
                Transport::Events => self.events(form).await,
                Transport::Polls => self.poll().await,
            };
            match ended {
                Ok(Ended::Closed) => return self.printer.end(),
                Ok(Ended::Unsupported) => transport = Transport::Polls,
                Ok(Ended::Over) => {}
                // The server answered before, so it is restarting; wait as long as it takes.
                Err(error @ (Error::NoStreams { .. } | Error::StreamCall { .. })) => {
                    self.notice.show(&error.to_string(), None);
                    sleep(self.backoff.next()).await;
                }
                Err(Error::StreamRefused { status: 500..600, detail }) => {
                    self.notice.show(&detail, None);
                    sleep(self.backoff.next()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn poll(&mut self) -> Result<Ended, Error> {
        let (offset, cursor) = (self.offset.borrow().clone(), self.cursor.clone());
        let cursor = cursor.as_deref().map(|cursor| ("cursor", cursor));
        let query: Vec<_> = cursor.into_iter().chain([("live", "long-poll"), ("offset", offset.as_str())]).collect();
        let began = Instant::now();
        let page = read_page(self.server, self.url, &query, &mut self.printer).await?;
        self.printer.flush()?;
        let moved = page.next.as_ref().is_some_and(|next| *next != offset);
        if moved || began.elapsed() > RETRY_WAIT_MAX {
            self.backoff.reset();
            self.notice.reset();
        } else if !page.closed {
            // A server that is shutting down answers at once.
            sleep(self.backoff.next()).await;
        }
        self.offset.replace(page.next.unwrap_or(offset));
        self.cursor = page.cursor;
        Ok(if page.closed { Ended::Closed } else { Ended::Over })
    }

    async fn events(&mut self, form: Form) -> Result<Ended, Error> {
        let opened = {
            let (offset, cursor) = (self.offset.borrow().clone(), self.cursor.as_deref());
            let cursor = cursor.map(|cursor| ("cursor", cursor));
            let query: Vec<_> = cursor.into_iter().chain([("live", "sse"), ("offset", offset.as_str())]).collect();
            let url = with_query(self.url, &query)?;
            self.server.call(|client| client.get(url.clone()).header("accept", "text/event-stream")).await
        };
        let mut response = match opened {
            Ok(response) if is_event_stream(&response) => response,
            Ok(_) | Err(Error::StreamRefused { status: 400 | 405 | 406 | 415 | 501, .. }) => {
                return Ok(Ended::Unsupported);
            }
            Err(error) => return Err(error),
        };
        let encoded = text_of(response.headers(), &header::DATA_ENCODING) == Some("base64");
        let (mut decoder, mut waiting) = (Decoder::default(), Vec::new());
        let mut held_bytes = 0;
        loop {
            let bytes = match response.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    // A server that ends the connection is probably restarting.
                    sleep(self.backoff.next()).await;
                    return Ok(Ended::Over);
                }
                Err(error) => {
                    let url = self.server.root().to_owned();
                    return Err(Error::StreamCall { url, cause: innermost(&error) });
                }
            };
            let Ok(events) = decoder.push(&bytes) else { return Ok(Ended::Unsupported) };
            for Event { name, data } in events {
                match name.as_str() {
                    "data" => {
                        held_bytes += data.len();
                        waiting.push(data);
                    }
                    "control" => {
                        held_bytes = 0;
                        if self.advance(form, encoded, std::mem::take(&mut waiting), &data)? {
                            return Ok(Ended::Closed);
                        }
                    }
                    _ => {}
                }
            }
            if held_bytes > Decoder::EVENT_BYTES_MAX {
                return Ok(Ended::Unsupported);
            }
        }
    }

    /// Prints the data before a `control` event and moves to its offset. Returns true if the stream is closed.
    fn advance(&mut self, form: Form, encoded: bool, waiting: Vec<String>, control: &str) -> Result<bool, Error> {
        let unexpected = |cause: String| Error::UnexpectedStreamAnswer { url: self.url.to_owned(), cause };
        let control: Control = serde_json::from_str(control).map_err(|error| unexpected(error.to_string()))?;
        for data in waiting {
            let bytes = match encoded {
                // The lines of an encoded event form one text.
                true => STANDARD.decode(data.replace('\n', "")).map_err(|error| unexpected(error.to_string()))?,
                false => data.into_bytes(),
            };
            self.printer.begin(form);
            self.printer.print(&bytes)?;
        }
        self.printer.flush()?;
        self.backoff.reset();
        self.notice.reset();
        self.offset.replace(control.stream_next_offset);
        self.cursor = control.stream_cursor;
        Ok(control.stream_closed)
    }
}

fn is_event_stream(response: &Response) -> bool {
    text_of(response.headers(), &CONTENT_TYPE).is_some_and(|text| text.starts_with("text/event-stream"))
}
