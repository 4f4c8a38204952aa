//! Registration of a service, and the lease it gets.

use core::net::{Ipv6Addr, SocketAddr};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::fields::Fields;
use crate::broker::Error;
use crate::message::{InstanceId, PayloadError, Registration, Role};

/// Network address of an instance. Cheap to clone. Displays as in a URL: `host:port`, `[::1]:port`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: Arc<str>,
    port: u16,
    /// The token that deliveries need.
    token: Option<Arc<str>>,
}

impl Address {
    /// Checks that `host` is valid in a URL: a host name, an IPv4 or an IPv6 address (brackets optional).
    /// Errors: [`Error::Field`] naming `host`.
    pub fn new(host: &str, port: u16) -> Result<Self, Error> {
        let plain = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let named = !host.is_empty() && host.len() <= 255 && host.bytes().all(is_name);
        if !named && plain.parse::<Ipv6Addr>().is_err() {
            return Err(Error::Field { field: "host", expected: "a host name or an IP address" });
        }
        Ok(Self { host: plain.into(), port, token: None })
    }

    /// Adds the token that deliveries need.
    pub fn with_token(self, token: Option<&str>) -> Self {
        Self { token: token.map(Arc::from), ..self }
    }

    /// Returns the token that deliveries need.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns the host without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_canonical().to_string().into(), port: address.port(), token: None }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(formatter, "[{}]:{}", self.host, self.port),
            false => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

/// Lease granted for a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Time for which the instance stays registered without a renewal.
    pub duration: Duration,
    /// Maximum number of messages in one `POST /send`.
    pub batch_messages_max: usize,
}

impl Lease {
    /// Writes the answer to `PUT /services/{role}`.
    pub fn to_json(&self, instance: &InstanceId) -> Bytes {
        let lease_ms = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
        let body = json!({ "instance": instance, "leaseMs": lease_ms, "batchMessagesMax": self.batch_messages_max });
        body.to_string().into()
    }

    /// Parses that answer. Errors: [`Error::Payload`], [`Error::Field`].
    pub fn from_json(body: &Bytes) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(body).map_err(PayloadError::not_json)?;
        let fields = Fields::of(&value, "a JSON object with \"leaseMs\"")?;
        let lease_ms = fields.number("leaseMs")?;
        let lease_ms = lease_ms.ok_or(Error::Field { field: "leaseMs", expected: "a whole number" })?;
        let batch = fields.number("batchMessagesMax")?.and_then(|number| usize::try_from(number).ok());
        Ok(Self { duration: Duration::from_millis(lease_ms), batch_messages_max: batch.unwrap_or(1).max(1) })
    }
}

/// Body of `PUT /services/{role}`: a registration and the address of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The registration.
    pub registration: Registration,
    /// Host of the instance; `None` for the address that the call comes from.
    pub host: Option<String>,
    /// Port of the instance.
    pub port: u16,
    /// Token that deliveries to the instance need.
    pub delivery_token: Option<String>,
}

