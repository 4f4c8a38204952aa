//! Connections that cannot be opened, and the ways in which connections end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role as Side};
use tokio_tungstenite::tungstenite::{self, Error as SocketError, Message as RawFrame};

use super::peer::{End, FakeBroker, Member, Recorder, message};
use crate::bus::websocket::connection::Connection;
use crate::bus::websocket::handshake::Peer::{self, Acknowledging, Original};
use crate::bus::websocket::session::Setup;
use crate::bus::{Bus, Close, Config, Error};
use crate::http::websocket::Ending;
use crate::message::{Payload, Role, Verdict};

async fn check_cannot_join(config: Config, expected: &str) {
    let member = Member::new(config);
    let error = crate::chain::chain(&member.bus.join(&member.membership).await.unwrap_err());
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn an_unreachable_broker_is_reported_with_its_address() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = Config { url: format!("ws://{free}"), ..Config::default() };
    check_cannot_join(config, &format!("the bus is unreachable: cannot connect to {free}: Connection refused")).await;
}

#[tokio::test]
async fn a_server_with_another_protocol_is_reported() {
    for (answer, expected) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "answered 400 to the WebSocket handshake: expected an ExoCom broker"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403 to the WebSocket handshake: it does not accept this relay"),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 26\r\n\r\n{\"detail\":\"use localhost\"}",
            "answered 403 to the WebSocket handshake: use localhost",
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n", "broke: "),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config { url: format!("ws://{}", listener.local_addr().unwrap()), ..Config::default() };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::join!(check_cannot_join(config, expected), serve);
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    check_cannot_join(Config { url, connect_timeout_ms: 30, ..Config::default() }, "did not answer within 30 ms").await;
}

/// Reads to the end. Returns the last frame and the error at the end; then the broker closes its half too.
async fn last(mut end: End) -> (Option<RawFrame>, SocketError) {
    let mut last = None;
    loop {
        match end.raw().await {
            Ok(frame) => last = Some(frame),
            Err(error) => return (last, error),
        }
    }
}

async fn check_close(peer: Peer, close: Close, polite: bool) {
    let broker = FakeBroker::start(peer).await;
    let (member, mut end) = broker.joined(Config { close, ..broker.config() }).await;
    // A frame that the relay has not read when it leaves must not turn the close into a reset.
    end.send(json!({ "id": "1", "name": "created" })).await;
    let ((), (frame, error)) = tokio::join!(async { member.bus.leave(&member.membership).await.unwrap() }, last(end));
    let closed = matches!(&frame, Some(RawFrame::Close(Some(frame))) if frame.code == CloseCode::Normal);
    assert_eq!(closed, polite, "{peer:?} {close:?}: {frame:?}, {error}");
    let abrupt =
        matches!(error, SocketError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake));
    assert_eq!(abrupt, !polite, "{peer:?} {close:?}: {error:?}");
}

#[tokio::test]
async fn the_close_mode_depends_on_the_broker_unless_configured() {
    check_close(Acknowledging, Close::Auto, true).await;
    check_close(Original, Close::Auto, false).await;
    check_close(Acknowledging, Close::Abrupt, false).await;
    check_close(Original, Close::Polite, true).await;
}

#[tokio::test]
async fn sent_messages_arrive_before_an_abrupt_close() {
    let broker = FakeBroker::start(Original).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    let mut large = message("1", "create");
    large.payload = Some(Payload::of(&"x".repeat(400_000)).unwrap());
    let sending = async {
        member.bus.publish(&[large, message("2", "create")]).await.unwrap();
        member.bus.leave(&member.membership).await.unwrap();
    };
    let receiving = async {
        let ids: Vec<_> = end.frames(2).await.iter().map(|frame| frame["id"].clone()).collect();
        assert_eq!(ids, ["1", "2"]);
        last(end).await;
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn dropping_a_relay_closes_its_connection() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, end) = broker.joined(broker.config()).await;
    drop(member);
    let (frame, _) = last(end).await;
    assert!(matches!(frame, Some(RawFrame::Close(Some(_)))), "{frame:?}");
}

#[tokio::test]
async fn a_lost_connection_is_reported_and_a_new_join_registers_again() {
    for peer in [Acknowledging, Original] {
        let broker = FakeBroker::start(peer).await;
        let (member, end) = broker.joined(broker.config()).await;
        let before = tokio::time::timeout(Duration::from_millis(20), member.bus.lost()).await;
        assert!(before.is_err(), "{before:?}");
        drop(end);
        let error = member.bus.lost().await;
        assert!(matches!(error, Error::Lost { .. }), "{error}");
        assert!(member.bus.publish(&[message("1", "create")]).await.is_err());
        let mut end = broker.join(&member).await.unwrap();
        end.send(json!({ "id": "1", "name": "created" })).await;
        member.inbox.got(1).await;
    }
}

#[tokio::test]
async fn a_close_by_the_broker_is_reported_with_its_reason() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, mut end) = broker.joined(broker.config()).await;
    let frame = CloseFrame { code: CloseCode::Away, reason: "the broker is shutting down".into() };
    end.socket.close(Some(frame)).await.unwrap();
    let error = member.bus.lost().await.to_string();
    assert!(error.ends_with(": it closed the connection (1001: the broker is shutting down)"), "{error}");
}

