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

use axum::extract::ws::{CloseFrame, Message as Packet, Utf8Bytes, WebSocket, close_code};
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
use super::wire::{Delivery, Frame, Hello, Stamp, Verdict, delivery_frame};
use crate::message::{Message, MessageId};

/// Packets that may wait to be written besides the messages of one delivery; a peer that does not read its answers is not
/// read either.
const PACKETS_MAX: usize = 1_024;

/// Frames that are read at one go before their answers are written.
const BURST_MAX: usize = 256;

/// How soon a message is tried again whose receivers have no room, if its sender cannot be told.
const STALL_RETRY: Duration = Duration::from_millis(20);

/// How long a receiver that has no room is left alone.
const BUSY_REST: Duration = Duration::from_millis(100);

/// How long saying goodbye may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

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
        answers: Vec::new(),
        held_up: None,
        stalled: None,
        rest: None,
        last_read: Instant::now(),
        shell,
    };
    let ended = connection.run(stream, &wake, beat).await;
    connection.end(ended).await;
}

/// Why a socket is served no more.
enum Ended {
    /// The other end has gone.
    Gone,
    /// The other end says goodbye.
    Closed,
    /// It does not read, or shows no sign of life.
    Silent(&'static str),
    /// It broke a rule; which.
    Broke(u16, String),
    /// The broker shuts down.
    Stopped,
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
    flushed: bool,
    out: Option<Out>,
    /// Verdicts that are not written yet.
    answers: Vec<Verdict>,
    /// What a message was told that has to come again: all behind it are told so until the other end begins anew.
    held_up: Option<Verdict>,
    /// A message whose receivers have no room, and until when it is tried.
    stalled: Option<(Message, Instant)>,
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
            let can_read = self.stalled.is_none() && self.packets.len() < PACKETS_MAX;
            let is_idle = self.out.is_none();
            let has_output = !self.flushed || !self.packets.is_empty();
            let step = tokio::select! {
                read = stream.next(), if can_read => self.read_burst(read, &mut stream),
                written = poll_fn(|context| poll_write(&mut self.sink, &mut self.packets, context)), if has_output => {
                    self.flushed = true;
                    written.map_err(|_| Ended::Gone).map(|()| self.written())
                }
                () = wake.notified(), if is_idle => Ok(()),
                () = tokio::time::sleep(STALL_RETRY), if self.stalled.is_some() => {
                    self.try_stalled();
                    Ok(())
                }
                () = sleep_until(self.rest.unwrap_or(self.last_read)), if self.rest.is_some() => {
                    self.rest = None;
                    Ok(())
                }
                () = heart.as_mut() => self.beat(heart.as_mut(), beat),
                () = stop.cancelled() => return Ended::Stopped,
            };
            if let Err(ended) = step {
                return ended;
            }
            self.take_work();
        }
    }

    /// Handles a frame and those behind it that have come already.
    fn read_burst(
        &mut self,
        first: Option<Result<Packet, axum::Error>>,
        stream: &mut SplitStream<WebSocket>,
    ) -> Result<(), Ended> {
        let mut next = Some(first);
        for _ in 0..BURST_MAX {
            let Some(read) = next.take() else { break };
            let packet = match read {
                Some(Ok(packet)) => packet,
                Some(Err(error)) => return Err(broke(&error)),
                None => return Err(Ended::Gone),
            };
            self.last_read = Instant::now();
            self.packet(packet)?;
            if self.stalled.is_some() {
                break;
            }
            next = stream.next().now_or_never();
        }
        if !self.answers.is_empty() {
            let answers = Verdict::list_to_json(&std::mem::take(&mut self.answers));
            self.push(answers);
        }
        Ok(())
    }

    fn packet(&mut self, packet: Packet) -> Result<(), Ended> {
        let bytes = match packet {
            Packet::Text(text) => Bytes::from(text),
            Packet::Binary(bytes) => bytes,
            Packet::Ping(_) => {
                // The library has its pong ready; it goes with the next flush.
                self.flushed = false;
                return Ok(());
            }
            Packet::Pong(_) => return Ok(()),
            Packet::Close(_) => return Err(Ended::Closed),
        };
        let read = match self.acks {
            Acks::Each => Frame::from_bytes(&bytes),
            Acks::None => Frame::of_original(&bytes, || MessageId::from_uuid(Uuid::now_v7())),
        };
        match read {
            Ok(Frame::Register(hello)) => self.register(*hello),
            Ok(Frame::Message(message)) => {
                self.message(message);
                Ok(())
            }
            Ok(Frame::Status | Frame::Alive) => Ok(()),
            Ok(Frame::Answers(list)) => self.answered(&list),
            Err(error) => {
                let (role, instance) = self.member.names();
                let raw = String::from_utf8_lossy(&bytes[..bytes.len().min(1_024)]).into_owned();
                self.shell.note(&Note::BadFrame { role, instance, raw, cause: error.to_string() });
                if self.acks == Acks::Each {
                    self.answers.push(Verdict::Refused { detail: error.to_string() });
                }
                Ok(())
            }
        }
    }

    fn register(&mut self, hello: Hello) -> Result<(), Ended> {
        let role = hello.role.clone();
        match self.member.register(hello) {
            Ok(()) if self.acks == Acks::Each => self.answers.push(Verdict::Accepted),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%role, %error, "a registration is refused");
                return Err(Ended::Broke(close_code::POLICY, error.to_string()));
            }
        }
        Ok(())
    }

    fn message(&mut self, message: Message) {
        if self.acks == Acks::Each {
            // What stands behind a message that comes again comes again too, so that the order is kept.
            let verdict = self.held_up.clone().unwrap_or_else(|| self.member.publish(message));
            if matches!(verdict, Verdict::Busy { .. }) {
                self.held_up = Some(verdict.clone());
            }
            self.answers.push(verdict);
            return;
        }
        let name = message.name.clone();
        match self.member.publish(message.clone()) {
            Verdict::Accepted | Verdict::Forbidden { .. } => {}
            Verdict::NoReceivers => tracing::warn!(%name, "no receivers for a message of the WebSocket era"),
            Verdict::Refused { detail } => tracing::warn!(%name, detail, "a message is refused"),
            Verdict::Busy { .. } => {
                self.stalled = Some((message, Instant::now() + self.shell.config.delivery_timeout()));
            }
        }
    }

    /// The sender cannot be told to wait, so it is not read until there is room, or too much time has passed.
    fn try_stalled(&mut self) {
        let Some((message, until)) = self.stalled.take() else { return };
        match self.member.publish(message.clone()) {
            Verdict::Busy { .. } if Instant::now() < until => self.stalled = Some((message, until)),
            Verdict::Busy { .. } => self.member.overflow(message),
            Verdict::Accepted | Verdict::NoReceivers | Verdict::Forbidden { .. } | Verdict::Refused { .. } => {}
        }
    }

    /// Takes the next delivery in hand, if none is out.
    fn take_work(&mut self) {
        let Some(key) = self.member.key().filter(|_| self.out.is_none() && self.rest.is_none()) else { return };
        let Work::Batch(Batch { messages, stamps, .. }) = self.shell.take(key) else { return };
        let deadline = Instant::now() + self.shell.config.delivery_timeout();
        self.out = Some(Out { count: messages.len(), outcomes: Vec::new(), deadline });
        let (dialect, acks) = (self.member.dialect(), self.acks);
        let now = (Instant::now().into_std(), SystemTime::now());
        for (message, taken) in messages.iter().zip(stamps) {
            let frame = match acks {
                Acks::Each => message.to_json(),
                Acks::None => delivery_frame(message, dialect, Some(&stamp(taken, now))),
            };
            self.push(frame);
        }
    }

    /// Everything is written: among originals that is all that can be known.
    fn written(&mut self) {
        if self.acks == Acks::None {
            if let (Some(out), Some(key)) = (self.out.take(), self.member.key()) {
                self.shell.settle(key, Attempt::Answered(vec![Outcome::Delivered; out.count]));
            }
        }
    }

    /// The other end tells what became of messages.
    fn answered(&mut self, list: &Bytes) -> Result<(), Ended> {
        let wrong = |detail: String| Ended::Broke(close_code::PROTOCOL, detail);
        let deliveries = Delivery::list_from_json(list).map_err(|error| wrong(error.to_string()))?;
        if deliveries.is_empty() {
            self.held_up = None;
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
        if silence >= 3 * beat && self.stalled.is_none() {
            return Err(Ended::Silent("it shows no sign of life"));
        }
        if silence >= beat && self.packets.len() < PACKETS_MAX {
            self.packets.push_back(Packet::Ping(Bytes::new()));
        }
        Ok(())
    }

    fn push(&mut self, frame: Bytes) {
        let text = Utf8Bytes::try_from(frame).expect("frames are made of texts and checked payloads");
        self.packets.push_back(Packet::Text(text));
    }

    /// Takes the service off the roster; what was not written moves on.
    async fn end(mut self, ended: Ended) {
        self.member.leave(self.out.is_some());
        let close = match ended {
            Ended::Gone => return,
            Ended::Closed => {
                // The library has the answer ready.
                drop(tokio::time::timeout(FAREWELL_TIMEOUT, self.sink.flush()).await);
                return;
            }
            Ended::Silent(why) => {
                let (role, instance) = self.member.names();
                tracing::warn!(?role, ?instance, why, "a service is disconnected");
                return;
            }
            Ended::Broke(code, reason) => {
                CloseFrame { code, reason: reason.chars().take(100).collect::<String>().into() }
            }
            // Clients of the originals live on only if the connection just ends. exo 3.9.
            Ended::Stopped if self.acks == Acks::None => return,
            Ended::Stopped => CloseFrame { code: close_code::AWAY, reason: Utf8Bytes::from_static("shutting down") },
        };
        let farewell = async {
            while let Some(packet) = self.packets.pop_front() {
                self.sink.feed(packet).await?;
            }
            self.sink.send(Packet::Close(Some(close))).await
        };
        // Whoever does not read does not hear it.
        drop(tokio::time::timeout(FAREWELL_TIMEOUT, farewell).await);
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

/// What an error of the socket means: some of them are the other end's fault, and it is told which.
fn broke(error: &axum::Error) -> Ended {
    use tokio_tungstenite::tungstenite::Error as Cause;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Cause>());
    match source {
        Some(Cause::Capacity(limit)) => Ended::Broke(close_code::SIZE, limit.to_string()),
        Some(Cause::Utf8(detail)) => Ended::Broke(close_code::INVALID, detail.clone()),
        Some(Cause::Protocol(cause)) => Ended::Broke(close_code::PROTOCOL, cause.to_string()),
        Some(_) | None => Ended::Gone,
    }
}
