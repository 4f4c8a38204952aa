//! Calls over HTTP/1.1: one kept-alive connection for every call in flight.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Call;

/// Target of the posts, which answers with the body that was posted.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    /// The listener.
    pub address: SocketAddr,
    /// The path.
    pub path: &'static str,
}

/// One connection, opened on first use and again after a failure.
pub struct HttpCaller {
    target: HttpTarget,
    host: String,
    payload: Bytes,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl HttpTarget {
    /// As many callers as there shall be calls in flight.
    pub fn callers(&self, count: usize, payload: &Bytes) -> Vec<HttpCaller> {
        let caller = || HttpCaller {
            target: self.clone(),
            host: self.address.to_string(),
            payload: payload.clone(),
            connection: None,
        };
        std::iter::repeat_with(caller).take(count).collect()
    }
}

impl HttpCaller {
    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = TcpStream::connect(self.target.address).await.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| format!("connect: {error}"))?;
        // Ends by itself when the sender goes; what ends it early, the sender reports.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn exchange(&self, sender: &mut SendRequest<Full<Bytes>>) -> Result<(), String> {
        let request = Request::post(self.target.path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(self.payload.clone()))
            .map_err(|error| error.to_string())?;
        sender.ready().await.map_err(|error| format!("connection: {error}"))?;
        let response = sender.send_request(request).await.map_err(|error| format!("request: {error}"))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| format!("answer: {error}"))?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("status {status}: {}", excerpt(&body)));
        }
        if body != self.payload {
            return Err(format!("the answer is not the payload: {}", excerpt(&body)));
        }
        Ok(())
    }
}

impl Call for HttpCaller {
    async fn call(&mut self) -> Result<(), String> {
        // Taken out for the call: a call that fails or is given up leaves no connection with a late answer behind.
        let mut sender = match self.connection.take() {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        self.exchange(&mut sender).await?;
        self.connection = Some(sender);
        Ok(())
    }
}

/// The status and body of `GET path`, over a connection of its own.
pub async fn get_status(address: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, body))
}

fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}
