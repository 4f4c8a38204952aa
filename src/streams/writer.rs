//! The one place where streams are changed: decisions of the rules, committed in groups, published, then answered.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::config::Config;
use super::error::Error;
use super::lifecycle::Announcer;
use super::publisher::Publisher;
use super::read_view::ReadView;
use super::rules::{Change, Ledger, Refusal};
use super::single_writer::SingleWriter;
use super::subscriptions::Observer;
use crate::http::WorkerHandle;
use crate::store::{CommitOn, Committer, CommitterConfig, Pace, Reservation, Store, Submission};
use crate::sync::lock;

/// Decides changes of the [`Ledger`], and commits them.
pub(super) struct Writer {
    committer: Committer<Publisher>,
    observer: Arc<Observer>,
    pub(super) clock: Clock,
    single_writer: Mutex<SingleWriter>,
    /// The time that the sweeper waits for.
    sweep_planned_ms: AtomicU64,
    /// Notified when there is something to sweep before that time.
    pub(super) sweep_earlier: Notify,
}

/// The context of a decision.
#[derive(Default)]
pub(super) struct Origin<'a> {
    /// Space for the content.
    pub(super) reservation: Option<Reservation>,
    /// The worker thread that the decision is made on, if it can make the commit, too.
    pub(super) worker: Option<&'a WorkerHandle>,
}

impl Writer {
    /// Starts with the state that was recovered from `store`. Errors: the system refuses a thread.
    pub(super) fn start(
        store: Arc<dyn Store>,
        ledger: Ledger,
        view: ReadView,
        observer: Arc<Observer>,
        (clock, config): (Clock, &Config),
    ) -> io::Result<Arc<Self>> {
        let publisher = Publisher::new(view, config.lifecycle_events_max);
        let settings = CommitterConfig { thread_name: "streams-writer", waiting_bytes_max: config.waiting_bytes_max };
        Ok(Arc::new(Self {
            committer: Committer::start(store, publisher, ledger, &settings)?,
            observer,
            clock,
            single_writer: Mutex::default(),
            sweep_planned_ms: AtomicU64::new(u64::MAX),
            sweep_earlier: Notify::new(),
        }))
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.committer.store()
    }

    pub(super) fn view(&self) -> &ReadView {
        self.committer.machine().view()
    }

    pub(super) fn lifecycle(&self) -> &Announcer {
        self.committer.machine().lifecycle()
    }

    /// Reads the ledger, or changes what need not be written. It may be ahead of the store.
    pub(super) fn with_ledger<A>(&self, look: impl FnOnce(&mut Ledger, u64) -> A) -> A {
        self.committer.with_state(|ledger| look(ledger, self.clock.now_ms()))
    }

    /// The reason why nothing is accepted any more, if a commit has failed.
    pub(super) fn failure(&self) -> Option<String> {
        self.committer.failure().map(|failure| failure.to_string())
    }

    /// Is cancelled when the writer's thread has ended.
    pub(super) fn ended(&self) -> CancellationToken {
        self.committer.ended()
    }

    /// Reserves space for content. Errors: [`Error::NoRoom`].
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, Error> {
        Ok(self.committer.reserve(bytes)?)
    }

    /// Submits a decision that needs no space worth mentioning, as [`Writer::submit_from`] does.
    pub(super) async fn submit<A>(
        &self,
        decide: impl FnOnce(&mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        self.submit_from(Origin::default(), decide).await
    }

    /// Decides, and returns when everything that the answer rests on is durable and published.
    ///
    /// Errors: [`Error::Refused`], [`Error::Busy`], [`Error::StoreFailed`]. Not cancel-safe: a dropped call may still
    /// be written.
    pub(super) async fn submit_from<A>(
        &self,
        origin: Origin<'_>,
        decide: impl FnOnce(&mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        let commit_on = self.choose_thread(origin.worker).await;
        let submission = Submission { reservation: origin.reservation, commit_on };
        let answer = self.committer.submit(submission, |ledger, changes| {
            let answer = decide(ledger, self.clock.now_ms(), changes);
            self.observer.observe(ledger, changes);
            self.wake_sweeper(ledger);
            answer
        });
        Ok(answer.await??)
    }

    async fn choose_thread(&self, worker: Option<&WorkerHandle>) -> CommitOn {
        if self.store().pace() == Pace::Immediate {
            return CommitOn::Thread;
        }
        let streak = || worker.and_then(WorkerHandle::streak);
        if lock(&self.single_writer).expects(streak()) {
            // Lets the worker accept requests that have arrived, before a commit may keep it waiting.
            tokio::task::yield_now().await;
        }
        if lock(&self.single_writer).count(streak()) { CommitOn::Caller } else { CommitOn::Thread }
    }

    /// Returns when the sweeper has work next, and remembers that it waits for that.
    pub(super) fn plan_sweep(&self) -> Option<u64> {
        let next = self.committer.with_state(|ledger| ledger.next_sweep_ms());
        self.sweep_planned_ms.store(next.unwrap_or(u64::MAX), Ordering::Release);
        next
    }

    fn wake_sweeper(&self, ledger: &Ledger) {
        if ledger.next_sweep_ms().is_some_and(|at_ms| at_ms < self.sweep_planned_ms.load(Ordering::Acquire)) {
            self.sweep_earlier.notify_one();
        }
    }
}
