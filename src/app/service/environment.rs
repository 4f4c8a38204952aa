//! Settings of a service from its environment, by the variable names of both eras. Reference: exo 2.3, 3.10, 5.1.

use crate::app::Error;

/// The default of `EXOCOM_HOST`.
const HOST_DEFAULT: &str = "localhost";

/// The default of `EXOCOM_PORT` in the WebSocket era.
const PORT_DEFAULT: u16 = 80;

/// The variable with the token for the role, which sidecars read as well.
const TOKEN: &str = "EXORELAY__BUS__TOKEN";

/// The prefix that Docker links and Kubernetes write into `<SERVICE>_PORT` for a service called `exocom` or `exorelay`.
const LINKED: &str = "tcp://";

/// The settings given in code. The environment supplies those that are `None` or empty.
#[derive(Debug, Default, Clone)]
pub(super) struct Explicit {
    pub(super) role: String,
    pub(super) bus: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) token: Option<String>,
}

/// The resolved settings of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) role: String,
    pub(super) bus: String,
    /// The configured listen address.
    pub(super) listen: Option<String>,
    /// The token for the role; empty for none.
    pub(super) token: String,
}

/// Combines the settings given in code, which have precedence, with the environment.
///
/// `SERVICE_NAME` or `EXORELAY_PORT` mean an environment of the HTTP era. Errors: [`Error::Environment`] with the variable
/// that is missing or wrong.
pub(super) fn resolve(explicit: Explicit, variable: impl Fn(&str) -> Option<String>) -> Result<Settings, Error> {
    let text = |name: &str| variable(name).filter(|text| !text.is_empty());
    let role = Some(explicit.role).filter(|role| !role.is_empty()).or_else(|| text("ROLE"));
    let role = role.or_else(|| text("SERVICE_NAME")).ok_or_else(|| {
        wrong("ROLE", "not set: set it to the role of this service, such as \"users\", or give the role in code")
    })?;
    // A linked port belongs to a sidecar on another host; it is not a port to listen on.
    let relay_port = text("EXORELAY_PORT").filter(|port| !port.starts_with(LINKED));
    let is_http_era = relay_port.is_some() || text("SERVICE_NAME").is_some();
    let listen = match (explicit.listen, relay_port) {
        (Some(listen), _) => Some(listen),
        (None, Some(port)) => Some(format!("127.0.0.1:{}", port_of("EXORELAY_PORT", &port)?)),
        (None, None) if is_http_era && explicit.bus.is_none() => {
            return Err(wrong("EXORELAY_PORT", "not set, but SERVICE_NAME is: set it to the port to listen on"));
        }
        (None, None) => None,
    };
    let bus = match (explicit.bus, is_http_era) {
        (Some(bus), _) => bus,
        (None, true) => {
            let (host, port) = exocom(text)?;
            let port = port.ok_or_else(|| wrong("EXOCOM_PORT", "not set: set it to the port of ExoCom"))?;
            format!("http://{host}:{port}")
        }
        (None, false) => {
            let (host, port) = exocom(text)?;
            format!("ws://{host}:{}/services", port.unwrap_or(PORT_DEFAULT))
        }
    };
    let token = explicit.token.or_else(|| text(TOKEN)).unwrap_or_default();
    Ok(Settings { role, bus, listen, token })
}

/// Returns the host of ExoCom, and its port if it is set.
fn exocom(text: impl Fn(&str) -> Option<String>) -> Result<(String, Option<u16>), Error> {
    let (host, port) = (text("EXOCOM_HOST"), text("EXOCOM_PORT"));
    let link = port.as_deref().and_then(|port| port.strip_prefix(LINKED)).and_then(|link| link.rsplit_once(':'));
    let (linked_host, port) = match link {
        Some((host, port)) => (Some(host.to_owned()), Some(port.to_owned())),
        None => (None, port),
    };
    let port = port.map(|port| port_of("EXOCOM_PORT", &port)).transpose()?;
    Ok((host.or(linked_host).unwrap_or_else(|| HOST_DEFAULT.to_owned()), port))
}

