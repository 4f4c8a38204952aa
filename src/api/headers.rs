//! Correlation headers, and the timeout in the query.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;

use crate::http::{Kind, Problem};
use crate::message::{
    AUTH_BYTES_MAX, ActivityId, MessageId, MessageName, Payload, PayloadError, TextError, TraceParent,
};
use crate::relay::Draft;

/// Id of the message that is answered.
pub(super) const RESPONSE_TO: &str = "exo-response-to";
/// Id of the activity.
pub(super) const ACTIVITY_ID: &str = "exo-activity-id";
/// On whose behalf the message is sent: a JSON value.
pub(super) const AUTH: &str = "exo-auth";
/// `true` for a message of the security side channel.
pub(super) const SECURITY: &str = "exo-security";
/// Key under which equal calls are made once.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Name of a reply.
pub(super) const MESSAGE: &str = "exo-message";
/// Id of a reply.
pub(super) const MESSAGE_ID: &str = "exo-message-id";

/// Maximum length of an idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Maximum timeout of a request.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Returns the message that the headers of a call describe. Errors: 400 for an invalid header.
pub(super) fn draft(name: MessageName, headers: &HeaderMap) -> Result<Draft, Problem> {
    Ok(Draft {
        response_to: parsed(headers, RESPONSE_TO, MessageId::parse)?,
        activity_id: parsed(headers, ACTIVITY_ID, ActivityId::parse)?,
        auth: auth(headers)?,
        is_security: is_security(headers)?,
        trace: headers.get(TraceParent::HEADER).and_then(|value| TraceParent::parse(value.to_str().ok()?)),
        idempotency_key: key(headers)?,
        ..Draft::new(name, None)
    })
}

/// Returns the payload in a body; an empty one is none. Errors: 400 for a body that is not JSON.
pub(super) fn payload(body: Bytes) -> Result<Option<Payload>, Problem> {
    Ok(match body.trim_ascii().is_empty() {
        true => None,
        false => Some(Payload::parse(body).map_err(crate::message::Error::from)?),
    })
}

fn parsed<T>(
    headers: &HeaderMap,
    name: &'static str,
    parse: fn(&str) -> Result<T, TextError>,
) -> Result<Option<T>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = text(value, name)?;
    parse(text).map(Some).map_err(|error| Problem::new(Kind::InvalidRequest, format!("{name}: {error}")))
}

/// `null` counts as none, as in the original implementations.
fn auth(headers: &HeaderMap) -> Result<Option<Payload>, Problem> {
    let Some(value) = headers.get(AUTH) else { return Ok(None) };
    let bytes = value.as_bytes().len();
    if bytes > AUTH_BYTES_MAX {
        let detail = format!("{AUTH}: the header has {bytes} bytes, at most {AUTH_BYTES_MAX} are allowed");
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let auth = Payload::parse(Bytes::copy_from_slice(value.as_bytes()));
    let wrong = |cause: PayloadError| match cause {
        PayloadError::TooDeep { .. } => Problem::new(Kind::InvalidRequest, format!("{AUTH}: {cause}")),
        _ => Problem::new(Kind::InvalidRequest, format!("{AUTH}: the header is not a JSON value")),
    };
    Ok(Some(auth.map_err(wrong)?).filter(|auth| !auth.is_null()))
}

fn is_security(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(SECURITY).map(HeaderValue::as_bytes) {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(Problem::new(Kind::InvalidRequest, format!("{SECURITY}: expected true or false"))),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = text(value, IDEMPOTENCY_KEY)?;
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        let detail = format!("{IDEMPOTENCY_KEY}: expected 1 to {KEY_BYTES_MAX} bytes, got {}", text.len());
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    Ok(Some(text.to_owned()))
}

fn text<'a>(value: &'a HeaderValue, name: &'static str) -> Result<&'a str, Problem> {
    let utf8 = std::str::from_utf8(value.as_bytes());
    utf8.map_err(|_| Problem::new(Kind::InvalidRequest, format!("{name}: the header is not UTF-8")))
}

/// Returns the `timeout` parameter of a query: `5s`, `250ms`, `1m`, or a number of seconds. Other parameters are ignored.
/// Errors: 400 for an invalid time, zero, or more than an hour.
pub(super) fn timeout(query: Option<&str>) -> Result<Option<Duration>, Problem> {
    let value = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("timeout="));
    let Some(value) = value else { return Ok(None) };
    let seconds = value.parse().ok().map(Duration::from_secs);
    let duration = seconds.or_else(|| humantime::parse_duration(value).ok());
    let allowed = duration.filter(|duration| !duration.is_zero() && *duration <= TIMEOUT_MAX);
    let wrong = || {
        let detail = format!("timeout={value:.40}: expected a time up to 1h, such as 5s or 250ms");
        Problem::new(Kind::InvalidRequest, detail)
    };
    allowed.map(Some).ok_or_else(wrong)
}

/// Makes a header value of a message name or id, in UTF-8.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes())
        .expect("names and ids have no control characters, the only bytes that a header refuses")
}

