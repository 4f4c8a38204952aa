//! The rights of the caller of one request.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Extensions;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;

use super::config::RuleConfig;
use super::principal::Principal;
use super::refusals::Refusals;
use super::rules::{Decision, Rules, Target, Verb};
use crate::http::{Kind, Problem};

/// The rules that hold at one listener.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(super) rules: Arc<Rules>,
    /// The rules as they are written, for the log.
    pub(super) written: Arc<[RuleConfig]>,
    pub(super) refusals: Refusals,
}

/// The caller of a request, and the rules for it; an extension of every request if rules are in force. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    principal: Principal,
    policy: Arc<Policy>,
}

impl Grants {
    pub(super) fn new(principal: Principal, policy: Arc<Policy>) -> Self {
        Self { principal, policy }
    }

    /// Returns the caller.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the decision about a call.
    pub(crate) fn decide(&self, verb: Verb, target: Target<'_>) -> Decision {
        match self.principal.rejected() {
            Some(_) => Decision { is_allowed: false, rule: None },
            None => self.policy.rules.decide(&self.principal, verb, target),
        }
    }

    fn allow(&self, verb: Verb, target: Target<'_>) -> Result<(), Problem> {
        let decision = self.decide(verb, target);
        if decision.is_allowed { Ok(()) } else { Err(self.refuse(verb, target, decision)) }
    }

    /// Returns the answer to a refused call, which is counted and logged.
    #[cold]
    fn refuse(&self, verb: Verb, target: Target<'_>, decision: Decision) -> Problem {
        let right = right(verb, target);
        let is_known = self.principal.is_authenticated();
        let (status, kind) = if is_known { ("403", Kind::Forbidden) } else { ("401", Kind::Unauthenticated) };
        let label = self.principal.label();
        let detail = match (self.principal.rejected(), decision.rule) {
            (Some(reason), _) => reason.to_owned(),
            (None, Some(rule)) if is_known => format!("{label} may not {right}: rule {} denies it", rule + 1),
            (None, None) if is_known => format!("{label} may not {right}: no rule allows it"),
            (None, Some(rule)) => {
                format!("{right} is not for everyone: rule {} denies it; present a token of a caller who may", rule + 1)
            }
            (None, None) => format!("{right} is not for everyone: present a token of a caller who may"),
        };
        let rule = match decision.rule {
            Some(rule) => self.policy.describe(rule),
            None => self.principal.rejected().unwrap_or("no rule allows it").to_owned(),
        };
        self.policy.refusals.count(&label, status, &right, &rule);
        Problem::new(kind, detail)
    }
}

impl Policy {
    /// Describes a rule by its number and where it is written.
    pub(crate) fn describe(&self, rule: usize) -> String {
        describe(&self.written, rule)
    }
}

/// Describes a rule by its number, where it is written, and the callers that it is about.
pub(crate) fn describe(written: &[RuleConfig], rule: usize) -> String {
    let mut text = format!("rule {}", rule + 1);
    match written.get(rule) {
        Some(RuleConfig { who, at, .. }) => {
            let at = if at.is_empty() { String::new() } else { format!(" ({at})") };
            let written = write!(text, "{at}, for {who}");
            written.expect("writing to a String cannot fail");
        }
        None => text.push_str(", which every token of access.tokens has while there are no rules"),
    }
    text
}

/// Returns the right to do something, as in a rule.
pub(crate) fn right(verb: Verb, target: Target<'_>) -> String {
    match target {
        Target::Name("") => verb.word().to_owned(),
        Target::Name(name) => format!("{}:{name:.200}", verb.word()),
        Target::Matching(pattern) => format!("{}:{pattern:.200}", verb.word()),
    }
}

/// Checks that the caller of a request may do something with one object; with the process, if `name` is empty. Every request is
/// allowed where no rules are in force. Errors: 401 for a caller who has not proved who it is, else 403.
pub(crate) fn allow(extensions: &Extensions, verb: Verb, name: &str) -> Result<(), Problem> {
    allow_target(extensions, verb, Target::Name(name))
}

/// Makes all routes of a router need a right that is about the process as a whole.
pub(crate) fn needing<S: Clone + Send + Sync + 'static>(verb: Verb, router: Router<S>) -> Router<S> {
    router.route_layer(from_fn(move |request: Request, next: Next| async move {
        match allow(request.extensions(), verb, "") {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.into_response(),
        }
    }))
}

/// As [`allow`], for every object that a target stands for.
pub(crate) fn allow_target(extensions: &Extensions, verb: Verb, target: Target<'_>) -> Result<(), Problem> {
    extensions.get::<Grants>().map_or(Ok(()), |grants| grants.allow(verb, target))
}

/// Returns the rights of the caller alone, for what outlives its request.
pub(crate) fn rights_of(extensions: &Extensions) -> Extensions {
    let mut rights = Extensions::new();
    extensions.get::<Grants>().map(|grants| rights.insert(grants.clone()));
    rights
}

/// Returns true if rules are in force for a request.
pub(crate) fn is_in_force(extensions: &Extensions) -> bool {
    extensions.get::<Grants>().is_some()
}

/// Returns true if an answer depends on who is calling, so that it is not for shared caches.
pub(crate) fn is_for_its_caller(extensions: &Extensions) -> bool {
    extensions
        .get::<Grants>()
        .is_some_and(|grants| grants.principal.is_authenticated() || grants.principal.is_loopback())
}

/// Checks that the caller may do something with at least one object, before it is known with which. Errors: as of [`allow`].
pub(crate) fn allow_some(extensions: &Extensions, verb: Verb) -> Result<(), Problem> {
    let Some(grants) = extensions.get::<Grants>() else { return Ok(()) };
    let is_possible = grants.principal.rejected().is_none() && grants.policy.rules.may_ever(&grants.principal, verb);
    let decision = Decision { is_allowed: is_possible, rule: None };
    if is_possible { Ok(()) } else { Err(grants.refuse(verb, Target::Name(""), decision)) }
}
