//! Log lines in the format of each original. Pure.

use std::collections::BTreeMap;

use super::duration::go_text;
use crate::broker::rules::{Note, Routed};
use crate::broker::wire::{Configuration, Form, ServiceRow, Undelivered};
use crate::message::Payload;

/// Log format.
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

/// A line and its colour.
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

/// Use of terminal colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// Warnings are yellow, errors red.
    Shown,
    /// As plain text.
    LeftOut,
}

impl Line {
    /// Returns the line with its line break, coloured if requested.
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
    /// Describes a routed message, with its payload on the next line if `payloads` is set.
    pub(super) fn routed(self, routed: &Routed, payloads: bool) -> Vec<Line> {
        let payload = payloads.then_some(routed.message.payload.as_ref());
        match self {
            Self::Http => {
                let ways = by_name(routed).map(|(way, roles)| way + &roles);
                with_payload(ways, payload, "undefined")
            }
            Self::Namespaces => {
                // The time since a request that only its reply is known of is 0.
                let time = match routed.response_time.filter(|time| !time.is_zero()) {
                    Some(time) => format!("  ({:.2} ms)", time.as_secs_f64() * 1_000.0),
                    // As the original wrote it for a reply to a request that it did not know.
                    None if routed.message.response_to.is_some() => "  (NaN ms)".to_owned(),
                    None => String::new(),
                };
                let ways = by_name(routed).map(|(way, roles)| way + &roles + &time);
                with_payload(ways, payload, "null")
            }
            Self::Go => {
                let time = routed.response_time.filter(|time| !time.is_zero());
                let time = time.map(|time| format!("  ( {} )", go_text(time))).unwrap_or_default();
                let ways = routed
                    .receivers
                    .iter()
                    .map(|(role, name)| format!("{}{role}{time}", route(routed, "", name.as_str())));
                with_payload(ways, payload, "null")
            }
        }
    }

    /// Describes an event for operators. The HTTP era reported these to the sender instead.
    pub(super) fn noted(self, note: &Note) -> Vec<Line> {
        if self == Self::Http {
            return Vec::new();
        }
        match note {
            // The originals said only that it registered.
            Note::Changed { .. } => Vec::new(),
            Note::Registered { .. } | Note::Disconnected { .. } => vec![Line::plain(note.to_string())],
            Note::Forbidden { .. }
            | Note::NoReceivers { .. }
            | Note::Unauthorized { .. }
            | Note::StrayVerdict { .. }
            | Note::Loop { .. }
            | Note::BadSecurityRequest { .. } => vec![Line::warning(note)],
            Note::NoService { .. } | Note::BadUpgrade { .. } | Note::BadSocket { .. } => {
                vec![Line::error(printable(note))]
            }
            Note::BadFrame { .. } => {
                // The originals continued with an empty message and logged that. exo 3.9.
                let nobody = "Service '' is not allowed to broadcast the message ''";
                vec![Line::error(printable(note)), Line::warning(nobody)]
            }
        }
    }

    /// Describes an undelivered message. The originals had no such line: they dropped what they could not deliver at
    /// once.
    pub(super) fn given_up(self, row: &Undelivered) -> Vec<Line> {
        if self == Self::Http {
            return Vec::new();
        }
        let Undelivered { id, name, sender, receiver, reason, at: _, activity_id: _ } = row;
        let sender = sender.as_ref().map_or("", |sender| sender.as_str());
        let receiver = receiver.as_ref().map(|role| format!(" to '{role}'")).unwrap_or_default();
        vec![Line::error(format!("Undelivered message '{name}' from '{sender}'{receiver} with id '{id}': {reason}"))]
    }

    /// Describes the routing table, which only the HTTP era logged.
    pub(super) fn configured(self, configuration: &Configuration) -> Vec<Line> {
        match self {
            Self::Http => setup(configuration),
            Self::Namespaces | Self::Go => Vec::new(),
        }
    }
}

/// Returns the text of a note as one line: parts of it come from the other end.
fn printable(note: &Note) -> String {
    note.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns, for each name under which the message is received, its route and the receiving roles.
fn by_name(routed: &Routed) -> impl Iterator<Item = (String, String)> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (role, name) in &routed.receivers {
        by_name.entry(name.as_str()).or_default().push(role.as_str());
    }
    by_name.into_iter().map(|(name, roles)| (route(routed, "?", name), roles.join(" and ")))
}

/// Writes `web  --[ create ]->  `, with both names if they differ.
fn route(routed: &Routed, nobody: &str, name: &str) -> String {
    let sender = routed.message.sender.as_ref().map_or(nobody, |sender| sender.as_str());
    match name == routed.message.name.as_str() {
        true => format!("{sender}  --[ {name} ]->  "),
        false => format!("{sender}  --[ {} ]-[ {name} ]->  ", routed.message.name),
    }
}

/// Adds the payload below each line, `none` if the message has none.
fn with_payload(ways: impl Iterator<Item = String>, payload: Option<Option<&Payload>>, none: &str) -> Vec<Line> {
    let payload = payload.map(|payload| payload.map_or_else(|| none.to_owned(), one_line));
    ways.flat_map(|way| std::iter::once(way).chain(payload.clone())).map(Line::plain).collect()
}

/// Compacts the payload to one line, so that it cannot imitate a log line.
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
