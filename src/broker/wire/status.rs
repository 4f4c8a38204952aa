//! Answers to a batch in both directions: one verdict per message.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::broker::Error;
use crate::message::{Delivery, PayloadError, Verdict};

/// Retry delay for a busy peer that does not send one.
const BUSY_DEFAULT: Duration = Duration::from_millis(100);

/// Longest wait that a peer may ask for.
const BUSY_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Length at which a detail is cut off.
const DETAIL_BYTES_MAX: usize = 1024;

/// Encoding of a success, by far the most common status.
const SUCCESS: &[u8] = b"{\"status\":200}";

impl Verdict {
    /// Writes one verdict per message: `[{"status":200},{"status":404,"detail":"…"},…]`.
    pub fn list_to_json(verdicts: &[Self]) -> Bytes {
        to_json(verdicts.iter().map(|verdict| match verdict {
            Self::Accepted => Status::of(200, None),
            Self::NoReceivers => Status::of(404, Some("no service receives this message")),
            Self::Busy { retry_after } => Status::busy(*retry_after),
            Self::Forbidden { detail } => Status::of(403, Some(detail)),
            Self::Refused { detail } => Status::of(400, Some(detail)),
        }))
    }

    /// Parses such a list. Errors: [`Error::Payload`].
    pub fn list_from_json(body: &Bytes) -> Result<Vec<Self>, Error> {
        let read = |status: Status<String>| match status.status {
            200..=299 => Self::Accepted,
            403 => Self::Forbidden { detail: status.detail() },
            404 => Self::NoReceivers,
            408 | 425 | 429 | 500.. => Self::Busy { retry_after: status.retry_after() },
            _ => Self::Refused { detail: status.detail() },
        };
        Ok(from_json(body)?.into_iter().map(read).collect())
    }
}

impl Delivery {
    /// Writes one delivery per message, in the form of [`Verdict::list_to_json`].
    pub fn list_to_json(deliveries: &[Self]) -> Bytes {
        to_json(deliveries.iter().map(|delivery| match delivery {
            Self::Accepted => Status::of(200, None),
            Self::Unknown => Status::of(404, Some("unknown message")),
            Self::Busy { retry_after } => Status::busy(*retry_after),
            Self::Refused { detail } => Status::of(400, Some(detail)),
        }))
    }

    /// Parses such a list. Errors: [`Error::Payload`].
    pub fn list_from_json(body: &Bytes) -> Result<Vec<Self>, Error> {
        let read = |status: Status<String>| match status.status {
            200..=299 => Self::Accepted,
            404 => Self::Unknown,
            408 | 425 | 429 | 500.. => Self::Busy { retry_after: status.retry_after() },
            _ => Self::Refused { detail: status.detail() },
        };
        Ok(from_json(body)?.into_iter().map(read).collect())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status<T> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl<'a> Status<&'a str> {
    fn of(status: u16, detail: Option<&'a str>) -> Self {
        Self { status, detail, retry_after_ms: None }
    }

    fn busy(retry_after: Duration) -> Self {
        let retry_after_ms = u64::try_from(retry_after.as_millis()).ok();
        Self { status: 503, detail: None, retry_after_ms }
    }
}

impl Status<String> {
    fn retry_after(&self) -> Duration {
        self.retry_after_ms.map_or(BUSY_DEFAULT, Duration::from_millis).min(BUSY_MAX)
    }

    fn detail(self) -> String {
        let mut detail = self.detail.unwrap_or_default();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        detail.shrink_to_fit();
        detail
    }
}

fn to_json<'a>(statuses: impl Iterator<Item = Status<&'a str>>) -> Bytes {
    let mut json = vec![b'['];
    for status in statuses {
        if json.len() > 1 {
            json.push(b',');
        }
        match status {
            Status { status: 200, detail: None, retry_after_ms: None } => json.extend_from_slice(SUCCESS),
            status => serde_json::to_writer(&mut json, &status).expect("numbers and texts can be written to memory"),
        }
    }
    json.push(b']');
    json.into()
}

fn from_json(body: &Bytes) -> Result<Vec<Status<String>>, Error> {
    if let Some(count) = count_of_successes(body) {
        return Ok((0..count).map(|_| Status { status: 200, detail: None, retry_after_ms: None }).collect());
    }
    Ok(serde_json::from_slice(body).map_err(PayloadError::not_json)?)
}

/// Returns the number of entries if all of them are successes as [`to_json`] writes them, which is nearly always.
fn count_of_successes(body: &[u8]) -> Option<usize> {
    let mut rest = body.strip_prefix(b"[")?;
    let mut count = 0;
    loop {
        rest = rest.strip_prefix(SUCCESS)?;
        count += 1;
        match rest {
            b"]" => return Some(count),
            _ => rest = rest.strip_prefix(b",")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_the_round_trip() {
        let verdicts = vec![
            Verdict::Accepted,
            Verdict::NoReceivers,
            Verdict::Busy { retry_after: Duration::from_millis(100) },
            Verdict::Refused { detail: "missing message id".into() },
        ];
        let json = Verdict::list_to_json(&verdicts);
        let expected = r#"[{"status":200},{"status":404,"detail":"no service receives this message"},{"status":503,"retryAfterMs":100},{"status":400,"detail":"missing message id"}]"#;
        assert_eq!(json, expected);
        assert_eq!(Verdict::list_from_json(&json), Ok(verdicts));
    }

    #[test]
    fn deliveries_survive_the_round_trip() {
        let deliveries = vec![
            Delivery::Accepted,
            Delivery::Unknown,
            Delivery::Busy { retry_after: Duration::from_secs(2) },
            Delivery::Refused { detail: "too deep".into() },
        ];
        assert_eq!(Delivery::list_from_json(&Delivery::list_to_json(&deliveries)), Ok(deliveries));
    }

    #[test]
    fn a_list_of_successes_is_read_like_any_list() {
        for count in [1, 2, 70] {
            let json = Delivery::list_to_json(&vec![Delivery::Accepted; count]);
            assert_eq!(Delivery::list_from_json(&json), Ok(vec![Delivery::Accepted; count]));
            let spaced = String::from_utf8(json.to_vec()).unwrap().replace(',', " , ");
            assert_eq!(Delivery::list_from_json(&spaced.into()), Ok(vec![Delivery::Accepted; count]));
            let cut = json.slice(..json.len() - 1);
            let trailing = format!("{},]", String::from_utf8_lossy(&cut)).into();
            for broken in [cut, trailing, format!("{}]", String::from_utf8_lossy(&json)).into()] {
                assert!(Delivery::list_from_json(&broken).is_err(), "{broken:?}");
            }
        }
    }

    #[test]
    fn an_unknown_status_is_read_by_its_class() {
        let read =
            Delivery::list_from_json(&Bytes::from(r#"[{"status":204},{"status":502},{"status":429},{"status":410}]"#));
        let busy = || Delivery::Busy { retry_after: BUSY_DEFAULT };
        let refused = Delivery::Refused { detail: String::new() };
        assert_eq!(read, Ok(vec![Delivery::Accepted, busy(), busy(), refused]));
    }
}
