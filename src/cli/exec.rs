//! `exorelay tail --exec`: handles each message with a shell command.

mod command;

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use clap::Args;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::command::Ran;
use super::Error;
use super::duration::duration;
use super::output::{print_line, warn};
use super::retry::RETRY_WAIT_MAX;
use super::server::Server;
use crate::http::Backoff;
use crate::message::{Message, MessageId, MessageName, Payload, Role, path_segment};
use crate::sync::lock;
use crate::webhook::{Meaning, Reply, meaning};

/// Time for which an acknowledgement or a reply is tried again while the sidecar is away or busy.
const CALL_WINDOW: Duration = Duration::from_secs(30);

/// Maximum number of replies in the output of one command, as in the answer of a service.
const REPLIES_MAX: usize = 1_000;

/// Number of acknowledged messages that are remembered, for a redelivery that was under way.
const ACKNOWLEDGED_MAX: usize = 256;

/// Flags of a command that handles messages.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Handling")]
pub(super) struct ExecOptions {
    /// Shell command to run for each message: the payload is its stdin, EXO_MESSAGE, EXO_MESSAGE_ID, EXO_ACTIVITY_ID,
    /// EXO_SENDER and EXO_ATTEMPT are variables; exit status 0 acknowledges the message, once its reply is sent
    #[arg(long, value_name = "CMD", conflicts_with_all = ["no_ack", "output", "broker"])]
    exec: Option<String>,
    /// Name of the reply, whose payload is the JSON that CMD prints [default: CMD prints {"reply":{"name","payload"}}]
    #[arg(long, value_name = "NAME", requires = "exec")]
    reply: Option<String>,
    /// Commands that run at the same time, up to the sidecar's relay.subscriber_unacknowledged_max
    #[arg(long, value_name = "N", default_value_t = 1, requires = "exec",
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrent: u16,
    /// Time after which a command is ended, with all its processes; its message is delivered again
    #[arg(long, value_name = "TIME", default_value = "25s", requires = "exec", value_parser = duration)]
    timeout: Duration,
}

impl ExecOptions {
    pub(super) fn is_requested(&self) -> bool {
        self.exec.is_some()
    }

    /// Number of messages that are handled at the same time.
    pub(super) fn concurrent(&self) -> u16 {
        self.concurrent
    }
}

/// A message as its sender identified it.
type Key = (MessageId, Option<Role>);

/// Runs the command for each message. Cheap to clone.
#[derive(Clone)]
pub(super) struct Runner(Arc<Inner>);

struct Inner {
    sidecar: Server,
    command: String,
    reply: Option<MessageName>,
    timeout: Duration,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    state: Mutex<State>,
    stopping: AtomicBool,
    /// Receives the end: an error, or that enough messages are handled.
    ended: mpsc::Sender<Result<(), Error>>,
}

struct State {
    running: HashSet<Key>,
    acknowledged: VecDeque<Key>,
    /// Number of messages that are still to be handled.
    left: u64,
}

impl Runner {
    /// Creates a runner that ends after `count` handled messages. Errors: the name of the reply is malformed.
    pub(super) fn new(
        options: &ExecOptions,
        sidecar: Server,
        count: Option<u64>,
    ) -> Result<(Self, mpsc::Receiver<Result<(), Error>>), Error> {
        let (ended, end) = mpsc::channel(1);
        let inner = Inner {
            sidecar,
            command: options.exec.clone().unwrap_or_default(),
            reply: options.reply.as_deref().map(MessageName::parse).transpose()?,
            timeout: options.timeout,
            permits: Arc::new(Semaphore::new(usize::from(options.concurrent))),
            tasks: TaskTracker::new(),
            state: Mutex::new(State {
                running: HashSet::new(),
                acknowledged: VecDeque::new(),
                left: count.unwrap_or(u64::MAX),
            }),
            stopping: AtomicBool::new(false),
            ended,
        };
        Ok((Self(Arc::new(inner)), end))
    }

    /// Starts to handle a message, once fewer than the allowed number run. One that is being handled, or has just been, is
    /// not handled again.
    pub(super) async fn begin(&self, message: Message, attempt: u32) {
        let inner = &self.0;
        let key = (message.id.clone(), message.sender.clone());
        let permit = Arc::clone(&inner.permits).acquire_owned().await.expect("the semaphore is never closed");
        if attempt > 1 && lock(&inner.state).acknowledged.contains(&key) {
            return self.acknowledge(&message).await;
        }
        {
            let mut state = lock(&inner.state);
            let is_enough = state.running.len() as u64 >= state.left;
            if is_enough || inner.stopping.load(Ordering::Relaxed) || !state.running.insert(key.clone()) {
                return;
            }
        }
        let runner = self.clone();
        inner.tasks.spawn(async move {
            let is_handled = runner.handle(&message, attempt).await;
            runner.finished(key, is_handled);
            drop(permit);
        });
    }

