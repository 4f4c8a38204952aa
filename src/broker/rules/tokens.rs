//! Tokens that protect roles.

use std::collections::HashMap;

use crate::http::access::equals_secret;
use crate::message::Role;

/// The token of each protected role; `None` for one that is closed. All other roles are open to everybody.
pub(crate) struct Tokens(HashMap<Role, Option<String>>);

impl Tokens {
    pub(crate) fn new(by_role: HashMap<Role, Option<String>>) -> Self {
        Self(by_role)
    }

    /// Returns true if the role needs a token.
    pub(crate) fn protects(&self, role: &Role) -> bool {
        self.0.contains_key(role)
    }

    /// Returns true if `token` opens the role, or the role needs none.
    pub(crate) fn permits(&self, role: &Role, token: Option<&str>) -> bool {
        let Some(expected) = self.0.get(role) else { return true };
        token.zip(expected.as_deref()).is_some_and(|(token, expected)| equals_secret(token, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protected_role_needs_its_own_token() {
        let role = |text: &str| Role::parse(text).unwrap();
        let tokens = Tokens::new([(role("web"), Some("letmein".to_owned())), (role("log"), None)].into());
        for token in [None, Some(""), Some("letmei"), Some("letmeim"), Some("letmeinn")] {
            assert!(!tokens.permits(&role("web"), token), "{token:?}");
            assert!(tokens.permits(&role("users"), token));
            assert!(!tokens.permits(&role("log"), token), "a closed role");
        }
        assert!(tokens.permits(&role("web"), Some("letmein")));
        assert!(tokens.protects(&role("web")) && !tokens.protects(&role("users")));
    }
}
