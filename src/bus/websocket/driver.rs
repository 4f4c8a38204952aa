//! The task that owns a connection: writes what its owner sends, gives what comes to the inbox, and notices the end.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message as RawFrame};
use uuid::Uuid;

use super::connection::Parcel;
use super::handshake::Peer;
use super::intake::{Answered, Intake};
use super::rules::{Beat, Conversations, Heartbeat, Unanswered};
use crate::broker::{Frame, alive_frame};
use crate::bus::Error;
use crate::http::{Ending, Reading, Socket, Traffic};
use crate::message::{Inbox, Message, MessageId, Role, Verdict};

/// How long messages that found no room are tried after their connection has ended.
const HELD: Duration = Duration::from_secs(10);

/// What tells our broker that messages it had no room for come again, in their order.
const BEGIN_ANEW: Bytes = Bytes::from_static(b"[]");

/// What a connection needs to know.
pub(super) struct Setup {
    /// Host and port of the broker, as errors tell them.
    pub(super) authority: String,
    /// Who this relay is.
    pub(super) role: Role,
    /// How long what was sent may stay unanswered, or unwritten.
    pub(super) timeout: Duration,
    /// How long the other end may be silent before it is asked.
    pub(super) heartbeat: Duration,
    /// How the connection ends when it is this end that ends it.
    pub(super) ending: Ending,
}

/// Who waits for the verdicts about one parcel.
type Waiter = oneshot::Sender<Vec<Verdict>>;

/// The task's state.
pub(super) struct Driver<S> {
    socket: Socket<S>,
    peer: Peer,
    setup: Setup,
    inbox: Arc<dyn Inbox>,
    intake: Intake,
    unanswered: Unanswered<Waiter>,
    conversations: Conversations,
    heartbeat: Heartbeat,
    /// The broker had no room for a message, and has none for others until it is told that they come again in order.
    held_up: bool,
}

/// What the task does next.
enum Step {
    Send(Parcel),
    Look,
    Handle(Traffic),
    Answer(Answered),
    Leave,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(stream: WebSocketStream<S>, peer: Peer, inbox: Arc<dyn Inbox>, setup: Setup) -> Self {
        Self {
            socket: Socket::new(stream),
            peer,
            intake: Intake::new(peer, Arc::clone(&inbox)),
            inbox,
            unanswered: Unanswered::new(),
            conversations: Conversations::new(),
            heartbeat: Heartbeat::new(setup.heartbeat, now()),
            held_up: false,
            setup,
        }
    }

    /// Drives the connection to its end. `ended` gets the reason, unless its owner wanted it.
    pub(super) async fn run(
        mut self,
        parcels: mpsc::Receiver<Parcel>,
        leaving: oneshot::Receiver<()>,
        ended: watch::Sender<Option<Error>>,
    ) {
        let outcome = self.drive(parcels, leaving).await;
        let mut ending = self.setup.ending;
        let lost = outcome.is_err();
        if let Err(failure) = outcome {
            if let (Failure::Oversized(_), Ending::Polite(_)) = (&failure, &ending) {
                ending = Ending::polite(CloseCode::Size);
            }
            ended.send_replace(Some(failure.into_error(&self.setup.authority)));
        }
        if let Some(answers) = self.intake.answers() {
            self.socket.text(answers);
        }
        // Whoever waits for answers learns that there will be none, before the end takes its time.
        drop(self.unanswered);
        self.socket.end(ending).await;
        if lost {
            // Messages that came and found no room will not come again, so they outlive their connection.
            empty(&mut self.intake).await;
        }
        self.intake.give_up();
    }

    /// Until the owner leaves (`Ok`) or the connection cannot be used any more.
    async fn drive(
        &mut self,
        mut parcels: mpsc::Receiver<Parcel>,
        mut leaving: oneshot::Receiver<()>,
    ) -> Result<(), Failure> {
        let mut timer = pin!(tokio::time::sleep_until(self.due().into()));
        loop {
            let due = self.due().into();
            if timer.is_elapsed() || due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            let reading = self.intake.reading();
            let step = tokio::select! {
                biased;
                _ = &mut leaving => Step::Leave,
                parcel = parcels.recv(), if self.socket.has_room() => parcel.map_or(Step::Leave, Step::Send),
                () = &mut timer => Step::Look,
                answered = self.intake.answered() => Step::Answer(answered),
                traffic = self.socket.exchange(reading) => Step::Handle(traffic.map_err(failure)?),
            };
            match step {
                Step::Leave => return Ok(()),
                Step::Send(parcel) => self.send(parcel),
                Step::Look => self.look(now())?,
                Step::Answer(answered) => {
                    self.intake.conclude(answered, now());
                    self.write_answers();
                }
                Step::Handle(traffic) => self.handle(traffic)?,
            }
        }
    }

    /// When there is something to do although nothing happens.
    fn due(&self) -> Instant {
        let others = [self.unanswered.deadline(), self.intake.due()];
        others.into_iter().flatten().fold(self.heartbeat.due(), Instant::min)
    }

    fn send(&mut self, parcel: Parcel) {
        let Parcel { frames, conversations, judged } = parcel;
        self.unanswered.push(judged, frames.len(), now() + self.setup.timeout);
        for (activity, id) in conversations {
            self.conversations.sent(activity, id);
        }
        if std::mem::take(&mut self.held_up) {
            self.socket.text(BEGIN_ANEW);
        }
        frames.into_iter().for_each(|frame| self.socket.text(frame));
    }

