//! Tests of `/metrics`: what each process shows, in both formats, by the rules of `promtool check metrics`; and that the
//! dashboard asks for nothing else.

mod lint;

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post as answering;
use regex::Regex;
use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::stage::{Process, get, post, reserve_address};

/// A media range by which Prometheus prefers OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// The metrics of a process that every one has.
const EVERYWHERE: [&str; 11] = [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
    "process_threads",
    "exorelay_build_info",
    "exorelay_http_connections",
    "exorelay_http_connections_max",
    "exorelay_http_request_duration_seconds",
];

/// Metrics of one listener, in the text format.
async fn scrape(url: &str) -> String {
    get(&format!("{url}/metrics")).await.body
}

/// Answers with content type and text.
async fn scrape_as(url: &str, accept: &str) -> (String, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{url}/metrics")).header("accept", accept).send().await.unwrap();
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (content_type, answer.text().await.unwrap())
}

/// Returns the value of a sample with these words in its line.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let fits = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
    text.lines().find(fits)?.rsplit_once(' ')?.1.parse().ok()
}

fn check(text: &str, name: &str, labels: &[&str], expected: f64) {
    assert_eq!(value(text, name, labels), Some(expected), "{name} {labels:?} in\n{text}");
}

/// Starts a service that replies to `users.create` and refuses all else. Returns its URL.
async fn service() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let run = answering(|Path(name): Path<String>| async move {
        match name.as_str() {
            "users.create" => (StatusCode::OK, json!({ "reply": { "name": "users.created" } }).to_string()),
            _ => (StatusCode::BAD_REQUEST, "no".to_owned()),
        }
    });
    tokio::spawn(axum::serve(listener, Router::new().route("/run/{name}", run)).into_future());
    url
}

/// The processes of a small system, after some traffic: a request that is answered, one that fails, one that nobody
/// receives, and a stream.
struct Bench {
    broker: Process,
    web: Process,
    users: Process,
    edge: String,
    streams: Process,
}

impl Bench {
    async fn start() -> Self {
        let service = service().await;
        let broker = Process::start("broker", &[("EXORELAY__BROKER__SETTLE_MS", "0")]).await;
        let bus = broker.url("broker");
        let forward = format!("run --role users --receives users.create,users.fail --bus {bus} --forward {service}");
        let users = Process::start(&forward, &[]).await;
        let edge = reserve_address();
        let web = Process::start(&format!("run --role web --bus {bus} --edge {edge}"), &[]).await;
        let streams = Process::start("streams", &[]).await;
        let bench = Self { broker, web, users, edge: format!("http://{edge}"), streams };
        bench.traffic().await;
        bench
    }

    async fn traffic(&self) {
        let api = self.web.url("api");
        eventually("a receiver", || async {
            let answer = post(&format!("{api}/request/users.create?timeout=5s"), &json!({ "name": "Will" })).await;
            (answer.status == 200).then_some(())
        })
        .await;
        assert_eq!(post(&format!("{api}/request/users.fail?timeout=5s"), &json!(1)).await.status, 502);
        assert_eq!(post(&format!("{api}/request/zonk"), &json!(1)).await.status, 404);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for server in [&self.edge, &self.streams.url("streams")] {
            let url = format!("{server}/v1/stream/orders");
            eventually("the edge", || async {
                let created = client.put(&url).header("content-type", "text/plain").body("first").send().await.ok()?;
                (created.status() == 201).then_some(())
            })
            .await;
            let appended = client.post(url).header("content-type", "text/plain").body("second").send().await.unwrap();
            assert_eq!(appended.status(), 204);
        }
    }

