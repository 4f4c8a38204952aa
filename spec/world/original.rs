//! An original broker of the WebSocket era, as far as a relay can tell: it records every frame it receives, and sends
//! what a scenario asks for.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message as Packet;

use super::eventually::eventually;

/// Frames that may wait to be sent.
const OUTGOING_MAX: usize = 100;

#[derive(Clone, Default)]
struct Shared {
    frames: Arc<Mutex<Vec<Value>>>,
    /// Ends of connections, in words.
    ends: Arc<Mutex<Vec<String>>>,
    outlet: Arc<Mutex<Option<mpsc::Sender<String>>>>,
}

/// The broker. It keeps its port when it goes down and comes up again.
pub struct Exocom {
    pub address: String,
    shared: Shared,
    serving: Option<JoinHandle<()>>,
    sent: usize,
}

impl Exocom {
    /// One that has its port and does not listen yet.
    pub fn down() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = free.local_addr().expect("it is bound").to_string();
        Self { address, shared: Shared::default(), serving: None, sent: 0 }
    }

    pub async fn come_up(&mut self) {
        let address = self.address.clone();
        // What is left of earlier connections may hold the port for a moment.
        let listener = eventually("the port is free", || async { TcpListener::bind(&address).await.ok() }).await;
        self.serving = Some(tokio::spawn(accept_all(listener, self.shared.clone())));
    }

    /// Ends every connection, and accepts no more.
    pub async fn go_down(&mut self) {
        let serving = self.serving.take().expect("it is up");
        serving.abort();
        assert!(serving.await.is_err_and(|error| error.is_cancelled()));
        *self.shared.outlet.lock().unwrap() = None;
    }

    /// Everything received so far, registrations included.
    pub fn frames(&self) -> Vec<Value> {
        self.shared.frames.lock().unwrap().clone()
    }

    /// The `count`th frame of this name, once it is there.
    pub async fn got(&self, name: &str, count: usize) -> Value {
        eventually((name.to_owned(), count), || async {
            self.frames().into_iter().filter(|frame| frame["name"] == name).nth(count - 1)
        })
        .await
    }

    /// End of the last connection, once one has ended.
    pub async fn end(&self) -> String {
        let ends = self.shared.ends.clone();
        eventually("the end of a connection", || async { ends.lock().unwrap().last().cloned() }).await
    }

    /// Sends a frame over the newest connection.
    pub async fn send(&self, frame: String) {
        let outlet = self.shared.outlet.clone();
        let outlet = eventually("a connection", || async { outlet.lock().unwrap().clone() }).await;
        outlet.send(frame).await.expect("the connection is open");
    }

    /// Sends a message as the broker in Go does, with all nine keys.
    pub async fn deliver(&mut self, name: &str, more: Value) {
        self.sent += 1;
        let mut frame = json!({
            "activityId": format!("activity-{}", self.sent), "auth": null, "id": format!("message-{}", self.sent),
            "isSecurity": false, "name": name, "payload": null, "responseTime": 0, "sender": "",
            "timestamp": "2026-11-22T13:41:32.294600676Z",
        });
        for (key, value) in more.as_object().expect("keys and values") {
            frame[key] = value.clone();
        }
        self.send(frame.to_string()).await;
    }
}

impl std::fmt::Debug for Exocom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "broker at {}: {:?}", self.address, self.frames())
    }
}

async fn accept_all(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, shared.clone()));
    }
}

async fn serve(stream: TcpStream, shared: Shared) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    let (outlet, mut outgoing) = mpsc::channel(OUTGOING_MAX);
    *shared.outlet.lock().unwrap() = Some(outlet);
    let end = loop {
        let read = tokio::select! {
            Some(frame) = outgoing.recv() => {
                // A relay that has gone is noticed by reading.
                drop(socket.send(Packet::text(frame)).await);
                continue;
            }
            read = socket.next() => read,
        };
        match read {
            Some(Ok(Packet::Text(text))) => {
                shared.frames.lock().unwrap().push(serde_json::from_str(&text).expect("a relay sends JSON"));
            }
            Some(Ok(Packet::Close(frame))) => {
                break format!("close frame {}", frame.map_or(0, |frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break "no close frame".to_owned(),
        }
    };
    shared.ends.lock().unwrap().push(end);
}
