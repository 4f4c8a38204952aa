//! A service that is connected by WebSocket. exo 3.
//!
//! Each connection has a task of its own, so only the connection itself waits for a slow receiver, and is closed when it
//! has not read for too long. Messages that were not delivered go to another instance of the role, or wait for one.

mod ending;
mod intake;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use uuid::Uuid;

use super::engine::Engine;
use super::member::{Acks, Evidence, Member};
use super::rules::{Attempt, Batch, Lanes, Note, Outcome, Timing, Work};
use super::service::Broker;
use super::wire::{Dialect, Frame, Hello, Stamp, delivery_frame};
use crate::http::CloseControl;
use crate::http::websocket::{Accepted, FrameMeter, QueueState, Reading, SendQueue, Session, Socket, drive, now};
use crate::message::{Delivery, Message, MessageId};
use ending::{Ended, refused};
use intake::Intake;

/// Pause in deliveries to a receiver that answered that it is full.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of an unreadable frame that are repeated in the log.
const RAW_BYTES_MAX: usize = 1_024;

/// Shorter frames are copied out of the buffer they were read into.
const SHORT_FRAME_BYTES: usize = 4 * 1024;

/// A connection and the session of the service behind it.
pub(crate) struct Connection {
    socket: Socket<Accepted>,
    session: ServiceSession,
    /// Of the connection of an original.
    control: Option<CloseControl>,
}

impl Connection {
    /// `evidence` is that of the handshake.
    pub(crate) fn new(
        broker: Broker,
        (stream, meter): (WebSocketStream<Accepted>, Arc<FrameMeter>),
        (acks, evidence): (Acks, Evidence),
        control: Option<CloseControl>,
    ) -> Self {
        let session = ServiceSession::new(broker, (acks, evidence), Arc::clone(&meter));
        Self { socket: Socket::metered(stream, meter), session, control }
    }

    /// Serves the connection until it ends or the broker stops. The connection cannot be used afterwards.
    pub(crate) async fn serve(&mut self) {
        let Self { socket, session, control } = self;
        let heartbeat = session.engine.config().heartbeat();
        let ended = drive(socket, heartbeat, session).await;
        if let (Ended::Silent(_), Some(_), Some(control)) = (&ended, &session.in_flight, control)
            && let Err(error) = control.send_the_rest()
        {
            // It does not read, so a reset would discard messages that count as delivered.
            tracing::warn!(%error, "messages to an original client that does not read may be lost");
        }
        session.finish(&ended, socket.queue());
        if let Some(ending) = ended.ending(session.acks) {
            socket.close(ending).await;
        }
    }
}

/// The messages of one delivery that are not all answered yet.
struct InFlight {
    lanes: Lanes,
    count: usize,
    outcomes: Vec<Outcome>,
    deadline: Instant,
}

/// A pause in deliveries to a receiver that is full.
struct Pause {
    until: Instant,
    /// The messages that are delivered nevertheless.
    passing: Option<Lanes>,
}

/// Messages to and from one service.
struct ServiceSession {
    member: Member,
    acks: Acks,
    in_flight: Option<InFlight>,
    intake: Intake,
    /// The pause in deliveries, if the receiver is full.
    pause: Option<Pause>,
    /// Time by which the service has to register; `None` once it has.
    register_by: Option<Instant>,
    meter: Arc<FrameMeter>,
    wake: Arc<Notify>,
    engine: Arc<Engine>,
}

/// Events that do not come from the connection.
enum Event {
    /// There is work, or the service's registration is gone.
    Woken,
    /// The broker stops.
    Stopped,
}

impl Session for ServiceSession {
    type Event = Event;
    type End = Ended;

    fn reading(&self) -> Reading {
        match self.intake.is_stalled() {
            true => Reading::Off,
            false => Reading::On,
        }
    }

    fn due(&self) -> Option<Instant> {
        let delivery = self.in_flight.as_ref().map(|in_flight| in_flight.deadline);
        let pause = self.pause.as_ref().map(|pause| pause.until);
        [delivery, pause, self.intake.retry_at(), self.register_by].into_iter().flatten().min()
    }

    async fn wait(&mut self, _queue: QueueState) -> Event {
        tokio::select! {
            () = self.wake.notified() => Event::Woken,
            () = self.engine.stop().cancelled() => Event::Stopped,
        }
    }

    fn handle(&mut self, event: Event, _queue: &mut SendQueue) -> Result<(), Ended> {
        match event {
            Event::Stopped => Err(Ended::Stopped),
            Event::Woken => self.check_registration(),
        }
    }

