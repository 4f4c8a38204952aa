//! The settings of `exocom` from environment and command line, read as the originals did. exo 2.6, 3.7, 3.8.

use super::Error;
use crate::broker::{self, Form, Landscape};

/// The variable of the latest originals, and their default port.
const SERVICE_DATA: &str = "SERVICE_DATA";
const PORT_OF_DATA: u16 = 80;

/// The variables of earlier originals, the later one first, and their default port. exo 3.8.
const SERVICE_ROUTES: &str = "SERVICE_ROUTES";
const SERVICE_MESSAGES: &str = "SERVICE_MESSAGES";
const PORT_OF_ROUTES: u16 = 3100;

/// The original broker to imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// exocom-dev, which is configured by `POST /services`. exo 2.6.
    Http,
    /// The broker of 2016-11 to 2017-07. exo 3.8.
    Namespaces,
    /// The broker of 2017-08 and later. exo 3.7.
    Go,
}

/// The settings of an `exocom` process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The original broker to imitate.
    pub era: Era,
    /// The configured services; `None` if they are posted over HTTP.
    pub landscape: Option<Landscape>,
    /// The port; may be out of range.
    pub port: i64,
    /// True if `PORT` is not a number and the default is used.
    pub port_is_ignored: bool,
    /// The host to listen on; `None` for every interface.
    pub host: Option<String>,
}

impl Setup {
    /// Reads `--port` and the environment through `variable`. `SERVICE_DATA`, else `SERVICE_ROUTES`, else
    /// `SERVICE_MESSAGES` means a broker of the WebSocket era; `--port` alone one of the HTTP era. Empty variables count as
    /// unset, except that without anything else the earlier two declare no services.
    ///
    /// Errors: [`Error::NoServiceData`], [`Error::Landscape`], [`Error::Form`], [`Error::PortFlag`].
    pub fn read(variable: impl Fn(&str) -> Option<String>, port: Option<&str>) -> Result<Self, Error> {
        let earlier = [SERVICE_ROUTES, SERVICE_MESSAGES].map(|name| variable(name).map(|text| (name, text)));
        let is_filled = |(_, text): &(&str, String)| !text.trim().is_empty();
        let routes = earlier.iter().flatten().find(|routes| is_filled(routes));
        let variable = |name| variable(name).filter(|text| !text.is_empty());
        let (landscape, default) = match (variable(SERVICE_DATA), routes) {
            (Some(data), _) => (Some(service_data(data)?), PORT_OF_DATA),
            (None, Some((name, text))) => (Some(service_routes(name, text)?), PORT_OF_ROUTES),
            (None, None) if port.is_some() => (None, PORT_OF_ROUTES),
            (None, None) => match earlier.iter().flatten().next() {
                Some((name, empty)) => (Some(service_routes(name, empty)?), PORT_OF_ROUTES),
                None => return Err(Error::NoServiceData),
            },
        };
        let (port, port_is_ignored) = match (port, variable("PORT")) {
            (Some(text), _) => (text.parse().map_err(|_| Error::PortFlag { text: text.to_owned() })?, false),
            (None, Some(text)) => text.parse().map_or((i64::from(default), true), |port| (port, false)),
            (None, None) => (i64::from(default), false),
        };
        let era = match &landscape {
            None => Era::Http,
            Some(landscape) if landscape.form == Form::Namespaces => Era::Namespaces,
            Some(_) => Era::Go,
        };
        Ok(Self { era, landscape, port, port_is_ignored, host: variable("EXOCOM_BIND") })
    }
}

fn service_data(text: String) -> Result<Landscape, Error> {
    let landscape = Landscape::from_json(&text.into()).map_err(unusable(SERVICE_DATA))?;
    match landscape.form {
        Form::Translations => Ok(landscape),
        Form::Http | Form::Namespaces | Form::MessageTranslations => {
            let expected =
                "a JSON object like {\"users\":{\"receives\":[…],\"sends\":[…]}}; arrays belong in SERVICE_ROUTES";
            Err(Error::Form { variable: SERVICE_DATA, expected })
        }
    }
}

fn service_routes(variable: &'static str, text: &str) -> Result<Landscape, Error> {
    let landscape = Landscape::from_relaxed_json(text).map_err(unusable(variable))?;
    match landscape.form {
        // The brokers that were configured by it are all of that form.
        Form::MessageTranslations if variable == SERVICE_MESSAGES => {
            Ok(Landscape { form: Form::Namespaces, ..landscape })
        }
        Form::Namespaces | Form::MessageTranslations => Ok(landscape),
        // An empty array has no recognizable form.
        Form::Http if landscape.roles.is_empty() => Ok(Landscape { form: Form::MessageTranslations, ..landscape }),
        Form::Http | Form::Translations => {
            let expected = "a JSON array like [{\"role\":\"users\",\"receives\":[…],\"sends\":[…]}] without ports; objects \
                            belong in SERVICE_DATA";
            Err(Error::Form { variable, expected })
        }
    }
}

