//! Access control of one listener, which decides about every request before it is routed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ORIGIN, UPGRADE};
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;

use super::cors::{Cors, CorsSettings, is_preflight};
use super::rules::{Hosts, Links, Origins, Pages, Reach, Refusal};
use crate::http::{Kind, Limits, Problem};
use crate::log_limit::LogLimit;

/// Maximum length of a host or an origin in a refusal, in characters.
const SHOWN_CHARACTERS_MAX: usize = 100;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD, OPTIONS");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("content-type, authorization");
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("content-type, location, retry-after, exo-message, exo-message-id, exo-auth");
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// Access control of one listener: the hosts that it answers to, and the web pages that may call it.
#[derive(Debug)]
pub struct Access {
    pages: Pages,
    /// The setting that allows an origin, for refusals; empty if there is none.
    setting: &'static str,
    /// The path at which the routes check the origin of a socket themselves.
    sockets: Option<&'static str>,
    /// The answers to pages of listed origins; `None` if the routes have their own.
    cors: Option<Arc<Cors>>,
    lines: LogLimit,
}

impl Access {
    /// Returns the access control of a listener whose pages are those of `origins`. `setting` is where they are listed.
    pub(crate) fn of(setting: &'static str, origins: &[String], limits: &Limits) -> Arc<Self> {
        Self::of_sockets(None, setting, origins, limits)
    }

    /// Returns an access control as [`Access::of`] does, for a listener whose routes check the origin of sockets at a path
    /// themselves: they have their own answer.
    pub(crate) fn of_sockets(
        path: impl Into<Option<&'static str>>,
        setting: &'static str,
        origins: &[String],
        limits: &Limits,
    ) -> Arc<Self> {
        let cors = Cors::new(CorsSettings {
            origins,
            credentials: false,
            max_age: PREFLIGHT_MAX_AGE,
            methods: METHODS,
            request_headers: REQUEST_HEADERS,
            further_headers: &["*".to_owned()],
            response_headers: RESPONSE_HEADERS,
        });
        let pages =
            Pages { hosts: Hosts::new(&limits.hosts), origins: Origins::new(origins), links: Links::Introduction };
        Arc::new(Self { pages, setting, sockets: path.into(), cors: Some(cors), lines: LogLimit::new() })
    }

    /// Returns the access control of a listener whose routes answer preflights themselves, and change nothing with a GET.
    pub(crate) fn of_systems(setting: &'static str, origins: &[String], limits: &Limits) -> Arc<Self> {
        let pages = Pages { hosts: Hosts::new(&limits.hosts), origins: Origins::new(origins), links: Links::All };
        Arc::new(Self { pages, setting, sockets: None, cors: None, lines: LogLimit::new() })
    }

    /// Returns the access control of a listener that is for programs only.
    pub(crate) fn of_programs(limits: &Limits) -> Arc<Self> {
        Self::of("", &[], limits)
    }

    /// Applies the rules about pages to a router of another application, which decides about its hosts itself.
    pub(crate) fn layer_of_application(setting: &'static str, origins: &[String], router: Router) -> Router {
        let pages = Pages { hosts: Hosts::all(), origins: Origins::new(origins), links: Links::All };
        let access = Arc::new(Self { pages, setting, sockets: None, cors: None, lines: LogLimit::new() });
        router.layer(from_fn(move |request: Request, next: Next| {
            let access = Arc::clone(&access);
            async move {
                match access.check(Reach::Network, &request) {
                    Ok(()) => next.run(request).await,
                    Err(refused) => refused.into_response(),
                }
            }
        }))
    }

    /// Checks a request to a listener of this reach. Errors: 403 with the setting that would allow the request.
    pub(crate) fn check(&self, reach: Reach, request: &Request<Body>) -> Result<(), Problem> {
        match self.pages.check(reach, request.method(), request.uri(), request.headers()) {
            Err(Refusal::Origin(_)) if self.is_left_to_routes(request) => Ok(()),
            checked => checked.map_err(|refusal| self.refuse(reach, &refusal)),
        }
    }

    /// Returns true for a request that changes nothing, and that the routes permit to listed origins only.
    fn is_left_to_routes(&self, request: &Request<Body>) -> bool {
        let is_handshake = request.method() == Method::GET && request.headers().contains_key(UPGRADE);
        let is_socket = is_handshake && self.sockets == Some(request.uri().path());
        self.cors.is_none() && is_preflight(request) || is_socket
    }

