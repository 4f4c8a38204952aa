//! Calls under an idempotency key: made once, answered as often as they are repeated.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::requests::{JoinGuard, Reply, ReplyOutcome};
use super::rules::{KeyRefused, Keys, Late};
use crate::memory::{Budget, Reserved};
use crate::message::{ActivityId, Message, MessageId};
use crate::relay::Error;
use crate::sync::lock;

/// Replies that a key keeps. After them the call ends with [`Error::Busy`], as what is kept cannot be taken.
const REPLIES_MAX: usize = 64;

/// Purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// To send a message.
    Send,
    /// To get replies to it.
    Request,
}

/// A call under an idempotency key. Its message has the same id in every attempt, so that receivers recognise a repeated
/// one even if the outcome of the first attempt is unknown. The replies belong to the call, whether a caller waits or not.
pub(super) struct Call {
    pub(super) id: MessageId,
    pub(super) activity_id: ActivityId,
    purpose: Purpose,
    /// The replies of all calls.
    memory: Budget,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Progress {
    /// True once the message is on its way, until that fails.
    started: bool,
    accepted: bool,
    replies: Vec<Message>,
    /// Bytes of these replies.
    reserved: Vec<Reserved>,
    failure: Option<Error>,
}

impl Call {
    /// Starts an attempt. Returns false if the message is on its way already, or has been handled: the receiver ignores it
    /// under the same id, whether it has replied or failed.
    pub(super) fn start(&self) -> bool {
        let start = |progress: &mut Progress| {
            let is_final = matches!(progress.failure, Some(Error::Failed { .. }));
            let starts = !progress.started && !is_final && progress.replies.is_empty();
            if starts {
                *progress = Progress { started: true, ..Progress::default() };
            }
            starts
        };
        let mut starts = false;
        self.progress.send_if_modified(|progress| {
            starts = start(progress);
            starts
        });
        starts
    }

    /// Records that the message is accepted, or why it is not.
    pub(super) fn accept(&self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) => self.progress.send_modify(|progress| progress.accepted = true),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&self, error: Error) {
        let payload_bytes = match &error {
            Error::Failed { payload: Some(payload), .. } => payload.as_bytes().len(),
            _ => 0,
        };
        let reserved = self.memory.reserve(payload_bytes);
        let error = match (error, &reserved) {
            // What the service returned does not fit; that it failed does.
            (Error::Failed { name, role, reason, payload: Some(_) }, None) => {
                Error::Failed { name, role, reason, payload: None }
            }
            (error, _) => error,
        };
        self.progress.send_modify(|progress| {
            progress.started = false;
            progress.failure = Some(error);
            progress.reserved.extend(reserved);
        });
    }

    fn complete(&self, reply: &Message) -> ReplyOutcome {
        let mut outcome = ReplyOutcome::Accepted;
        self.progress.send_modify(|progress| {
            let (what, places) = if progress.replies.len() < REPLIES_MAX {
                if let Some(reserved) = self.memory.reserve(reply.memory_bytes()) {
                    progress.replies.push(reply.clone());
                    progress.reserved.push(reserved);
                    return;
                }
                ("the memory for replies under idempotency keys (relay.idempotency_bytes_max)", self.memory.bytes_max())
            } else {
                ("the list of replies under one idempotency key", REPLIES_MAX)
            };
            outcome = ReplyOutcome::Late(Late::Again);
            let retry_after = Duration::from_secs(1);
            progress.failure.get_or_insert(Error::Busy { what, places, retry_after });
        });
        outcome
    }

    /// Waits until the message is accepted. Cancel-safe.
    pub(super) async fn accepted(&self) -> Result<(), Error> {
        wait(&mut self.progress.subscribe(), |progress| match &progress.failure {
            _ if progress.accepted || !progress.replies.is_empty() => Some(Ok(())),
            failure => failure.clone().map(Err),
        })
        .await
    }
}

/// A caller that reads the replies of a call, each of them, from the first one on.
pub(super) struct Joined {
    call: Arc<Call>,
    progress: watch::Receiver<Progress>,
    next: usize,
    _guard: JoinGuard,
}

