//! A server process from its start to its end: its parts, and how they drain and close within one deadline.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Error;
use super::child::Supervised;
use super::drain_request::DrainRequest;
use super::edge::Edge;
use super::notify::{State, notify};
use super::signals::Signals;
use super::tls::Certificates;
use crate::broker::Broker;
use crate::http::Serving;
use crate::message::MessageName;
use crate::relay::Relay;
use crate::time::deadline_in;

/// Part of the grace time that each part of a process leaves to those that end after it; at most a twentieth of it.
const SHARE: Duration = Duration::from_millis(250);

/// Time to close listeners and stores where nothing is left of the grace time.
const END_TIME_MIN: Duration = Duration::from_millis(100);

/// A broker and its listener, if it has one.
pub(super) struct BrokerPart {
    pub(super) broker: Broker,
    pub(super) serving: Option<Serving>,
    /// True if the port closes before what is queued is delivered.
    pub(super) closes_port_first: bool,
}

/// A service that runs beside its sidecar.
pub(super) struct ServicePart {
    pub(super) supervised: Supervised,
    /// The name of its program, for errors.
    pub(super) program: String,
}

/// The reason why a process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Signal(&'static str),
    ServiceEnded,
    /// A call to drain.
    Request,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::Signal(signal) => signal,
            Self::ServiceEnded => "none, the service has ended",
            Self::Request => "none, a call to drain",
        }
    }
}

/// The parts of a running server, all of them optional.
#[derive(Default)]
pub(super) struct Process {
    pub(super) edge: Option<Edge>,
    /// Relays in the order in which they end: those that finish first may need the others.
    pub(super) relays: Vec<Relay>,
    pub(super) broker: Option<BrokerPart>,
    /// The service that runs beside the sidecar.
    pub(super) service: Option<ServicePart>,
    /// The listener for operators.
    pub(super) operations: Option<Serving>,
    /// Messages to the first relay that may stay unread: they only show what the process can do.
    pub(super) unread: Option<MessageName>,
    /// The certificates of the listeners, which are followed for as long as the process lives.
    pub(super) _certificates: Certificates,
    /// Requests to drain from outside of the process.
    pub(super) requests: DrainRequest,
    /// Number of relays that have drained, and what they left.
    pub(super) drained: AtomicUsize,
    pub(super) left: AtomicUsize,
}

/// The times by which the parts of a process have to end: one after the other, and all before `last`.
#[derive(Clone, Copy)]
struct Deadline {
    last: Instant,
    share: Duration,
}

impl Deadline {
    fn of(grace: Duration) -> Self {
        Self { last: deadline_in(grace), share: (grace / 20).min(SHARE) }
    }

    /// Returns the time that leaves a share to each of the `later` parts.
    fn before(self, later: usize) -> Instant {
        let now = Instant::now();
        let reserved = self.share.saturating_mul(u32::try_from(later).unwrap_or(u32::MAX));
        self.last.checked_sub(reserved).map_or(now, |time| time.max(now))
    }
}

fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

impl Process {
    /// Runs until SIGTERM or Ctrl-C, or the service has ended for good, and then ends within `grace`: finishes what is in
    /// progress, hands over the rest, and closes. A second signal ends it at once. Errors: [`Error::Unfinished`], and those of a
    /// service that has ended. Not cancel-safe: a dropped call does not drain.
    pub(super) async fn run(mut self, signals: Signals, grace: Duration) -> Result<(), Error> {
        notify(State::Ready);
        let mut signals = signals;
        let ended = self.service.as_ref().map(|service| service.supervised.ended());
        let ended = async move {
            match ended {
                Some(ended) => ended.await,
                None => std::future::pending().await,
            }
        };
        let (cause, end) = tokio::select! {
            signal = signals.next() => (Cause::Signal(signal), None),
            ended = ended => (Cause::ServiceEnded, Some(ended)),
            () = self.requests.requested() => (Cause::Request, None),
        };
        let program = self.service.as_ref().map(|service| service.program.clone()).unwrap_or_default();
        let stopped = self.stop(&mut signals, grace, cause).await;
        end.map_or(Ok(()), |end| end.into_result(program)).and(stopped)
    }