/// Formats a JSON value for a header; `None` if it is too long.
pub(super) fn auth_value(auth: &Payload) -> Option<HeaderValue> {
    let json = auth.as_bytes();
    if json.len() > AUTH_BYTES_MAX {
        return None;
    }
    // JSON has line breaks only between tokens, and DEL only inside strings.
    let parts: Vec<&[u8]> = json.split(|byte| *byte == 0x7f).collect();
    let mut line = parts.join(&br"\u007f"[..]);
    line.iter_mut().filter(|byte| matches!(**byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
    Some(HeaderValue::from_bytes(&line).expect("JSON has no other control characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Option<Duration>) {
        assert_eq!(timeout(Some(query)).unwrap(), expected, "{query}");
    }

    #[test]
    fn timeouts_are_parsed_with_and_without_unit() {
        check("timeout=5s", Some(Duration::from_secs(5)));
        check("a=b&timeout=250ms", Some(Duration::from_millis(250)));
        check("timeout=7", Some(Duration::from_secs(7)));
        check("other=1", None);
    }

    #[test]
    fn invalid_timeouts_are_refused() {
        for query in ["timeout=", "timeout=soon", "timeout=-1s", "timeout=0", "timeout=2h"] {
            assert!(timeout(Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn an_overlong_idempotency_key_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, value(&"k".repeat(KEY_BYTES_MAX + 1)));
        assert!(key(&headers).is_err());
    }

    fn check_auth(text: &str, expected: Option<&str>) {
        let headers =
            HeaderMap::from_iter([(AUTH.parse().unwrap(), HeaderValue::from_bytes(text.as_bytes()).unwrap())]);
        let read = auth(&headers).unwrap();
        assert_eq!(read.as_ref().map(|auth| auth.as_bytes().as_ref()), expected.map(str::as_bytes), "{text}");
    }

    #[test]
    fn auth_is_any_json_value_and_null_is_none() {
        check_auth(r#"{"sessionId":"größe"}"#, Some(r#"{"sessionId":"größe"}"#));
        check_auth("1", Some("1"));
        check_auth("null", None);
        let headers = HeaderMap::from_iter([(AUTH.parse().unwrap(), value("{broken"))]);
        assert!(auth(&headers).is_err());
    }

    #[test]
    fn security_is_true_or_false() {
        let check = |text: &str| is_security(&HeaderMap::from_iter([(SECURITY.parse().unwrap(), value(text))])).ok();
        assert_eq!((check("true"), check("false"), check("yes")), (Some(true), Some(false), None));
        assert_eq!(is_security(&HeaderMap::new()).ok(), Some(false));
    }

    #[test]
    fn any_auth_fits_into_a_header_without_changing_its_meaning() {
        let check = |json: &str, expected: Option<&[u8]>| {
            let auth = Payload::parse(Bytes::from(json.to_owned())).unwrap();
            assert_eq!(auth_value(&auth).as_ref().map(HeaderValue::as_bytes), expected);
        };
        check("{\n\t\"a\": 1\r\n}", Some(b"{ \t\"a\": 1  }"));
        check("\"\u{7f}\"", Some(br#""\u007f""#));
        check(&format!("\"{}\"", "x".repeat(AUTH_BYTES_MAX)), None);
    }
}
