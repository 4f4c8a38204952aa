//! `GET /health`, `/ready`, `/metrics` and `/openapi.json` of a listener, and its answers to unknown paths.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::app::system::System;
use crate::http::access::{Verb, needing};
use crate::http::{Introduction, Landing, Problem, method_not_allowed, momentary, typed};
use crate::metrics::Exposition;

/// The paths that no system can have.
pub(super) const PATHS: [&str; 5] = ["/health", "/ready", "/metrics", "/openapi.json", "/guide"];

/// The OpenAPI document of these paths.
const OPENAPI: &str = include_str!("openapi.json");

/// The systems of a listener, and the metrics and the OpenAPI document of all of them.
struct Operations {
    systems: Vec<Arc<dyn System>>,
    metrics: Exposition,
    openapi: String,
}

/// Returns the routes for operators, and a problem answer for every other path or method. The metrics of the systems join
/// those of `registry`.
pub(super) fn router(systems: &[Arc<dyn System>], mut registry: Registry) -> Router {
    for system in systems {
        system.register_metrics(&mut registry);
    }
    let measured = systems.to_vec();
    let metrics = Exposition::new(registry, move || measured.iter().for_each(|system| system.refresh_metrics()));
    let [health_path, ready_path, metrics_path, openapi_path, _] = PATHS;
    let router = Router::new()
        .route(health_path, get(health))
        .route(ready_path, get(ready))
        .route(openapi_path, get(openapi))
        .merge(needing(Verb::Metrics, Router::new().route(metrics_path, get(metrics_text))));
    introduced(systems)
        .fallback(router)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(map_response(momentary))
        .with_state(Arc::new(Operations { systems: systems.to_vec(), metrics, openapi: document(systems) }))
}

/// The page for a person who opens this listener: its systems, then its operations.
fn introduced(systems: &[Arc<dyn System>]) -> Landing {
    let mut parts: Vec<Introduction> = systems.iter().map(|system| system.introduction()).collect();
    let links = vec![
        ("/ready", "whether it can work"),
        ("/metrics", "counters"),
        ("/openapi.json", "every call of this listener"),
    ];
    parts.push(Introduction { links, ..Introduction::default() });
    Landing::new("ExoRelay, for browsers and other clients", parts)
}

/// `200` as long as the process can answer at all.
async fn health() -> Response {
    crate::http::health("edge")
}

/// `200` if every system is ready, else `503` with the name and the cause of each one that is not.
async fn ready(State(operations): State<Arc<Operations>>) -> Result<Response, Problem> {
    let mut problems = Vec::new();
    for system in &operations.systems {
        problems.extend(system.readiness().err().map(|problem| (system.name(), problem)));
    }
    let causes: Vec<String> = problems.iter().map(|(name, problem)| format!("{name}: {}", problem.detail())).collect();
    match problems.into_iter().next() {
        Some((_, problem)) => Err(problem.with_detail(causes.join("; "))),
        None => Ok(typed("application/json", "{\"status\":\"ready\"}".to_owned())),
    }
}

async fn metrics_text(State(operations): State<Arc<Operations>>, headers: HeaderMap) -> Response {
    operations.metrics.respond(&headers)
}

async fn openapi(State(operations): State<Arc<Operations>>) -> Response {
    typed("application/json", operations.openapi.clone())
}

/// Joins the OpenAPI documents of all systems.
fn document(systems: &[Arc<dyn System>]) -> String {
    let parse = |text: &str| -> Value { serde_json::from_str(text).expect("the documents are part of this program") };
    let mut whole = parse(OPENAPI);
    for part in systems.iter().map(|system| parse(system.openapi())) {
        for section in ["/paths", "/components/schemas"] {
            let more = part.pointer(section).and_then(Value::as_object).cloned().unwrap_or_default();
            let own = whole.pointer_mut(section).and_then(Value::as_object_mut);
            own.expect("the document of the listener has both").extend(more);
        }
    }
    whole.to_string()
}