    fn listeners(&self) -> [String; 5] {
        let streams = self.streams.url("streams");
        [self.broker.url("broker"), self.web.url("api"), self.users.url("api"), self.edge.clone(), streams]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_no_complaint_about_any_process() {
    let bench = Bench::start().await;
    for url in bench.listeners() {
        let text = scrape(&url).await;
        let complaints = lint::complaints(&text);
        assert!(complaints.is_empty(), "{url}:\n{}\n{text}", complaints.join("\n"));
        let families: BTreeSet<String> = lint::families(&text).into_iter().map(|family| family.name).collect();
        for name in EVERYWHERE {
            assert!(families.contains(name), "{name} is not in\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_is_the_one_that_the_scraper_accepts() {
    let broker = Process::start("broker", &[]).await;
    let streams = Process::start("streams", &[]).await;
    let users = Process::start("run --role users --bus embedded", &[]).await;
    for url in [broker.url("broker"), streams.url("streams"), users.url("api")] {
        let (content_type, text) = scrape_as(&url, OPENMETRICS).await;
        assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert!(text.ends_with("# EOF\n") && text.contains("# TYPE process_cpu_seconds counter\n"), "{text}");
        for accept in ["*/*", "text/plain", "text/html,application/xhtml+xml,*/*;q=0.8"] {
            let (content_type, text) = scrape_as(&url, accept).await;
            assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
            assert!(!text.contains("# EOF") && text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_outcomes_are_counted_by_message_and_role() {
    let bench = Bench::start().await;
    let [broker, web, users, edge, _] = bench.listeners();
    let web = scrape(&web).await;
    check(&web, "exorelay_relay_request_duration_seconds_count", &["role=\"web\"", "message=\"users.fail\""], 1.0);
    check(&web, "exorelay_relay_requests_total", &["message=\"users.fail\"", "outcome=\"failed\""], 1.0);
    check(&web, "exorelay_relay_requests_total", &["message=\"users.create\"", "outcome=\"replied\""], 1.0);
    assert!(value(&web, "exorelay_relay_publish_duration_seconds_count", &["users.create"]) >= Some(1.0), "{web}");
    assert!(!web.contains("zonk"), "a name that nobody receives has no label:\n{web}");
    let users = scrape(&users).await;
    for name in ["users.create", "users.fail"] {
        let labels = ["role=\"users\"", &format!("message=\"{name}\"")];
        check(&users, "exorelay_relay_handling_duration_seconds_count", &labels, 1.0);
        check(&users, "exorelay_webhook_call_duration_seconds_count", &labels, 1.0);
    }
    check(&users, "exorelay_webhook_calls_total", &["status=\"4xx\""], 1.0);
    let labels = ["direction=\"incoming\"", "cause=\"service_refused\""];
    check(&users, "exorelay_relay_dead_letters_by_cause_total", &labels, 1.0);
    check(&users, "exorelay_relay_dead_letters_kept", &[], 1.0);
    let broker = scrape(&broker).await;
    let labels = ["role=\"users\"", "message=\"users.create\""];
    check(&broker, "exorelay_broker_delivery_duration_seconds_count", &labels, 1.0);
    check(&broker, "exorelay_broker_role_instances", &["role=\"users\""], 1.0);
    check(&broker, "exorelay_broker_role_queued_messages", &["role=\"users\""], 0.0);
    let labels = ["listener=\"broker\"", "method=\"PUT\"", "status=\"2xx\""];
    assert!(value(&broker, "exorelay_http_request_duration_seconds_count", &labels) >= Some(1.0), "{broker}");
    let edge = scrape(&edge).await;
    check(&edge, "exorelay_streams_append_duration_seconds_count", &[], 1.0);
    check(&edge, "exorelay_streams_store_state", &["state=\"ok\""], 1.0);
    check(&edge, "exorelay_http_connections_max", &["listener=\"edge\""], 16_384.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_end_do_not_grow_the_metrics() {
    let names: Vec<String> = (0..300).map(|number| format!("name.{number}")).collect();
    let line = format!("run --role users --bus embedded --receives {}", names.join(","));
    let users = Process::start(&line, &[]).await;
    let api = users.url("api");
    for name in &names {
        assert_eq!(post(&format!("{api}/send/{name}"), &json!(1)).await.status, 202);
    }
    let text = scrape(&api).await;
    let series = text.lines().filter(|line| line.starts_with("exorelay_relay_messages_sent_total{"));
    assert_eq!(series.count(), 101, "{text}");
    check(&text, "exorelay_relay_messages_sent_total", &["message=\"other\""], 200.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_shows_its_disk() {
    let folder = tempfile::tempdir().unwrap();
    let streams = Process::start(&format!("streams --data-dir {}", folder.path().display()), &[]).await;
    let text = scrape(&streams.url("streams")).await;
    let (free, size) = ("exorelay_streams_disk_free_bytes", "exorelay_streams_disk_size_bytes");
    assert!(value(&text, free, &[]) > Some(0.0) && value(&text, size, &[]) >= value(&text, free, &[]), "{text}");
    check(&text, "exorelay_streams_disk_free_min_bytes", &[], 134_217_728.0);
    check(&text, "exorelay_streams_store_state", &["state=\"ok\""], 1.0);
    check(&text, "exorelay_streams_store_state", &["state=\"full\""], 0.0);
    check(&text, "exorelay_streams_store_state", &["state=\"failed\""], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_names_metrics_that_exist() {
    let bench = Bench::start().await;
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Process::start(&format!("streams --data-dir {}", folder.path().display()), &[]).await;
    let mut names: BTreeSet<String> = BTreeSet::new();
    for url in bench.listeners().into_iter().chain([on_disk.url("streams")]) {
        for family in lint::families(&scrape(&url).await) {
            names.extend(family.sample_names());
        }
    }
    let text = include_str!("../../docker/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let mut queries = Vec::new();
    collect_queries(&dashboard, &mut queries);
    assert!(queries.len() >= 20, "{} queries", queries.len());
    let name = Regex::new(r"\b(?:exorelay|process)_[a-z0-9_]+").unwrap();
    for query in queries {
        let used: Vec<&str> = name.find_iter(&query).map(|found| found.as_str()).collect();
        assert!(!used.is_empty(), "{query} names no metric");
        for used in used {
            assert!(names.contains(used), "{query} names {used}, which no process shows");
        }
    }
}

/// Collects the text of every query in the dashboard.
fn collect_queries(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| match (key.as_str(), value) {
            ("expr", Value::String(query)) => queries.push(query.clone()),
            ("definition", Value::String(query)) => queries.push(query.clone()),
            _ => collect_queries(value, queries),
        }),
        Value::Array(items) => items.iter().for_each(|item| collect_queries(item, queries)),
        _ => {}
    }
}
