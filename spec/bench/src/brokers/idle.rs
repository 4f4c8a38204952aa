//! A process that holds connections to a broker and does nothing but answer its pings.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message as Packet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Bus;
use super::sockets::{Socket, lost};
use crate::error::Error;
use crate::options::Client;
use crate::services::announce;

/// Connections that are being opened at a time.
const OPENING_MAX: u32 = 64;

/// Buffer size of the client's end of a connection.
const BUFFER_BYTES: usize = 1_024;

/// Opens `count` connections, each registered as a service that receives one message, and holds them until one ends.
/// Prints the ready line when all are open.
pub async fn idle(client: &Client, count: u32) -> Result<(), Error> {
    let mut held = JoinSet::new();
    for first in (0..count).step_by(OPENING_MAX as usize) {
        let mut opening = JoinSet::new();
        for number in first..count.min(first + OPENING_MAX) {
            let (bus, broker) = (client.bus, client.address());
            opening.spawn(async move {
                Ok::<_, Error>(match bus {
                    Bus::Nats => Held::Nats(open_nats(broker, number).await?),
                    Bus::Websocket | Bus::Http | Bus::Embedded | Bus::Sockets => {
                        Held::Socket(Box::new(open_socket(broker, number).await?))
                    }
                })
            });
        }
        while let Some(opened) = opening.join_next().await {
            let connection = opened.map_err(std::io::Error::from)??;
            held.spawn(connection.hold());
        }
    }
    announce("idle", client.address())?;
    match held.join_next().await {
        Some(ended) => ended.map_err(std::io::Error::from)?,
        None => Ok(()),
    }
}

enum Held {
    Socket(Box<Socket>),
    Nats(TcpStream),
}

impl Held {
    /// Answers pings until the connection ends, which is an error.
    async fn hold(self) -> Result<(), Error> {
        match self {
            // The library answers them itself.
            Self::Socket(mut socket) => {
                while let Some(packet) = socket.next().await {
                    packet.map_err(lost)?;
                }
                Err(Error::Exocom("the broker closed a connection".to_owned()))
            }
            Self::Nats(mut stream) => {
                let mut bytes = [0; 256];
                loop {
                    let count = stream.read(&mut bytes).await?;
                    if count == 0 {
                        return Err(Error::Nats("the server closed a connection".to_owned()));
                    }
                    if bytes[..count].starts_with(b"PING") {
                        stream.write_all(b"PONG\r\n").await?;
                    }
                }
            }
        }
    }
}

/// Connects and registers as a relay does; the broker's answer has come when this returns.
async fn open_socket(broker: SocketAddr, number: u32) -> Result<Socket, Error> {
    let stream = TcpStream::connect(broker).await?;
    let mut request = format!("ws://{broker}/services").into_client_request().map_err(lost)?;
    request.headers_mut().insert("exo-acks", HeaderValue::from_static("1"));
    let config = WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
    let connected = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    let (mut socket, _) = connected.map_err(lost)?;
    let role = format!("service {number}");
    let payload = json!({ "clientName": role, "receives": [format!("message {number}")], "sends": [] });
    let register = json!({
        "name": "exocom.register-service", "sender": role, "id": role, "activityId": role, "payload": payload,
    });
    socket.send(Packet::text(register.to_string())).await.map_err(lost)?;
    match socket.next().await {
        Some(Ok(Packet::Text(text))) if text.contains("200") => Ok(socket),
        Some(Ok(other)) => Err(Error::Exocom(format!("a registration was answered with {other:?}"))),
        Some(Err(error)) => Err(lost(error)),
        None => Err(Error::Exocom("the connection ended".to_owned())),
    }
}

/// Connects and subscribes; the server's answer has come when this returns.
async fn open_nats(server: SocketAddr, number: u32) -> Result<TcpStream, Error> {
    let mut stream = TcpStream::connect(server).await?;
    let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB message.{number} 1\r\nPING\r\n");
    stream.write_all(hello.as_bytes()).await?;
    let (mut answer, mut bytes) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"PONG\r\n") {
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(Error::Nats("the server closed a connection".to_owned()));
        }
        answer.extend_from_slice(&bytes[..count]);
    }
    Ok(stream)
}
