//! The callers that a rule is about.

use super::super::principal::Principal;
use super::verb::unknown;

/// Words before a colon.
const KINDS: [&str; 6] = ["role", "token", "sub", "claim", "cert", "unix"];

/// Words that stand alone.
const ALONE: [&str; 3] = ["anyone", "authenticated", "loopback"];

/// The callers that a rule is about. Names may have `*` for any letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// All callers.
    Anyone,
    /// All callers that have proved who they are.
    Authenticated,
    /// Callers on the same machine that present nothing, and that no proxy forwards.
    Loopback,
    /// Callers with this role.
    Role(String),
    /// The token of this name in the configuration.
    Token(String),
    /// The subject of a JWT.
    Subject(String),
    /// A claim of a JWT with this value, or a list that has it.
    Claim { key: String, value: String },
    /// A name in a client certificate.
    Certificate(String),
    /// The user of the process at the other end of a Unix socket.
    Unix(u32),
}

impl Who {
    /// Parses the text of a rule. Errors: the text for the user.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some((kind, name)) = text.split_once(':') else {
            return match text {
                "anyone" => Ok(Self::Anyone),
                "authenticated" => Ok(Self::Authenticated),
                "loopback" => Ok(Self::Loopback),
                kind if KINDS.contains(&kind) => Err(format!("{text:?} has no name: expected {kind}:NAME")),
                _ => Err(unknown(text, ALONE.into_iter().chain(KINDS))),
            };
        };
        if !KINDS.contains(&kind) {
            return Err(unknown(kind, KINDS.into_iter()));
        }
        if name.is_empty() {
            return Err(format!("{text:?} has no name after the colon"));
        }
        let name = name.to_owned();
        match kind {
            "role" => Ok(Self::Role(name)),
            "token" => Ok(Self::Token(name)),
            "sub" => Ok(Self::Subject(name)),
            "cert" => Ok(Self::Certificate(name)),
            "claim" => match name.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok(Self::Claim { key: key.into(), value: value.into() }),
                _ => Err(format!("{text:?} has no value: expected claim:KEY=VALUE")),
            },
            // The last of them.
            _ => match name.parse() {
                Ok(uid) => Ok(Self::Unix(uid)),
                Err(_) => Err(format!("{text:?}: expected the number of a user, such as unix:1000")),
            },
        }
    }

    /// Returns true if the rule is about this caller.
    pub(crate) fn is(&self, principal: &Principal) -> bool {
        let any = |names: &[String], pattern: &str| names.iter().any(|name| is_like(name, pattern));
        match self {
            Self::Anyone => true,
            Self::Authenticated => principal.is_authenticated(),
            Self::Loopback => principal.is_loopback(),
            Self::Role(pattern) => any(principal.roles(), pattern),
            Self::Token(pattern) => principal.token().is_some_and(|name| is_like(name, pattern)),
            Self::Subject(pattern) => principal.subject().is_some_and(|name| is_like(name, pattern)),
            Self::Claim { key, value } => principal.has_claim(key, |text| is_like(text, value)),
            Self::Certificate(pattern) => any(principal.certificate_names(), pattern),
            Self::Unix(uid) => principal.unix_uid() == Some(*uid),
        }
    }
}

/// Returns true if the text is the pattern, in which `*` stands for any letters.
fn is_like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text.as_bytes(), pattern.as_bytes());
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (text, pattern) {
            ([], []) => return true,
            (_, [b'*', after @ ..]) => {
                retry = Some((text, after));
                pattern = after;
            }
            ([one, text_after @ ..], [other, after @ ..]) if one == other => (text, pattern) = (text_after, after),
            _ => match retry {
                Some(([_, text_after @ ..], after)) => {
                    retry = Some((text_after, after));
                    (text, pattern) = (text_after, after);
                }
                Some(([], _)) | None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, alike, others) in [
            ("web", &["web"][..], &["webs", "we", ""][..]),
            ("*", &["", "a", "a.b/c"], &[]),
            ("agent-*", &["agent-", "agent-7"], &["agent", "an agent-7"]),
            ("*.internal", &["a.internal", ".internal", "a.internal.internal"], &["internal", "a.internal.example"]),
            ("a*b*c", &["abc", "aXbYc", "abbc"], &["ab", "acb"]),
        ] {
            alike.iter().for_each(|text| assert!(is_like(text, pattern), "{text} {pattern}"));
            others.iter().for_each(|text| assert!(!is_like(text, pattern), "{text} {pattern}"));
        }
    }

    #[test]
    fn a_mistake_is_explained() {
        for (text, expected) in [
            ("anyon", "\"anyon\" is not known: did you mean anyone?"),
            ("roles:web", "\"roles\" is not known: did you mean role?"),
            ("role", "\"role\" has no name: expected role:NAME"),
            ("role:", "\"role:\" has no name after the colon"),
            ("claim:tenant", "\"claim:tenant\" has no value: expected claim:KEY=VALUE"),
            ("unix:root", "\"unix:root\": expected the number of a user, such as unix:1000"),
        ] {
            assert_eq!(Who::parse(text), Err(expected.to_owned()));
        }
    }
}
