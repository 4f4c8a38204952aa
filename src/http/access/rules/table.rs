//! The table of rules, and the decision that follows from it.

use super::super::principal::Principal;
use super::pattern::{Pattern, Target};
use super::verb::{System, Verb, unknown};
use super::who::Who;

#[cfg(test)]
mod tests;

/// The word in rules for everything.
const EVERYTHING: &str = "**";

/// A rule as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    /// The callers that it is about.
    pub(crate) who: &'a str,
    /// The grants that it gives.
    pub(crate) allow: &'a [String],
    /// The grants that it refuses, which are looked at first.
    pub(crate) deny: &'a [String],
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    who: Who,
    allow: Vec<Grant>,
    deny: Vec<Grant>,
}

/// The right to do some things with some objects.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Grant {
    Everything,
    /// Every verb of a system, for some names.
    System(System, Option<Pattern>),
    /// One verb, for some names; for all, if there is no pattern.
    Verb(Verb, Option<Pattern>),
}

/// The decision about one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// True if the call may go on.
    pub(crate) is_allowed: bool,
    /// The number of the rule that decided, from 0; `None` if no rule is about the call, which is refused then.
    pub(crate) rule: Option<usize>,
}

/// The table of rules, in the order in which they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(Vec<Rule>);

impl Rule {
    /// Parses a rule. Errors: the text for the user.
    pub(crate) fn parse(written: Written<'_>) -> Result<Self, String> {
        let who = Who::parse(written.who).map_err(|cause| format!("who: {cause}"))?;
        if written.allow.is_empty() && written.deny.is_empty() {
            return Err("it has neither allow nor deny, so it does nothing".to_owned());
        }
        let grants = |name: &str, texts: &[String]| -> Result<Vec<Grant>, String> {
            texts.iter().map(|text| Grant::parse(text).map_err(|cause| format!("{name}: {cause}"))).collect()
        };
        Ok(Self { who, allow: grants("allow", written.allow)?, deny: grants("deny", written.deny)? })
    }

    /// Returns the rule that allows every caller of the configured tokens everything.
    pub(crate) fn for_tokens() -> Self {
        Self { who: Who::Token("*".to_owned()), allow: vec![Grant::Everything], deny: Vec::new() }
    }

    /// Returns its decision; `None` if it is not about the call.
    fn decide(&self, principal: &Principal, verb: Verb, target: Target<'_>) -> Option<bool> {
        let subject = principal.subject();
        if !self.who.is(principal) {
            None
        } else if self.deny.iter().any(|grant| grant.meets(subject, verb, target)) {
            Some(false)
        } else if self.allow.iter().any(|grant| grant.covers(subject, verb, target)) {
            Some(true)
        } else {
            None
        }
    }
}

impl Grant {
    fn parse(text: &str) -> Result<Self, String> {
        if text == EVERYTHING {
            return Ok(Self::Everything);
        }
        let (word, pattern) = match text.split_once(':') {
            Some((word, pattern)) => (word, Some(pattern)),
            None => (text, None),
        };
        let pattern_of = |system: System| match pattern {
            Some(pattern) if system == System::Administration => {
                Err(format!("{text:?}: {word} has no names, expected {word} without {pattern:?}"))
            }
            Some(pattern) => Pattern::parse(system, pattern).map(Some).map_err(|cause| format!("{text:?}: {cause}")),
            None => Ok(None),
        };
        if let Some(system) = System::ALL.into_iter().find(|system| system.word() == word) {
            return Ok(Self::System(system, pattern_of(system)?));
        }
        match Verb::parse(word) {
            Ok(verb) => Ok(Self::Verb(verb, pattern_of(verb.system())?)),
            Err(_) => {
                let verbs = Verb::ALL.iter().map(|verb| verb.word());
                Err(unknown(word, verbs.chain(System::ALL.iter().map(|system| system.word())).chain([EVERYTHING])))
            }
        }
    }

    fn pattern(&self, verb: Verb) -> Option<Option<&Pattern>> {
        match self {
            Self::Everything => Some(None),
            Self::System(system, pattern) => (*system == verb.system()).then_some(pattern.as_ref()),
            Self::Verb(own, pattern) => (*own == verb).then_some(pattern.as_ref()),
        }
    }

    /// Returns true if it is about everything that the call is about.
    fn covers(&self, subject: Option<&str>, verb: Verb, target: Target<'_>) -> bool {
        self.pattern(verb).is_some_and(|pattern| pattern.is_none_or(|pattern| pattern.covers(subject, target)))
    }

    /// Returns true if it is about a part of what the call is about.
    fn meets(&self, subject: Option<&str>, verb: Verb, target: Target<'_>) -> bool {
        self.pattern(verb).is_some_and(|pattern| {
            pattern.is_none_or(|pattern| match target {
                Target::Name(_) => pattern.covers(subject, target),
                Target::Matching(_) => pattern.meets(subject, target),
            })
        })
    }
}

impl Rules {
    /// Creates the table.
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Decides about a call: the first rule that is about the caller, the verb and the object decides. Without one, the call is
    /// refused. Every name of a pattern has to be allowed by one rule, and none refused by a rule before it.
    pub(crate) fn decide(&self, principal: &Principal, verb: Verb, target: Target<'_>) -> Decision {
        for (number, rule) in self.0.iter().enumerate() {
            if let Some(is_allowed) = rule.decide(principal, verb, target) {
                return Decision { is_allowed, rule: Some(number) };
            }
        }
        Decision { is_allowed: false, rule: None }
    }

    /// Returns true if the caller may do something with at least one object, as far as can be said without knowing it.
    pub(crate) fn may_ever(&self, principal: &Principal, verb: Verb) -> bool {
        let is_about = |rule: &&Rule| rule.who.is(principal);
        self.0.iter().filter(is_about).any(|rule| rule.allow.iter().any(|grant| grant.pattern(verb).is_some()))
    }
}
