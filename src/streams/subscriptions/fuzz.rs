//! Garbage for the parsers of subscriptions.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::wire::{
    Pattern, Secret, SubscriptionId, Token, TokenError, is_done, parse_acknowledgement, parse_claim, parse_links,
    parse_release, parse_terms, parse_url_stream,
};
use crate::mutation::{mutated, mutated_text};
use crate::streams::wire::StreamPath;

const BODIES: [&str; 6] = [
    r#"{"type":"webhook","webhook":{"url":"https://worker.example/wake"},"pattern":"orders/**","lease_ttl_ms":30000}"#,
    r#"{"type":"pull-wake","wake_stream":"wakes","streams":["orders/1","orders/2"],"description":"é"}"#,
    r#"{"wake_id":"w1","generation":3,"acks":[{"stream":"orders/1","offset":"0000000000000000_0000000000000042"}],"done":true}"#,
    r#"{"streams":["orders/1","a%2Fb"]}"#,
    r#"{"worker":"worker-1"}"#,
    r#"{"done":true}"#,
];

/// Returns true if the segments of a path fit those of a pattern: as the protocol says it, and slowly.
fn fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => fits(rest, path) || !path.is_empty() && fits(pattern, &path[1..]),
        ([first, rest @ ..], [segment, others @ ..]) => (*first == "*" || first == segment) && fits(rest, others),
        ([], _) | (_, []) => false,
    }
}

proptest! {
    #[test]
    fn bodies_never_panic(body in mutated(BODIES)) {
        drop(parse_terms(&body).map_err(|error| error.to_string()));
        drop(parse_links(&body).map_err(|error| error.to_string()));
        drop(parse_acknowledgement(&body).map_err(|error| error.to_string()));
        drop(parse_claim(&body).map_err(|error| error.to_string()));
        drop(parse_release(&body).map_err(|error| error.to_string()));
        let _ = is_done(&body);
    }

    #[test]
    fn ids_paths_and_patterns_never_panic(text in mutated_text(["orders/**", "*/a/*", "sub-1", "a%2Fb"])) {
        drop(SubscriptionId::parse(&text).map_err(|error| error.to_string()));
        drop(parse_url_stream(&text).map_err(|error| error.to_string()));
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert_eq!(Pattern::parse(pattern.as_str()).map_err(|error| error.to_string()), Ok(pattern.clone()));
            prop_assert!(!pattern.segments().is_empty());
        }
    }

    #[test]
    fn a_pattern_matches_what_the_protocol_says(
        pattern in vec(select(&["a", "b", "*", "**"][..]), 1..7), path in vec(select(&["a", "b", "c"][..]), 1..7),
    ) {
        let parsed = (Pattern::parse(&pattern.join("/")).unwrap(), StreamPath::parse(&path.join("/")).unwrap());
        prop_assert_eq!(parsed.0.matches(&parsed.1), fits(&pattern, &path));
    }

    #[test]
    fn a_token_with_any_change_is_refused(
        text in mutated_text([signed()]), secret_byte in 0_u8..2, now_ms in prop_oneof![Just(0_u64), Just(2_000)],
    ) {
        let id = SubscriptionId::parse("sub-1").unwrap();
        let read = Token::read(&text, &Secret([7 + secret_byte; 32]), &id, now_ms);
        match (text == signed(), secret_byte, now_ms) {
            (true, 0, 0) => prop_assert_eq!(read, Ok(token())),
            (true, 0, _) => prop_assert_eq!(read, Err(TokenError::Expired)),
            _ => prop_assert_eq!(read, Err(TokenError::Invalid)),
        }
    }
}

fn token() -> Token {
    Token { nonce: "n0nce".to_owned(), generation: 3, expires_ms: 1_000 }
}

fn signed() -> String {
    token().sign(&Secret([7; 32]), &SubscriptionId::parse("sub-1").unwrap())
}
