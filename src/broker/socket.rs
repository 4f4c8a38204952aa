//! A service at the other end of a WebSocket. exo 3.
//!
//! One task per socket reads and writes: a receiver that does not read is never waited for by anybody but itself, and
//! is dropped when it has not read for too long. What was not written goes to another instance of its role, or waits
//! for the role.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as RawFrame};
use uuid::Uuid;

use super::engine::Engine;
use super::member::Member;
use super::rules::{Attempt, Batch, Note, Outcome, Timing, Work};
use super::service::Broker;
use super::wire::{Frame, Hello, Stamp, delivery_frame};
use crate::http::{Accepted, Reading, Socket, Traffic};
use crate::message::{Delivery, MessageId};
use ending::{Ended, broke, refused};
use intake::{Intake, STALL_RETRY};

mod ending;
mod intake;

/// How long a receiver that has no room is left alone.
const BUSY_REST: Duration = Duration::from_millis(100);

/// How much of a frame that cannot be understood is repeated.
const RAW_BYTES_MAX: usize = 1_024;

/// Frames shorter than that are copied out of the buffer they were read into.
const SHORT_FRAME_BYTES: usize = 4 * 1024;

/// Whether both ends answer each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// As between our own relays and broker.
    Each,
    /// As among originals.
    None,
}

/// A delivery on its way.
struct Out {
    count: usize,
    outcomes: Vec<Outcome>,
    deadline: Instant,
}

/// One connection and whoever is behind it.
pub(crate) struct Connection {
    member: Member,
    acks: Acks,
    socket: Socket<Accepted>,
    out: Option<Out>,
    intake: Intake,
    /// Until when nothing is delivered, since the other end has no room.
    rest: Option<Instant>,
    last_read: Instant,
    wake: Arc<Notify>,
    engine: Arc<Engine>,
}

impl Connection {
    pub(crate) fn new(broker: Broker, stream: WebSocketStream<Accepted>, acks: Acks) -> Self {
        let (engine, wake) = (Arc::clone(broker.engine()), Arc::new(Notify::new()));
        Self {
            member: Member::new(broker, acks, Arc::clone(&wake)),
            acks,
            socket: Socket::new(stream),
            out: None,
            intake: Intake::new(acks, engine.config().delivery_timeout()),
            rest: None,
            last_read: Instant::now(),
            wake,
            engine,
        }
    }

    /// Serves the socket until it ends, or the broker does; then there is nothing more to do with it.
    pub(crate) async fn serve(&mut self) {
        let ended = self.run().await;
        self.end(ended).await;
    }

    async fn run(&mut self) -> Ended {
        let (stop, wake) = (self.engine.stop().clone(), Arc::clone(&self.wake));
        let beat = self.engine.config().heartbeat();
        let mut heart = Box::pin(sleep_until(Instant::now() + beat));
        loop {
            let reading = self.reading();
            let step = tokio::select! {
                traffic = self.socket.exchange(reading) => self.handle(traffic),
                () = wake.notified() => self.woken(),
                () = tokio::time::sleep(STALL_RETRY), if self.intake.is_stalled() => {
                    self.retry();
                    Ok(())
                }
                () = sleep_until(self.rest.unwrap_or(self.last_read)), if self.rest.is_some() => {
                    self.rest = None;
                    Ok(())
                }
                () = heart.as_mut() => self.beat(heart.as_mut(), beat),
                () = stop.cancelled() => return Ended::Stopped,
            };
            if let Err(ended) = step.and_then(|()| self.take_work()) {
                return ended;
            }
        }
    }

    /// What would come behind a message that waits for room is not read.
    fn reading(&self) -> Reading {
        match self.intake.is_stalled() {
            true => Reading::Off,
            false => Reading::On,
        }
    }

    /// Handles what happens at the socket: a frame together with those behind it that have come already.
    fn handle(&mut self, traffic: Result<Traffic, SocketError>) -> Result<(), Ended> {
        let mut traffic = traffic.map_err(broke)?;
        while let Traffic::Frame(frame) = traffic {
            self.read(frame)?;
            let Some(next) = self.socket.exchange(self.reading()).now_or_never() else { return Ok(()) };
            traffic = next.map_err(broke)?;
        }
        match traffic {
            Traffic::Flushed => self.written(),
            Traffic::Pause | Traffic::Frame(_) => self.answer(),
        }
        Ok(())
    }

