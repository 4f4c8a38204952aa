//! Subscribers that wait for appends as server-sent events, and how long each append took to reach them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::calls::Line;
use super::client::{Connection, Head, excerpt, request};
use super::loads::{Content, RECORD_BYTES};
use crate::error::Error;
use crate::load::{Measured, Phases, Recorder};

/// Between two appends.
const PACE: Duration = Duration::from_millis(10);
/// Factor on the duration of other loads: there are few appends, and the slowest of seventy is not a percentile.
pub const TIMES_MEASURED: u32 = 4;
/// An append that has not come by then is lost.
const ARRIVAL_WAIT: Duration = Duration::from_secs(10);
/// Records are text without line breaks, so that each is one piece of one line.
const RECORD: Content = Content::Binary;

/// Times at which appends were sent, and the record of their latencies.
struct Log {
    begun: Instant,
    sent_ns: Vec<AtomicU64>,
    /// Number of appends that are warm-up.
    warm_up: usize,
    recorders: [Arc<Recorder>; 2],
    /// A permit for each subscriber that is there, then for each that has everything.
    arrived: Semaphore,
}

/// A follower of one stream.
pub struct Subscriber {
    connection: Connection,
    head: Head,
    unread: Vec<u8>,
}

/// Appends to a new stream at `path` at a steady rate while `subscribers` wait for it. Deliveries are the calls.
pub async fn run<R>(
    address: SocketAddr,
    path: &str,
    subscribers: usize,
    phases: Phases,
    read: impl Fn() -> Result<R, Error>,
) -> Result<Measured<R>, Error> {
    let prepare = |why| Error::Prepare { what: "events".to_owned(), why };
    let put = request("PUT", path, Some("text/plain"), b"");
    Line::to(address).exchange(&put, 201).await.map_err(prepare)?;
    let records = |length: Duration| usize::try_from(length.as_nanos() / PACE.as_nanos()).unwrap_or(usize::MAX).max(1);
    let warm_up = records(phases.warm_up);
    let total = warm_up + records(phases.measured * TIMES_MEASURED);
    let log = Arc::new(Log {
        begun: Instant::now(),
        sent_ns: std::iter::repeat_with(AtomicU64::default).take(total).collect(),
        warm_up,
        recorders: std::array::from_fn(|_| Arc::default()),
        arrived: Semaphore::new(0),
    });
    let mut following = JoinSet::new();
    for _ in 0..subscribers {
        let subscriber = Subscriber::open(address, path).await.map_err(prepare)?;
        following.spawn(follow(subscriber, Arc::clone(&log)));
    }
    let mut line = Line::to(address);
    append(&mut line, path, &log, 0..warm_up).await;
    let (before, begun) = (read()?, Instant::now());
    append(&mut line, path, &log, warm_up..total).await;
    let elapsed = begun.elapsed();
    if timeout(ARRIVAL_WAIT, log.arrived.acquire_many(u32::try_from(subscribers).unwrap_or(u32::MAX))).await.is_err() {
        log.recorders[1].failure(format!("an append did not arrive within {} s", ARRIVAL_WAIT.as_secs()));
    }
    let after = read()?;
    following.shutdown().await;
    let figures = log.recorders[1].figures(elapsed).with_errors_of(&log.recorders[0]);
    Ok(Measured { figures, before, after })
}

async fn append(line: &mut Line, path: &str, log: &Log, numbers: std::ops::Range<usize>) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in numbers {
        pace.tick().await;
        let append = request("POST", path, Some("text/plain"), &RECORD.record(number as u64));
        log.sent_ns[number].store(log.now_ns(), Ordering::Relaxed);
        if let Err(error) = line.exchange(&append, 204).await {
            log.recorder(number).failure(error);
        }
    }
}

async fn follow(mut subscriber: Subscriber, log: Arc<Log>) {
    let mut expected = 0;
    while expected < log.sent_ns.len() {
        let records = match subscriber.next().await {
            Ok(records) => records,
            Err(error) => return log.recorder(expected).failure(format!("event {expected}: {error}")),
        };
        for record in records.chunks(RECORD_BYTES) {
            if RECORD.number(record) != Some(expected as u64) {
                return log.recorder(expected).failure(format!("event {expected} is {}", excerpt(record)));
            }
            let took_ns = log.now_ns() - log.sent_ns[expected].load(Ordering::Relaxed);
            log.recorder(expected).success(Duration::from_nanos(took_ns));
            expected += 1;
            if expected == log.sent_ns.len() {
                break;
            }
        }
    }
    log.arrived.add_permits(1);
    // Stays connected, so that the others are not disturbed by its leaving.
    std::future::pending::<()>().await;
}

impl Log {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn recorder(&self, number: usize) -> &Recorder {
        &self.recorders[usize::from(number >= self.warm_up)]
    }
}

impl Subscriber {
    /// Follows the stream at `path` from its start; the first event has come when this returns, so the stream must be
    /// empty. The error is for people.
    pub async fn open(address: SocketAddr, path: &str) -> Result<Self, String> {
        let mut connection = Connection::open(address).await?;
        let head = connection.begin(&request("GET", &format!("{path}?offset=-1&live=sse"), None, b"")).await?;
        if head.status != 200 {
            return Err(format!("a subscriber was answered with status {}", head.status));
        }
        let mut subscriber = Self { connection, head, unread: Vec::new() };
        subscriber.event().await?;
        Ok(subscriber)
    }

    /// The content of the next event that has some.
    pub async fn next(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let event = self.event().await?;
            if let Some(data) = event.strip_prefix(b"event: data\n") {
                // One line of data, and the id of the event if the server gives one.
                let line = data.split(|byte| *byte == b'\n').next().unwrap_or(data);
                return Ok(line.strip_prefix(b"data:").unwrap_or(line).to_vec());
            }
        }
    }

    async fn event(&mut self) -> Result<Vec<u8>, String> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.unread[searched..].windows(2).position(|pair| pair == b"\n\n") {
                let event = self.unread[..searched + at].to_vec();
                self.unread.drain(..searched + at + 2);
                return Ok(event);
            }
            searched = self.unread.len().saturating_sub(1);
            if !self.connection.part(&self.head, &mut self.unread).await? {
                return Err("the events ended".to_owned());
            }
        }
    }
}
