//! Couriers: one task per instance that delivers its messages, reports the outcomes and waits before it retries.

mod calls;
mod pace;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::runtime;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::engine::Engine;
use super::handle::InstanceHandle;
use super::rules::{Attempt, Batch, InstanceKey, Lanes, Outcome, Work};
use crate::http::{Backoff, Client};
use crate::message::MessageId;
use calls::{Delivered, Manner, hand_over, is_answer, post_batch, post_single, retry_after};
use pace::Pace;

/// Runs the couriers and the broker's other tasks, on the runtime it was created in.
pub(crate) struct CourierPool {
    engine: Arc<Engine>,
    client: Client,
    tasks: TaskTracker,
    runtime: runtime::Handle,
}

impl CourierPool {
    /// Panics outside of a tokio runtime.
    pub(crate) fn new(engine: Arc<Engine>, client: Client) -> Self {
        Self { engine, client, tasks: TaskTracker::new(), runtime: runtime::Handle::current() }
    }

    /// Starts the courier of an instance.
    pub(crate) fn start(&self, key: InstanceKey, handle: InstanceHandle) {
        let (engine, client) = (Arc::clone(&self.engine), self.client.clone());
        let backoff = Backoff::new(engine.config().retry_wait_max());
        self.spawn(Courier { engine, client, key, handle, backoff, head: None, trouble: None }.run());
    }