    fn answer(&mut self) {
        if let Some(answers) = self.intake.answers() {
            self.socket.text(answers);
        }
    }

    fn read(&mut self, frame: RawFrame) -> Result<(), Ended> {
        self.last_read = Instant::now();
        let bytes = match frame {
            RawFrame::Text(text) => own(text.into()),
            RawFrame::Binary(bytes) => own(bytes),
            RawFrame::Ping(_) | RawFrame::Pong(_) | RawFrame::Frame(_) => return Ok(()),
            RawFrame::Close(_) => return Err(Ended::Closed),
        };
        let frame = match self.acks {
            Acks::Each => Frame::from_bytes(&bytes),
            Acks::None => Frame::of_original(&bytes, || MessageId::from_uuid(Uuid::now_v7())),
        };
        match frame {
            Ok(Frame::Register(hello)) => return self.register(*hello),
            Ok(Frame::Message(message)) => self.intake.take(&self.member, message),
            Ok(Frame::Status | Frame::Alive) => {}
            Ok(Frame::Answers(list)) if self.acks == Acks::Each => return self.answered(&list),
            Ok(Frame::Answers(_)) => self.unreadable(&bytes, "expected a message, got a JSON array".into()),
            Err(error) => self.unreadable(&bytes, error.to_string()),
        }
        Ok(())
    }

    fn unreadable(&mut self, frame: &Bytes, cause: String) {
        let (role, instance) = self.member.names();
        let raw = String::from_utf8_lossy(&frame[..frame.len().min(RAW_BYTES_MAX)]).into_owned();
        self.engine.note(&Note::BadFrame { role, instance, raw, cause: cause.clone() });
        self.intake.unreadable(cause);
    }

    fn register(&mut self, hello: Hello) -> Result<(), Ended> {
        let role = hello.role.clone();
        if self.out.is_some() && !self.member.stays(&hello) {
            self.give_back()?;
        }
        if let Err(error) = self.member.register(hello) {
            tracing::warn!(%role, %error, "a registration is refused");
            return Err(refused(&error));
        }
        self.intake.registered();
        Ok(())
    }

    /// What is on its way is for the role that the socket gives up: it goes to others of that role. What has been
    /// written already they get as well.
    fn give_back(&mut self) -> Result<(), Ended> {
        if self.acks == Acks::Each {
            return Err(Ended::Broke(CloseCode::Policy, "it takes another role before it has answered".into()));
        }
        self.out = None;
        // Towards originals nothing is queued but deliveries and pings.
        self.socket.forget();
        self.member.leave(true);
        Ok(())
    }

    fn retry(&mut self) {
        self.intake.retry(&self.member);
        if !self.intake.is_stalled() {
            // It could not be heard meanwhile.
            self.last_read = Instant::now();
        }
    }

    /// Work has come, or this place on the roster is lost; the latter counts even while a delivery is out.
    fn woken(&mut self) -> Result<(), Ended> {
        let Some(key) = self.member.key().filter(|_| self.out.is_some()) else { return Ok(()) };
        match self.engine.take(key) {
            Work::Gone => Err(Ended::Replaced),
            Work::Nothing | Work::Batch(_) => Ok(()),
        }
    }

    /// Takes the next delivery in hand, if none is out.
    fn take_work(&mut self) -> Result<(), Ended> {
        let idle = self.out.is_none() && self.rest.is_none();
        let Some(key) = self.member.key().filter(|_| idle) else { return Ok(()) };
        let Batch { messages, timings, .. } = match self.engine.take(key) {
            Work::Batch(batch) => batch,
            Work::Nothing => return Ok(()),
            Work::Gone => return Err(Ended::Replaced),
        };
        let deadline = Instant::now() + self.engine.config().delivery_timeout();
        self.out = Some(Out { count: messages.len(), outcomes: Vec::new(), deadline });
        let (dialect, acks) = (self.member.dialect(), self.acks);
        let now = (Instant::now().into_std(), SystemTime::now());
        for (message, taken) in messages.iter().zip(timings) {
            let frame = match acks {
                Acks::Each => message.to_json(),
                Acks::None => delivery_frame(message, dialect, Some(&stamp(taken, now))),
            };
            self.socket.text(frame);
        }
        Ok(())
    }

