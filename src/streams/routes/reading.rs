//! `GET`: reads and long-polls.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use tokio::time::Instant;

use super::answers::{Failure, answer, set};
use super::caching::{cache_control, cursor, make_private, vary};
use super::compressing::compressed;
use super::content::{Content, read_content};
use super::{events, stream_path};
use crate::http::access::{Verb, allow, is_for_its_caller};
use crate::streams::metrics::LiveReader;
use crate::streams::reader::Reader;
use crate::streams::service::Streams;
use crate::streams::wire::{Begin, EntityTag, Live, Offset, ReadRequest, RequestError, header, matches_any};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) async fn read(streams: &Streams, request: Request) -> Result<Response, Failure> {
    let (uri, headers) = (request.uri(), request.headers());
    let path = stream_path(streams, uri)?;
    allow(request.extensions(), Verb::Read, path.as_str())?;
    let call = ReadRequest::parse(uri.query().unwrap_or_default())?;
    let resumed = if call.live == Live::Events { last_event(headers)? } else { None };
    let reader = streams.read(&path, resumed.unwrap_or(call.from))?;
    let response = match call.live {
        Live::No if call.from == Begin::Now => now(reader).await?,
        Live::No => catch_up(streams, reader, (call.from, headers)).await?,
        Live::LongPoll => long_poll(streams, reader, (call.from, call.cursor.as_deref())).await?,
        Live::Events if resumed.is_some() && reader.is_at_closed_end()? => return Ok(over(&reader)),
        Live::Events => return events::follow(streams, reader, call.cursor).await,
    };
    let mut response = compressed(streams, response, headers).await?;
    if response.headers().contains_key(ETAG) {
        vary(response.headers_mut());
    }
    if is_for_its_caller(request.extensions()) {
        make_private(response.headers_mut());
    }
    Ok(response)
}

/// The position after the last event that an `EventSource` got, which sends it when it connects again. HTML Standard 9.2.3.
fn last_event(headers: &HeaderMap) -> Result<Option<Begin>, RequestError> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let offset = id.to_str().ok().and_then(Offset::parse);
    let got = || String::from_utf8_lossy(id.as_bytes()).chars().take(100).collect();
    let wrong =
        || RequestError::Header { name: LAST_EVENT_ID, got: got(), expected: "the id of an event of this stream" };
    offset.map(|offset| Some(Begin::After(offset))).ok_or_else(wrong)
}

/// Answers an `EventSource` that has got everything of a closed stream: 204 keeps it from connecting again.
fn over(reader: &Reader) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, &header::NEXT_OFFSET, reader.offset_before(0));
    set(&mut headers, &header::UP_TO_DATE, "true");
    set(&mut headers, &header::CLOSED, "true");
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer(StatusCode::NO_CONTENT, headers, Body::empty())
}

/// Answers with the current end of the stream, without content.
async fn now(mut reader: Reader) -> Result<Response, Failure> {
    let (_, end, closed) = reader.position_and_end()?;
    let content = read_content(&mut reader, (end, closed), 0).await?;
    let mut headers = headers_of(&reader, &content);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer(StatusCode::OK, headers, content.into_body(reader)))
}

/// Answers with everything from the reader's position to the end that the stream has now.
async fn catch_up(
    streams: &Streams,
    mut reader: Reader,
    (from, request): (Begin, &HeaderMap),
) -> Result<Response, Failure> {
    let (start, end, closed) = reader.position_and_end()?;
    let content = read_content(&mut reader, (end, closed), streams.config().read_bytes_max).await?;
    if content.is_cut {
        let mut headers = headers_of(&reader, &content);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return Ok(answer(StatusCode::OK, headers, content.into_broken_body(reader)));
    }
    let tag = tag_of(&reader, start, &content);
    let asked = request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut headers = headers_of(&reader, &content);
    headers.insert(CACHE_CONTROL, cache_control(streams, &reader, (from, &content)));
    set(&mut headers, &ETAG, tag);
    if asked.is_some_and(|asked| matches_any(asked, &tag)) {
        headers.remove(CONTENT_TYPE);
        return Ok(answer(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    Ok(answer(StatusCode::OK, headers, content.into_body(reader)))
}

/// Answers as soon as there is content, the stream is closed, or the time is over.
async fn long_poll(
    streams: &Streams,
    mut reader: Reader,
    (from, client): (Begin, Option<&str>),
) -> Result<Response, Failure> {
    let deadline = Instant::now() + streams.config().long_poll_timeout();
    let _waiting = LiveReader::begin(streams.metrics());
    let mut last_round = false;
    loop {
        let (start, end, closed) = reader.position_and_end()?;
        let content = read_content(&mut reader, (end, closed), streams.config().read_bytes_max).await?;
        let mut headers = headers_of(&reader, &content);
        set(&mut headers, &header::CURSOR, cursor(streams, client));
        if !content.is_empty() {
            headers.insert(CACHE_CONTROL, cache_control(streams, &reader, (from, &content)));
            set(&mut headers, &ETAG, tag_of(&reader, start, &content));
            return Ok(answer(StatusCode::OK, headers, content.into_body(reader)));
        }
        if content.closed || last_round {
            headers.remove(CONTENT_TYPE);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return Ok(answer(StatusCode::NO_CONTENT, headers, Body::empty()));
        }
        tokio::select! {
            () = reader.more() => {}
            () = tokio::time::sleep_until(deadline) => last_round = true,
            () = streams.drained() => last_round = true,
        }
    }
}

fn tag_of(reader: &Reader, start: u64, content: &Content) -> EntityTag {
    EntityTag { life: reader.life(), start, end: content.next, closed: content.closed }
}

fn headers_of(reader: &Reader, content: &Content) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    set(&mut headers, &CONTENT_TYPE, reader.content_type().as_str());
    set(&mut headers, &header::NEXT_OFFSET, reader.offset_at(content.next));
    if content.up_to_date {
        set(&mut headers, &header::UP_TO_DATE, "true");
    }
    if content.closed {
        set(&mut headers, &header::CLOSED, "true");
    }
    headers
}
