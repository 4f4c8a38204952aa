//! Rights of HTTP callers: the token that a call presents opens a role, or is that of an operator; or a rule of `[access]` gives the
//! right. Without any configured token and rule everybody may do everything.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use super::error::Error;
use super::rules::{Proof, Tokens};
use super::service::Broker;
use crate::http::access::{TokenDigest, Verb, allow, bearer_token, is_in_force};
use crate::http::{Kind, Problem};
use crate::message::{MessageName, Role};

/// The evidence of who calls, as an extractor: the token, and what the rules say of the caller.
pub(super) struct Credentials {
    token: Option<String>,
    extensions: Extensions,
}

impl Credentials {
    pub(super) fn new(headers: &HeaderMap, extensions: &Extensions) -> Self {
        Self { token: bearer_token(headers).map(str::to_owned), extensions: extensions.clone() }
    }

    /// Returns true if rules are in force.
    pub(super) fn are_judged_by_rules(&self) -> bool {
        is_in_force(&self.extensions)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Credentials {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::new(&parts.headers, &parts.extensions))
    }
}

/// The caller of an HTTP call, as far as its token shows.
pub(super) struct Caller<'a> {
    tokens: &'a Tokens,
    token: Option<TokenDigest>,
}

impl<'a> Caller<'a> {
    /// Reads the token of a call.
    pub(super) fn of(broker: &'a Broker, headers: &HeaderMap) -> Self {
        Self::with(broker, bearer_token(headers))
    }

    fn with(broker: &'a Broker, token: Option<&str>) -> Self {
        let tokens = broker.engine().tokens();
        Self { tokens, token: token.filter(|_| tokens.are_set()).map(TokenDigest::of) }
    }

    /// Returns the evidence of who makes the call.
    pub(super) fn proof(&self) -> Proof<'_> {
        Proof::Call(self.token.as_ref())
    }

    /// Checks that the caller acts for the role, or is an operator. Errors: 401 without a known token, else 403.
    pub(super) fn check_role(&self, role: &Role, extensions: &Extensions) -> Result<(), Problem> {
        match self.is_operator() {
            true => Ok(()),
            false if self.tokens.permit(role, self.token.as_ref()) => check_open_role(self.tokens, extensions, role),
            false => Err(self.refused(&Error::Token { role: role.clone() })),
        }
    }

    /// Returns the problem of a call that its caller may not make: 401 if the caller is unknown and a token would help, else 403.
    pub(super) fn refused(&self, reason: &impl ToString) -> Problem {
        let is_unknown = self.tokens.are_set() && !self.tokens.know(self.token.as_ref());
        Problem::new(if is_unknown { Kind::Unauthenticated } else { Kind::Forbidden }, reason.to_string())
    }

    fn is_operator(&self) -> bool {
        self.tokens.are_set() && self.tokens.permit_operator(self.token.as_ref())
    }
}

/// Checks that an operator calls, or that a rule gives the caller this right. Errors: 401 without a known token, else 403.
pub(super) fn check_operator(broker: &Broker, credentials: &Credentials, verb: Verb) -> Result<(), Problem> {
    let caller = Caller::with(broker, credentials.token.as_deref());
    match caller.is_operator() {
        true => Ok(()),
        false if is_in_force(&credentials.extensions) => allow(&credentials.extensions, verb, ""),
        false if caller.tokens.are_set() => Err(caller.refused(&Error::Operator)),
        false => Ok(()),
    }
}

/// Checks that a service or an operator calls, or that a rule lets the caller see the landscape. Errors: 401 without a known
/// token, else 403.
pub(super) fn check_member(broker: &Broker, credentials: &Credentials) -> Result<(), Problem> {
    let caller = Caller::with(broker, credentials.token.as_deref());
    match caller.tokens.know(caller.token.as_ref()) {
        true => Ok(()),
        false if is_in_force(&credentials.extensions) => allow(&credentials.extensions, Verb::Landscape, ""),
        false if caller.tokens.are_set() => Err(caller.refused(&Error::Member)),
        false => Ok(()),
    }
}

/// Checks that a rule lets the caller act as a role that has no token, where rules are in force; a role that has one is checked
/// when the token is. Errors: 401 for an unknown caller, else 403.
pub(super) fn check_registration(broker: &Broker, extensions: &Extensions, role: &Role) -> Result<(), Problem> {
    check_open_role(broker.engine().tokens(), extensions, role)
}

fn check_open_role(tokens: &Tokens, extensions: &Extensions, role: &Role) -> Result<(), Problem> {
    match is_in_force(extensions) && !tokens.protect(role) {
        true => allow(extensions, Verb::Register, role.as_str()),
        false => Ok(()),
    }
}

/// Checks that a rule lets a caller without a token of a role send a message of this name, where rules are in force. Errors: 401
/// for an unknown caller, else 403.
pub(super) fn check_sending(
    broker: &Broker,
    (headers, extensions): (&HeaderMap, &Extensions),
    name: &MessageName,
) -> Result<(), Problem> {
    if !is_in_force(extensions) {
        return Ok(());
    }
    let caller = Caller::of(broker, headers);
    match caller.tokens.know(caller.token.as_ref()) {
        true => Ok(()),
        false => allow(extensions, Verb::Send, name.as_str()),
    }
}