fn port_of(variable: &'static str, text: &str) -> Result<u16, Error> {
    let port = text.parse().ok().filter(|port| *port > 0 || variable == "EXORELAY_PORT");
    port.ok_or_else(|| wrong(variable, format!("{text:?} is not a port: expected a number up to 65535")))
}

fn wrong(variable: &'static str, problem: impl Into<String>) -> Error {
    Error::Environment { variable, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_environment(explicit: Explicit, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        resolve(explicit, find)
    }

    fn check(variables: &[(&str, &str)], role: &str, bus: &str, listen: Option<&str>) {
        let settings = in_environment(Explicit::default(), variables).unwrap();
        assert_eq!((&*settings.role, &*settings.bus, settings.listen.as_deref()), (role, bus, listen), "{variables:?}");
    }

    fn check_wrong(variables: &[(&str, &str)], expected: &str) {
        let error = in_environment(Explicit::default(), variables).unwrap_err().to_string();
        assert_eq!(error, expected, "{variables:?}");
    }

    #[test]
    fn a_role_alone_means_a_local_exocom_over_websocket() {
        check(&[("ROLE", "users")], "users", "ws://localhost:80/services", None);
    }

    #[test]
    fn the_host_and_port_of_exocom_are_used() {
        let variables = [("ROLE", "users"), ("EXOCOM_HOST", "exocom"), ("EXOCOM_PORT", "4100")];
        check(&variables, "users", "ws://exocom:4100/services", None);
        let linked = [("ROLE", "users"), ("EXOCOM_PORT", "tcp://10.0.0.7:4100")];
        check(&linked, "users", "ws://10.0.0.7:4100/services", None);
    }

    #[test]
    fn the_environment_of_the_http_era_means_http() {
        let variables = [("SERVICE_NAME", "users"), ("EXORELAY_PORT", "3001"), ("EXOCOM_PORT", "4100")];
        check(&variables, "users", "http://localhost:4100", Some("127.0.0.1:3001"));
        let mixed = [("ROLE", "users"), ("EXORELAY_PORT", "3001"), ("EXOCOM_PORT", "4100")];
        check(&mixed, "users", "http://localhost:4100", Some("127.0.0.1:3001"));
    }

    #[test]
    fn the_port_of_a_linked_sidecar_is_not_a_listen_port() {
        let variables = [("ROLE", "users"), ("EXORELAY_PORT", "tcp://10.0.0.8:4001")];
        check(&variables, "users", "ws://localhost:80/services", None);
    }

    #[test]
    fn settings_in_code_override_the_environment() {
        let explicit = Explicit {
            role: "users".into(),
            bus: Some("http://exocom:1".into()),
            listen: Some("127.0.0.1:2".into()),
            token: None,
        };
        let variables = [("ROLE", "other"), ("EXORELAY_PORT", "3001"), ("EXOCOM_PORT", "4100")];
        let settings = in_environment(explicit, &variables).unwrap();
        let expected = Settings {
            role: "users".into(),
            bus: "http://exocom:1".into(),
            listen: Some("127.0.0.1:2".into()),
            token: String::new(),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_missing_variable_is_named() {
        let role = "ROLE: not set: set it to the role of this service, such as \"users\", or give the role in code";
        check_wrong(&[], role);
        check_wrong(&[("ROLE", "")], role);
        check_wrong(
            &[("SERVICE_NAME", "users")],
            "EXORELAY_PORT: not set, but SERVICE_NAME is: set it to the port to listen on",
        );
        check_wrong(
            &[("SERVICE_NAME", "users"), ("EXORELAY_PORT", "3001")],
            "EXOCOM_PORT: not set: set it to the port of ExoCom",
        );
    }

    #[test]
    fn an_invalid_port_is_named() {
        for text in ["soon", "70000", "0", "tcp://exocom:soon"] {
            let error = in_environment(Explicit::default(), &[("ROLE", "users"), ("EXOCOM_PORT", text)]).unwrap_err();
            assert!(error.to_string().starts_with("EXOCOM_PORT: \""), "{error}");
        }
        check_wrong(
            &[("ROLE", "users"), ("EXORELAY_PORT", "zonk")],
            "EXORELAY_PORT: \"zonk\" is not a port: expected a number up to 65535",
        );
    }
}