impl Announcement {
    /// Parses the body of a registration for `role`. Unknown keys are ignored. Errors name the field.
    pub fn from_json(role: Role, body: &Bytes) -> Result<Self, Error> {
        let value: Value = serde_json::from_slice(body).map_err(PayloadError::not_json)?;
        let fields = Fields::of(&value, "a JSON object, like {\"instance\":\"…\",\"port\":4000,\"receives\":[…]}")?;
        let instance = fields.text("instance")?;
        let instance = instance.ok_or(Error::Field { field: "instance", expected: "a non-empty string" })?;
        let receives = fields.names("receives")?;
        let port = fields.port("port")?;
        let host = fields.text("host")?;
        if let Some(host) = host {
            Address::new(host, port)?;
        }
        let registration = Registration {
            role,
            instance: InstanceId::parse(instance).map_err(Error::text("instance"))?,
            receives: receives.unwrap_or_default(),
            sends: fields.names("sends")?.unwrap_or_default(),
            namespace: fields.namespace("namespace")?,
            batch: fields.flag("batch")?,
            token: fields.text("token")?.map(str::to_owned),
            away: fields.flag("away")?,
        };
        let delivery_token = fields.text("deliveryToken")?.map(str::to_owned);
        if delivery_token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Error::Field { field: "deliveryToken", expected: "visible ASCII without spaces" });
        }
        Ok(Self { registration, host: host.map(str::to_owned), port, delivery_token })
    }

    /// Writes the body. The role is part of the URL.
    pub fn to_json(&self) -> Bytes {
        let Registration { role: _, instance, receives, sends, namespace, batch, token, away } = &self.registration;
        let mut body = json!({
            "instance": instance, "port": self.port, "receives": receives, "sends": sends, "batch": batch,
        });
        if *away {
            body["away"] = true.into();
        }
        if let Some(host) = &self.host {
            body["host"] = host.as_str().into();
        }
        for (key, text) in [("namespace", namespace), ("token", token), ("deliveryToken", &self.delivery_token)] {
            if let Some(text) = text {
                body[key] = text.as_str().into();
            }
        }
        body.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::MessageName;

    fn parse(body: &str) -> Result<Announcement, Error> {
        Announcement::from_json(Role::parse("users").unwrap(), &Bytes::from(body.to_owned()))
    }

    fn check_refused(body: &str, expected: &str) {
        assert_eq!(parse(body).unwrap_err().to_string(), expected, "{body}");
    }

    #[test]
    fn a_registration_needs_an_instance_and_a_port() {
        check_refused("{}", "\"instance\" must be a non-empty string");
        check_refused(r#"{"instance":"a"}"#, "\"port\" must be a number from 1 to 65535");
        check_refused(r#"{"instance":"a","port":70000}"#, "\"port\" must be a number from 1 to 65535");
        assert!(parse(r#"{"instance":"a","port":4000}"#).is_ok());
    }

    #[test]
    fn an_invalid_field_is_named() {
        let with = |field: &str| format!("{{\"instance\":\"a\",\"port\":1,{field}}}");
        check_refused(&with("\"receives\":5"), "\"receives\" must be an array of message names, at most 4096");
        check_refused(&with("\"receives\":[\"\"]"), "\"receives\": the message name is empty");
        check_refused(&with("\"batch\":1"), "\"batch\" must be true or false");
        check_refused(&with("\"host\":\"a/b\""), "\"host\" must be a host name or an IP address");
        check_refused("[]", "the body must be a JSON object, like {\"instance\":\"…\",\"port\":4000,\"receives\":[…]}");
    }

    #[test]
    fn addresses_are_written_as_in_urls() {
        for (host, expected) in
            [("users", "users:1"), ("::1", "[::1]:1"), ("[::1]", "[::1]:1"), ("10.0.0.1", "10.0.0.1:1")]
        {
            assert_eq!(Address::new(host, 1).unwrap().to_string(), expected);
        }
        for host in ["", "a b", "a/b", "user@host", "a:b", "größe"] {
            assert!(Address::new(host, 1).is_err(), "{host}");
        }
    }

    #[test]
    fn a_lease_survives_the_round_trip() {
        let lease = Lease { duration: Duration::from_secs(10), batch_messages_max: 256 };
        let body = lease.to_json(&InstanceId::parse("a").unwrap());
        assert_eq!(body, r#"{"batchMessagesMax":256,"instance":"a","leaseMs":10000}"#);
        assert_eq!(Lease::from_json(&body), Ok(lease));
    }

    proptest! {
        #[test]
        fn announcements_survive_the_round_trip(
            names in proptest::collection::vec("[a-z. ]{1,9}", 0..4),
            namespace in proptest::option::of("[a-z]{1,9}"),
            host in proptest::option::of("[a-z]{1,9}"),
            token in proptest::option::of("[a-z]{1,9}"),
            delivery_token in proptest::option::of("[a-z]{1,9}"),
            port in 1_u16..,
            batch: bool,
            away: bool,
        ) {
            let names: Vec<_> = names.iter().map(|name| MessageName::parse(name).unwrap()).collect();
            let registration = Registration {
                role: Role::parse("users").unwrap(),
                instance: InstanceId::parse("a").unwrap(),
                sends: names.clone(),
                receives: names,
                namespace,
                batch,
                token,
                away,
            };
            let announcement = Announcement { registration, host, port, delivery_token };
            let read = Announcement::from_json(announcement.registration.role.clone(), &announcement.to_json());
            prop_assert_eq!(read.unwrap(), announcement);
        }

        #[test]
        fn garbage_never_panics(body in ".{0,200}") {
            drop(parse(&body));
            drop(Lease::from_json(&Bytes::from(body)));
        }
    }
}
