//! Headers of requests: what is accepted, and what is refused.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
}

fn create(pairs: &[(&'static str, &str)]) -> Result<CreateRequest, RequestError> {
    CreateRequest::parse(&headers(pairs), "/v1/stream/")
}

fn append(pairs: &[(&'static str, &str)]) -> Result<AppendRequest, RequestError> {
    AppendRequest::parse(&headers(pairs))
}

#[test]
fn a_lifetime_is_whole_seconds_or_an_instant_and_never_both() {
    assert_eq!(create(&[("stream-ttl", "0")]).unwrap().lifetime, Some(Lifetime::Idle { ttl_s: 0 }));
    for text in ["", "-1", "+1", "01", "1.5", "1e3", "abc", "99999999999999999999"] {
        assert!(create(&[("stream-ttl", text)]).is_err(), "{text:?}");
    }
    assert!(create(&[("stream-expires-at", "soon")]).is_err());
    let both = create(&[("stream-ttl", "1"), ("stream-expires-at", "2030-01-01T00:00:00Z")]);
    assert_eq!(both, Err(RequestError::TwoLifetimes));
}

#[test]
fn only_true_in_any_case_closes_and_no_value_is_an_error() {
    for (text, closed) in [("true", true), ("TRUE", true), ("1", false), ("yes", false), ("", false)] {
        assert_eq!(create(&[("stream-closed", text)]).unwrap().closed, closed, "{text:?}");
    }
}

#[test]
fn a_malformed_media_type_is_ignored_on_put_and_matches_nothing_on_post() {
    assert_eq!(create(&[("content-type", "nonsense")]).unwrap().content_type, None);
    assert_eq!(append(&[("content-type", "nonsense")]).unwrap().content_type, Some(ContentType::default()));
    assert_eq!(append(&[("content-type", "")]).unwrap().content_type, None);
}

#[test]
fn a_fork_names_its_source_as_a_url_path() {
    let at = "0000000000000000_0000000000000009";
    let request = create(&[
        ("stream-forked-from", "/v1/stream/a/b"),
        ("stream-fork-offset", at),
        ("stream-fork-sub-offset", "2"),
    ]);
    let fork = request.unwrap().fork.unwrap();
    assert_eq!((fork.source.as_str(), fork.offset, fork.sub_offset), ("a/b", Offset::parse(at), 2));
    assert!(create(&[("stream-forked-from", "a/b")]).is_err());
    assert!(create(&[("stream-forked-from", "/v1/stream/a"), ("stream-fork-offset", "-1")]).is_err());
    assert!(create(&[("stream-fork-sub-offset", "0")]).is_err());
    for text in ["", "-1", "01", "x"] {
        assert!(create(&[("stream-forked-from", "/v1/stream/a"), ("stream-fork-sub-offset", text)]).is_err());
    }
}

#[test]
fn a_producer_has_all_of_its_headers_or_none() {
    let (id, epoch, seq) = (("producer-id", "p"), ("producer-epoch", "1"), ("producer-seq", "2"));
    let stamp = append(&[id, epoch, seq]).unwrap().producer.unwrap();
    assert_eq!((&*stamp.id, stamp.epoch, stamp.seq), ("p", 1, 2));
    for half in [&[id][..], &[epoch], &[id, seq], &[epoch, seq]] {
        assert_eq!(append(half), Err(RequestError::IncompleteProducer));
    }
    assert!(append(&[("producer-id", ""), epoch, seq]).is_err());
    for text in ["", "-1", "1.0", "9007199254740992", "abc"] {
        assert!(append(&[id, ("producer-epoch", text), seq]).is_err(), "{text:?}");
    }
}

#[test]
fn headers_that_are_stored_are_short() {
    let text = |before: &str, letter: &str, after: &str, bytes: usize| {
        format!("{before}{}{after}", letter.repeat(bytes - before.len() - after.len()))
    };
    for (name, before, letter, after, bytes_max) in [
        ("content-type", "text/", "x", "", 1024),
        ("stream-expires-at", "2030-01-01T00:00:00.", "0", "Z", 1024),
        ("stream-seq", "", "1", "", 1024),
        ("producer-id", "", "p", "", 256),
    ] {
        let numbers = [("producer-epoch", "0"), ("producer-seq", "0")];
        let more = if name == "producer-id" { &numbers[..] } else { &[] };
        let parse = |bytes: usize| {
            let value = text(before, letter, after, bytes);
            let pairs: Vec<_> = [(name, value.as_str())].into_iter().chain(more.iter().copied()).collect();
            create(&pairs).map(drop).and_then(|()| append(&pairs).map(drop))
        };
        assert_eq!(parse(bytes_max), Ok(()), "{name}");
        for bytes in [bytes_max + 1, 300 * 1024] {
            let name = HeaderName::from_static(name);
            assert_eq!(parse(bytes), Err(RequestError::HeaderTooLong { name, bytes, bytes_max }));
        }
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 10)) {
        let names = [
            &header::TTL, &header::EXPIRES_AT, &header::CLOSED, &header::SEQ, &header::FORKED_FROM,
            &header::FORK_OFFSET, &header::FORK_SUB_OFFSET, &header::PRODUCER_ID, &header::PRODUCER_EPOCH,
            &header::PRODUCER_SEQ,
        ];
        for count in 0..names.len() {
            let pairs = names.into_iter().zip(&values).take(count + 1);
            // Bytes that cannot be in a header are never parsed.
            let values = pairs.filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_bytes(value).ok()?)));
            let headers: HeaderMap = values.collect();
            CreateRequest::parse(&headers, "/v1/stream/").ok();
            AppendRequest::parse(&headers).ok();
        }
    }
}
