//! A service on a WebSocket of the 2017 protocol. Reference: exo 3.1, 3.2.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{Message as Packet, Utf8Bytes, WebSocket};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::record::Record;
use super::service::{FRAMES_WAITING_MAX, Origin, Service, Target};
use super::shared::Shared;
use crate::broker::{Frame, Hello, alive_frame};
use crate::message::{Message, MessageId, Role};

/// Timeout for writing one frame.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sender of the answer to a status frame.
const BROKER_ROLE: &str = "exocom";

/// The connection of one service.
struct Connection {
    shared: Arc<Shared>,
    number: u64,
    frames: mpsc::Sender<Bytes>,
    cut: CancellationToken,
}

/// Serves one service until it disconnects or `cut` is cancelled, which ends the connection without a close frame.
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
                Some(Ok(Packet::Text(text))) => connection.handle(&text.into()),
                Some(Ok(Packet::Binary(bytes))) => connection.handle(&bytes),
                // Reading also makes the WebSocket send pongs and the answer to a close frame.
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
    connection.shared.record().remove_connection(number);
}

impl Connection {
    fn handle(&self, frame: &Bytes) {
        match Frame::from_bytes(frame) {
            Ok(Frame::Register(hello)) => self.register(*hello),
            Ok(Frame::Status) => self.send_alive(),
            // Recorded, because a test may have sent the status frame it answers.
            Ok(Frame::Alive) => match Message::from_json(None, frame) {
                Ok(message) => self.receive(message),
                Err(error) => self.shared.note_error(format!("a frame could not be read: {error}")),
            },
            Ok(Frame::Message(message)) => self.receive(message),
            Ok(Frame::Answers(_)) => {
                self.shared.note_error("a frame is an array, which the original protocol does not have".into())
            }
            Err(error) => self.shared.note_error(format!("a frame could not be read: {error}")),
        }
    }

    fn register(&self, hello: Hello) {
        let target = Target::Socket { connection: self.number, dialect: hello.dialect, frames: self.frames.clone() };
        let service = Service { role: hello.role, instance: hello.instance, origin: Origin::Registration, target };
        if let Err(error) = self.shared.add_connected(service, &self.cut) {
            self.shared.note_error(error.to_string());
        }
    }

    fn receive(&self, message: Message) {
        self.shared.receive(message, |record: &Record| record.find_connection(self.number).cloned());
    }

    fn send_alive(&self) {
        let role = Role::parse(BROKER_ROLE).expect("the constant is a valid role");
        let frame = alive_frame(&role, &MessageId::from_uuid(Uuid::now_v7()));
        if self.frames.try_send(frame).is_err() {
            self.shared.note_error("the answer to a status frame was dropped: the service does not read".into());
        }
    }
}
