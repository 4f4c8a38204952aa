//! A service at the other end of a WebSocket. exo 3.
//!
//! One task per socket reads and writes: a receiver that does not read is never waited for by anybody but itself, and
//! is dropped when it has not read for too long. What was not written goes to another instance of its role, or waits
//! for the role.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;
use std::time::{Duration, SystemTime};

use axum::extract::ws::{Message as Packet, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};
use uuid::Uuid;

use super::member::Member;
use super::rules::{Attempt, Batch, Note, Outcome, Taken, Work};
use super::service::Broker;
use super::shell::Shell;
use super::wire::{Delivery, Frame, Hello, Stamp, delivery_frame};
use crate::message::MessageId;
use ending::{Ended, Farewell, broke, refused};
use intake::{Intake, STALL_RETRY};

mod ending;
mod intake;

/// Packets that may wait to be written besides the messages of one delivery; a peer that does not read its answers is not
/// read either.
const PACKETS_MAX: usize = 1_024;

/// Frames that are read at one go before their answers are written.
const BURST_MAX: usize = 256;

/// How long a receiver that has no room is left alone.
const BUSY_REST: Duration = Duration::from_millis(100);

/// How long the end of a connection may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

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

/// Serves one socket until it ends, or the broker does.
pub(crate) async fn serve(broker: Broker, socket: WebSocket, acks: Acks) {
    let shell = Arc::clone(broker.shell());
    let wake = Arc::new(Notify::new());
    let (sink, stream) = socket.split();
    let beat = shell.config.heartbeat();
    let mut connection = Connection {
        member: Member::new(broker, acks, Arc::clone(&wake)),
        acks,
        sink,
        packets: VecDeque::new(),
        flushed: true,
        out: None,
        intake: Intake::new(acks, shell.config.delivery_timeout()),
        rest: None,
        last_read: Instant::now(),
        shell,
    };
    let ended = connection.run(stream, &wake, beat).await;
    connection.end(ended).await;
}

/// A delivery on its way.
struct Out {
    count: usize,
    outcomes: Vec<Outcome>,
    deadline: Instant,
}

struct Connection {
    member: Member,
    acks: Acks,
    sink: SplitSink<WebSocket, Packet>,
    packets: VecDeque<Packet>,
    /// Whether everything that was given to the sink has left.
    flushed: bool,
    out: Option<Out>,
    intake: Intake,
    /// Until when nothing is delivered, since the other end has no room.
    rest: Option<Instant>,
    last_read: Instant,
    shell: Arc<Shell>,
}

