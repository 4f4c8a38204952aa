//! `exorelay access check`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Error;
use super::output::{Output, print_line};
use crate::app::config::{Purpose, Sources};
use crate::http::AccessConfig;
use crate::http::access::{Decision, Identity, Principal, System, Target, Verb, describe, right, rules_of};

/// Explain who may do what
#[derive(Debug, Subcommand)]
pub(super) enum AccessCommand {
    Check(Check),
}

/// Explain what the configured rules decide about a call, without making it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples: a service with a role; a user with a JWT; a caller that presents nothing
  exorelay access check --as role:web send users.create
  exorelay access check --as sub:alice --as claim:tenant=acme read users/alice/inbox
  exorelay access check metrics

Verbs: send, request, receive, register (with the name of a message or role); read, append, create, delete, subscribe (with
the path of a stream); landscape, configure, traffic, undelivered, dead-letters, metrics, drain. A name may have * and **
as segments: then everything that they match has to be allowed. Exits with 0 if the call is allowed, else with 1.")]
pub(super) struct Check {
    /// Verb, as in a rule
    verb: String,
    /// Name of a message or role, or path of a stream
    name: Option<String>,
    /// Proof of the caller: role:NAME, token:NAME, sub:NAME, claim:KEY=VALUE, cert:NAME, unix:UID or loopback; may be
    /// repeated [default: nothing]
    #[arg(long = "as", value_name = "WHO", help_heading = "Caller")]
    callers: Vec<String>,
    /// Configuration file [default: ./exorelay.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Output format; json prints {"allowed","rule","at","explanation"}
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

impl AccessCommand {
    pub(super) fn run(self) -> Result<(), Error> {
        match self {
            Self::Check(check) => check.run(),
        }
    }
}

impl Check {
    fn run(&self) -> Result<(), Error> {
        let config = Sources::of_process(self.config.clone()).resolve(Purpose::Other)?.config.access;
        let verb = Verb::parse(&self.verb).map_err(|cause| Error::AccessCheck { cause: format!("VERB: {cause}") })?;
        let name = self.name.as_deref().unwrap_or_default();
        if (verb.system() == System::Administration) != name.is_empty() {
            let expected = if name.is_empty() { "a NAME" } else { "no NAME" };
            return Err(Error::AccessCheck { cause: format!("{} needs {expected}", verb.word()) });
        }
        let is_pattern = name.split(verb.system().separator()).any(|segment| matches!(segment, "*" | "**"));
        let target = if is_pattern { Target::Matching(name) } else { Target::Name(name) };
        let caller = self.caller(&config)?;
        let decision = match config.is_in_force() {
            true => rules_of(&config).decide(&caller, verb, target),
            false => Decision { is_allowed: true, rule: None },
        };
        let because = match decision.rule {
            _ if !config.is_in_force() => {
                "there are no rules and no tokens, so everyone who reaches a listener may do everything".to_owned()
            }
            Some(rule) => describe(&config.rules, rule),
            None => "no rule is about it".to_owned(),
        };
        let subject = format!("{}, {}", caller.label(), right(verb, target));
        match (self.output, decision.is_allowed) {
            (Output::Json, _) => print_line(&as_json(&config, decision, &because))?,
            (Output::Text, true) => print_line(&format!("allowed: {subject}: {because}"))?,
            (Output::Text, false) => {}
        }
        match decision.is_allowed {
            true => Ok(()),
            false => Err(Error::NotAllowed { explanation: format!("{subject}: {because}") }),
        }
    }

    /// Returns a caller that has proved what the user says.
    fn caller(&self, config: &AccessConfig) -> Result<Principal, Error> {
        let mut identity = Identity::default();
        for text in &self.callers {
            add(&mut identity, config, text).map_err(|cause| Error::AccessCheck { cause: format!("--as: {cause}") })?;
        }
        Ok(identity.into())
    }
}

fn add(identity: &mut Identity, config: &AccessConfig, text: &str) -> Result<(), String> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    match (kind, name) {
        ("loopback", "") => identity.is_loopback = true,
        ("role", name) if !name.is_empty() => identity.roles.push(name.to_owned()),
        ("sub", name) if !name.is_empty() => identity.subject = Some(name.to_owned()),
        ("cert", name) if !name.is_empty() => identity.certificate_names.push(name.to_owned()),
        ("token", name) => match config.tokens.iter().find(|token| token.name == name) {
            Some(token) => {
                identity.token = Some(token.name.clone());
                identity.roles.extend(token.roles.iter().cloned());
            }
            None => return Err(format!("there is no token {name:?} in access.tokens")),
        },
        ("unix", uid) => {
            let expected = || format!("{text:?}: expected the number of a user, such as unix:1000");
            identity.unix_uid = Some(uid.parse().map_err(|_| expected())?);
        }
        ("claim", pair) => {
            let (key, value) = pair.split_once('=').ok_or("expected claim:KEY=VALUE")?;
            identity.claims.insert(key.to_owned(), Value::from(value));
        }
        _ => {
            return Err(format!(
                "{text:?}: expected role:NAME, token:NAME, sub:NAME, claim:KEY=VALUE, cert:NAME, unix:UID or loopback"
            ));
        }
    }
    Ok(())
}

fn as_json(config: &AccessConfig, decision: Decision, because: &str) -> String {
    let at = decision.rule.and_then(|rule| config.rules.get(rule)).map(|rule| rule.at.as_str());
    let rule = decision.rule.map(|rule| rule + 1);
    json!({ "allowed": decision.is_allowed, "rule": rule, "at": at, "explanation": because }).to_string()
}
