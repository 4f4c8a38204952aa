//! One service on a WebSocket, as brokers of 2017 saw it. Reference: exo 3.1, 3.2.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{Message as Packet, Utf8Bytes, WebSocket};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::broker::Shared;
use super::record::{Known, Origin, Record, Way};
use crate::broker::{Frame, Hello, alive_frame};
use crate::message::{Message, MessageId, Role};

/// Frames that may wait for a service that does not read.
pub(super) const FRAMES_WAITING_MAX: usize = 1_024;

/// How long one frame may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Who answers when a service asks whether the broker lives.
const SELF: &str = "exocom";

/// One connection, as its frames see it.
struct Connection {
    shared: Arc<Shared>,
    number: u64,
    frames: mpsc::Sender<Bytes>,
    cut: CancellationToken,
}

/// Serves one service until it goes, or its connection is cut: then without a close frame.
pub(super) async fn serve(shared: Arc<Shared>, cut: CancellationToken, mut socket: WebSocket) {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let (frames, mut outgoing) = mpsc::channel(FRAMES_WAITING_MAX);
    let connection = Connection { shared, number, frames, cut };
    loop {
        tokio::select! {
            biased;
            () = connection.cut.cancelled() => break,
            incoming = socket.recv() => match incoming {
                Some(Ok(Packet::Text(text))) => connection.take(&text.into()),
                Some(Ok(Packet::Binary(bytes))) => connection.take(&bytes),
                // Pongs go out by themselves, and so does the answer to a close frame, while this goes on reading.
                Some(Ok(Packet::Ping(_) | Packet::Pong(_) | Packet::Close(_))) => {}
                Some(Err(_)) | None => break,
            },
            Some(frame) = outgoing.recv() => {
                let text = Utf8Bytes::try_from(frame).expect("frames are written from checked JSON");
                match tokio::time::timeout(WRITE_TIMEOUT, socket.send(Packet::Text(text))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => break,
                }
            }
        }
    }
    connection.shared.record().disconnected(number);
}

impl Connection {
    fn take(&self, frame: &Bytes) {
        match Frame::from_bytes(frame) {
            Ok(Frame::Register(hello)) => self.register(*hello),
            Ok(Frame::Status) => self.say_alive(),
            // A test may have asked for it.
            Ok(Frame::Alive) => match Message::from_json(None, frame) {
                Ok(message) => self.receive(message),
                Err(error) => self.shared.complain(format!("a frame could not be read: {error}")),
            },
            Ok(Frame::Message(message)) => self.receive(message),
            Ok(Frame::Answers(_)) => self.shared.complain("a frame is an array, which originals do not know".into()),
            Err(error) => self.shared.complain(format!("a frame could not be read: {error}")),
        }
    }

    fn register(&self, hello: Hello) {
        let way = Way::Socket { connection: self.number, dialect: hello.dialect, frames: self.frames.clone() };
        let known = Known { role: hello.role, instance: hello.instance, origin: Origin::Itself, way };
        if let Err(error) = self.shared.add_connected(known, &self.cut) {
            self.shared.complain(error.to_string());
        }
    }

    fn receive(&self, message: Message) {
        self.shared.receive(message, |record: &Record| record.find_connection(self.number).cloned());
    }

    fn say_alive(&self) {
        let role = Role::parse(SELF).expect("it is a role");
        let frame = alive_frame(&role, &MessageId::from_uuid(Uuid::now_v7()));
        if self.frames.try_send(frame).is_err() {
            self.shared.complain("a sign of life had no place: the service does not read".into());
        }
    }
}
