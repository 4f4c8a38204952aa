//! A service as the originals wrote it, which records what it receives.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Packet};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::world::eventually::eventually;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Dialect in which a service introduces itself and finds answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// By its payload and by `responseTo`, until 2017-07.
    ResponseTo,
    /// By the sender and by `activityId`.
    ActivityId,
}

/// End of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a close frame; its code.
    Goodbye(Option<u16>),
    /// With a reset.
    Reset,
    /// With the end of the stream, or any other error.
    Cut,
}

/// A service with a socket. Dropped, its connection just ends.
#[derive(Debug)]
pub struct Peer {
    pub role: String,
    pub dialect: Dialect,
    sink: SplitSink<Socket, Packet>,
    /// Frames that no step has looked at yet.
    frames: Arc<Mutex<VecDeque<Value>>>,
    /// End of the connection, once it has ended.
    ended: Arc<Mutex<Option<End>>>,
    reader: JoinHandle<()>,
}

impl Peer {
    /// Opens a socket and reads from it from now on.
    pub async fn connect(url: &str, role: &str, dialect: Dialect) -> Self {
        Self::try_connect(url, role, dialect).await.expect("the broker takes sockets")
    }

    /// As [`Peer::connect`]; `None` if the broker does not take it.
    pub async fn try_connect(url: &str, role: &str, dialect: Dialect) -> Option<Self> {
        let (socket, _) = connect_async(url).await.ok()?;
        let (sink, mut stream) = socket.split();
        let (frames, ended) = (Arc::<Mutex<VecDeque<_>>>::default(), Arc::<Mutex<_>>::default());
        let (kept, end) = (Arc::clone(&frames), Arc::clone(&ended));
        let reader = tokio::spawn(async move {
            let mut last = End::Cut;
            while let Some(packet) = stream.next().await {
                match packet {
                    Ok(Packet::Text(text)) => kept.lock().unwrap().push_back(serde_json::from_str(&text).unwrap()),
                    Ok(Packet::Close(frame)) => last = End::Goodbye(frame.map(|CloseFrame { code, .. }| code.into())),
                    Ok(_) => {}
                    Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset && last == End::Cut => {
                        last = End::Reset;
                    }
                    Err(_) => break,
                }
            }
            *end.lock().unwrap() = Some(last);
        });
        Some(Self { role: role.into(), dialect, sink, frames, ended, reader })
    }

    pub async fn register(&mut self) {
        self.try_register().await.expect("the connection is open");
    }

    /// As [`Peer::register`]. Errors: the connection has ended.
    pub async fn try_register(&mut self) -> Result<(), Error> {
        let frame = match self.dialect {
            Dialect::ActivityId => {
                json!({ "name": "exocom.register-service", "sender": self.role, "id": "r", "activityId": "r" })
            }
            Dialect::ResponseTo => {
                let payload = json!({ "clientName": self.role });
                json!({ "name": "exocom.register-service", "sender": "somebody", "id": "r", "payload": payload })
            }
        };
        self.sink.send(Packet::text(frame.to_string())).await
    }

    pub async fn send(&mut self, frame: String) {
        self.sink.send(Packet::text(frame)).await.expect("the connection is open");
    }

    pub async fn send_binary(&mut self, frame: Vec<u8>) {
        self.sink.send(Packet::binary(frame)).await.expect("the connection is open");
    }

    /// The next frame that no step has looked at, once it is there.
    pub async fn next(&self) -> Value {
        eventually(format!("a frame for {}", self.role), || async { self.frames.lock().unwrap().pop_front() }).await
    }

    /// Number of frames that no step has looked at.
    pub fn unread(&self) -> usize {
        self.frames.lock().unwrap().len()
    }

    /// Sends a close frame and returns the end that it leads to.
    pub async fn close(mut self, code: u16) -> End {
        let frame = CloseFrame { code: code.into(), reason: "goodbye".into() };
        self.sink.send(Packet::Close(Some(frame))).await.expect("the connection is open");
        self.end().await
    }

    /// End of the connection, once it has ended.
    pub async fn end(&self) -> End {
        eventually(format!("the end of {}", self.role), || async { *self.ended.lock().unwrap() }).await
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Its half of the socket is the last one; then the connection is cut without a word.
        self.reader.abort();
    }
}
