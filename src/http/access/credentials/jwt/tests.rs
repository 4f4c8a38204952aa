//! JWTs that other software has signed, and attempts to get around the signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::super::tokens::hash;
use super::*;

/// A time at which the tokens of the tests are good.
pub(super) const NOW_S: f64 = 1_900_000_000.0;

/// Made with Python's `cryptography`: `sub` is alice, `roles` has web, `exp` is in the year 2100.
pub(super) const RS256: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsInJvbGVzIjpbIndlYiJdLCJleHAiOjQxMDI0NDQ4MDB9.NDRWKRaP9ZylKOYdlVvlE4Jz6lVN2AXt7WssEu5IK_pSFTlBzJom9zWcDuJYKL_OBsPvAFetBhzJmisfAlWuxZl02aeAQBqYtWFU-s6tWz147MPRQ8aiGXUww7_W29JmR3tWBuIShO0OkKQ2EBPAXGdjHoKHe_2gRm-IvaeX1pP6qmX18oVvfW88SgLpxRY9N7vxQRuebpm9dO8YF9D7MNAVMmxLYefYfq-VDyGHk-OUzjPrgXUf5mbBKKVJkctDvl5RKjo708p2Qhx9FOpakNaU6Pl_5qnI6ApcURnrdwIXnZAL8ZO-SU5At4P-vb25QLMA4EMXrc75fsDEWqRquQ";
pub(super) const ES256: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVjIn0.eyJzdWIiOiJhbGljZSIsInJvbGVzIjpbIndlYiJdLCJleHAiOjQxMDI0NDQ4MDB9.UA2q3jGCtl05pnb6URIi5J2RykYx812a_FSny_JyWLkdiTeTyKk4zjDCyKt5mk6sAQ631zrHsjCgG52-rxX46Q";
const ED25519: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIn0.eyJzdWIiOiJhbGljZSIsInJvbGVzIjpbIndlYiJdLCJleHAiOjQxMDI0NDQ4MDB9.o44QgD3peyJqhsWJf14hKlletpD-5G7gIeMQWhvbZKefkMd37GFxXmtv2z7Fc5GtdULYlcT201ImIJO9jfE_Cw";

pub(super) const JWKS: &str = r#"{"keys":[{"kty":"RSA","kid":"rsa","use":"sig","alg":"RS256","n":"jed8cUkvPtaZmUX7hRRqE3ZrFxpRJnG_f3HBEA_gkSuaxkvsj8ZvEln8fE7n5ElgO8NcIkm0WvacXE4heo3YgHsKkszfQkep0r_vxyeSbrnvU4PqyM2FbLD-xhURyT3tGAs_p0vfwxo9hm30qk9uLv8EKTasQT_3NgaNM2E6tMceMtnNlr05Jys6Ue-Kn0cTOaA988uGo_TPiZhR6TggW0rGa934Q4ZnbdPIzHco5BSXHpir70GAOnmEDxPEEBi97EDoE1GnIG2pAsscQCiUynLp8FIPAlp2QVAsp0X1LnwfDPsg3SJTFTIbrHk708Fvmdg1j-o1hiaO_olfJXN6uQ","e":"AQAB"},{"kty":"EC","kid":"ec","crv":"P-256","x":"GqFnnyTRsuGbT1vZmtHhEGjh7iArn_3bWA0qYaSJWx8","y":"deS88YtdXm8DOdwbHM3p9UWxfqctWzIHhGjnC_n-er4"},{"kty":"OKP","kid":"ed","crv":"Ed25519","x":"6vQcS9U3E8I8gWxyGPCZI_iSQTKjgp6d2r96bXf-Dcs"},{"kty":"RSA","kid":"enc","use":"enc","n":"AQAB","e":"AQAB"},{"kty":"EC","kid":"other","crv":"P-521","x":"AQ","y":"AQ"}]}"#;

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAjed8cUkvPtaZmUX7hRRq\nE3ZrFxpRJnG/f3HBEA/gkSuaxkvsj8ZvEln8fE7n5ElgO8NcIkm0WvacXE4heo3Y\ngHsKkszfQkep0r/vxyeSbrnvU4PqyM2FbLD+xhURyT3tGAs/p0vfwxo9hm30qk9u\nLv8EKTasQT/3NgaNM2E6tMceMtnNlr05Jys6Ue+Kn0cTOaA988uGo/TPiZhR6Tgg\nW0rGa934Q4ZnbdPIzHco5BSXHpir70GAOnmEDxPEEBi97EDoE1GnIG2pAsscQCiU\nynLp8FIPAlp2QVAsp0X1LnwfDPsg3SJTFTIbrHk708Fvmdg1j+o1hiaO/olfJXN6\nuQIDAQAB\n-----END PUBLIC KEY-----\n-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGqFnnyTRsuGbT1vZmtHhEGjh7iAr\nn/3bWA0qYaSJWx915Lzxi11ebwM53Bsczen1RbF+py1bMgeEaOcL+f56vg==\n-----END PUBLIC KEY-----\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA6vQcS9U3E8I8gWxyGPCZI/iSQTKjgp6d2r96bXf+Dcs=\n-----END PUBLIC KEY-----\n";

