//! The relay's side of a connection: writes what its owner sends, passes messages to the inbox, and reports the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use uuid::Uuid;

use super::handshake::Peer;
use super::intake::{Answered, Intake};
use super::rules::{Conversations, Unanswered};
use crate::broker::{Frame, alive_frame};
use crate::bus::Error;
use crate::http::websocket::{Ending, Lost, QueueState, Reading, SendQueue, Session, Socket, drive, now};
use crate::message::{ActivityId, Inbox, Message, MessageId, Role, Verdict};

/// Time for which messages that the inbox had no room for are retried after their connection ended.
const HELD_TIMEOUT: Duration = Duration::from_secs(10);

/// Announces to our broker that this end has read which messages it refused as busy: what follows is judged anew.
const RESUME: Bytes = Bytes::from_static(b"[]");

/// Settings of a connection.
pub(super) struct Setup {
    /// Host and port of the broker, for errors.
    pub(super) authority: String,
    /// Role of this relay.
    pub(super) role: Role,
    /// Timeout for the answers to a batch, and for writing it.
    pub(super) timeout: Duration,
    /// Silence after which the other end is pinged.
    pub(super) heartbeat: Duration,
    /// The way this end closes the connection.
    pub(super) ending: Ending,
}

/// Frames that are sent together, each of which is answered.
pub(super) struct Batch {
    pub(super) frames: Vec<Bytes>,
    /// The last message of each conversation in the batch; only for brokers that do not say what a message answers.
    pub(super) conversations: Vec<(ActivityId, MessageId)>,
    /// Receives one verdict per frame, in their order. Dropped if the connection ends first.
    pub(super) verdicts: VerdictSender,
}

type VerdictSender = oneshot::Sender<Vec<Verdict>>;

/// Messages to and from one broker.
pub(super) struct BusSession {
    peer: Peer,
    setup: Setup,
    inbox: Arc<dyn Inbox>,
    intake: Intake,
    unanswered: Unanswered<VerdictSender>,
    conversations: Conversations,
    batches: mpsc::Receiver<Batch>,
    leaving: oneshot::Receiver<()>,
    /// True if the broker had no room for a message: it takes none of that name before it reads [`RESUME`].
    held_up: bool,
}

/// Events that do not come from the connection.
pub(super) enum Event {
    /// The owner leaves.
    Leave,
    Send(Batch),
    /// The inbox has answered a message.
    Answered(Answered),
}

/// Reason for the end of a session.
pub(super) enum Ended {
    /// The owner left.
    Left,
    Failed(Failure),
}

impl Session for BusSession {
    type Event = Event;
    type End = Ended;

    fn reading(&self) -> Reading {
        self.intake.reading()
    }

    fn due(&self) -> Option<Instant> {
        [self.unanswered.deadline(), self.intake.due()].into_iter().flatten().min()
    }

    /// Takes no further batch before the last one is handed to the connection.
    async fn wait(&mut self, queue: QueueState) -> Event {
        tokio::select! {
            biased;
            _ = &mut self.leaving => Event::Leave,
            batch = self.batches.recv(), if queue == QueueState::Empty => batch.map_or(Event::Leave, Event::Send),
            answered = self.intake.answered() => Event::Answered(answered),
        }
    }

    fn handle(&mut self, event: Event, queue: &mut SendQueue) -> Result<(), Ended> {
        match event {
            Event::Leave => return Err(Ended::Left),
            Event::Send(batch) => self.send(batch, queue),
            Event::Answered(answered) => {
                self.intake.conclude(answered, now());
                self.answer(queue);
            }
        }
        Ok(())
    }

    fn receive(&mut self, frame: Bytes, queue: &mut SendQueue) -> Result<(), Ended> {
        match Frame::from_bytes(&frame) {
            Ok(Frame::Message(message)) => self.receive_message(message),
            Ok(Frame::Answers(answers)) => return self.receive_answers(&answers),
            Ok(Frame::Status) => {
                let id = MessageId::from_uuid(Uuid::now_v7());
                queue.text(alive_frame(&self.setup.role, &id));
            }
            Ok(Frame::Alive) => {}
            Ok(Frame::Register(_)) => {
                self.inbox.report_error("the broker sent a registration, which is for services to send")
            }
            Err(error) => self.intake.unreadable(error.to_string()),
        }
        Ok(())
    }

    fn answer(&mut self, queue: &mut SendQueue) {
        if let Some(answers) = self.intake.answers() {
            queue.text(answers);
        }
    }

    /// Originals answer nothing, so messages to them count as accepted once they are written.
    fn written(&mut self) {
        if self.peer == Peer::Original {
            deliver(self.unanswered.accept_all());
        }
    }

    fn tick(&mut self, now: Instant, _queue: &mut SendQueue) -> Result<(), Ended> {
        if self.unanswered.deadline().is_some_and(|deadline| deadline <= now) {
            let what = match self.peer {
                Peer::Acknowledging => "did not answer",
                Peer::Original => "did not take what was sent",
            };
            return Err(lost(format!("it {what} within {} ms", self.setup.timeout.as_millis())));
        }
        self.intake.retry(now);
        Ok(())
    }

    fn fill(&mut self, _queue: &mut SendQueue) -> Result<(), Ended> {
        Ok(())
    }
}

impl BusSession {
    pub(super) fn new(
        peer: Peer,
        inbox: Arc<dyn Inbox>,
        setup: Setup,
        batches: mpsc::Receiver<Batch>,
        leaving: oneshot::Receiver<()>,
    ) -> Self {
        Self {
            peer,
            intake: Intake::new(peer, Arc::clone(&inbox)),
            inbox,
            unanswered: Unanswered::new(),
            conversations: Conversations::new(),
            batches,
            leaving,
            held_up: false,
            setup,
        }
    }