    fn look(&mut self, now: Instant) -> Result<(), Failure> {
        if self.unanswered.deadline().is_some_and(|deadline| deadline <= now) {
            let what = match self.peer {
                Peer::Acknowledging => "did not answer",
                Peer::Original => "did not take what was sent",
            };
            return Err(Failure::Lost(format!("it {what} within {} ms", self.setup.timeout.as_millis())));
        }
        self.intake.retry(now);
        if self.intake.reading() == Reading::Off {
            // What is not read cannot be heard.
            self.heartbeat.heard(now);
        }
        match self.heartbeat.look(now) {
            Beat::Wait => Ok(()),
            Beat::Ask => {
                self.socket.ping();
                Ok(())
            }
            Beat::GiveUp => {
                let silence = self.heartbeat.patience().as_millis();
                Err(Failure::Lost(format!("it has given no sign of life for {silence} ms")))
            }
        }
    }

    fn handle(&mut self, traffic: Traffic) -> Result<(), Failure> {
        match traffic {
            Traffic::Frame(frame) => self.read(frame),
            Traffic::Pause => {
                self.write_answers();
                Ok(())
            }
            Traffic::Flushed => {
                if self.peer == Peer::Original {
                    tell(self.unanswered.accept_all());
                }
                Ok(())
            }
        }
    }

    fn write_answers(&mut self) {
        if let Some(answers) = self.intake.answers() {
            self.socket.text(answers);
        }
    }

    fn read(&mut self, frame: RawFrame) -> Result<(), Failure> {
        let now = now();
        self.heartbeat.heard(now);
        let bytes: Bytes = match frame {
            RawFrame::Text(text) => text.into(),
            RawFrame::Binary(bytes) => bytes,
            RawFrame::Ping(_) | RawFrame::Pong(_) | RawFrame::Frame(_) => return Ok(()),
            RawFrame::Close(close) => return Err(closed(close)),
        };
        match Frame::from_bytes(&bytes) {
            Ok(Frame::Message(message)) => self.receive(message, now),
            Ok(Frame::Answers(answers)) => return self.answered(&answers),
            Ok(Frame::Status) => {
                let id = MessageId::from_uuid(Uuid::now_v7());
                self.socket.text(alive_frame(&self.setup.role, &id));
            }
            Ok(Frame::Alive) => {}
            Ok(Frame::Register(_)) => {
                self.inbox.report_error("the broker sent a registration, which is for services to send")
            }
            Err(error) => self.intake.unreadable(error.to_string()),
        }
        Ok(())
    }

    fn receive(&mut self, mut message: Message, now: Instant) {
        if self.peer == Peer::Original {
            self.conversations.complete(&mut message);
        }
        self.intake.take(message, now);
    }

    fn answered(&mut self, answers: &Bytes) -> Result<(), Failure> {
        if self.peer == Peer::Original {
            self.intake.unreadable("expected a message, got a JSON array".into());
            return Ok(());
        }
        let verdicts = Verdict::list_from_json(answers)
            .map_err(|error| Failure::Lost(format!("its answers cannot be read: {error}")))?;
        self.held_up |= verdicts.iter().any(|verdict| matches!(verdict, Verdict::Busy { .. }));
        let complete = self.unanswered.answer(verdicts);
        tell(complete.map_err(|_| Failure::Lost("it gave more answers than it was sent messages".into()))?);
        Ok(())
    }
}

/// Tries the messages that wait for room, for a while.
async fn empty(intake: &mut Intake) {
    let give_up = now() + HELD;
    while intake.is_holding() && now() < give_up {
        let due = intake.due().map_or(give_up, |due| due.min(give_up));
        tokio::select! {
            answered = intake.answered() => intake.conclude(answered, now()),
            () = tokio::time::sleep_until(due.into()) => intake.retry(now()),
        }
    }
}

/// Tells the verdicts to those who wait for them. One who has gone away does not want to know.
fn tell(complete: impl IntoIterator<Item = (Waiter, Vec<Verdict>)>) {
    for (waiter, verdicts) in complete {
        drop(waiter.send(verdicts));
    }
}

/// Why a connection cannot be used any more.
#[derive(Debug)]
enum Failure {
    /// It ended, or the other end does not keep to the protocol; in which way.
    Lost(String),
    /// The other end got a frame that is too large for it.
    TooLarge,
    /// The other end does not want this relay; in its words.
    Unwanted(String),
    /// This end got one; in words.
    Oversized(String),
}

impl Failure {
    fn into_error(self, authority: &str) -> Error {
        let authority = authority.to_owned();
        match self {
            Self::Lost(cause) | Self::Oversized(cause) => Error::Lost { authority, cause },
            Self::TooLarge => Error::TooLarge { authority },
            Self::Unwanted(words) => Error::Registration(words),
        }
    }
}

/// What a close frame means.
fn closed(close: Option<CloseFrame>) -> Failure {
    let Some(CloseFrame { code, reason }) = close else { return Failure::Lost("it closed the connection".into()) };
    match (code, reason.is_empty()) {
        (CloseCode::Size, _) => Failure::TooLarge,
        (CloseCode::Policy, false) => Failure::Unwanted(reason.to_string()),
        (code, true) => Failure::Lost(format!("it closed the connection ({})", u16::from(code))),
        (code, false) => Failure::Lost(format!("it closed the connection ({}: {reason})", u16::from(code))),
    }
}

fn failure(error: tungstenite::Error) -> Failure {
    use tungstenite::Error as Cause;
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        Cause::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let words = format!("it sent a frame of {size} bytes, and bus.frame_bytes_max allows {max_size}");
            Failure::Oversized(words)
        }
        Cause::Protocol(ResetWithoutClosingHandshake) | Cause::ConnectionClosed | Cause::AlreadyClosed => {
            Failure::Lost("it hung up".into())
        }
        Cause::Io(error) => Failure::Lost(error.to_string()),
        other => Failure::Lost(other.to_string()),
    }
}

/// The runtime's clock, which tests may drive.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