    fn receive(&mut self, frame: Bytes, queue: &mut SendQueue) -> Result<(), Ended> {
        let bytes = detach(frame);
        let frame = match self.acks {
            Acks::Each => Frame::from_bytes(&bytes),
            Acks::None => Frame::of_original(&bytes, || MessageId::from_uuid(Uuid::now_v7())),
        };
        match frame {
            Ok(Frame::Register(hello)) => return self.register(*hello, queue),
            Ok(Frame::Message(message)) => self.intake.take(&self.member, message, now()),
            Ok(Frame::Status | Frame::Alive) => {}
            Ok(Frame::Answers(list)) if self.acks == Acks::Each => return self.answered(&list),
            Ok(Frame::Answers(_)) => self.unreadable(&bytes, "expected a message, got a JSON array".into()),
            Err(error) => self.unreadable(&bytes, error.to_string()),
        }
        Ok(())
    }

    fn answer(&mut self, queue: &mut SendQueue) {
        if let Some(answers) = self.intake.answers() {
            queue.text(answers);
        }
    }

    /// Originals answer nothing, so their messages count as delivered once they are written.
    fn written(&mut self) {
        if self.acks == Acks::None
            && let (Some(in_flight), Some(key)) = (self.in_flight.take(), self.member.key())
        {
            self.engine.record_outcome(key, Attempt::Answered(vec![Outcome::Delivered; in_flight.count]));
        }
    }

    fn tick(&mut self, now: Instant, _queue: &mut SendQueue) -> Result<(), Ended> {
        if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.deadline <= now) {
            return Err(Ended::Silent("it does not read what it is sent"));
        }
        if self.register_by.is_some_and(|until| until <= now) {
            let detail = format!("it did not register within {} ms", self.engine.config().register_timeout_ms);
            return Err(Ended::Broke(CloseCode::Policy, detail));
        }
        self.pause = self.pause.take().filter(|pause| pause.until > now);
        self.intake.retry(&self.member, now);
        Ok(())
    }

    /// Starts the next delivery, unless one is in flight; during a pause only one of urgent messages.
    fn fill(&mut self, queue: &mut SendQueue) -> Result<(), Ended> {
        let Some(key) = self.member.key().filter(|_| self.in_flight.is_none()) else { return Ok(()) };
        let passing = self.pause.as_ref().map_or(Some(Lanes::All), |pause| pause.passing);
        let Some(lanes) = passing else { return Ok(()) };
        let Batch { messages, timings, .. } = match self.engine.take(key, lanes) {
            Work::Batch(batch) => batch,
            Work::Nothing => return Ok(()),
            Work::Gone => return Err(Ended::Replaced),
        };
        let deadline = now() + self.engine.config().delivery_timeout();
        self.in_flight = Some(InFlight { lanes, count: messages.len(), outcomes: Vec::new(), deadline });
        let (dialect, acks) = (self.member.dialect(), self.acks);
        let clocks = (now(), SystemTime::now());
        for (message, timing) in messages.iter().zip(timings) {
            let stamp = Some(&stamp(timing, clocks));
            let frame = match (acks, dialect) {
                (Acks::Each, _) => message.to_json(),
                // The originals of that dialect did not pass it on.
                (Acks::None, Dialect::ResponseTo) if self.engine.config().compat => {
                    delivery_frame(&Message { sender: None, ..message.clone() }, dialect, stamp)
                }
                (Acks::None, _) => delivery_frame(message, dialect, stamp),
            };
            queue.text(frame);
        }
        Ok(())
    }
}

impl ServiceSession {
    fn new(broker: Broker, (acks, evidence): (Acks, Evidence), meter: Arc<FrameMeter>) -> Self {
        let (engine, wake) = (Arc::clone(broker.engine()), Arc::new(Notify::new()));
        Self {
            member: Member::new(broker, acks, Arc::clone(&wake), evidence),
            acks,
            in_flight: None,
            intake: Intake::new(acks, engine.config().delivery_timeout()),
            pause: None,
            register_by: Some(now() + engine.config().register_timeout()),
            meter,
            wake,
            engine,
        }
    }

    /// Notices a lost registration even while a delivery is in flight; [`Session::fill`] does otherwise.
    fn check_registration(&mut self) -> Result<(), Ended> {
        let Some(key) = self.member.key().filter(|_| self.in_flight.is_some()) else { return Ok(()) };
        match self.engine.take(key, Lanes::All) {
            Work::Gone => Err(Ended::Replaced),
            Work::Nothing | Work::Batch(_) => Ok(()),
        }
    }

