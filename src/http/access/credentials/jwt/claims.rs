//! The claims of a JWT whose signature is right. RFC 7519 4.1. Pure.

use serde_json::{Map, Value};

use super::super::super::principal::Identity;
use super::Rejected;

/// Requirements on the claims.
#[derive(Debug, Clone, Default)]
pub(super) struct ClaimRules {
    /// The issuer; any, if it is empty.
    pub(super) issuer: String,
    /// The audiences of which a token has to name one.
    pub(super) audiences: Vec<String>,
    /// Time by which clocks may differ, in seconds.
    pub(super) leeway_s: f64,
    /// The claim with the roles.
    pub(super) role_claim: String,
}

/// A caller, and the time until which it is one, in seconds since 1970.
#[derive(Debug, PartialEq)]
pub(super) struct Accepted {
    pub(super) identity: Identity,
    pub(super) expires_s: f64,
}

impl ClaimRules {
    /// Checks the claims at `now_s`, in seconds since 1970. Errors: [`Rejected`].
    pub(super) fn check(&self, claims: Map<String, Value>, now_s: f64) -> Result<Accepted, Rejected> {
        let expires_s = time(&claims, "exp")?.ok_or(Rejected::NoExpiry)? + self.leeway_s;
        if expires_s <= now_s {
            return Err(Rejected::Expired);
        }
        if time(&claims, "nbf")?.is_some_and(|begins_s| begins_s - self.leeway_s > now_s) {
            return Err(Rejected::NotYet);
        }
        if !self.issuer.is_empty() && claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Rejected::Issuer);
        }
        self.check_audience(claims.get("aud"))?;
        let subject = match claims.get("sub") {
            None => None,
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(_) => return Err(Rejected::Claim { name: "sub" }),
        };
        let roles = match claims.get(&self.role_claim) {
            Some(Value::String(role)) => vec![role.clone()],
            Some(Value::Array(roles)) => roles.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect(),
            Some(_) | None => Vec::new(),
        };
        Ok(Accepted { identity: Identity { subject, roles, claims, ..Identity::default() }, expires_s })
    }

    /// A token that names audiences is for these only. RFC 7519 4.1.3.
    fn check_audience(&self, claim: Option<&Value>) -> Result<(), Rejected> {
        let is_ours = |value: &Value| value.as_str().is_some_and(|name| self.audiences.iter().any(|own| own == name));
        let is_for_us = match claim {
            None => self.audiences.is_empty(),
            Some(Value::Array(values)) => values.iter().any(is_ours),
            Some(value) => is_ours(value),
        };
        match (is_for_us, self.audiences.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(Rejected::AudienceUnset),
            (false, false) => Err(Rejected::Audience),
        }
    }
}

fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, Rejected> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64().filter(|seconds| seconds.is_finite()) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(Rejected::Claim { name }),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> ClaimRules {
        ClaimRules {
            issuer: "https://login.example".into(),
            audiences: vec!["exorelay".into(), "other".into()],
            leeway_s: 30.0,
            role_claim: "roles".into(),
        }
    }

    fn check(changes: Value, expected: Result<(), Rejected>) {
        let mut claims =
            json!({ "sub": "alice", "iss": "https://login.example", "aud": "exorelay", "exp": 1000, "roles": ["web"] });
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(key)),
                value => claims[key] = value.clone(),
            }
        }
        let Value::Object(claims) = claims else { unreachable!("it is an object") };
        assert_eq!(rules().check(claims, 900.0).map(|_| ()), expected, "{changes}");
    }

    #[test]
    fn a_token_is_good_from_nbf_to_exp_with_leeway() {
        check(json!({}), Ok(()));
        check(json!({ "exp": 900 }), Ok(()));
        check(json!({ "exp": 871 }), Ok(()));
        check(json!({ "exp": 870 }), Err(Rejected::Expired));
        check(json!({ "exp": -5 }), Err(Rejected::Expired));
        check(json!({ "exp": null }), Err(Rejected::NoExpiry));
        check(json!({ "exp": "1000" }), Err(Rejected::Claim { name: "exp" }));
        check(json!({ "nbf": 930 }), Ok(()));
        check(json!({ "nbf": 931 }), Err(Rejected::NotYet));
        check(json!({ "nbf": [] }), Err(Rejected::Claim { name: "nbf" }));
    }

    #[test]
    fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
        check(json!({ "iss": "https://login.example/" }), Err(Rejected::Issuer));
        check(json!({ "iss": null }), Err(Rejected::Issuer));
        check(json!({ "aud": ["x", "other"] }), Ok(()));
        for audience in [json!("exorelay2"), json!([]), json!(["x"]), json!(5), json!(null)] {
            check(json!({ "aud": audience }), Err(Rejected::Audience));
        }
        let unset = ClaimRules { audiences: Vec::new(), ..rules() };
        let claims = |audience: Value| match json!({ "iss": rules().issuer, "exp": 1000, "aud": audience }) {
            Value::Object(claims) => claims,
            _ => unreachable!("it is an object"),
        };
        assert_eq!(unset.check(claims(json!("exorelay")), 900.0), Err(Rejected::AudienceUnset));
    }

    #[test]
    fn roles_are_a_text_or_a_list() {
        for (value, expected) in
            [(json!("web"), vec!["web"]), (json!(["web", 5, "ops"]), vec!["web", "ops"]), (json!(5), vec![])]
        {
            let claims = json!({ "exp": 1000, "roles": value });
            let Value::Object(claims) = claims else { unreachable!("it is an object") };
            let rules = ClaimRules { role_claim: "roles".into(), ..ClaimRules::default() };
            assert_eq!(rules.check(claims, 900.0).unwrap().identity.roles, expected);
        }
        check(json!({ "sub": 5 }), Err(Rejected::Claim { name: "sub" }));
    }
}
