//! The loop that reads, writes and watches over one connection, for servers and clients alike.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message as RawFrame};

use super::heartbeat::{Beat, Heartbeat};
use super::queue::{QueueState, SendQueue};
use super::socket::{Reading, Socket, Traffic};

/// One end's side of a connection: handles the frames of the other end and queues its own. Called by [`drive`].
pub(crate) trait Session {
    /// Result of [`Session::wait`].
    type Event;
    /// Reason for the end of the session.
    type End: From<Lost>;

    /// Says if frames may be read.
    fn reading(&self) -> Reading;

    /// Returns the earliest time at which [`Session::tick`] has something to do.
    fn due(&self) -> Option<Instant>;

    /// Waits for an event that does not come from the connection. `queue` is the state at the time of the call.
    /// Cancel-safe.
    fn wait(&mut self, queue: QueueState) -> impl Future<Output = Self::Event> + Send;

    /// Handles the result of [`Session::wait`].
    fn handle(&mut self, event: Self::Event, queue: &mut SendQueue) -> Result<(), Self::End>;

    /// Handles a text or binary frame.
    fn receive(&mut self, frame: Bytes, queue: &mut SendQueue) -> Result<(), Self::End>;

    /// Queues the answers to the frames received so far. Called when no further frame has arrived yet.
    fn answer(&mut self, queue: &mut SendQueue);

    /// Called when every queued frame has been written.
    fn written(&mut self);

    /// Does the work that is due at `now`. Afterwards [`Session::due`] must be later. May be called early.
    fn tick(&mut self, now: Instant, queue: &mut SendQueue) -> Result<(), Self::End>;

    /// Queues further frames, if there are any to send. Called after every other call.
    fn fill(&mut self, queue: &mut SendQueue) -> Result<(), Self::End>;
}

/// Loss of a connection through the other end or the network.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The other end sent a close frame.
    Closed(Option<CloseFrame>),
    /// The connection broke, or the other end violated the protocol.
    Broken(tungstenite::Error),
    /// Nothing was heard from the other end for this long, pongs included.
    Silent(Duration),
}

/// Drives a connection until its session ends. A ping is sent after each `heartbeat` without a frame; after three of
/// them the other end is taken for dead. Not cancel-safe.
pub(crate) async fn drive<S, T>(socket: &mut Socket<S>, heartbeat: Duration, session: &mut T) -> T::End
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Session,
{
    match run(socket, Heartbeat::new(heartbeat, now()), session).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// Returns the time of the runtime's clock, which tests may control.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

enum Step<E> {
    Traffic(Result<Traffic, tungstenite::Error>),
    Event(E),
    Tick,
}

async fn run<S, T>(socket: &mut Socket<S>, mut heartbeat: Heartbeat, session: &mut T) -> Result<Infallible, T::End>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Session,
{
    let mut timer = pin!(sleep_until(heartbeat.due().into()));
    loop {
        let due = session.due().map_or(heartbeat.due(), |due| due.min(heartbeat.due())).into();
        // Left to fire early rather than moved for every frame, which would cost more.
        if timer.is_elapsed() || due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        let (reading, queue) = (session.reading(), socket.queue().state());
        let step = tokio::select! {
            traffic = socket.exchange(reading) => Step::Traffic(traffic),
            event = session.wait(queue) => Step::Event(event),
            () = &mut timer => Step::Tick,
        };
        match step {
            Step::Traffic(traffic) => handle_traffic(traffic, socket, &mut heartbeat, session)?,
            Step::Event(event) => session.handle(event, socket.queue())?,
            Step::Tick => tick(socket.queue(), &mut heartbeat, session)?,
        }
        session.fill(socket.queue())?;
    }
}

/// Handles a frame together with those behind it that have arrived already, so that they are answered together.
fn handle_traffic<S, T>(
    traffic: Result<Traffic, tungstenite::Error>,
    socket: &mut Socket<S>,
    heartbeat: &mut Heartbeat,
    session: &mut T,
) -> Result<(), T::End>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Session,
{
    let mut traffic = traffic.map_err(Lost::Broken)?;
    while let Traffic::Frame(frame) = traffic {
        heartbeat.heard(now());
        match frame {
            RawFrame::Text(text) => session.receive(text.into(), socket.queue())?,
            RawFrame::Binary(bytes) => session.receive(bytes, socket.queue())?,
            RawFrame::Ping(_) | RawFrame::Pong(_) | RawFrame::Frame(_) => {}
            RawFrame::Close(frame) => return Err(Lost::Closed(frame).into()),
        }
        let Some(next) = socket.exchange(session.reading()).now_or_never() else { return Ok(()) };
        traffic = next.map_err(Lost::Broken)?;
    }
    match traffic {
        Traffic::Flushed => session.written(),
        Traffic::Pause | Traffic::Frame(_) => session.answer(socket.queue()),
    }
    Ok(())
}

fn tick<T: Session>(queue: &mut SendQueue, heartbeat: &mut Heartbeat, session: &mut T) -> Result<(), T::End> {
    let now = now();
    session.tick(now, queue)?;
    if session.reading() == Reading::Off {
        // The other end cannot be heard while nothing is read.
        heartbeat.heard(now);
    }
    match heartbeat.check(now) {
        Beat::Wait => {}
        Beat::Ping => queue.ping(Bytes::new()),
        Beat::GiveUp => return Err(Lost::Silent(heartbeat.patience()).into()),
    }
    Ok(())
}
