//! The caller of a request.

use std::sync::Arc;

use serde_json::{Map, Value};

/// The caller of a request, as far as it has proved who it is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Principal(Arc<Identity>);

/// Everything that is known of a caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Identity {
    /// The name of the configured token that it presents.
    pub(crate) token: Option<String>,
    /// Its roles.
    pub(crate) roles: Vec<String>,
    /// The subject of its JWT.
    pub(crate) subject: Option<String>,
    /// The claims of its JWT.
    pub(crate) claims: Map<String, Value>,
    /// The names in its client certificate.
    pub(crate) certificate_names: Vec<String>,
    /// The user of the process at the other end of a Unix socket.
    pub(crate) unix_uid: Option<u32>,
    /// True for a caller on this machine that presents nothing.
    pub(crate) is_loopback: bool,
    /// The reason why a credential that it presents is not accepted.
    pub(crate) rejected: Option<String>,
}

impl From<Identity> for Principal {
    fn from(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }
}

impl Principal {
    /// Returns the caller that presents nothing.
    pub(crate) fn anonymous() -> Self {
        Identity::default().into()
    }

    /// Returns a caller on this machine that presents nothing.
    pub(crate) fn loopback() -> Self {
        Identity { is_loopback: true, ..Identity::default() }.into()
    }

    /// Adds what the other end of the connection has proved, to a caller that presents a token.
    pub(crate) fn on_connection_of(self, peer: Identity) -> Self {
        let Identity { certificate_names, unix_uid, .. } = peer;
        Identity { certificate_names, unix_uid, ..(*self.0).clone() }.into()
    }

    /// Returns true if the caller has proved who it is.
    pub(crate) fn is_authenticated(&self) -> bool {
        let Identity { token, roles, subject, claims, certificate_names, unix_uid, is_loopback: _, rejected } =
            &*self.0;
        let has_proof = token.is_some()
            || subject.is_some()
            || unix_uid.is_some()
            || !(roles.is_empty() && claims.is_empty() && certificate_names.is_empty());
        has_proof && rejected.is_none()
    }

    /// Returns the name for people, such as `sub:alice`.
    pub(crate) fn label(&self) -> String {
        let Identity { token, roles, subject, certificate_names, unix_uid, is_loopback, .. } = &*self.0;
        if let Some(token) = token {
            format!("token:{token}")
        } else if let Some(subject) = subject {
            format!("sub:{subject}")
        } else if let Some(role) = roles.first() {
            format!("role:{role}")
        } else if let Some(name) = certificate_names.first() {
            format!("cert:{name}")
        } else if let Some(uid) = unix_uid {
            format!("unix:{uid}")
        } else if self.is_authenticated() {
            "a caller with a token that names nobody".to_owned()
        } else if *is_loopback {
            "loopback".to_owned()
        } else {
            "anonymous".to_owned()
        }
    }

    /// Returns the name of the configured token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    /// Returns the roles.
    pub(crate) fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// Returns the subject of the JWT.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// Returns true if a claim, or an element of a claim that is a list, fits.
    pub(crate) fn has_claim(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        let is_fitting = |value: &Value| match value {
            Value::String(text) => fits(text),
            Value::Bool(_) | Value::Number(_) => fits(&value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        match self.0.claims.get(key) {
            Some(Value::Array(values)) => values.iter().any(is_fitting),
            Some(value) => is_fitting(value),
            None => false,
        }
    }

    /// Returns the names in the client certificate.
    pub(crate) fn certificate_names(&self) -> &[String] {
        &self.0.certificate_names
    }

    /// Returns the user of the process at the other end of a Unix socket.
    pub(crate) fn unix_uid(&self) -> Option<u32> {
        self.0.unix_uid
    }

    /// Returns true for a caller on this machine that presents nothing.
    pub(crate) fn is_loopback(&self) -> bool {
        self.0.is_loopback
    }

    /// Returns the reason why a credential that the caller presents is not accepted.
    pub(crate) fn rejected(&self) -> Option<&str> {
        self.0.rejected.as_deref()
    }
}
