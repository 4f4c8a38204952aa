//! The part of access control that is set in `[access]`: it finds the caller of each request, and the rules for it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, FORWARDED, VIA};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};

use super::config::{Config, RuleConfig};
use super::credentials::{Credentials, Error, Lookup, Places};
use super::grants::{Grants, Policy};
use super::principal::Principal;
use super::refusals::{RefusalMetrics, Refusals};
use super::rules::{Rule, Rules, Written};
use crate::http::{Kind, Problem};

/// The path that says if a process can work.
const READY: &str = "/ready";

/// The credentials and rules of a process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Control {
    /// `None` if everyone may do everything.
    shared: Option<Arc<Shared>>,
}

struct Shared {
    credentials: Credentials,
    rules: Arc<Rules>,
    written: Arc<[RuleConfig]>,
    browser_listeners: Vec<String>,
    places: Places,
}

impl Control {
    /// Allows everyone everything.
    pub(crate) fn open() -> Self {
        Self { shared: None }
    }

    /// Reads the settings and their files. `roles` are tokens of roles, which entitle to what rules say of the role. Blocks.
    /// Errors: [`Error`].
    pub(crate) fn read<'a>(
        config: &Config,
        roles: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        if !config.is_in_force() {
            return Ok(Self::open());
        }
        let credentials = Credentials::read(config)?.with_roles(roles);
        let named = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
        Ok(Self {
            shared: Some(Arc::new(Shared {
                credentials,
                rules: Arc::new(rules_of(config)),
                written: config.rules.clone().into(),
                browser_listeners: config.browser_listeners.clone(),
                places: Places { cookie: named(&config.cookie), query: named(&config.query) },
            })),
        })
    }

    /// Returns true if callers have to prove who they are for something.
    pub(crate) fn is_in_force(&self) -> bool {
        self.shared.is_some()
    }

    /// Returns the part for a listener; `None` if everyone may do everything.
    pub(crate) fn of_listener(&self, listener: &'static str, metrics: RefusalMetrics) -> Option<Authorizer> {
        let shared = Arc::clone(self.shared.as_ref()?);
        let is_for_browsers = shared.browser_listeners.iter().any(|name| name == listener);
        let policy = Arc::new(Policy {
            rules: Arc::clone(&shared.rules),
            written: Arc::clone(&shared.written),
            refusals: Refusals::new(listener, metrics),
        });
        let places = if is_for_browsers { shared.places.clone() } else { Places::default() };
        let anonymous = Grants::new(Principal::anonymous(), Arc::clone(&policy));
        let loopback = Grants::new(Principal::loopback(), Arc::clone(&policy));
        Some(Authorizer(Arc::new(Listener { shared, places, policy, anonymous, loopback })))
    }
}

/// Returns the rules of the configuration, which has been checked; without any, those that hold for its tokens.
pub(crate) fn rules_of(config: &Config) -> Rules {
    let parse = |rule: &RuleConfig| {
        let RuleConfig { who, allow, deny, at: _ } = rule;
        Rule::parse(Written { who, allow, deny }).ok()
    };
    let rules: Vec<Rule> = config.rules.iter().filter_map(parse).collect();
    match config.rules.is_empty() {
        true => Rules::new(vec![Rule::for_tokens()]),
        // A rule that cannot be read would have refused or allowed something: nothing is left to chance.
        false if rules.len() < config.rules.len() => Rules::default(),
        false => Rules::new(rules),
    }
}

/// Finds the callers of one listener. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Authorizer(Arc<Listener>);

struct Listener {
    shared: Arc<Shared>,
    places: Places,
    policy: Arc<Policy>,
    anonymous: Grants,
    loopback: Grants,
}

/// The state of a request after the search for its caller.
pub(crate) enum Identified {
    /// It has the rights of its caller as an extension.
    Done,
    /// The caller has this token, and is known once keys have been fetched.
    Fetch(String),
}

impl Authorizer {
    /// Finds the caller of a request, and adds [`Grants`] to its extensions. Removes tokens from the query. Does not block.
    pub(crate) fn identify(&self, request: &mut Request<Body>, peer: IpAddr) -> Result<Identified, Problem> {
        let mut uri = std::mem::take(request.uri_mut());
        let token = self.0.places.take(request.headers(), &mut uri);
        *request.uri_mut() = uri;
        match token {
            Some(token) => self.look_up(request, token),
            None => {
                let is_local = peer.to_canonical().is_loopback() && !is_forwarded(request.headers());
                let grants = if is_local { &self.0.loopback } else { &self.0.anonymous };
                request.extensions_mut().insert(grants.clone());
                Ok(Identified::Done)
            }
        }
    }

    /// Fetches keys, then finds the caller with this token. Errors: the keys cannot be fetched. Not cancel-safe: a dropped
    /// call leaves the request without the rights of its caller.
    pub(crate) async fn fetch(&self, request: &mut Request<Body>, token: String) -> Result<(), Problem> {
        self.0.shared.credentials.fetch().await;
        match self.look_up(request, token)? {
            Identified::Done => Ok(()),
            Identified::Fetch(_) => Err(no_keys()),
        }
    }

    fn look_up(&self, request: &mut Request<Body>, token: String) -> Result<Identified, Problem> {
        match self.0.shared.credentials.find(&token) {
            Lookup::Found(principal) => {
                request.extensions_mut().insert(Grants::new(principal, Arc::clone(&self.0.policy)));
                Ok(Identified::Done)
            }
            Lookup::Fetch => Ok(Identified::Fetch(token)),
            Lookup::NoKeys => Err(no_keys()),
        }
    }
}

/// Returns true if a proxy says that it forwards the request of another.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| *name == FORWARDED || name.as_str().starts_with("x-forwarded-") || *name == VIA)
}

fn no_keys() -> Problem {
    let detail = "the keys that verify tokens cannot be fetched from access.jwt_keys_url; try again later";
    Problem::new(Kind::Unavailable, detail).retry_after(std::time::Duration::from_secs(10))
}

/// Returns true if the answer to a request says more than its caller may know: why a process is not ready.
pub(crate) fn hides_details(request: &Request<Body>) -> bool {
    let is_stranger = |grants: &Grants| {
        let principal = grants.principal();
        !principal.is_authenticated() && !principal.is_loopback()
    };
    request.uri().path() == READY && request.extensions().get::<Grants>().is_some_and(is_stranger)
}

/// Returns an answer with the same status and nothing else.
pub(crate) fn without_details(response: &Response) -> Response {
    let is_ready = response.status().is_success();
    let body = format!("{{\"ready\":{is_ready}}}");
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let status = if is_ready { StatusCode::OK } else { response.status() };
    (status, content_type, body).into_response()
}