fn unusable(variable: &'static str) -> impl Fn(broker::Error) -> Error {
    move |cause| Error::Landscape { variable, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: (&str, &str) = ("SERVICE_DATA", r#"{"web":{"sends":["ping"]}}"#);
    const ROUTES: (&str, &str) = ("SERVICE_ROUTES", r#"[{"role":"web","receives":[],"sends":["ping"]}]"#);
    const NAMESPACES: (&str, &str) = ("SERVICE_ROUTES", r#"[{"role":"web","namespace":"html"}]"#);

    fn setup(variables: &[(&str, &str)], port: Option<&str>) -> Result<Setup, Error> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        Setup::read(find, port)
    }

    fn check(variables: &[(&str, &str)], flag: Option<&str>, era: Era, port: i64, ignored: bool) {
        let setup = setup(variables, flag).unwrap();
        assert_eq!((setup.era, setup.port, setup.port_is_ignored), (era, port, ignored), "{variables:?}");
    }

    fn check_refused(variables: &[(&str, &str)], expected: &str, code: u8) {
        let error = setup(variables, None).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.exit_code(), code);
    }

    #[test]
    fn the_variable_selects_the_era_and_the_default_port() {
        check(&[DATA], None, Era::Go, 80, false);
        check(&[ROUTES], None, Era::Go, 3100, false);
        check(&[NAMESPACES], None, Era::Namespaces, 3100, false);
        check(&[ROUTES, DATA], None, Era::Go, 80, false);
        check(&[("SERVICE_DATA", ""), ("SERVICE_ROUTES", "[]")], None, Era::Go, 3100, false);
        check(&[], Some("3000"), Era::Http, 3000, false);
        check(&[("SERVICE_ROUTES", "")], Some("3000"), Era::Http, 3000, false);
    }

    #[test]
    fn the_variables_of_earlier_originals_may_be_relaxed_or_empty() {
        let relaxed = "[{role:web,receives:[users.created],sends:[users.create]}]";
        check(&[("SERVICE_ROUTES", relaxed)], None, Era::Namespaces, 3100, false);
        let named = r#"[{"name":"web","receives":[],"sends":["ping"]}]"#;
        check(&[("SERVICE_MESSAGES", named)], None, Era::Namespaces, 3100, false);
        check(&[("SERVICE_MESSAGES", relaxed), ("SERVICE_ROUTES", "")], None, Era::Namespaces, 3100, false);
        check(&[("SERVICE_MESSAGES", relaxed), ROUTES], None, Era::Go, 3100, false);
        for nothing in ["", " ", "{}"] {
            check(&[("SERVICE_ROUTES", nothing)], None, Era::Namespaces, 3100, false);
            check(&[("SERVICE_MESSAGES", nothing), ("SERVICE_DATA", "")], None, Era::Namespaces, 3100, false);
        }
    }

    #[test]
    fn the_port_comes_from_the_flag_else_the_variable_else_the_default() {
        check(&[DATA, ("PORT", "3200")], None, Era::Go, 3200, false);
        check(&[DATA, ("PORT", "3200")], Some("3300"), Era::Go, 3300, false);
        check(&[DATA, ("PORT", "http")], None, Era::Go, 80, true);
        check(&[DATA, ("PORT", "")], None, Era::Go, 80, false);
        check(&[DATA, ("PORT", "-1")], None, Era::Go, -1, false);
        assert!(matches!(setup(&[DATA], Some("x")), Err(Error::PortFlag { .. })));
    }

    #[test]
    fn a_malformed_landscape_is_refused() {
        check_refused(&[], "No service data provided", 2);
        check_refused(&[("SERVICE_DATA", "{")], "SERVICE_DATA is not usable: not JSON: ", 2);
        check_refused(&[("SERVICE_DATA", "[]")], "SERVICE_DATA is not usable: expected a JSON object like", 2);
        check_refused(&[("SERVICE_ROUTES", r#"{"web":{}}"#)], "SERVICE_ROUTES is not usable: expected a JSON array", 2);
        check_refused(&[("SERVICE_DATA", "")], "No service data provided", 2);
        let truncated =
            "SERVICE_MESSAGES is not usable: not JSON: line 1, column 11: the object that begins at line 1, column 2";
        check_refused(&[("SERVICE_MESSAGES", "[{role:web")], truncated, 2);
        let relaxed = "[{name:web,port:1,receives:[]}]";
        check_refused(&[("SERVICE_ROUTES", relaxed)], "SERVICE_ROUTES is not usable: service 0: \"port\" must be", 2);
        let of_the_http_era = r#"[{"name":"web","port":1,"receives":[]}]"#;
        check_refused(&[("SERVICE_ROUTES", of_the_http_era)], "SERVICE_ROUTES is not usable: expected a JSON array", 2);
        let wrong = r#"{"web":{"sends":5}}"#;
        check_refused(&[("SERVICE_DATA", wrong)], "SERVICE_DATA is not usable: role \"web\": \"sends\" must be", 2);
    }
}
