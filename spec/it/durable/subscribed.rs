//! SIGKILLs at random moments while subscribers are woken.
//!
//! Acknowledgements are kept, a generation has one holder, offsets never go back, and in the end each subscription has
//! acknowledged everything: no wake is lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::client::{Caller, Dice, Streams};
use crate::eventually::{eventually, pause};

const KILLS: u64 = 50;
const STREAMS: u64 = 4;

/// The webhook subscription, and the one whose work is claimed.
const HOOK: &str = "hook";
const JOBS: &str = "jobs";

const LEASE: Duration = Duration::from_secs(1);

/// The known state of a subscription.
#[derive(Default)]
struct Known {
    /// The last generation, and the holder of each.
    generation: u64,
    holders: HashMap<u64, String>,
    /// The offset up to which each stream was acknowledged for certain. Offsets sort as text.
    acked: BTreeMap<String, String>,
}

impl Known {
    /// Checks a wake: nothing in it is older than what is known. Its offsets were acknowledged.
    fn woken(&mut self, wake: &Value) {
        let generation = wake["generation"].as_u64().unwrap();
        assert!(generation >= self.generation, "generation {} came before {wake}", self.generation);
        self.generation = generation;
        self.shown(wake);
    }

    fn shown(&mut self, wake: &Value) {
        for stream in wake["streams"].as_array().unwrap() {
            let (path, acked) = (stream["path"].as_str().unwrap(), stream["acked_offset"].as_str().unwrap());
            self.acknowledged(path, acked, wake);
        }
    }

    fn acknowledged(&mut self, path: &str, offset: &str, wake: &Value) {
        let before = self.acked.entry(path.to_owned()).or_default();
        // "-1" is the beginning.
        assert!(offset >= before.as_str() || before == "-1", "{path} was acknowledged up to {before}, and now {wake}");
        offset.clone_into(before);
    }

    fn claimed(&mut self, worker: &str, claim: &Value) {
        self.woken(claim);
        let holder = self.holders.entry(self.generation).or_insert_with(|| worker.to_owned());
        assert_eq!(holder, worker, "two workers hold {claim}");
    }
}

/// Claimed work.
struct Held {
    claim: Value,
    /// The time of the last successful request for it.
    since: Instant,
    /// True if the server was killed since; the last call may have taken effect without an answer.
    earlier: bool,
}

type Shared = Arc<Mutex<Known>>;

/// The clients of one server process.
#[derive(Clone)]
struct Life {
    caller: Caller,
    over: Arc<AtomicBool>,
    /// Number of answers.
    answers: Arc<AtomicUsize>,
}