impl Connection {
    async fn run(&mut self, mut stream: SplitStream<WebSocket>, wake: &Notify, beat: Duration) -> Ended {
        let stop = self.shell.stop.clone();
        let mut heart = Box::pin(sleep_until(Instant::now() + beat));
        loop {
            let can_read = !self.intake.is_stalled() && self.packets.len() < PACKETS_MAX;
            let step = tokio::select! {
                read = stream.next(), if can_read => self.read_burst(read, &mut stream),
                written = poll_fn(|context| poll_write(&mut self.sink, &mut self.packets, context)), if !self.flushed => {
                    self.flushed = true;
                    written.map_err(|_| Ended::Gone).map(|()| self.written())
                }
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

    /// Handles a frame and those behind it that have come already, and answers them.
    fn read_burst(
        &mut self,
        first: Option<Result<Packet, axum::Error>>,
        stream: &mut SplitStream<WebSocket>,
    ) -> Result<(), Ended> {
        let mut next = Some(first);
        let mut read = Ok(());
        for _ in 0..BURST_MAX {
            let Some(packet) = next.take() else { break };
            read = self.read(packet);
            if read.is_err() || self.intake.is_stalled() {
                break;
            }
            next = stream.next().now_or_never();
        }
        if let Some(answers) = self.intake.answers() {
            self.send_frame(answers);
        }
        read
    }

    fn read(&mut self, packet: Option<Result<Packet, axum::Error>>) -> Result<(), Ended> {
        self.last_read = Instant::now();
        let bytes = match packet {
            Some(Ok(Packet::Text(text))) => own(Bytes::from(text)),
            Some(Ok(Packet::Binary(bytes))) => own(bytes),
            Some(Ok(Packet::Ping(_))) => {
                // The library has its pong ready; it goes with the next flush.
                self.flushed = false;
                return Ok(());
            }
            Some(Ok(Packet::Pong(_))) => return Ok(()),
            Some(Ok(Packet::Close(_))) => return Err(Ended::Closed),
            Some(Err(error)) => return Err(broke(&error)),
            None => return Err(Ended::Gone),
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
        self.shell.note(&Note::BadFrame { role, instance, raw, cause: cause.clone() });
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
            return Err(Ended::Broke(close_code::POLICY, "it takes another role before it has answered".into()));
        }
        self.out = None;
        // Among originals there is nothing here but deliveries and pings.
        self.packets.clear();
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
        match self.shell.take(key) {
            Work::Gone => Err(Ended::Replaced),
            Work::Nothing | Work::Batch(_) => Ok(()),
        }
    }

    /// Takes the next delivery in hand, if none is out.
    fn take_work(&mut self) -> Result<(), Ended> {
        let idle = self.out.is_none() && self.rest.is_none();
        let Some(key) = self.member.key().filter(|_| idle) else { return Ok(()) };
        let Batch { messages, stamps, .. } = match self.shell.take(key) {
            Work::Batch(batch) => batch,
            Work::Nothing => return Ok(()),
            Work::Gone => return Err(Ended::Replaced),
        };
        let deadline = Instant::now() + self.shell.config.delivery_timeout();
        self.out = Some(Out { count: messages.len(), outcomes: Vec::new(), deadline });
        let (dialect, acks) = (self.member.dialect(), self.acks);
        let now = (Instant::now().into_std(), SystemTime::now());
        for (message, taken) in messages.iter().zip(stamps) {
            let frame = match acks {
                Acks::Each => message.to_json(),
                Acks::None => delivery_frame(message, dialect, Some(&stamp(taken, now))),
            };
            self.send_frame(frame);
        }
        Ok(())
    }

    /// Everything is written: among originals that is all that can be known.
    fn written(&mut self) {
        if self.acks == Acks::None
            && let (Some(out), Some(key)) = (self.out.take(), self.member.key())
        {
            self.shell.settle(key, Attempt::Answered(vec![Outcome::Delivered; out.count]));
        }
    }

    /// The other end tells what became of messages.
    fn answered(&mut self, list: &Bytes) -> Result<(), Ended> {
        let wrong = |detail: String| Ended::Broke(close_code::PROTOCOL, detail);
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
            let busy = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Later(_)));
            self.out = None;
            self.shell.settle(key, Attempt::Answered(outcomes));
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
        if silence >= beat && self.packets.len() < PACKETS_MAX {
            self.send(Packet::Ping(Bytes::new()));
        }
        Ok(())
    }

    fn send_frame(&mut self, frame: Bytes) {
        let text = Utf8Bytes::try_from(frame).expect("frames are made of texts and checked payloads");
        self.send(Packet::Text(text));
    }

    fn send(&mut self, packet: Packet) {
        self.packets.push_back(packet);
        self.flushed = false;
    }

    /// Takes the service off the roster; what was not written moves on.
    async fn end(mut self, ended: Ended) {
        self.intake.finish(&self.member);
        if let Ended::Silent(why) = ended {
            let (role, instance) = self.member.names();
            tracing::warn!(?role, ?instance, why, "a service is disconnected");
        }
        self.member.leave(self.out.is_some());
        let farewell = async {
            match ended.farewell(self.acks) {
                Farewell::None => Ok(()),
                Farewell::Answer => self.sink.close().await,
                Farewell::Close(frame) => {
                    self.packets.push_back(Packet::Close(Some(frame)));
                    poll_fn(|context| poll_write(&mut self.sink, &mut self.packets, context)).await
                }
            }
        };
        // Whoever does not read does not hear it.
        drop(tokio::time::timeout(FAREWELL_TIMEOUT, farewell).await);
    }
}

/// A short frame in memory of its own: it came as a part of a larger buffer, which would live as long as its message.
fn own(frame: Bytes) -> Bytes {
    match frame.len() < SHORT_FRAME_BYTES {
        true => Bytes::copy_from_slice(&frame),
        false => frame,
    }
}

fn poll_write(
    sink: &mut SplitSink<WebSocket, Packet>,
    packets: &mut VecDeque<Packet>,
    context: &mut std::task::Context<'_>,
) -> std::task::Poll<Result<(), axum::Error>> {
    while !packets.is_empty() {
        ready!(sink.poll_ready_unpin(context))?;
        if let Some(packet) = packets.pop_front() {
            sink.start_send_unpin(packet)?;
        }
    }
    sink.poll_flush_unpin(context)
}

fn stamp(taken: Taken, (now, wall): (std::time::Instant, SystemTime)) -> Stamp {
    // From how long ago, so that a clock that is set meanwhile cannot reorder messages by more than it is set.
    let timestamp = wall.checked_sub(now.duration_since(taken.accepted)).unwrap_or(wall);
    Stamp { timestamp, response_time: taken.response_time }
}
