//! Reads with `GET`: answer by answer, each to its end even if the connection breaks in its middle.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use reqwest::Response;
use tokio::time::timeout;

use super::messages::Form;
use super::printer::Printer;
use super::server::{Server, says_true, text_of, with_query};
use crate::cli::Error;
use crate::cli::follow::innermost;
use crate::cli::output::warn;
use crate::cli::server::CALL_TIMEOUT;
use crate::streams::header;

/// How often one answer may break before that counts as a failure.
const BREAKS_MAX: u32 = 20;

/// What an answer says beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// Where the next one begins.
    pub(super) next: Option<String>,
    pub(super) cursor: Option<String>,
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
}

impl Page {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let owned = |name| text_of(headers, name).map(str::to_owned);
        let closed = says_true(headers, &header::CLOSED);
        let up_to_date = says_true(headers, &header::UP_TO_DATE);
        Self { next: owned(&header::NEXT_OFFSET), cursor: owned(&header::CURSOR), up_to_date, closed }
    }
}

/// Reads what is behind `query` of the stream and prints it. What is at an offset never changes, so an answer that broke
/// is asked for again, and goes on behind the bytes that were printed already.
///
/// Errors: those of [`Server::call`] and [`Printer::print`].
pub(super) async fn read_page(
    server: &Server,
    url: &str,
    query: &[(&str, &str)],
    printer: &mut Printer,
) -> Result<Page, Error> {
    let place = with_query(url, query)?;
    let (mut taken, mut breaks) = (0, 0);
    loop {
        let mut response = server.call(|client| client.get(place.clone())).await?;
        let page = Page::of(&response);
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(page);
        }
        if taken == 0 {
            printer.begin(Form::of(text_of(response.headers(), &CONTENT_TYPE).unwrap_or_default()));
        }
        let Some(cause) = read_body(&mut response, &mut taken, printer).await? else { return Ok(page) };
        breaks += 1;
        if breaks > BREAKS_MAX {
            return Err(Error::StreamCall { url: url.to_owned(), cause });
        }
        warn(&format!("the connection to {} broke ({cause}): going on where it was", server.root()));
    }
}

/// Prints the body behind its first `taken` bytes; gives the reason if there is more that did not come.
async fn read_body(response: &mut Response, taken: &mut u64, printer: &mut Printer) -> Result<Option<String>, Error> {
    let mut at = 0;
    loop {
        let bytes = match timeout(CALL_TIMEOUT, response.chunk()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Ok(Some(innermost(&error))),
            Err(_) => return Ok(Some(format!("nothing came for {} s", CALL_TIMEOUT.as_secs()))),
        };
        let known = usize::try_from(taken.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        printer.print(&bytes[known..])?;
        at += bytes.len() as u64;
        *taken = at.max(*taken);
    }
}