    /// Everything is written: among originals that is all that can be known.
    fn written(&mut self) {
        if self.acks == Acks::None
            && let (Some(out), Some(key)) = (self.out.take(), self.member.key())
        {
            self.engine.record_outcome(key, Attempt::Answered(vec![Outcome::Delivered; out.count]));
        }
    }

    /// The other end tells what became of messages.
    fn answered(&mut self, list: &Bytes) -> Result<(), Ended> {
        let wrong = |detail: String| Ended::Broke(CloseCode::Protocol, detail);
        let deliveries = Delivery::list_from_json(list).map_err(|error| wrong(error.to_string()))?;
        if deliveries.is_empty() {
            self.intake.begin_anew();
            return Ok(());
        }
        let (Some(out), Some(key)) = (&mut self.out, self.member.key()) else {
            return Err(wrong("it answers messages that it was not sent".into()));
        };
        out.outcomes.extend(deliveries.into_iter().map(Outcome::from));
        if out.outcomes.len() > out.count {
            return Err(wrong("it answers more messages than it was sent".into()));
        }
        if out.outcomes.len() == out.count {
            let outcomes = std::mem::take(&mut out.outcomes);
            let busy = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry(_)));
            self.out = None;
            self.engine.record_outcome(key, Attempt::Answered(outcomes));
            self.rest = busy.then(|| Instant::now() + BUSY_REST);
        }
        Ok(())
    }

    /// Looks for signs of life.
    fn beat(&mut self, heart: Pin<&mut Sleep>, beat: Duration) -> Result<(), Ended> {
        let now = Instant::now();
        heart.reset(now + beat);
        if self.out.as_ref().is_some_and(|out| out.deadline <= now) {
            return Err(Ended::Silent("it does not read what it is sent"));
        }
        let silence = now.duration_since(self.last_read);
        if silence >= 3 * beat && !self.intake.is_stalled() {
            return Err(Ended::Silent("it shows no sign of life"));
        }
        if silence >= beat {
            self.socket.ping();
        }
        Ok(())
    }

    /// Takes the service off the roster; what was not written moves on.
    async fn end(&mut self, ended: Ended) {
        self.intake.finish(&self.member);
        self.answer();
        if let Ended::Silent(why) = ended {
            let (role, instance) = self.member.names();
            tracing::warn!(?role, ?instance, why, "a service is disconnected");
        }
        self.member.leave(self.out.is_some());
        if let Some(ending) = ended.ending(self.acks) {
            self.socket.end(ending).await;
        }
    }
}

/// A short frame in memory of its own: it came as a part of a larger buffer, which would live as long as its message.
fn own(frame: Bytes) -> Bytes {
    match frame.len() < SHORT_FRAME_BYTES {
        true => Bytes::copy_from_slice(&frame),
        false => frame,
    }
}

fn stamp(taken: Timing, (now, wall): (std::time::Instant, SystemTime)) -> Stamp {
    // From how long ago, so that a clock that is set meanwhile cannot reorder messages by more than it is set.
    let timestamp = wall.checked_sub(now.duration_since(taken.accepted)).unwrap_or(wall);
    Stamp { timestamp, response_time: taken.response_time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_moves_timestamps_and_nothing_else() {
        let (start, second) = (std::time::Instant::now(), Duration::from_secs(1));
        let check = |wall: SystemTime, waited: Duration, expected: SystemTime| {
            let taken = Timing { accepted: start, response_time: Some(second) };
            let stamp = stamp(taken, (start + waited, wall));
            assert_eq!((stamp.timestamp, stamp.response_time), (expected, Some(second)));
        };
        let noon = SystemTime::UNIX_EPOCH + 1_000_000 * second;
        check(noon, second, noon - second);
        // Set back, or on, while the message waited.
        check(noon - 3_600 * second, second, noon - 3_601 * second);
        check(noon + 3_600 * second, second, noon + 3_599 * second);
    }
}