#[tokio::test]
async fn an_oversized_frame_is_not_read_and_closes_the_connection_with_1009() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, mut end) = broker.joined(Config { frame_bytes_max: 1_000, ..broker.config() }).await;
    end.send(json!({ "id": "1", "name": "created", "payload": "x".repeat(2_000) })).await;
    let error = member.bus.lost().await.to_string();
    assert!(error.contains("it sent a frame of 2040 bytes, and bus.frame_bytes_max allows 1000"), "{error}");
    let (frame, _) = last(end).await;
    assert!(matches!(&frame, Some(RawFrame::Close(Some(frame))) if frame.code == CloseCode::Size), "{frame:?}");
}

#[tokio::test]
async fn a_message_too_large_for_the_broker_is_isolated_and_refused() {
    let broker = FakeBroker::start(Acknowledging).await;
    let member = Member::new(broker.config());
    let too_large = || CloseFrame { code: CloseCode::Size, reason: Default::default() };
    let batch = [message("1", "create"), message("2", "create")];
    let mut end = broker.join(&member).await.unwrap();
    let close = async {
        end.frames(2).await;
        end.socket.close(Some(too_large())).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(member.bus.publish(&batch), close);
    assert!(matches!(outcome, Err(Error::TooLarge { .. })), "{outcome:?}");
    let mut end = broker.join(&member).await.unwrap();
    let judge = async {
        assert_eq!(end.frame().await["id"], "1");
        end.send(json!([{ "status": 200 }])).await;
        end
    };
    let (outcome, mut end) = tokio::join!(member.bus.publish(&batch), judge);
    assert_eq!(outcome.unwrap(), [Verdict::Accepted]);
    let close = async {
        assert_eq!(end.frame().await["id"], "2");
        end.socket.close(Some(too_large())).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(member.bus.publish(&batch[1..]), close);
    let detail = "the broker closed the connection because the message exceeds its size limit".to_owned();
    assert_eq!(outcome.unwrap(), [Verdict::Refused { detail }]);
}

#[tokio::test]
async fn a_close_reason_sent_in_the_middle_of_a_message_is_read() {
    let broker = FakeBroker::start(Acknowledging).await;
    let (member, end) = broker.joined(broker.config()).await;
    let mut large = message("1", "create");
    large.payload = Some(Payload::of(&"x".repeat(8_000_000)).unwrap());
    let hang_up = async {
        // Unread data turns the end into a reset.
        end.socket.get_ref().readable().await.unwrap();
        let mut socket = end.socket;
        let frame = CloseFrame { code: CloseCode::Size, reason: Default::default() };
        socket.close(Some(frame)).await.unwrap();
    };
    let batch = [large];
    let (outcome, ()) = tokio::join!(member.bus.publish(&batch), hang_up);
    assert!(matches!(outcome.unwrap()[..], [Verdict::Refused { .. }]));
}

/// Opens an in-memory connection, so that a test can drive the clock.
fn connect(peer: Peer) -> (Connection, WebSocketStream<DuplexStream>) {
    let (near, far) = tokio::io::duplex(1024);
    let setup = Setup {
        authority: "broker:3100".into(),
        role: Role::parse("web").unwrap(),
        timeout: Duration::from_secs(60),
        heartbeat: Duration::from_secs(5),
        ending: Ending::Abrupt,
    };
    let sides = futures_util::future::join(
        WebSocketStream::from_raw_socket(near, Side::Client, None),
        WebSocketStream::from_raw_socket(far, Side::Server, None),
    );
    let (near, far) = futures_util::FutureExt::now_or_never(sides).expect("there is nothing to wait for");
    (Connection::start(near, peer, Arc::new(Recorder::default()), setup), far)
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_pinged_and_then_counts_as_lost() {
    let (connection, _silent) = connect(Original);
    let start = Instant::now();
    let error = connection.lost().await.to_string();
    let expected = "lost the connection to the broker at broker:3100: it has given no sign of life for 15000 ms";
    assert_eq!(error, expected);
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_pings_stays_connected() {
    use futures_util::StreamExt;
    let (connection, mut far) = connect(Original);
    let answering = tokio::spawn(async move {
        // Reading is what answers pings.
        while let Some(Ok(_)) = far.next().await {}
    });
    let lost = tokio::time::timeout(Duration::from_secs(3_600), connection.lost()).await;
    assert!(lost.is_err(), "{lost:?}");
    answering.abort();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_acknowledges_counts_as_lost_after_the_timeout() {
    use futures_util::StreamExt;
    let (connection, mut far) = connect(Acknowledging);
    let reading = tokio::spawn(async move { while let Some(Ok(_)) = far.next().await {} });
    let error = connection.send(vec![message("1", "create").to_json()], Vec::new()).await.unwrap_err().to_string();
    assert!(error.ends_with("it did not answer within 60000 ms"), "{error}");
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_stops_reading_counts_as_lost() {
    let (connection, _far) = connect(Original);
    let mut large = message("1", "create");
    large.payload = Some(Payload::of(&"x".repeat(100_000)).unwrap());
    let error = connection.send(vec![large.to_json()], Vec::new()).await.unwrap_err().to_string();
    assert!(error.ends_with("it has given no sign of life for 15000 ms"), "{error}");
}