    /// Runs the session to its end. `ended` receives the reason, unless the owner left.
    pub(super) async fn run<S>(mut self, stream: WebSocketStream<S>, ended: watch::Sender<Option<Error>>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut socket = Socket::new(stream);
        let end = drive(&mut socket, self.setup.heartbeat, &mut self).await;
        self.answer(socket.queue());
        let Self { setup: Setup { authority, mut ending, .. }, mut intake, unanswered, batches, .. } = self;
        let lost = matches!(end, Ended::Failed(_));
        if let Ended::Failed(failure) = end {
            if let (Failure::Oversized(_), Ending::Polite(_)) = (&failure, &ending) {
                ending = Ending::polite(CloseCode::Size);
            }
            ended.send_replace(Some(failure.into_error(&authority)));
        }
        // Senders learn that no answers will come before closing takes its time.
        drop((unanswered, batches));
        socket.close(ending).await;
        if lost {
            // Messages that are held will not come again, so they outlive their connection.
            deliver_held(&mut intake).await;
        }
        intake.give_up();
    }

    fn send(&mut self, batch: Batch, queue: &mut SendQueue) {
        let Batch { frames, conversations, verdicts } = batch;
        self.unanswered.push(verdicts, frames.len(), now() + self.setup.timeout);
        for (activity, id) in conversations {
            self.conversations.sent(activity, id, |request| self.inbox.awaits_reply(Some(request)));
        }
        if std::mem::take(&mut self.held_up) {
            queue.text(RESUME);
        }
        frames.into_iter().for_each(|frame| queue.text(frame));
    }

    fn receive_message(&mut self, mut message: Message) {
        if self.peer == Peer::Original {
            self.conversations.complete(&mut message);
        }
        self.intake.take(message, now());
    }

    fn receive_answers(&mut self, answers: &Bytes) -> Result<(), Ended> {
        if self.peer == Peer::Original {
            self.intake.unreadable("expected a message, got a JSON array".into());
            return Ok(());
        }
        let verdicts =
            Verdict::list_from_json(answers).map_err(|error| lost(format!("its answers cannot be read: {error}")))?;
        self.held_up |= verdicts.iter().any(|verdict| matches!(verdict, Verdict::Busy { .. }));
        let complete = self.unanswered.answer(verdicts);
        deliver(complete.map_err(|_| lost("it gave more answers than it was sent messages".into()))?);
        Ok(())
    }
}

/// Offers the held messages to the inbox again, for 10 seconds at most.
async fn deliver_held(intake: &mut Intake) {
    let give_up_at = now() + HELD_TIMEOUT;
    while intake.is_holding() && now() < give_up_at {
        let due = intake.due().map_or(give_up_at, |due| due.min(give_up_at));
        tokio::select! {
            answered = intake.answered() => intake.conclude(answered, now()),
            () = tokio::time::sleep_until(due.into()) => intake.retry(now()),
        }
    }
}

/// Sends the verdicts to the senders that wait for them. A sender that is gone is skipped.
fn deliver(complete: impl IntoIterator<Item = (VerdictSender, Vec<Verdict>)>) {
    for (sender, verdicts) in complete {
        drop(sender.send(verdicts));
    }
}

/// Reason for the loss of a connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection ended, or the other end violated the protocol; the details.
    Lost(String),
    /// The other end received a frame that is too large for it.
    TooLarge,
    /// The other end refuses this relay; its reason.
    Refused(String),
    /// This end received a frame that is too large; the details.
    Oversized(String),
}

impl Failure {
    fn into_error(self, authority: &str) -> Error {
        let authority = authority.to_owned();
        match self {
            Self::Lost(cause) | Self::Oversized(cause) => Error::Lost { authority, cause },
            Self::TooLarge => Error::TooLarge { authority },
            Self::Refused(detail) => Error::Registration(detail),
        }
    }
}

fn closed(close: Option<CloseFrame>) -> Failure {
    let Some(CloseFrame { code, reason }) = close else { return Failure::Lost("it closed the connection".into()) };
    match (code, reason.is_empty()) {
        (CloseCode::Size, _) => Failure::TooLarge,
        (CloseCode::Policy, false) => Failure::Refused(reason.to_string()),
        (code, true) => Failure::Lost(format!("it closed the connection ({})", u16::from(code))),
        (code, false) => Failure::Lost(format!("it closed the connection ({}: {reason})", u16::from(code))),
    }
}

fn broken(error: tungstenite::Error) -> Failure {
    use tungstenite::Error as Cause;
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        Cause::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let detail = format!("it sent a frame of {size} bytes, and bus.frame_bytes_max allows {max_size}");
            Failure::Oversized(detail)
        }
        Cause::Protocol(ResetWithoutClosingHandshake) | Cause::ConnectionClosed | Cause::AlreadyClosed => {
            Failure::Lost("it hung up".into())
        }
        Cause::Io(error) => Failure::Lost(error.to_string()),
        other => Failure::Lost(other.to_string()),
    }
}

fn lost(detail: String) -> Ended {
    Ended::Failed(Failure::Lost(detail))
}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        Self::Failed(match lost {
            Lost::Closed(frame) => closed(frame),
            Lost::Broken(error) => broken(error),
            Lost::Silent(silence) => {
                Failure::Lost(format!("it has given no sign of life for {} ms", silence.as_millis()))
            }
        })
    }
}
