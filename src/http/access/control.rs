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
use super::principal::{Identity, Principal};
use super::refusals::{RefusalMetrics, Refusals};
use super::rules::{Rule, Rules, Written};
use crate::http::{Kind, PeerIdentity, Problem};

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
        let proved = request.extensions().get::<PeerIdentity>();
        let grants = match (token, proved) {
            (Some(token), _) => return self.look_up(request, token),
            (None, Some(proved)) => Grants::new(identity_of(proved).into(), Arc::clone(&self.0.policy)),
            (None, None) if peer.to_canonical().is_loopback() && !is_forwarded(request.headers()) => {
                self.0.loopback.clone()
            }
            (None, None) => self.0.anonymous.clone(),
        };
        request.extensions_mut().insert(grants);
        Ok(Identified::Done)
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
                let proved = request.extensions().get::<PeerIdentity>().map(identity_of);
                let principal = match proved {
                    Some(proved) => principal.on_connection_of(proved),
                    None => principal,
                };
                request.extensions_mut().insert(Grants::new(principal, Arc::clone(&self.0.policy)));
                Ok(Identified::Done)
            }
            Lookup::Fetch => Ok(Identified::Fetch(token)),
            Lookup::NoKeys => Err(no_keys()),
        }
    }
}

/// Returns what the other end of a connection has proved. A process that opened a Unix socket is on this machine.
fn identity_of(peer: &PeerIdentity) -> Identity {
    match peer {
        PeerIdentity::Certificate(names) => {
            let certificate_names = names.common_name.iter().chain(&names.dns).chain(&names.uris).cloned().collect();
            Identity { certificate_names, ..Identity::default() }
        }
        PeerIdentity::Process(process) => {
            Identity { unix_uid: Some(process.uid), is_loopback: true, ..Identity::default() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::access::{Target, Verb, allow, allow_target};
    use crate::http::{CertificateNames, PeerProcess, RuleConfig, TokenConfig};

    fn authorizer() -> Authorizer {
        let rule =
            |who: &str, allow: &str| RuleConfig { who: who.into(), allow: vec![allow.into()], ..RuleConfig::default() };
        let token = TokenConfig { name: "ops".into(), token: "s3cret".into(), ..TokenConfig::default() };
        let rules = vec![
            rule("cert:spiffe://example/*", "send:of.certificate"),
            rule("unix:1000", "send:of.socket"),
            rule("loopback", "send:of.machine"),
            rule("token:ops", "send:of.token"),
            rule("role:users", "send:of.role"),
        ];
        let config = Config { rules, tokens: vec![token], ..Config::default() };
        let control = Control::read(&config, [("users", "t0ken")]).unwrap();
        control.of_listener("api", RefusalMetrics::unregistered()).unwrap()
    }

    /// Checks which of the names a caller may send.
    fn check(peer: &str, proved: Option<PeerIdentity>, headers: &[(&str, &str)], expected: &[&str]) {
        let mut request = Request::builder().uri("/send/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        proved.into_iter().for_each(|proved| drop(request.extensions_mut().insert(proved)));
        assert!(authorizer().identify(&mut request, peer.parse().unwrap()).is_ok());
        let names = ["certificate", "socket", "machine", "token", "role"];
        let may = |name: &&str| allow(request.extensions(), Verb::Send, &format!("of.{name}")).is_ok();
        assert_eq!(names.into_iter().filter(may).collect::<Vec<_>>(), expected, "{peer} {headers:?}");
        assert!(allow_target(request.extensions(), Verb::Send, Target::ALL).is_err());
    }

    #[test]
    fn a_caller_is_known_by_its_token_its_certificate_its_user_or_its_machine() {
        let bearer = |token| [("authorization", token)];
        let certificate = || {
            let uris = vec!["spiffe://example/users".to_owned()];
            Some(PeerIdentity::Certificate(Arc::new(CertificateNames { uris, ..CertificateNames::default() })))
        };
        let process = |uid| Some(PeerIdentity::Process(PeerProcess { uid, gid: uid, pid: None }));
        check("192.0.2.7", None, &[], &[]);
        check("192.0.2.7", None, &bearer("Bearer s3cret"), &["token"]);
        check("192.0.2.7", None, &bearer("Bearer t0ken"), &["role"]);
        check("192.0.2.7", certificate(), &[], &["certificate"]);
        check("192.0.2.7", certificate(), &bearer("Bearer s3cret"), &["certificate", "token"]);
        check("192.0.2.7", certificate(), &bearer("Bearer wrong"), &[]);
        check("127.0.0.1", process(1000), &[], &["socket", "machine"]);
        check("127.0.0.1", process(1001), &[], &["machine"]);
        check("127.0.0.1", None, &[], &["machine"]);
        check("::ffff:127.0.0.1", None, &[], &["machine"]);
        check("127.0.0.1", None, &[("x-forwarded-for", "192.0.2.7")], &[]);
        check("127.0.0.1", None, &[("via", "1.1 proxy")], &[]);
        check("127.0.0.1", None, &bearer("Bearer s3cret"), &["token"]);
    }
}