    /// Returns the rules for the answer to a page; `None` if a program asked, or the routes have rules of their own.
    pub(crate) fn cors_of(&self, request: &Request<Body>) -> Option<&Arc<Cors>> {
        let headers = request.headers();
        let from_page = headers.contains_key(ORIGIN) && !headers.contains_key(UPGRADE);
        self.cors.as_ref().filter(|_| from_page && !self.pages.origins.allows_none())
    }

    fn refuse(&self, reach: Reach, refusal: &Refusal) -> Problem {
        let detail = self.explain(reach, refusal);
        if let Some(left_out) = self.lines.admit() {
            tracing::warn!(left_out, "a request was refused: {detail}");
        }
        Problem::new(Kind::Forbidden, detail)
    }

    fn explain(&self, reach: Reach, refusal: &Refusal) -> String {
        let setting = self.setting;
        match (refusal, reach) {
            (Refusal::Host(host), Reach::Loopback) => format!(
                "this listener does not answer to the host {:?}: on a loopback address it answers to localhost and loopback \
                 addresses; list further hosts in http.hosts",
                shown(host)
            ),
            (Refusal::Host(host), Reach::Network) => format!(
                "this listener does not answer to the host {:?}: it answers to addresses, to localhost, and to the hosts in \
                 http.hosts",
                shown(host)
            ),
            (Refusal::Origin(_) | Refusal::Site, _) if setting.is_empty() => {
                "this listener is for programs: web pages may not call it".to_owned()
            }
            (Refusal::Origin(origin), _) => format!(
                "web pages of {:?} may not call this listener; list the origin in {setting} to allow them",
                shown(origin)
            ),
            (Refusal::Site, _) => format!(
                "a web page of another site made this request and did not say its origin; list the origin in {setting}, and \
                 let the page call with CORS"
            ),
        }
    }
}

/// Returns the beginning of a text from a request.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(access: &Access, method: Method, lines: &[(&str, &str)]) -> Option<Kind> {
        let mut request = Request::builder().method(method).uri("/send/hello");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        access.check(Reach::Loopback, &request).err().map(|problem| problem.kind())
    }

    #[test]
    fn hosts_of_strangers_and_pages_are_refused() {
        let access = Access::of_programs(&Limits::default());
        let expected = Some(Kind::Forbidden);
        assert_eq!(check(&access, Method::POST, &[("host", "evil.example")]), expected);
        assert_eq!(check(&access, Method::POST, &[("host", "localhost"), ("origin", "null")]), expected);
        assert_eq!(check(&access, Method::POST, &[("host", "localhost")]), None);
    }

    #[test]
    fn a_refusal_names_the_setting_that_allows_the_request() {
        let access = Access::of("api.cors_origins", &[], &Limits::default());
        let explained = |refusal: Refusal| access.explain(Reach::Loopback, &refusal);
        let origin = explained(Refusal::Origin("http://evil.example".into()));
        assert_eq!(
            origin,
            "web pages of \"http://evil.example\" may not call this listener; list the origin in api.cors_origins to allow them"
        );
        assert!(explained(Refusal::Site).contains("list the origin in api.cors_origins"));
        let host = explained(Refusal::Host("h".repeat(5000)));
        assert!(host.contains("list further hosts in http.hosts") && host.len() < 400, "{host}");
    }

    #[test]
    fn a_socket_is_left_to_routes_that_check_its_origin() {
        let access = Access::of_sockets("/send/hello", "broker.cors_origins", &[], &Limits::default());
        let asked = [("host", "localhost"), ("origin", "http://evil.example"), ("upgrade", "websocket")];
        assert_eq!(check(&access, Method::GET, &asked), None);
        assert!(check(&access, Method::POST, &asked).is_some());
        assert!(check(&access, Method::GET, &asked[..2]).is_some());
        assert!(check(&Access::of_programs(&Limits::default()), Method::GET, &asked).is_some());
    }

    #[test]
    fn a_preflight_is_left_to_routes_that_answer_it() {
        let asked =
            [("host", "localhost"), ("origin", "http://evil.example"), ("access-control-request-method", "POST")];
        let systems = Access::of_systems("streams.cors_origins", &[], &Limits::default());
        assert_eq!(check(&systems, Method::OPTIONS, &asked), None);
        assert!(check(&systems, Method::POST, &asked).is_some());
        assert!(check(&Access::of_programs(&Limits::default()), Method::OPTIONS, &asked).is_some());
        let rebound = [("host", "evil.example"), asked[1], asked[2]];
        assert!(check(&systems, Method::OPTIONS, &rebound).is_some());
    }
}