    /// Drains and ends the process.
    async fn stop(&mut self, signals: &mut Signals, grace: Duration, cause: Cause) -> Result<(), Error> {
        notify(State::Stopping);
        tracing::info!(
            signal = cause.text(),
            "draining: finishing work in progress, accepting nothing new (repeat the signal to stop at once)"
        );
        let deadline = Deadline::of(grace);
        // The first signal after a call to drain is expected.
        let mut is_signalled = cause != Cause::Request;
        {
            let mut draining = pin!(self.drain(deadline));
            loop {
                let repeated = tokio::select! {
                    () = &mut draining => break,
                    signal = signals.next() => signal,
                };
                if std::mem::replace(&mut is_signalled, true) {
                    tracing::warn!(signal = repeated, "stopped before the drain was complete");
                    return self.conclude();
                }
            }
        }
        self.requests.complete(self.unfinished());
        if is_signalled {
            return self.close(signals, deadline).await;
        }
        tracing::info!(unfinished = self.unfinished(), "drained, waiting for SIGTERM");
        signals.next().await;
        self.close(signals, Deadline::of(grace)).await
    }

    /// Ends a process that has drained, within its grace time.
    async fn close(&mut self, signals: &mut Signals, deadline: Deadline) -> Result<(), Error> {
        // An idle process closes also without any grace time.
        let end_by = deadline.last.max(Instant::now() + END_TIME_MIN);
        tokio::select! {
            ended = timeout_at(end_by, self.end(deadline)) => {
                if ended.is_err() {
                    tracing::warn!("the process did not close within the grace time");
                }
            }
            signal = signals.next() => tracing::warn!(signal, "stopped before everything was closed"),
        }
        self.conclude()
    }

    /// Finishes what is in progress, and takes nothing new. The listeners of relays and brokers stay open.
    async fn drain(&self, deadline: Deadline) {
        if let Some(edge) = &self.edge {
            edge.drain();
        }
        if let (Some(name), Some(relay)) = (&self.unread, self.relays.first()) {
            let messages = relay.discard_unread(name);
            tracing::debug!(messages, %name, "unread messages of the tour end with the process");
        }
        for (index, relay) in self.relays.iter().enumerate() {
            // After it come the other relays, the broker, and the end.
            let later = self.relays.len() - index + 1;
            let left = relay.drain_until(deadline.before(later)).await;
            self.left.fetch_add(left, Ordering::AcqRel);
            self.drained.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(BrokerPart { broker, serving, closes_port_first }) = &self.broker {
            if let Some(serving) = serving.as_ref().filter(|_| *closes_port_first) {
                serving.close_port().await;
            }
            broker.drain(left_until(deadline.before(1))).await;
        }
    }

    /// Closes listeners and stores.
    async fn end(&mut self, deadline: Deadline) {
        // First, since it holds the systems of the edge.
        if let Some(operations) = self.operations.take() {
            operations.drain(left_until(deadline.before(1))).await;
        }
        let edge = self.edge.take();
        let edge_end = async {
            if let Some(edge) = edge {
                edge.close_until(deadline.before(1)).await;
            }
        };
        let serving = self.broker.as_mut().and_then(|part| part.serving.take());
        let bus_end = async {
            for relay in &self.relays {
                relay.end(deadline.before(1)).await;
            }
            if let Some(serving) = &serving {
                // Before the connections end: their clients come back at once, and originals do not survive a refusal. exo
                // 3.9, 8.
                serving.close_port().await;
            }
            if let Some(part) = &self.broker {
                part.broker.stop().await;
            }
        };
        let service = self.service.take();
        let service_end = async {
            if let Some(service) = service {
                service.supervised.stop(deadline.before(1)).await;
            }
        };
        tokio::join!(edge_end, bus_end, service_end);
        if let Some(serving) = serving {
            serving.drain(left_until(deadline.before(1))).await;
        }
    }

    /// Number of accepted messages and requests that are not concluded, or were given up at the end.
    fn unfinished(&self) -> usize {
        let running = self.relays.iter().skip(self.drained.load(Ordering::Acquire)).map(Relay::unfinished);
        let broker = self.broker.as_ref().map_or(0, |part| part.broker.unfinished());
        self.left.load(Ordering::Acquire) + running.sum::<usize>() + broker
    }

    fn conclude(&self) -> Result<(), Error> {
        match self.unfinished() {
            0 => {
                tracing::info!("drained, no unfinished messages");
                Ok(())
            }
            messages => Err(Error::Unfinished { messages }),
        }
    }
}

#[cfg(test)]
mod tests;
