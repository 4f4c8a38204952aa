//! What the log says, in the words of each original. Pure.

use std::collections::BTreeMap;

use super::duration::go_text;
use crate::broker::rules::{Note, Routed};
use crate::broker::wire::{Configuration, Form, ServiceRow, Undelivered};
use crate::message::Payload;

/// Whose words the log uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The broker of the HTTP era: deliveries and the routing table. exo 2.6.
    Http,
    /// The broker of 2016-11 to 2017-07. exo 3.8.
    Namespaces,
    /// The broker of 2017-08 and later. exo 3.3.
    Go,
}

impl From<Form> for Style {
    fn from(form: Form) -> Self {
        match form {
            Form::Http => Self::Http,
            Form::Namespaces => Self::Namespaces,
            Form::MessageTranslations | Form::Translations => Self::Go,
        }
    }
}

/// One line, and how a terminal shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    ink: Ink,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Plain,
    Warning,
    Error,
}

/// Whether the lines are for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// Warnings are yellow, errors red.
    Shown,
    /// As plain text.
    LeftOut,
}

impl Line {
    /// The line with its end, as it is written.
    pub(super) fn text(&self, colours: Colours) -> String {
        let Self { ink, text } = self;
        match (ink, colours) {
            (Ink::Plain, _) | (_, Colours::LeftOut) => format!("{text}\n"),
            (Ink::Warning, Colours::Shown) => format!("\x1b[33m{text}\x1b[0m\n"),
            (Ink::Error, Colours::Shown) => format!("\x1b[31m{text}\x1b[0m\n"),
        }
    }

    fn plain(text: impl Into<String>) -> Self {
        Self { ink: Ink::Plain, text: text.into() }
    }

    fn warning(text: impl std::fmt::Display) -> Self {
        Self { ink: Ink::Warning, text: format!("Warning: {text}") }
    }

    fn error(text: impl Into<String>) -> Self {
        Self { ink: Ink::Error, text: text.into() }
    }
}

impl Style {
    /// A message was routed; the payload stands below it if `payloads` are asked for.
    pub(super) fn routed(self, routed: &Routed, payloads: bool) -> Vec<Line> {
        let payload = payloads.then_some(routed.message.payload.as_ref());
        match self {
            Self::Http => {
                let mut lines: Vec<_> = by_name(routed).map(|(way, roles)| Line::plain(way + &roles)).collect();
                lines.extend(payload.flatten().map(|payload| Line::plain(one_line(payload))));
                lines
            }
            Self::Namespaces => {
                let time = routed.response_time.filter(|time| !time.is_zero());
                let time = time.map(|time| format!("  ({:.2} ms)", time.as_secs_f64() * 1_000.0)).unwrap_or_default();
                let ways = by_name(routed).map(|(way, roles)| way + &roles + &time);
                with_payload(ways, payload)
            }
            Self::Go => {
                let time = routed.response_time.filter(|time| !time.is_zero());
                let time = time.map(|time| format!("  ( {} )", go_text(time))).unwrap_or_default();
                let ways = routed
                    .receivers
                    .iter()
                    .map(|(role, name)| format!("{}{role}{time}", way(routed, "", name.as_str())));
                with_payload(ways, payload)
            }
        }
    }

    /// What an operator wants to know. The HTTP era told its senders instead.
    pub(super) fn noted(self, note: &Note) -> Vec<Line> {
        if self == Self::Http {
            return Vec::new();
        }
        match note {
            Note::Registered { .. } | Note::Disconnected { .. } => vec![Line::plain(note.to_string())],
            Note::Forbidden { .. }
            | Note::NoReceivers { .. }
            | Note::Unauthorized { .. }
            | Note::StrayVerdict { .. }
            | Note::BadSecurityRequest { .. } => vec![Line::warning(note)],
            Note::NoService { .. } | Note::BadUpgrade { .. } => vec![Line::error(note.to_string())],
            Note::BadFrame { .. } => {
                let text: String = note.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                // The originals went on with an empty message, and said so. exo 3.9.
                let nobody = "Service '' is not allowed to broadcast the message ''";
                vec![Line::error(text), Line::warning(nobody)]
            }
        }
    }

    /// A message was given up. The originals knew nothing like it: what they could not deliver at once was gone.
    pub(super) fn given_up(self, row: &Undelivered) -> Vec<Line> {
        if self == Self::Http {
            return Vec::new();
        }
        let Undelivered { id, name, sender, receiver, reason, at: _ } = row;
        let sender = sender.as_ref().map_or("", |sender| sender.as_str());
        let receiver = receiver.as_ref().map(|role| format!(" to '{role}'")).unwrap_or_default();
        vec![Line::error(format!("Undelivered message '{name}' from '{sender}'{receiver} with id '{id}': {reason}"))]
    }

    /// The routing table; only the HTTP era showed it.
    pub(super) fn configured(self, configuration: &Configuration) -> Vec<Line> {
        match self {
            Self::Http => setup(configuration),
            Self::Namespaces | Self::Go => Vec::new(),
        }
    }
}

/// For every name under which the message is received: its way, and the roles that get it so.
fn by_name(routed: &Routed) -> impl Iterator<Item = (String, String)> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (role, name) in &routed.receivers {
        by_name.entry(name.as_str()).or_default().push(role.as_str());
    }
    by_name.into_iter().map(|(name, roles)| (way(routed, "?", name), roles.join(" and ")))
}

/// `web  --[ create ]->  `, or with both names if they differ.
fn way(routed: &Routed, nobody: &str, name: &str) -> String {
    let sender = routed.message.sender.as_ref().map_or(nobody, |sender| sender.as_str());
    match name == routed.message.name.as_str() {
        true => format!("{sender}  --[ {name} ]->  "),
        false => format!("{sender}  --[ {} ]-[ {name} ]->  ", routed.message.name),
    }
}

/// Each line with the payload below it, `null` if the message has none.
fn with_payload(ways: impl Iterator<Item = String>, payload: Option<Option<&Payload>>) -> Vec<Line> {
    let payload = payload.map(|payload| payload.map_or_else(|| "null".to_owned(), one_line));
    ways.flat_map(|way| std::iter::once(way).chain(payload.clone())).map(Line::plain).collect()
}

/// The payload without the blanks and breaks between its parts, so that none can look like a line of the log.
fn one_line(payload: &Payload) -> String {
    let text = payload.to_string();
    let mut line = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        if quoted || !character.is_ascii_whitespace() {
            line.push(character);
        }
        quoted ^= character == '"' && !escaped;
        escaped = quoted && character == '\\' && !escaped;
    }
    line
}

fn setup(configuration: &Configuration) -> Vec<Line> {
    let place = |row: &ServiceRow| format!("{} ({}:{})", row.name, row.host, row.port);
    let mut lines = vec![Line::plain("receiving routing setup:")];
    for (name, receivers) in &configuration.routes {
        let receivers: Vec<_> = receivers.receivers.iter().map(place).collect();
        lines.push(Line::plain(format!("  --[ {name} ]-> {}", receivers.join(" + "))));
    }
    lines
}

#[cfg(test)]
mod tests;
