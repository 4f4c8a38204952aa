//! A client of streams that costs little and notices everything: one connection, one request at a time.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What came back.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (named, value) = line.split_once(": ")?;
            named.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn next_offset(&self) -> &str {
        self.header("stream-next-offset").unwrap_or_else(|| panic!("no offset in {self:?}"))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.body.len();
        write!(formatter, "{}[{bytes} bytes] {}", self.head, self.text().chars().take(300).collect::<String>())
    }
}

/// A whole stream, as a reader finds it.
pub(super) struct Whole {
    /// In a JSON stream, the messages with commas between them.
    pub(super) content: Vec<u8>,
    pub(super) next: String,
    pub(super) closed: bool,
}

/// One connection, opened when it is needed.
pub(super) struct Client {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(super) fn of(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None }
    }

    /// Makes a call; `None` if there was no complete answer, and then the connection is gone.
    pub(super) async fn try_call(
        &mut self,
        method: &str,
        stream: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(&self.address).await.ok()?),
        };
        let mut head =
            format!("{method} /v1/stream/{stream} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        head += "\r\n";
        connection.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
        let answer = answer(&mut connection, method).await?;
        self.connection = Some(connection);
        Some(answer)
    }

    pub(super) async fn call(&mut self, method: &str, stream: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.try_call(method, stream, headers, body).await;
        answer.unwrap_or_else(|| panic!("{method} {stream}: no answer"))
    }

    pub(super) async fn create(&mut self, stream: &str, content_type: &str) {
        let created = self.call("PUT", stream, &[("content-type", content_type)], b"").await;
        assert!(created.status == 201 || created.status == 200, "{stream}: {created:?}");
    }

    pub(super) async fn append(&mut self, stream: &str, content_type: &str, body: &[u8]) -> Answer {
        self.call("POST", stream, &[("content-type", content_type)], body).await
    }

    /// Reads on from an offset to the end. Errors: the first answer that is not 200.
    pub(super) async fn read(&mut self, stream: &str, offset: &str) -> Result<Whole, Answer> {
        let mut whole = Whole { content: Vec::new(), next: offset.to_owned(), closed: false };
        loop {
            let answer = self.call("GET", &format!("{stream}?offset={}", whole.next), &[], b"").await;
            if answer.status != 200 {
                return Err(answer);
            }
            let json = answer.header("content-type") == Some("application/json");
            let content = if json { answer.body[1..answer.body.len() - 1].to_vec() } else { answer.body.clone() };
            if json && !whole.content.is_empty() && !content.is_empty() {
                whole.content.push(b',');
            }
            whole.content.extend(content);
            answer.next_offset().clone_into(&mut whole.next);
            whole.closed = answer.header("stream-closed") == Some("true");
            if answer.header("stream-up-to-date") == Some("true") {
                return Ok(whole);
            }
        }
    }
}

/// Sends these bytes over a connection of their own and leaves, or waits for an answer.
pub(super) async fn send_raw(address: &str, bytes: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    // The server may have had enough of it.
    drop(connection.write_all(bytes).await);
    connection
}

/// The answer that comes over this connection.
pub(super) async fn answer_to(connection: TcpStream, method: &str) -> Answer {
    answer(&mut BufReader::new(connection), method).await.expect("a complete answer")
}

async fn answer(connection: &mut BufReader<TcpStream>, method: &str) -> Option<Answer> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let status = head.get(9..12)?.parse().ok()?;
    let mut answer = Answer { status, head, body: Vec::new() };
    if method != "HEAD" && status != 204 && status != 304 {
        let length = answer.header("content-length").unwrap_or_else(|| panic!("no length in {answer:?}"));
        answer.body = vec![0; length.parse().unwrap()];
        connection.read_exact(&mut answer.body).await.ok()?;
    }
    Some(answer)
}
