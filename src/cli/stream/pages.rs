//! Reads a stream page by page with `GET`, resuming a page when its connection breaks.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use reqwest::Response;
use tokio::time::timeout;

use super::messages::Form;
use super::printer::Printer;
use super::server::{Server, is_true, text_of, with_query};
use crate::cli::Error;
use crate::cli::follow::innermost;
use crate::cli::output::warn;
use crate::cli::server::CALL_TIMEOUT;
use crate::http::hide_credentials;
use crate::streams::header;

/// Maximum broken connections while reading one page; then the read fails.
const BREAKS_MAX: u32 = 20;

/// The headers of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// The offset of the next page.
    pub(super) next: Option<String>,
    pub(super) cursor: Option<String>,
    pub(super) up_to_date: bool,
    pub(super) closed: bool,
}

impl Page {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let owned = |name| text_of(headers, name).map(str::to_owned);
        let closed = is_true(headers, &header::CLOSED);
        let up_to_date = is_true(headers, &header::UP_TO_DATE);
        Self { next: owned(&header::NEXT_OFFSET), cursor: owned(&header::CURSOR), up_to_date, closed }
    }
}

/// Requests one page of the stream and prints it. The content at an offset never changes, so after a broken connection
/// the page is requested again and the bytes that were already printed are skipped.
///
/// Errors: those of [`Server::call`] and [`Printer::print`].
pub(super) async fn read_page(
    server: &Server,
    url: &str,
    query: &[(&str, &str)],
    printer: &mut Printer,
) -> Result<Page, Error> {
    let target = with_query(url, query)?;
    let (mut taken, mut breaks) = (0, 0);
    loop {
        let before = taken;
        let mut response = server.call(|client| client.get(target.clone())).await?;
        let page = Page::of(&response);
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(page);
        }
        if let Some(bytes) = response.content_length().filter(|_| page.up_to_date || page.closed) {
            printer.expect(bytes.saturating_sub(taken));
        }
        if taken == 0 {
            printer.begin(Form::of(text_of(response.headers(), &CONTENT_TYPE).unwrap_or_default()));
        }
        let Some(cause) = read_body(&mut response, &mut taken, printer).await? else { return Ok(page) };
        if let Some(damage) = damage_after(server, url, &page).await? {
            // All that comes before the damage is printed, however early the connection broke.
            if taken == before {
                return Err(damage);
            }
            continue;
        }
        breaks += 1;
        if breaks > BREAKS_MAX {
            return Err(Error::StreamCall { url: url.to_owned(), cause });
        }
        warn(&format!("the connection to {} broke ({cause}): resuming", hide_credentials(server.root())));
    }
}

/// Returns the damage that a page broke off at, if that is the reason: the server says so at the end of what it can read.
async fn damage_after(server: &Server, url: &str, page: &Page) -> Result<Option<Error>, Error> {
    let Some(next) = page.next.as_deref().filter(|_| !page.up_to_date && !page.closed) else { return Ok(None) };
    let target = with_query(url, &[("offset", next)])?;
    match server.call(|client| client.get(target.clone())).await {
        Err(damage @ Error::StreamDamaged { .. }) => Ok(Some(damage)),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Prints the body after its first `taken` bytes. Returns the reason if the body is incomplete.
async fn read_body(response: &mut Response, taken: &mut u64, printer: &mut Printer) -> Result<Option<String>, Error> {
    let mut at = 0;
    loop {
        let bytes = match timeout(CALL_TIMEOUT, response.chunk()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Ok(Some(innermost(&error))),
            Err(_) => return Ok(Some(format!("nothing received for {} s", CALL_TIMEOUT.as_secs()))),
        };
        let known = usize::try_from(taken.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        printer.print(&bytes[known..])?;
        at += bytes.len() as u64;
        *taken = at.max(*taken);
    }
}
