//! The environment layer: `EXORELAY__` variables, and below them the names of the original software.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::given::{Given, Value};
use super::{Error, Origin};

/// The prefix of our own variables. Levels are separated by two underscores: `EXORELAY__WEBHOOK__TIMEOUT_MS`.
const PREFIX: &str = "EXORELAY__";

/// The default of `EXOCOM_PORT`.
const EXOCOM_PORT_DEFAULT: &str = "3100";

/// The prefix that Docker links and Kubernetes write into `<SERVICE>_PORT` for a service called `exocom` or `exorelay`.
const LINKED: &str = "tcp://";

/// Returns the values from the environment, weakest first: the original names, then ours. Other variables are ignored.
/// Errors: variables of ours that are not UTF-8.
pub(super) fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> (Vec<Given>, Vec<Error>) {
    let mut texts = BTreeMap::new();
    let mut errors = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
        match value.into_string() {
            Ok(text) => drop(texts.insert(name.to_owned(), text)),
            Err(_) => errors.push(Error::NotText { variable: name.to_owned() }),
        }
    }
    let mut given = originals(&texts);
    for (name, text) in &texts {
        if let Some(path) = name.strip_prefix(PREFIX) {
            given.push(from_variable(&path.to_ascii_lowercase().replace("__", "."), text.clone(), name));
        }
    }
    (given, errors)
}

fn is_ours(name: &str) -> bool {
    let originals = ["SERVICE_NAME", "ROLE", "EXOCOM_HOST", "EXOCOM_PORT", "EXORELAY_PORT"];
    name.starts_with(PREFIX) || originals.contains(&name)
}

/// Returns the values of the original variables (reference: exo 2.3, 3.10). Empty counts as not set.
fn originals(texts: &BTreeMap<String, String>) -> Vec<Given> {
    let text = |name: &str| texts.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let mut given = Vec::new();
    for name in ["SERVICE_NAME", "ROLE"] {
        given.extend(text(name).map(|role| from_variable("relay.role", role.to_owned(), name)));
    }
    given.extend(exocom(text("EXOCOM_HOST"), text("EXOCOM_PORT")));
    if let Some(port) = text("EXORELAY_PORT").filter(|port| !port.starts_with(LINKED)) {
        given.push(from_variable("listen.address", format!("127.0.0.1:{port}"), "EXORELAY_PORT"));
    }
    given
}

fn exocom(host: Option<&str>, port: Option<&str>) -> Option<Given> {
    let url = match (host, port) {
        (None, None) => return None,
        (None, Some(linked)) if linked.starts_with(LINKED) => linked.replacen(LINKED, "http://", 1),
        (Some(host), Some(linked)) if linked.starts_with(LINKED) => {
            let port = linked.rsplit(':').next().unwrap_or(EXOCOM_PORT_DEFAULT);
            format!("http://{host}:{port}")
        }
        (host, port) => {
            format!("http://{}:{}", host.unwrap_or("localhost"), port.unwrap_or(EXOCOM_PORT_DEFAULT))
        }
    };
    let variables = match (host, port) {
        (Some(_), Some(_)) => "EXOCOM_HOST, EXOCOM_PORT",
        (Some(_), None) => "EXOCOM_HOST",
        (None, _) => "EXOCOM_PORT",
    };
    Some(from_variable("bus.url", url, variables))
}

fn from_variable(key: &str, text: String, variable: &str) -> Given {
    Given { key: key.to_owned(), value: Value::Text(text), origin: Origin::Environment(variable.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is `key=text` for each value, weakest first.
    fn check(variables: &[(&str, &str)], expected: &[&str]) {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let (given, errors) = read(variables);
        let texts = given.into_iter().map(|given| match given.value {
            Value::Text(text) => format!("{}={text}", given.key),
            Value::Typed(value) => panic!("{value} is typed"),
        });
        assert_eq!(texts.collect::<Vec<_>>(), expected);
        assert!(errors.is_empty());
    }

    #[test]
    fn two_underscores_separate_levels() {
        check(&[("EXORELAY__WEBHOOK__TIMEOUT_MS", "1"), ("HOME", "/")], &["webhook.timeout_ms=1"]);
    }

    #[test]
    fn our_names_override_the_original_ones() {
        check(
            &[("EXORELAY__RELAY__ROLE", "ours"), ("SERVICE_NAME", "oldest"), ("ROLE", "old")],
            &["relay.role=oldest", "relay.role=old", "relay.role=ours"],
        );
    }

    #[test]
    fn the_host_and_port_of_exocom_make_one_url() {
        check(&[("EXOCOM_HOST", "exocom"), ("EXOCOM_PORT", "80")], &["bus.url=http://exocom:80"]);
        check(&[("EXOCOM_HOST", "exocom")], &["bus.url=http://exocom:3100"]);
        check(&[("EXOCOM_PORT", "5000"), ("EXOCOM_HOST", "")], &["bus.url=http://localhost:5000"]);
    }

    #[test]
    fn the_port_of_the_relay_is_on_loopback() {
        check(&[("EXORELAY_PORT", "4100")], &["listen.address=127.0.0.1:4100"]);
    }

    #[test]
    fn ports_written_by_docker_links_and_kubernetes_are_understood() {
        check(&[("EXOCOM_PORT", "tcp://10.0.0.7:3100")], &["bus.url=http://10.0.0.7:3100"]);
        check(&[("EXOCOM_PORT", "tcp://10.0.0.7:80"), ("EXOCOM_HOST", "exocom")], &["bus.url=http://exocom:80"]);
        check(&[("EXORELAY_PORT", "tcp://10.0.0.8:4001")], &[]);
    }
}