    fn unreadable(&mut self, frame: &Bytes, cause: String) {
        let (role, instance) = self.member.names();
        let raw = String::from_utf8_lossy(&frame[..frame.len().min(RAW_BYTES_MAX)]).into_owned();
        self.engine.note(&Note::BadFrame { role, instance, raw, cause: cause.clone() });
        self.intake.unreadable(cause);
    }

    fn register(&mut self, hello: Hello, queue: &mut SendQueue) -> Result<(), Ended> {
        let role = hello.role.clone();
        if self.in_flight.is_some() && !self.member.is_renewed_by(&hello) {
            self.give_back(queue)?;
        }
        if let Err(error) = self.member.register(hello) {
            let cause = format!("its registration is refused: {error}");
            self.engine.note(&Note::BadSocket { role: Some(role), instance: None, cause });
            return Err(refused(&error));
        }
        self.register_by = None;
        self.meter.allow(self.engine.config().frame_bytes_max);
        self.intake.registered();
        Ok(())
    }

    /// Returns the delivery in flight to the role that the service gives up. Messages that were already written are
    /// delivered to another instance as well.
    fn give_back(&mut self, queue: &mut SendQueue) -> Result<(), Ended> {
        if self.acks == Acks::Each {
            return Err(Ended::Broke(CloseCode::Policy, "it takes another role before it has answered".into()));
        }
        self.in_flight = None;
        // The queue to an original holds nothing but deliveries and pings.
        queue.clear();
        self.member.leave(true);
        Ok(())
    }

    /// Takes the other end's answers to the messages in flight.
    fn answered(&mut self, list: &Bytes) -> Result<(), Ended> {
        let wrong = |detail: String| Ended::Broke(CloseCode::Protocol, detail);
        let deliveries = Delivery::list_from_json(list).map_err(|error| wrong(error.to_string()))?;
        if deliveries.is_empty() {
            self.intake.resume();
            return Ok(());
        }
        let (Some(in_flight), Some(key)) = (&mut self.in_flight, self.member.key()) else {
            return Err(wrong("it answers messages that it was not sent".into()));
        };
        in_flight.outcomes.extend(deliveries.into_iter().map(Outcome::from));
        if in_flight.outcomes.len() > in_flight.count {
            return Err(wrong("it answers more messages than it was sent".into()));
        }
        if in_flight.outcomes.len() == in_flight.count {
            let outcomes = std::mem::take(&mut in_flight.outcomes);
            let busy = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry(_)));
            // Replies that somebody waits for pass a receiver that is busy, unless it is too busy for them as well.
            let passing = Some(Lanes::Urgent).filter(|_| in_flight.lanes == Lanes::All);
            self.in_flight = None;
            self.engine.record_outcome(key, Attempt::Answered(outcomes));
            if busy {
                self.pause = Some(Pause { until: now() + BUSY_PAUSE, passing });
            }
        }
        Ok(())
    }

    /// Removes the service from the roster. Messages that were not delivered go to another instance.
    fn finish(&mut self, ended: &Ended, queue: &mut SendQueue) {
        self.intake.finish(&self.member, now());
        self.answer(queue);
        if let Some(cause) = ended.fault() {
            let (role, instance) = self.member.names();
            self.engine.note(&Note::BadSocket { role, instance, cause: cause.to_owned() });
        }
        self.member.leave(self.in_flight.is_some());
    }
}

/// Copies a short frame out of the read buffer, which would otherwise live as long as the frame's message.
fn detach(frame: Bytes) -> Bytes {
    match frame.len() < SHORT_FRAME_BYTES {
        true => Bytes::copy_from_slice(&frame),
        false => frame,
    }
}

fn stamp(timing: Timing, (now, wall): (Instant, SystemTime)) -> Stamp {
    // Computed from the message's age, so that setting the clock cannot reorder messages by more than it was set.
    let timestamp = wall.checked_sub(now.duration_since(timing.accepted)).unwrap_or(wall);
    Stamp { timestamp, response_time: timing.response_time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_the_wall_clock_changes_only_timestamps() {
        let (start, second) = (std::time::Instant::now(), Duration::from_secs(1));
        let check = |wall: SystemTime, waited: Duration, expected: SystemTime| {
            let timing = Timing { accepted: start, response_time: Some(second) };
            let stamp = stamp(timing, (start + waited, wall));
            assert_eq!((stamp.timestamp, stamp.response_time), (expected, Some(second)));
        };
        let noon = SystemTime::UNIX_EPOCH + 1_000_000 * second;
        check(noon, second, noon - second);
        // Set back, or on, while the message waited.
        check(noon - 3_600 * second, second, noon - 3_601 * second);
        check(noon + 3_600 * second, second, noon + 3_599 * second);
    }
}