    /// Starts no more commands, and waits for those that run.
    pub(super) async fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn finished(&self, key: Key, is_handled: bool) {
        let mut state = lock(&self.0.state);
        state.running.remove(&key);
        if !is_handled {
            return;
        }
        if state.acknowledged.len() >= ACKNOWLEDGED_MAX {
            state.acknowledged.pop_front();
        }
        state.acknowledged.push_back(key);
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            // Full if it has ended already.
            drop(self.0.ended.try_send(Ok(())));
        }
    }

    /// Runs the command; replies and acknowledges if it succeeds, else gives the message back. Returns true if it is handled.
    async fn handle(&self, message: &Message, attempt: u32) -> bool {
        let Inner { command, timeout, ended, .. } = &*self.0;
        let answered = match command::run(command, message, attempt, *timeout).await {
            Ran::Handled(output) => self.answer(message, &output).await,
            Ran::Failed(reason) => Err(reason),
            Ran::Impossible(cause) => {
                // Counts as a failed delivery: a message that is the cause would otherwise end each `tail` that gets it.
                self.give_back(message).await;
                drop(ended.try_send(Err(Error::Command { command: command.clone(), cause })));
                return false;
            }
        };
        match answered {
            Ok(rest) => {
                self.acknowledge(message).await;
                if let Some(Err(error)) = rest.map(|text| print_line(&text)) {
                    drop(ended.try_send(Err(error)));
                }
                true
            }
            Err(reason) => {
                warn(&format!(
                    "attempt {attempt} to handle {} {} failed: {reason}; it is delivered again",
                    message.name, message.id
                ));
                self.give_back(message).await;
                false
            }
        }
    }

    /// Sends the replies in an output. Returns the output if it is something else, to be printed. Errors: the reason, for
    /// people, why a reply is malformed or was not sent; the replies before it are sent.
    async fn answer(&self, message: &Message, output: &Bytes) -> Result<Option<String>, String> {
        let text = output.trim_ascii();
        if text.is_empty() {
            return Ok(None);
        }
        let replies = match &self.0.reply {
            Some(name) => {
                let payload = Payload::parse(output.slice_ref(text))
                    .map_err(|error| format!("its output is not the payload of {name}: {error}"))?;
                vec![Reply { name: name.clone(), payload: Some(payload) }]
            }
            None => match meaning(None, output, REPLIES_MAX)
                .map_err(|error| format!("its output is not a reply: {error}"))?
            {
                Meaning::Replies(replies) => replies,
                Meaning::Other(_) => return Ok(Some(String::from_utf8_lossy(text).into_owned())),
            },
        };
        for Reply { name, payload } in replies {
            let path = format!("/reply/{}", path_segment(name.as_str()));
            let body = payload.map(|payload| payload.as_bytes().clone()).unwrap_or_default();
            let sent = self.call(&path, reply_headers(message), body).await;
            sent.map_err(|error| format!("its reply {name} was not sent: {error}"))?;
        }
        Ok(None)
    }

    async fn acknowledge(&self, message: &Message) {
        if let Err(error) = self.call(&path_of(message, "ack"), HeaderMap::new(), Bytes::new()).await {
            warn(&format!("cannot acknowledge {}: {error}", message.id));
        }
    }

    async fn give_back(&self, message: &Message) {
        // It is delivered again in any case, only later.
        drop(self.call(&path_of(message, "retry"), HeaderMap::new(), Bytes::new()).await);
    }

    /// Makes a call, again and again for a while if the sidecar is away or busy.
    async fn call(&self, path: &str, headers: HeaderMap, body: Bytes) -> Result<(), Error> {
        let (mut backoff, deadline) = (Backoff::new(RETRY_WAIT_MAX), Instant::now() + CALL_WINDOW);
        loop {
            let called = self.0.sidecar.call(Method::POST, path, headers.clone(), body.clone()).await;
            let is_temporary = match &called {
                Ok(answer) => answer.status == StatusCode::SERVICE_UNAVAILABLE,
                Err(error) => matches!(error, Error::NotRunning { .. } | Error::Call(_)),
            };
            if !is_temporary || Instant::now() >= deadline {
                return self.0.sidecar.accepted(called?).await.map(drop);
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }
}

/// Returns the path of an action on a message.
pub(super) fn path_of(message: &Message, action: &str) -> String {
    let sender = message.sender.as_ref().map(|sender| format!("?sender={}", path_segment(sender.as_str())));
    format!("/messages/{}/{action}{}", path_segment(message.id.as_str()), sender.unwrap_or_default())
}

fn reply_headers(message: &Message) -> HeaderMap {
    // A repeated call after a lost answer sends nothing twice.
    let key = uuid::Uuid::now_v7().to_string();
    let conversation = message.conversation();
    let auth = message.auth.as_ref().map(|auth| super::output::one_line(&auth.to_string()));
    let values = [
        ("exo-response-to", Some(message.id.as_str())),
        ("exo-activity-id", Some(conversation.as_str())),
        ("exo-auth", auth.as_deref()),
        ("traceparent", message.trace.as_ref().map(|trace| trace.as_str())),
        ("idempotency-key", Some(key.as_str())),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, text) in values {
        if let Some(value) = text.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}
