//! Garbage in the frames of a WebSocket.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::socket::{Reading, Socket, Traffic};
use crate::mutation::mutated;

/// Largest frame.
const FRAME_BYTES_MAX: usize = 1_000;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

/// Returns a frame of a client. RFC 6455 5.2, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn frames() -> Vec<Vec<u8>> {
    let text = br#"{"name":"exocom.register-service","sender":"web","id":"1"}"#;
    vec![
        frame(0x81, text),
        [frame(0x01, b"{\"a\":"), frame(0x00, b"1"), frame(0x89, b"ping"), frame(0x80, b"}")].concat(),
        [frame(0x82, &[0xff; 300]), frame(0x8a, b"")].concat(),
        [frame(0x81, "größe".as_bytes()), frame(0x88, b"\x03\xe8bye")].concat(),
        frame(0x81, &[b'x'; 2_000]),
    ]
}

/// Reads everything that a client has sent; returns the size of each frame.
async fn read(bytes: &[u8]) -> Vec<usize> {
    let (near, mut far) = tokio::io::duplex(1024 * 1024);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(FRAME_BYTES_MAX);
    config.max_frame_size = Some(FRAME_BYTES_MAX);
    let mut socket = Socket::new(WebSocketStream::from_raw_socket(near, Role::Server, Some(config)).await);
    let mut sizes = Vec::new();
    while let Ok(traffic) = socket.exchange(Reading::On).await {
        if let Traffic::Frame(frame) = traffic {
            sizes.push(frame.len());
        }
    }
    sizes
}

proptest! {
    #[test]
    fn frames_come_to_an_end_and_are_within_their_limit(bytes in mutated(frames())) {
        let sizes = RUNTIME.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), read(&bytes)).await.expect("the connection does not end")
        });
        // A byte of a binary frame that is not UTF-8 becomes U+FFFD, which has three bytes.
        prop_assert!(sizes.iter().all(|size| *size <= 3 * FRAME_BYTES_MAX));
        prop_assert!(sizes.iter().sum::<usize>() <= 3 * bytes.len());
    }
}
