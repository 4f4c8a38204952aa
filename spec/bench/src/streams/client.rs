//! A client of HTTP/1.1 that costs next to nothing, because it shares the machine with what it measures: requests are
//! written as they stand, and of an answer only what is checked is looked at.

use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// One connection, kept alive between requests.
pub struct Connection {
    stream: TcpStream,
    unread: BytesMut,
}

/// The head of an answer.
#[derive(Debug, Default)]
pub struct Head {
    /// Its status.
    pub status: u16,
    /// `Stream-Next-Offset`.
    pub next: Option<String>,
    /// True if `Stream-Up-To-Date` is `true`.
    pub up_to_date: bool,
    length: Length,
}

/// Framing of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    /// After this number of bytes.
    Known(usize),
    /// It comes in chunks.
    Chunked,
    /// With the connection.
    #[default]
    Open,
}

impl Connection {
    /// Connects. The error is for people, as all of this file.
    pub async fn open(address: SocketAddr) -> Result<Self, String> {
        let connected = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = connected.await.map_err(|error| format!("connect: {error}"))?;
        Ok(Self { stream, unread: BytesMut::new() })
    }

    /// Sends a request as it stands and reads the whole answer; its body is added to `body`.
    pub async fn exchange(&mut self, request: &[u8], body: &mut Vec<u8>) -> Result<Head, String> {
        let head = self.begin(request).await?;
        match head.length {
            Length::Known(length) => self.take(length, body).await?,
            Length::Chunked => while self.chunk(body).await? {},
            Length::Open => return Err(format!("status {}: an answer without an end", head.status)),
        }
        Ok(head)
    }

    /// Sends a request and reads the head of the answer. Its body is read with [`Connection::part`].
    pub async fn begin(&mut self, request: &[u8]) -> Result<Head, String> {
        self.stream.write_all(request).await.map_err(|error| format!("request: {error}"))?;
        loop {
            if let Some((head, length)) = parse_head(&self.unread)? {
                self.unread.advance(length);
                return Ok(head);
            }
            if self.unread.len() > HEAD_BYTES_MAX {
                return Err("the head of the answer does not end".to_owned());
            }
            self.fill().await?;
        }
    }

    /// Adds what has come of a body without a known length to `body`; `false` at its end.
    pub async fn part(&mut self, head: &Head, body: &mut Vec<u8>) -> Result<bool, String> {
        match head.length {
            Length::Chunked => self.chunk(body).await,
            Length::Known(length) => self.take(length, body).await.map(|()| false),
            Length::Open => {
                if self.unread.is_empty() {
                    self.fill().await?;
                }
                body.extend_from_slice(&self.unread);
                self.unread.clear();
                Ok(true)
            }
        }
    }

    async fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool, String> {
        let size = loop {
            match httparse::parse_chunk_size(&self.unread) {
                Ok(httparse::Status::Complete((start, size))) => {
                    self.unread.advance(start);
                    break size;
                }
                Ok(httparse::Status::Partial) => self.fill().await?,
                Err(error) => return Err(format!("answer: {error}")),
            }
        };
        let size = usize::try_from(size).map_err(|error| format!("answer: {error}"))?;
        self.take(size, body).await?;
        while self.unread.len() < 2 {
            self.fill().await?;
        }
        self.unread.advance(2);
        Ok(size > 0)
    }

    async fn take(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), String> {
        let there = self.unread.len().min(length);
        body.extend_from_slice(&self.unread[..there]);
        self.unread.advance(there);
        let mut left = (length - there) as u64;
        // What is still to come goes to its place at once.
        while left > 0 {
            body.reserve(usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES));
            let read =
                (&mut self.stream).take(left).read_buf(body).await.map_err(|error| format!("answer: {error}"))?;
            if read == 0 {
                return Err("the connection ended in the middle of an answer".to_owned());
            }
            left -= read as u64;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), String> {
        self.unread.reserve(4096);
        match self.stream.read_buf(&mut self.unread).await {
            Ok(0) => Err("the connection ended before the answer".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("answer: {error}")),
        }
    }
}

/// A whole request.
pub fn request(method: &str, path: &str, content_type: Option<&str>, body: &[u8]) -> Bytes {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    if let Some(content_type) = content_type {
        head += &format!("content-type: {content_type}\r\ncontent-length: {}\r\n", body.len());
    }
    head += "\r\n";
    [head.as_bytes(), body].concat().into()
}

/// Bytes of a wrong answer that are shown.
pub fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}

/// The head, and how long it is; `None` when there is more of it to come.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).map_err(|error| format!("answer: {error}"))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let mut head = Head { status: response.code.unwrap_or_default(), ..Head::default() };
    if head.status == 204 || head.status == 304 {
        head.length = Length::Known(0);
    }
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        if header.name.eq_ignore_ascii_case("stream-next-offset") {
            head.next = Some(value.into_owned());
        } else if header.name.eq_ignore_ascii_case("stream-up-to-date") {
            head.up_to_date = value == "true";
        } else if header.name.eq_ignore_ascii_case("content-length") && head.length == Length::Open {
            head.length = Length::Known(value.trim().parse().map_err(|error| format!("content-length: {error}"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") && head.length == Length::Open {
            head.length = Length::Chunked;
        }
    }
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn check(answer: &'static str, expected: (u16, &str)) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (first, rest) = answer.split_at(answer.len() / 2);
            stream.write_all(first.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(rest.as_bytes()).await.unwrap();
            stream
        });
        let mut body = Vec::new();
        let mut connection = Connection::open(address).await.unwrap();
        let head = connection.exchange(&request("GET", "/", None, b""), &mut body).await.unwrap();
        assert_eq!((head.status, body.as_slice()), (expected.0, expected.1.as_bytes()));
        drop(server.await.unwrap());
    }

    #[tokio::test]
    async fn answers_of_every_length_are_read_to_their_end() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", (200, "hello")).await;
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", (200, "hello"))
            .await;
        check("HTTP/1.1 204 No Content\r\nstream-next-offset: 7\r\n\r\n", (204, "")).await;
    }

    #[test]
    fn of_a_head_offset_and_currency_are_known() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nStream-Next-Offset: 07\r\nStream-Up-To-Date: true\r\nContent-Length: 0\r\n\r\n";
        let (head, length) = parse_head(bytes).unwrap().unwrap();
        assert_eq!((head.next.as_deref(), head.up_to_date, length), (Some("07"), true, bytes.len()));
        assert!(parse_head(&bytes[..20]).unwrap().is_none());
    }
}