    /// Runs a task that ends when the broker stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Waits until all tasks have ended. Stop the engine first.
    pub(crate) async fn join(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Delivers the messages of one instance.
struct Courier {
    engine: Arc<Engine>,
    client: Client,
    key: InstanceKey,
    handle: InstanceHandle,
    backoff: Backoff,
    /// The first message of the last attempt.
    head: Option<MessageId>,
    /// The reason why the instance could not be reached, as it was logged last.
    trouble: Option<String>,
}

/// The end of a single delivery.
struct Landed {
    sequence: u64,
    message: Option<MessageId>,
    delivered: Delivered,
}

/// The broker stops.
struct Stopped;

impl Courier {
    /// Runs until the instance has left or the broker stops. Not cancel-safe: a dropped delivery may have arrived.
    async fn run(mut self) {
        let mut next = self.next_batch().await;
        while let Ok(Some(batch)) = next {
            next = match batch.single {
                Some(_) => self.deliver_side_by_side(batch).await,
                None => match self.deliver_batch(batch).await {
                    Ok(()) => self.next_batch().await,
                    Err(Stopped) => return,
                },
            };
        }
    }

    /// Waits for the next batch; `None` when the instance has left.
    async fn next_batch(&self) -> Result<Option<Batch>, Stopped> {
        loop {
            let asked = tokio::select! {
                asked = self.await_answers() => asked,
                () = self.engine.stop().cancelled() => return Err(Stopped),
            };
            if let Some(delay) = asked {
                self.pause(delay).await?;
                // Others may have started deliveries meanwhile.
                continue;
            }
            match self.engine.take(self.key, Lanes::All) {
                Work::Gone => return Ok(None),
                Work::Batch(batch) => return Ok(Some(batch)),
                Work::Nothing => tokio::select! {
                    () = self.handle.woken() => {}
                    () = self.engine.stop().cancelled() => return Err(Stopped),
                },
            }
        }
    }

    /// Waits for the answers to deliveries that publishers started. Returns the wait that the inbox asks for.
    async fn await_answers(&self) -> Option<Duration> {
        let mut asked = None;
        while let Some((sequence, answer)) = self.handle.next_unanswered() {
            let delivery = answer.await;
            asked = asked.max(retry_after(&delivery));
            self.engine.complete_deferred(self.key, sequence, delivery);
        }
        asked
    }

    /// Makes one delivery, and waits if the next attempt must wait.
    async fn deliver_batch(&mut self, batch: Batch) -> Result<(), Stopped> {
        let first = batch.messages.first().map(|message| message.id.clone());
        let delivery = async {
            match (&batch.address, self.handle.inbox()) {
                (Some(address), _) => post_batch(&self.client, address, &batch.messages).await,
                (None, Some(inbox)) => hand_over(inbox, batch.messages).await,
                (None, None) => (Attempt::Unreachable { cause: "the service has no inbox".into() }, None),
            }
        };
        let delivered = tokio::select! {
            delivered = delivery => delivered,
            () = self.engine.stop().cancelled() => return Err(Stopped),
        };
        let wait = self.wait_after(first, &delivered);
        self.engine.record_outcome(self.key, delivered.0);
        match wait {
            Some(delay) => self.pause(delay).await,
            None => Ok(()),
        }
    }

    /// Delivers messages one by one, the next ones while the last ones are still unanswered, until the instance has left or
    /// takes batches.
    async fn deliver_side_by_side(&mut self, batch: Batch) -> Result<Option<Batch>, Stopped> {
        let mut pace = Pace::new(self.engine.config().delivery_overlap());
        let mut flights = FuturesUnordered::new();
        let mut next = Some(batch);
        loop {
            if let Some(batch) = next.take() {
                let Some(sequence) = batch.single else { return Ok(Some(batch)) };
                pace.begin(sequence, Instant::now());
                flights.push(self.begin(sequence, batch));
            }
            tokio::select! {
                Some(landed) = flights.next() => self.land(landed, &mut pace),
                taken = self.take_in_time(&pace) => match taken {
                    Some(batch) => next = Some(batch),
                    None => return Ok(None),
                },
                () = self.engine.stop().cancelled() => return Err(Stopped),
            }
        }
    }

    /// Begins a single delivery.
    fn begin(&self, sequence: u64, batch: Batch) -> BoxFuture<'static, Landed> {
        let client = self.client.clone();
        let manner = if self.engine.config().compat { Manner::Original } else { Manner::Current };
        let delivery = async move {
            let message = batch.messages.first();
            let delivered = match (&batch.address, message) {
                (Some(address), Some(message)) => post_single(&client, address, message, manner).await,
                (None, _) | (_, None) => (Attempt::Answered(Vec::new()), None),
            };
            Landed { sequence, message: message.map(|message| message.id.clone()), delivered }
        };
        delivery.boxed()
    }

    /// Records the outcome of a single delivery. Failures of deliveries that ran side by side count as one.
    fn land(&mut self, Landed { sequence, message, delivered }: Landed, pace: &mut Pace) {
        let wait = match pace.is_paused() && must_wait(&delivered.0) {
            true => Some(Duration::ZERO),
            false => self.wait_after(message, &delivered),
        };
        self.engine.record_single((self.key, sequence), delivered.0);
        pace.end(sequence, wait, Instant::now());
    }

    /// Takes the next message as soon as its delivery may begin; earlier than after a pause if the courier is woken.
    /// Returns `None` when the instance has left. Cancel-safe.
    async fn take_in_time(&self, pace: &Pace) -> Option<Batch> {
        match pace.next_at() {
            None => pending().await,
            Some(at) if at > Instant::now() => tokio::select! {
                () = sleep_until(at) => {}
                () = self.handle.woken(), if pace.is_paused() => {}
            },
            Some(_) => {}
        }
        loop {
            match self.engine.take(self.key, Lanes::All) {
                Work::Gone => return None,
                Work::Batch(batch) => return Some(batch),
                Work::Nothing => self.handle.woken().await,
            }
        }
    }

    /// Returns the wait before the next attempt, if it must wait. The wait grows while the receiver is unreachable, or
    /// answers but refuses the same message.
    fn wait_after(&mut self, first: Option<MessageId>, (attempt, asked): &Delivered) -> Option<Duration> {
        self.report(attempt);
        let must_wait = must_wait(attempt);
        if !must_wait || (first != self.head && !matches!(attempt, Attempt::Unreachable { .. })) {
            self.backoff.reset();
        }
        self.head = first;
        must_wait.then(|| {
            self.engine.metrics().retried.inc();
            self.backoff.next().max(asked.unwrap_or_default()).min(self.engine.config().delivery_window())
        })
    }

    /// Reports that the instance cannot be reached, once for each reason, and that it can be again. One that answers that it
    /// has no time is reached.
    fn report(&mut self, attempt: &Attempt) {
        let cause = match attempt {
            Attempt::Unreachable { cause } if !is_answer(cause) => Some(cause),
            Attempt::Unreachable { .. } | Attempt::Answered(_) | Attempt::TooLarge { .. } => None,
        };
        if self.trouble.as_ref() == cause {
            return;
        }
        let names = self.engine.exchange().registry().get(self.key).map(|known| (known.role.clone(), known.id.clone()));
        if let Some((role, instance)) = names {
            match cause {
                Some(cause) => tracing::warn!(%role, ?instance, cause, "a service cannot be reached, retrying"),
                None => tracing::info!(%role, ?instance, "a service can be reached again"),
            }
        }
        self.trouble = cause.cloned();
    }

    /// Waits before the next attempt; less if the courier is woken.
    async fn pause(&self, delay: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(delay.min(self.engine.config().delivery_window())) => Ok(()),
            () = self.handle.woken() => Ok(()),
            () = self.engine.stop().cancelled() => Err(Stopped),
        }
    }
}

/// Returns true if the next attempt must wait.
fn must_wait(attempt: &Attempt) -> bool {
    match attempt {
        Attempt::Answered(outcomes) => outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry(_))),
        Attempt::TooLarge { .. } => false,
        Attempt::Unreachable { .. } => true,
    }
}
