//! Services of the WebSocket era: they register, send frames and get frames, and nothing is acknowledged.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Packet;

use crate::cells::Cell;
use crate::error::Error;
use crate::load::Call;

/// Frames that may wait to be written.
const FRAMES_MAX: usize = 1_024;

/// A connection to the broker.
pub type Socket = WebSocketStream<TcpStream>;

/// Fields of a frame that are checked.
#[derive(Deserialize)]
struct Frame<'a> {
    name: &'a str,
    #[serde(rename = "activityId")]
    activity_id: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Connects and registers. The broker knows the service when this returns: a message of its own has come back.
pub async fn open(broker: SocketAddr, role: &str, receives: &[&str], sends: &[&str]) -> Result<Socket, Error> {
    let stream = TcpStream::connect(broker).await?;
    stream.set_nodelay(true)?;
    let url = format!("ws://{broker}/services");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.map_err(lost)?;
    let own = format!("{role} is there");
    let with_own = |names: &[&str]| names.iter().copied().chain([own.as_str()]).map(str::to_owned).collect::<Vec<_>>();
    let payload = json!({ "clientName": role, "receives": with_own(receives), "sends": with_own(sends) });
    let register = json!({
        "name": "exocom.register-service", "sender": role, "id": "0", "activityId": role, "payload": payload,
    });
    socket.feed(Packet::text(register.to_string())).await.map_err(lost)?;
    socket.send(Packet::text(frame(&own, role, role, "null"))).await.map_err(lost)?;
    loop {
        match socket.next().await {
            Some(Ok(Packet::Text(text))) if text.contains(&own) => return Ok(socket),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(lost(error)),
            None => return Err(Error::Exocom("the connection ended".to_owned())),
        }
    }
}

/// The text of a message in the activity `activity`.
pub fn frame(name: &str, sender: &str, activity: &str, payload: &str) -> String {
    format!(
        r#"{{"name":"{name}","sender":"{sender}","id":"{sender} {activity}","activityId":"{activity}","payload":{payload}}}"#
    )
}

/// Answers requests called `echo` until the connection ends; calls `ready` when the broker knows the service.
pub async fn respond(broker: SocketAddr, ready: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    let mut socket = open(broker, "responder", &["echo"], &["echoed"]).await?;
    ready()?;
    while let Some(packet) = socket.next().await {
        let mut packet = Some(packet);
        // Everything that has come is answered with one flush.
        while let Some(Ok(next)) = packet {
            if let Packet::Text(text) = next {
                let request: Frame<'_> = serde_json::from_str(&text).map_err(std::io::Error::from)?;
                let answer = frame("echoed", "responder", request.activity_id, request.payload.get());
                socket.feed(Packet::text(answer)).await.map_err(lost)?;
            }
            packet = socket.next().now_or_never().flatten();
        }
        if let Some(Err(error)) = packet {
            return Err(lost(error));
        }
        socket.flush().await.map_err(lost)?;
    }
    Err(Error::Exocom("the connection ended".to_owned()))
}

/// The writing half of a connection, shared by all senders.
#[derive(Clone)]
pub struct Outgoing(mpsc::Sender<String>);

impl Outgoing {
    /// Writes in a task of its own: everything that waits with one flush.
    pub fn new(mut sink: SplitSink<Socket, Packet>) -> Self {
        let (sender, mut frames) = mpsc::channel(FRAMES_MAX);
        tokio::spawn(async move {
            while let Some(frame) = frames.recv().await {
                let mut next = Some(frame);
                while let Some(frame) = next {
                    sink.feed(Packet::text(frame)).await?;
                    next = frames.try_recv().ok();
                }
                sink.flush().await?;
            }
            Ok::<_, tokio_tungstenite::tungstenite::Error>(())
        });
        Self(sender)
    }

    /// Sends one frame, which may wait for the ones before it. The error is for people.
    pub async fn send(&self, frame: String) -> Result<(), String> {
        self.0.send(frame).await.map_err(|_| "the connection ended".to_owned())
    }
}

/// One connection that makes requests and finds their answers by the activity.
pub struct Requests {
    outgoing: Outgoing,
    waiting: Waiting,
    next: Arc<AtomicU64>,
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<String>>>>;

/// One request in flight.
pub struct SocketCaller {
    outgoing: Outgoing,
    waiting: Waiting,
    next: Arc<AtomicU64>,
    payload: Bytes,
}

impl Requests {
    /// Connects and registers.
    pub async fn open(broker: SocketAddr) -> Result<Self, Error> {
        let (sink, stream) = open(broker, "requester", &["echoed"], &["echo"]).await?.split();
        let waiting = Waiting::default();
        tokio::spawn(take_answers(stream, Arc::clone(&waiting)));
        Ok(Self { outgoing: Outgoing::new(sink), waiting, next: Arc::default() })
    }

    /// As many callers as `cell` has calls in flight.
    pub fn callers(&self, cell: &Cell) -> Vec<SocketCaller> {
        let caller = || SocketCaller {
            outgoing: self.outgoing.clone(),
            waiting: Arc::clone(&self.waiting),
            next: Arc::clone(&self.next),
            payload: cell.payload(),
        };
        std::iter::repeat_with(caller).take(cell.callers()).collect()
    }
}

impl Call for SocketCaller {
    async fn call(&mut self) -> Result<(), String> {
        let activity = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let payload = std::str::from_utf8(&self.payload).map_err(|error| error.to_string())?;
        let request = frame("echo", "requester", &activity, payload);
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(activity, sender);
        self.outgoing.send(request).await?;
        match answer.await {
            Ok(answer) if answer.as_bytes() == self.payload => Ok(()),
            Ok(_) => Err("the answer is not the payload".to_owned()),
            Err(_) => Err("the connection ended".to_owned()),
        }
    }
}

async fn take_answers(mut stream: SplitStream<Socket>, waiting: Waiting) {
    while let Some(Ok(packet)) = stream.next().await {
        let Packet::Text(text) = packet else { continue };
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(&text) else { continue };
        if frame.name == "echoed"
            && let Some(caller) = lock(&waiting).remove(frame.activity_id)
        {
            // An error means that the call was given up.
            caller.send(frame.payload.get().to_owned()).ok();
        }
    }
    // Fails the calls that still wait.
    lock(&waiting).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is a single insertion or removal, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A broken connection, as this program's error.
pub fn lost(error: tokio_tungstenite::tungstenite::Error) -> Error {
    Error::Exocom(error.to_string())
}