impl Life {
    /// Makes a call, unless this is over; `None` if there was no answer.
    async fn call(&self, method: Method, path: &str, token: &str, body: &Value) -> Option<(u16, Value)> {
        if self.over.load(Ordering::Relaxed) {
            return None;
        }
        let authorization = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", &authorization)];
        let answer = self.caller.call(method, path, &headers, body.to_string().into_bytes()).await.ok()?;
        let (status, text) = (answer.status().as_u16(), answer.text().await.ok()?);
        self.answers.fetch_add(1, Ordering::Relaxed);
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Appends to random streams.
    async fn append(self, mut dice: Dice) {
        loop {
            let path = format!("work/{}", dice.throw(STREAMS));
            let Some((status, _)) = self.call(Method::POST, &path, "", &json!({"n": 1})).await else { return };
            assert_eq!(status, 204);
            pause(dice.throw(2)).await;
        }
    }

    /// Claims work, acknowledges it stream by stream, and completes or releases it. Continues with the work `held` when the
    /// server was killed; returns the work held when it is killed again.
    async fn work(self, worker: &'static str, known: Shared, mut dice: Dice, mut held: Option<Held>) -> Option<Held> {
        loop {
            let mut job = match held.take() {
                Some(held) => Held { earlier: true, ..held },
                None => match self.claim(worker, &known).await? {
                    Some(claimed) => claimed,
                    None => {
                        pause(2).await;
                        continue;
                    }
                },
            };
            if self.finish(&mut job, &known, dice.throw(4) == 0).await.is_none() {
                return Some(job);
            }
        }
    }

    /// Returns `None` if the server was killed, `Some(None)` if there is no work.
    async fn claim(&self, worker: &str, known: &Shared) -> Option<Option<Held>> {
        let since = Instant::now();
        let path = format!("__ds/subscriptions/{JOBS}/claim");
        let (status, claim) = self.call(Method::POST, &path, "", &json!({"worker": worker})).await?;
        if status != 200 {
            assert_eq!(status, 409, "{claim}");
            return Some(None);
        }
        known.lock().unwrap().claimed(worker, &claim);
        Some(Some(Held { claim, since, earlier: false }))
    }

    /// Returns `None` if the server was killed before the work was finished.
    async fn finish(&self, job: &mut Held, known: &Shared, gives_back: bool) -> Option<()> {
        for stream in job.claim["streams"].as_array().unwrap().clone() {
            let (path, tail) = (&stream["path"], &stream["tail_offset"]);
            let acks = json!([{"stream": path, "offset": tail}]);
            let sent = Instant::now();
            if !self.report(job, "ack", "acks", &acks).await? {
                return Some(());
            }
            job.since = sent;
            known.lock().unwrap().acknowledged(path.as_str().unwrap(), tail.as_str().unwrap(), &acks);
        }
        let what = if gives_back { "release" } else { "ack" };
        self.report(job, what, "done", &true.into()).await.map(drop)
    }

    /// Makes a call about held work. Returns true if it was still held; `None` if there was no answer.
    async fn report(&self, job: &Held, what: &str, key: &str, value: &Value) -> Option<bool> {
        let body = json!({"wake_id": job.claim["wake_id"], "generation": job.claim["generation"], key: value});
        let path = format!("__ds/subscriptions/{JOBS}/{what}");
        let (status, answer) = self.call(Method::POST, &path, job.claim["token"].as_str().unwrap(), &body).await?;
        let lapsed = job.earlier || job.since.elapsed() >= LEASE;
        match status {
            200 | 204 => Some(true),
            401 | 409 if lapsed => Some(false),
            _ => panic!("{status} for {body}: {answer}"),
        }
    }
}

/// Starts a webhook receiver that completes everything at once.
async fn receive(known: Shared) -> String {
    async fn answer(State(known): State<Shared>, Json(wake): Json<Value>) -> Json<Value> {
        known.lock().unwrap().woken(&wake);
        Json(json!({"done": true}))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new().route("/hook", post(answer)).with_state(known);
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

/// Returns the state of a subscription.
async fn view(caller: &Caller, id: &str) -> Value {
    let path = format!("__ds/subscriptions/{id}");
    let answer = caller.call(Method::GET, &path, &[], Vec::new()).await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn subscribe(caller: &Caller, id: &str, mut terms: Value) {
    terms["pattern"] = "work/*".into();
    terms["lease_ttl_ms"] = (LEASE.as_millis() as u64).into();
    let (path, json) = (format!("__ds/subscriptions/{id}"), [("content-type", "application/json")]);
    let made = caller.call(Method::PUT, &path, &json, terms.to_string().into_bytes()).await.unwrap();
    assert_eq!(made.status(), 201, "{id}: {}", made.text().await.unwrap());
}

/// Returns `Some` if a subscription has acknowledged everything.
async fn is_done(caller: &Caller, id: &str) -> Option<()> {
    let streams = view(caller, id).await["streams"].clone();
    for number in 0..STREAMS {
        let path = format!("work/{number}");
        let head = caller.call(Method::HEAD, &path, &[], Vec::new()).await.unwrap();
        let tail = head.headers()["stream-next-offset"].to_str().unwrap();
        let stream = streams.as_array().unwrap().iter().find(|stream| stream["path"] == *path)?;
        (stream["acked_offset"] == tail).then_some(())?;
    }
    Some(())
}

/// Runs all clients until enough was answered, then kills the server while they work.
async fn live_and_die(streams: &mut Streams, jobs: &Shared, held: &mut [Option<Held>; 2], dice: &mut Dice, what: &str) {
    let life = Life { caller: streams.caller(), over: Arc::default(), answers: Arc::default() };
    let appending = tokio::spawn(life.clone().append(Dice::new(dice.throw(1 << 30))));
    let working = ["ann", "bob"].into_iter().zip(&mut *held).map(|(worker, held)| {
        let dice = Dice::new(dice.throw(1 << 30));
        tokio::spawn(life.clone().work(worker, Arc::clone(jobs), dice, held.take()))
    });
    let working: Vec<_> = working.collect();
    let enough = dice.throw(150) as usize;
    while life.answers.load(Ordering::Relaxed) < enough {
        let ended = appending.is_finished() || working.iter().any(tokio::task::JoinHandle::is_finished);
        assert!(!ended, "{what}: a client ended early");
        pause(dice.throw(3)).await;
    }
    life.over.store(true, Ordering::Relaxed);
    streams.kill_and_revive().await;
    appending.await.unwrap();
    for (held, task) in held.iter_mut().zip(working) {
        *held = task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wake_and_no_acknowledgement_is_lost_over_many_kills() {
    let seed = u64::from(std::process::id());
    let mut dice = Dice::new(seed);
    let (hook, jobs) = (Shared::default(), Shared::default());
    // The receiver is on this machine.
    let mut streams = Streams::start(&[("EXORELAY__STREAMS__SUBSCRIPTIONS_WEBHOOK_LOOPBACK", "true")]).await;
    let json = "application/json";
    assert_eq!(streams.caller().create("wakes", json).await, 201);
    let url = receive(Arc::clone(&hook)).await;
    subscribe(&streams.caller(), HOOK, json!({"type": "webhook", "webhook": {"url": url}})).await;
    subscribe(&streams.caller(), JOBS, json!({"type": "pull-wake", "wake_stream": "wakes"})).await;
    for number in 0..STREAMS {
        assert_eq!(streams.caller().create(&format!("work/{number}"), json).await, 201);
        assert_eq!(streams.caller().append(&format!("work/{number}"), json, b"0".to_vec()).await, 204);
    }
    let mut held = [None, None];
    for kill in 0..KILLS {
        let what = format!("seed {seed}, kill {kill}");
        live_and_die(&mut streams, &jobs, &mut held, &mut dice, &what).await;
        let shown = view(&streams.caller(), JOBS).await;
        jobs.lock().unwrap().shown(&shown);
    }
    let last = Life { caller: streams.caller(), over: Arc::default(), answers: Arc::default() };
    let worker = tokio::spawn(last.clone().work("cyd", Arc::clone(&jobs), dice, None));
    for id in [HOOK, JOBS] {
        eventually(format!("{id} has acknowledged everything, seed {seed}"), || is_done(&last.caller, id)).await;
    }
    last.over.store(true, Ordering::Relaxed);
    worker.await.unwrap();
    let (events, _) = streams.caller().read("wakes", "-1").await.unwrap();
    let events: Vec<Value> = serde_json::from_slice(&events).unwrap();
    let generations: Vec<u64> = events.iter().map(|event| event["generation"].as_u64().unwrap()).collect();
    assert!(generations.is_sorted_by(|one, next| one < next), "seed {seed}: {generations:?}");
    assert!(jobs.lock().unwrap().holders.len() > 1, "seed {seed}: no work was claimed");
}
