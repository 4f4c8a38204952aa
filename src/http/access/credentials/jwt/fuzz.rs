//! Garbage for the parsers of JWTs and keys.

use proptest::prelude::*;

use super::claims::ClaimRules;
use super::keys::{KeySet, Origin};
use super::parts::Parts;
use super::tests::{ES256, JWKS, NOW_S, RS256};
use crate::mutation::{mutated, mutated_text};

const CLAIMS: [&str; 3] = [
    r#"{"sub":"alice","iss":"https://login.example","aud":["exorelay"],"exp":4102444800,"nbf":0,"roles":["web"]}"#,
    r#"{"aud":"exorelay","iss":"https://login.example","exp":4102444800.5,"roles":"web"}"#,
    r#"{"exp":1e308,"nbf":-1}"#,
];

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA6vQcS9U3E8I8gWxyGPCZI/iSQTKjgp6d2r96bXf+Dcs=\n-----END PUBLIC KEY-----\n";

proptest! {
    #[test]
    fn a_token_with_any_change_of_what_is_signed_is_refused(token in mutated_text([RS256, ES256])) {
        let keys = KeySet::parse(JWKS, Origin::Public).unwrap();
        if let Ok(parts) = Parts::parse(&token) {
            drop(parts.claims());
            if keys.verify(&parts).is_ok() {
                prop_assert!([RS256, ES256].iter().any(|good| good.rsplit_once('.').unwrap().0 == parts.signed), "{}", token);
            }
        }
    }

    #[test]
    fn keys_never_panic(text in mutated_text([JWKS, PEM])) {
        for origin in [Origin::Public, Origin::Private] {
            if let Ok(keys) = KeySet::parse(&text, origin) {
                let token = Parts::parse(RS256).unwrap();
                drop(keys.verify(&token));
            }
        }
    }

    #[test]
    fn claims_that_are_accepted_end_and_name_the_issuer_and_the_audience(body in mutated(CLAIMS)) {
        let rules = ClaimRules {
            issuer: "https://login.example".to_owned(),
            audiences: vec!["exorelay".to_owned()],
            leeway_s: 30.0,
            role_claim: "roles".to_owned(),
        };
        if let Ok(claims) = serde_json::from_slice::<serde_json::Map<_, _>>(&body) {
            let read: serde_json::Value = claims.clone().into();
            if let Ok(accepted) = rules.check(claims, NOW_S) {
                prop_assert!(accepted.expires_s.is_finite() && accepted.expires_s > NOW_S);
                prop_assert_eq!(&read["iss"], "https://login.example");
                prop_assert!(read["aud"].to_string().contains("\"exorelay\""));
            }
        }
    }
}