const SECRET: &str = "a shared secret of 32 bytes, or more";

fn jwt(config: Config) -> Jwt {
    Jwt::read(&config).unwrap().unwrap()
}

fn with_key(key: &str) -> Jwt {
    jwt(Config { jwt_key: key.into(), ..Config::default() })
}

fn with_secret() -> Jwt {
    jwt(Config { jwt_secret: SECRET.into(), ..Config::default() })
}

/// Returns the subject, or the reason why there is none.
fn found(jwt: &Jwt, token: &str) -> String {
    match jwt.find_at(token, hash(token), NOW_S) {
        Lookup::Found(principal) => principal.rejected().map_or_else(|| principal.label(), str::to_owned),
        other => format!("{other:?}"),
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with this header that is signed with HMAC.
fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let text = format!("{}.{}", encoded(header), encoded(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": NOW_S + 60.0 })
}

#[test]
fn tokens_of_every_algorithm_are_verified_with_keys_in_pem_or_json() {
    for jwt in [with_key(JWKS), with_key(PEM)] {
        for token in [RS256, ES256, ED25519] {
            assert_eq!(found(&jwt, token), "sub:alice");
            assert_eq!(found(&jwt, token), "sub:alice", "the second time it is known");
        }
    }
    assert_eq!(found(&with_secret(), &signed(&json!({ "alg": "HS256" }), &claims(), SECRET.as_bytes())), "sub:alice");
}

#[test]
fn a_token_that_is_changed_in_any_place_is_refused() {
    let jwt = with_key(JWKS);
    for token in [RS256, ES256, ED25519] {
        for at in (0..token.len()).step_by(7) {
            let mut changed = token.to_owned().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_ne!(found(&jwt, &changed), "sub:alice", "byte {at}");
        }
        for cut in [token.len() - 1, token.len() - 20, token.rfind('.').unwrap() + 1, 10, 0] {
            assert_ne!(found(&jwt, &token[..cut]), "sub:alice", "{cut} bytes");
        }
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    for name in ["none", "None", "NONE", "nOnE"] {
        let text = format!("{}.{}.", encoded(&json!({ "alg": name })), encoded(&claims()));
        assert_eq!(found(&with_secret(), &text), "the JWT is not signed: its algorithm is none", "{name}");
    }
    let unsigned = format!("{}.{}.", encoded(&json!({ "alg": "HS256" })), encoded(&claims()));
    assert_eq!(found(&with_secret(), &unsigned), "the signature of the JWT is wrong");
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let only_rsa = with_key(PEM);
    let first = PEM.split_inclusive("-----END PUBLIC KEY-----\n").next().unwrap();
    for secret in [PEM, first, first.trim(), JWKS] {
        for header in [json!({ "alg": "HS256" }), json!({ "alg": "HS256", "kid": "rsa" })] {
            let forged = signed(&header, &claims(), secret.as_bytes());
            let expected = "the JWT is signed with HS256, and no key for that is configured";
            assert_eq!(found(&only_rsa, &forged), expected);
            assert_eq!(found(&with_key(JWKS), &forged), expected);
        }
    }
}

#[test]
fn a_key_verifies_only_tokens_that_name_it_and_its_algorithm() {
    let jwt = with_key(JWKS);
    for (token, header, expected) in [
        (RS256, json!({ "alg": "RS256", "kid": "ec" }), "no key with the kid \"ec\" of the JWT is known"),
        (RS256, json!({ "alg": "RS256", "kid": "../../rsa" }), "no key with the kid \"../../rsa\" of the JWT is known"),
        (RS256, json!({ "alg": "ES256", "kid": "rsa" }), "no key with the kid \"rsa\" of the JWT is known"),
        (RS256, json!({ "alg": "ES256", "kid": "ec" }), "the signature of the JWT is wrong"),
        (
            RS256,
            json!({ "alg": "RS384", "kid": "rsa" }),
            "the algorithm of the JWT is \"RS384\": expected HS256, RS256, ES256 or EdDSA",
        ),
        (RS256, json!({ "alg": "RS256", "kid": 5 }), "the token is none of the configuration, and no JWT"),
        (
            RS256,
            json!({ "alg": "RS256", "kid": "rsa", "crit": ["exp"] }),
            "the JWT has critical extensions (crit), which are not supported",
        ),
        (ED25519, json!({ "alg": "EdDSA", "jwk": { "kty": "OKP" } }), "the signature of the JWT is wrong"),
    ] {
        let (_, rest) = token.split_once('.').unwrap();
        assert_eq!(found(&jwt, &format!("{}.{rest}", encoded(&header))), expected);
    }
}

#[test]
fn a_token_without_an_end_or_after_it_is_refused() {
    let with = |claims: Value| signed(&json!({ "alg": "HS256" }), &claims, SECRET.as_bytes());
    let jwt = with_secret();
    assert_eq!(
        found(&jwt, &with(json!({ "sub": "alice" }))),
        "the JWT has no exp: expected the time at which it expires"
    );
    assert_eq!(found(&jwt, &with(json!({ "sub": "alice", "exp": NOW_S - 61.0 }))), "the JWT has expired (exp)");
    assert_eq!(found(&jwt, &with(json!([]))), "the token is none of the configuration, and no JWT");
    let token = with(claims());
    let at = |now_s: f64| matches!(jwt.find_at(&token, hash(&token), now_s), Lookup::Found(found) if found.subject().is_some());
    assert!(at(NOW_S) && at(NOW_S + 119.0));
    assert!(!at(NOW_S + 121.0), "it was remembered, and has expired");
}

#[test]
fn keys_that_are_too_weak_or_for_something_else_are_not_used() {
    let refused = |text: &str, origin| KeySet::parse(text, origin).unwrap_err();
    let secret = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET) }).to_string();
    assert!(KeySet::parse(&secret, Origin::Private).is_ok());
    let none = "it has no key for HS256, RS256, ES256 or EdDSA";
    assert_eq!(refused(&secret, Origin::Public), none, "everyone can read it");
    assert_eq!(refused(r#"{"kty":"oct","k":"c2hvcnQ"}"#, Origin::Private), none);
    assert_eq!(refused(r#"{"keys":[]}"#, Origin::Public), none);
    assert_eq!(refused(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, Origin::Public), none, "a short modulus");
    let private = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----";
    assert_eq!(refused(private, Origin::Private), "PRIVATE KEY: expected a public key, not a private one");
    let short = Jwt::read(&Config { jwt_secret: "short".into(), ..Config::default() });
    assert!(short.is_err_and(|error| error.to_string().contains("fewer than 32 bytes")));
}

mod garbage {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_is_a_token_and_none_panics(text in ".{0,60}", parts in prop::collection::vec("[A-Za-z0-9_=-]{0,20}", 0..5)) {
            let jwt = with_key(JWKS);
            for token in [text.clone(), parts.join(".")] {
                prop_assert!(matches!(jwt.find_at(&token, hash(&token), NOW_S), Lookup::Found(found) if !found.is_authenticated()));
            }
            drop(KeySet::parse(&text, Origin::Public));
            drop(KeySet::parse(&format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", parts.concat()), Origin::Private));
        }
    }
}
