//! Keeps calls in flight, or sends at a fixed rate.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::record::{Figures, Recorder};

use crate::cells::{Cell, Shape};
use crate::error::Error;

/// A call that is not answered by then has failed.
pub const CALL_WAIT: Duration = Duration::from_secs(10);
/// The pause after a failed call, so that a dead contender is not hammered.
const FAILED_PAUSE: Duration = Duration::from_millis(20);
/// Time between preparing a fixed-rate run and its first send.
const LEAD: Duration = Duration::from_millis(5);

/// One slot in flight: makes one call at a time.
pub trait Call: Send + 'static {
    /// Makes one call and checks its answer. The error says what was wrong, for people.
    fn call(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Returns true if there is nothing left to call; the phase then ends early.
    fn is_done(&self) -> bool {
        false
    }
}

/// Warm-up and measured time of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Phases {
    /// Not part of the figures, but its errors are.
    pub warm_up: Duration,
    /// Part of the figures.
    pub measured: Duration,
}

/// Figures of one measured phase, and what `read` returned right before and right after it.
pub struct Measured<R> {
    /// Outcome of the calls.
    pub figures: Figures,
    /// Read before the first measured call.
    pub before: R,
    /// Read after the last measured call.
    pub after: R,
}

/// Runs `cell` on `callers`, one for every call in flight: the warm-up first, then the measured phase.
/// Failed calls are counted, never returned as an error; an error comes from `read` alone.
pub async fn run<C: Call, R>(
    callers: Vec<C>,
    cell: &Cell,
    phases: Phases,
    read: impl Fn() -> Result<R, Error>,
) -> Result<Measured<R>, Error> {
    let warm_up = Arc::new(Recorder::default());
    let callers = phase(callers, cell.shape, phases.warm_up, &warm_up).await;
    let measured = Arc::new(Recorder::default());
    let before = read()?;
    let begun = Instant::now();
    phase(callers, cell.shape, phases.measured, &measured).await;
    let elapsed = begun.elapsed();
    let after = read()?;
    let figures = measured.figures(elapsed).with_errors_of(&warm_up);
    Ok(Measured { figures, before, after })
}

async fn phase<C: Call>(callers: Vec<C>, shape: Shape, length: Duration, recorder: &Arc<Recorder>) -> Vec<C> {
    match shape {
        Shape::Closed { .. } => closed_loop(callers, length, recorder).await,
        Shape::Rate { per_second, .. } => open_loop(callers, per_second, length, recorder).await,
    }
}

/// Every caller sends its next call when its last one is answered, until `length` has passed
/// or nothing is left to call.
async fn closed_loop<C: Call>(callers: Vec<C>, length: Duration, recorder: &Arc<Recorder>) -> Vec<C> {
    let end = Instant::now() + length;
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let recorder = Arc::clone(recorder);
        tasks.spawn(async move {
            while Instant::now() < end && !caller.is_done() {
                one_call(&mut caller, Instant::now(), &recorder).await;
            }
            caller
        });
    }
    tasks.join_all().await
}

/// Sends `per_second` calls a second for `length`, whether or not earlier ones are answered. A call's latency counts
/// from the moment it should have been sent, so waiting for a free caller, or for a late pacer, is part of it.
/// Sends that are still not due a caller after twice the time and 10 s more are given up, and counted as errors.
async fn open_loop<C: Call>(callers: Vec<C>, per_second: u32, length: Duration, recorder: &Arc<Recorder>) -> Vec<C> {
    let interval = Duration::from_secs(1) / per_second;
    let total = (length.as_nanos() / interval.as_nanos()) as u64;
    let due = Arc::new(Semaphore::new(0));
    let sent = Arc::new(AtomicU64::new(0));
    let start = Instant::now() + LEAD;
    let give_up = start + length * 2 + CALL_WAIT;
    let pacer = spawn_pacer(Pace { start, interval, total, callers: callers.len() }, Arc::clone(&due));
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let (due, sent, recorder) = (Arc::clone(&due), Arc::clone(&sent), Arc::clone(recorder));
        tasks.spawn(async move {
            while let Ok(permit) = due.acquire().await {
                permit.forget();
                let index = sent.fetch_add(1, Ordering::Relaxed);
                if index >= total {
                    break;
                }
                if Instant::now() > give_up {
                    recorder.failure("not sent: the contender is far behind the rate".to_owned());
                    continue;
                }
                let intended = start + Duration::from_nanos(interval.as_nanos() as u64 * index);
                one_call(&mut caller, intended, &recorder).await;
            }
            caller
        });
    }
    let callers = tasks.join_all().await;
    if pacer.is_none_or(|pacer| pacer.join().is_err()) {
        recorder.failure("the pacer thread failed".to_owned());
    }
    callers
}

struct Pace {
    start: Instant,
    interval: Duration,
    total: u64,
    callers: usize,
}

/// The pacer is a thread of its own because the runtime's timers are no finer than a millisecond. It ends by itself,
/// after `total` sends.
fn spawn_pacer(pace: Pace, due: Arc<Semaphore>) -> Option<thread::JoinHandle<()>> {
    let release = Arc::clone(&due);
    let pacer = thread::Builder::new().name("pacer".to_owned()).spawn(move || {
        for index in 0..pace.total {
            let at = pace.start + Duration::from_nanos(pace.interval.as_nanos() as u64 * index);
            let wait = at.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::sleep(wait);
            }
            due.add_permits(1);
        }
        // One more for every caller: this is how each learns that there is nothing left.
        due.add_permits(pace.callers);
    });
    if pacer.is_err() {
        release.close();
    }
    pacer.ok()
}

async fn one_call<C: Call>(caller: &mut C, since: Instant, recorder: &Recorder) {
    let error = match tokio::time::timeout(CALL_WAIT, caller.call()).await {
        Ok(Ok(())) => return recorder.success(since.elapsed()),
        Ok(Err(error)) => error,
        Err(_) => format!("no answer within {} s", CALL_WAIT.as_secs()),
    };
    recorder.failure(error);
    tokio::time::sleep(FAILED_PAUSE).await;
}