impl Joined {
    pub(super) fn new(call: Arc<Call>, guard: JoinGuard) -> Self {
        Self { progress: call.progress.subscribe(), call, next: 0, _guard: guard }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// Returns the next reply, or the reason why there will be none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Reply {
        let next = self.next;
        let reply = wait(&mut self.progress, |progress| match progress.replies.get(next) {
            Some(reply) => Some(Ok(reply.clone())),
            None => progress.failure.clone().map(Err),
        })
        .await?;
        self.next += 1;
        Ok(reply)
    }
}

/// Waits until `ready` returns a result. Cancel-safe.
async fn wait<T>(
    progress: &mut watch::Receiver<Progress>,
    ready: impl Fn(&Progress) -> Option<Result<T, Error>>,
) -> Result<T, Error> {
    loop {
        if let Some(result) = ready(&progress.borrow_and_update()) {
            return result;
        }
        if progress.changed().await.is_err() {
            return Err(Error::Closed);
        }
    }
}

/// Recent calls by their key and by the id of their message.
pub(super) struct Calls {
    keys: Mutex<Keys<Arc<Call>>>,
    keys_max: usize,
    /// The replies of all calls.
    memory: Budget,
}

impl Calls {
    /// Creates the table of calls, whose replies are part of `memory`.
    pub(super) fn new(keys_max: usize, window: Duration, memory: Budget) -> Self {
        Self { keys: Mutex::new(Keys::new(keys_max, window)), keys_max, memory }
    }

    /// Returns the call under `key` and the end of its window: an earlier call with this fingerprint, or a new one for
    /// `message`. The window lasts until `until` at least. Errors: [`Error::IdempotencyMismatch`], [`Error::Busy`].
    pub(super) fn enter(
        &self,
        key: &str,
        (fingerprint, purpose): (u64, Purpose),
        message: &Message,
        until: Instant,
        now: Instant,
    ) -> Result<(Arc<Call>, Instant), Error> {
        let call = Arc::new(Call {
            id: message.id.clone(),
            activity_id: message.conversation(),
            purpose,
            memory: self.memory.clone(),
            progress: watch::Sender::default(),
        });
        let entered = lock(&self.keys).enter(key, fingerprint, (message.id.clone(), call), until, now);
        entered.map_err(|refused| match refused {
            KeyRefused::Mismatch => Error::IdempotencyMismatch { key: key.to_owned() },
            KeyRefused::Full(retry_after) => {
                Error::Busy { what: "the table of idempotency keys", places: self.keys_max, retry_after }
            }
        })
    }

    /// Records that a message is accepted, or why it is not, if it belongs to a call.
    pub(super) fn accept(&self, id: &MessageId, outcome: &Result<(), Error>) {
        if let Some(call) = self.of_message(id) {
            call.accept(outcome.clone());
        }
    }

    /// Gives a call the reply to its request.
    pub(super) fn complete(&self, request: &MessageId, reply: &Message) -> ReplyOutcome {
        match self.of_request(request) {
            Some(call) => call.complete(reply),
            None => ReplyOutcome::Unknown,
        }
    }

    /// Ends the attempt of a call that is a request. Returns false if the message is not a request of a call.
    pub(super) fn fail(&self, request: &MessageId, error: Error) -> bool {
        let call = self.of_request(request);
        call.map(|call| call.fail(error)).is_some()
    }

    /// Ends the attempts of all calls that are requests.
    pub(super) fn fail_all(&self, error: &Error) {
        let calls: Vec<_> = lock(&self.keys).calls().cloned().collect();
        for call in calls.into_iter().filter(|call| call.purpose == Purpose::Request) {
            call.fail(error.clone());
        }
    }

    /// Returns true if a call gets the replies to this message.
    pub(super) fn contains(&self, request: &MessageId) -> bool {
        self.of_request(request).is_some()
    }

    fn of_request(&self, id: &MessageId) -> Option<Arc<Call>> {
        self.of_message(id).filter(|call| call.purpose == Purpose::Request)
    }

    fn of_message(&self, id: &MessageId) -> Option<Arc<Call>> {
        lock(&self.keys).of_message(id).cloned()
    }
}
