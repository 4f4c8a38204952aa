//! Finds out whether a server accepts connections, without a request.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Opens a connection and closes it. Returns the reason if there is no server, or it does not accept within `limit`.
/// Cancel-safe.
pub(crate) async fn accepts(host: &str, port: u16, limit: Duration) -> Result<(), String> {
    match timeout(limit, TcpStream::connect((host, port))).await {
        // A connection to a port without a listener can be one to itself.
        Ok(Ok(stream)) if stream.local_addr().ok() == stream.peer_addr().ok() => {
            Err("nothing listens there".to_owned())
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} ms", limit.as_millis())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_accepts_until_it_is_closed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(accepts("127.0.0.1", port, Duration::from_secs(5)).await, Ok(()));
        drop(listener);
        let refused = accepts("127.0.0.1", port, Duration::from_secs(5)).await.unwrap_err();
        assert!(refused.contains("refused"), "{refused}");
    }
}
