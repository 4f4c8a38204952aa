//! Tokens of roles and of operators, and what callers do in the name of a role.

use std::collections::HashMap;

use crate::broker::wire::Landscape;
use crate::http::access::TokenDigest;
use crate::message::Role;

/// The entry for all roles that have none of their own.
const ALL: &str = "*";

/// The evidence of who makes a call.
#[derive(Clone, Copy)]
pub(crate) enum Proof<'a> {
    /// The instance itself makes it, in this process or over its WebSocket; and the token that it presented.
    Connection(Option<&'a TokenDigest>),
    /// A call over HTTP, and the token that it presents. The instance that it names proves nothing.
    Call(Option<&'a TokenDigest>),
}

/// The tokens of roles and operators, several of each for rotation. Without any, everybody may do everything.
#[derive(Default)]
pub(crate) struct Tokens {
    /// A role with an empty list is closed, so that a mistake opens nothing.
    by_role: HashMap<Role, Vec<TokenDigest>>,
    /// The tokens of all other roles; `None` if those need none.
    others: Option<Vec<TokenDigest>>,
    operators: Vec<TokenDigest>,
}

impl<'a> Proof<'a> {
    /// Returns the token that was presented.
    pub(crate) fn token(self) -> Option<&'a TokenDigest> {
        match self {
            Self::Connection(token) | Self::Call(token) => token,
        }
    }
}

impl Tokens {
    /// Reads `ROLE=TOKEN` entries, where `*` stands for all roles without an entry, and the tokens of operators. Each token is
    /// plain, or `sha256:` and its digest.
    pub(crate) fn new(entries: &[String], operators: &[String]) -> Self {
        let mut tokens = Self::default();
        for entry in entries {
            let (role, token) = entry.split_once('=').unwrap_or((entry, ""));
            let list = match (role, Role::parse(role)) {
                (ALL, _) => tokens.others.get_or_insert_default(),
                (_, Ok(role)) => tokens.by_role.entry(role).or_default(),
                // No role can have this name, so there is nothing to protect.
                (_, Err(_)) => continue,
            };
            list.extend(TokenDigest::configured(token));
        }
        tokens.operators = operators.iter().filter_map(|token| TokenDigest::configured(token)).collect();
        tokens
    }

    /// Returns true if there is any token, so that callers have to prove who they are.
    pub(crate) fn are_set(&self) -> bool {
        !self.by_role.is_empty() || self.others.is_some() || !self.operators.is_empty()
    }

    /// Returns true if the role needs a token.
    pub(crate) fn protect(&self, role: &Role) -> bool {
        self.of_role(role).is_some()
    }

    /// Returns true if every role needs a token, so that nobody without one can do anything.
    pub(crate) fn protect_all(&self) -> bool {
        self.others.is_some()
    }

    /// Returns true if `token` opens the role, or the role needs none.
    pub(crate) fn permit(&self, role: &Role, token: Option<&TokenDigest>) -> bool {
        self.of_role(role).is_none_or(|list| token.is_some_and(|token| is_in(list, token)))
    }

    /// Returns true if `token` is that of an operator, or no token is set.
    pub(crate) fn permit_operator(&self, token: Option<&TokenDigest>) -> bool {
        !self.are_set() || token.is_some_and(|token| is_in(&self.operators, token))
    }

    /// Returns true if `token` is one of a role or of an operator.
    pub(crate) fn know(&self, token: Option<&TokenDigest>) -> bool {
        let lists = self.by_role.values().chain(&self.others).chain([&self.operators]);
        token.is_some_and(|token| lists.fold(false, |found, list| found | is_in(list, token)))
    }

    /// Returns the role whose token this is; `None` if it is that of none, of several, or of all others.
    pub(crate) fn role_of(&self, token: &TokenDigest) -> Option<&Role> {
        let mut roles = self.by_role.iter().filter(|(_, list)| is_in(list, token)).map(|(role, _)| role);
        roles.next().filter(|_| roles.next().is_none())
    }

    /// Returns true if there are tokens, but none for the security service of the landscape.
    pub(crate) fn leaves_open(&self, landscape: &Landscape) -> bool {
        self.are_set() && landscape.roles.iter().any(|routes| routes.is_security() && !self.protect(&routes.role))
    }

    fn of_role(&self, role: &Role) -> Option<&Vec<TokenDigest>> {
        self.by_role.get(role).or(self.others.as_ref())
    }
}

/// Compares with every token of the list, so that the time does not depend on its place.
fn is_in(list: &[TokenDigest], token: &TokenDigest) -> bool {
    list.iter().fold(false, |found, known| found | known.equals(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(text: &str) -> Role {
        Role::parse(text).unwrap()
    }

    fn tokens(entries: &[&str], operators: &[&str]) -> Tokens {
        let list = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        Tokens::new(&list(entries), &list(operators))
    }

    fn permits(tokens: &Tokens, name: &str, token: Option<&str>) -> bool {
        tokens.permit(&role(name), token.map(TokenDigest::of).as_ref())
    }

    #[test]
    fn a_protected_role_needs_its_own_token() {
        let tokens = tokens(&["web=letmein", "log="], &[]);
        for token in [None, Some(""), Some("letmei"), Some("letmeim"), Some("letmeinn")] {
            assert!(!permits(&tokens, "web", token), "{token:?}");
            assert!(permits(&tokens, "users", token));
            assert!(!permits(&tokens, "log", token), "a closed role");
        }
        assert!(permits(&tokens, "web", Some("letmein")));
        assert!(tokens.protect(&role("web")) && !tokens.protect(&role("users")));
    }

    #[test]
    fn an_old_and_a_new_token_open_a_role_while_one_replaces_the_other() {
        // The digest of "new".
        let digest = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";
        let tokens = tokens(&["web=old", &format!("web=sha256:{digest}")], &["one", "two"]);
        assert!(permits(&tokens, "web", Some("old")) && permits(&tokens, "web", Some("new")));
        assert!(!permits(&tokens, "web", Some(digest)) && !permits(&tokens, "web", Some("one")));
        let operator = |token: &str| tokens.permit_operator(Some(&TokenDigest::of(token)));
        assert!(operator("one") && operator("two") && !operator("old") && !tokens.permit_operator(None));
    }

    #[test]
    fn an_entry_for_all_roles_holds_for_those_without_one() {
        let tokens = tokens(&["*=all", "web=own"], &[]);
        assert!(tokens.protect_all());
        assert!(permits(&tokens, "users", Some("all")) && !permits(&tokens, "users", None));
        assert!(permits(&tokens, "web", Some("own")) && !permits(&tokens, "web", Some("all")));
    }

    #[test]
    fn without_tokens_everybody_may_do_everything() {
        let tokens = tokens(&[], &[]);
        assert!(!tokens.are_set() && permits(&tokens, "web", None) && tokens.permit_operator(None));
    }

    #[test]
    fn a_token_of_one_role_names_it() {
        let tokens = tokens(&["web=a", "users=b", "mail=b", "*=c"], &["d"]);
        let named = |token: &str| tokens.role_of(&TokenDigest::of(token)).map(Role::as_str);
        assert_eq!(["a", "b", "c", "d", "e"].map(named), [Some("web"), None, None, None, None]);
        let known = |token: &str| tokens.know(Some(&TokenDigest::of(token)));
        assert_eq!(["a", "b", "c", "d", "e"].map(known), [true, true, true, true, false]);
        assert!(!tokens.know(None));
    }
}
