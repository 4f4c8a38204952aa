//! Tests of the bounds of a message: what the first listener accepts goes all the way over every bus and back, and one
//! byte, level or letter more is refused by the first listener.

use bytes::Bytes;
use exorelay::broker::{self, Broker};
use exorelay::{Config, Context, Error, Message, MessageName, Payload, Relay};
use serde_json::json;

use crate::stage::{Process, Transport};

const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
const AUTH_BYTES_MAX: usize = 16 * 1024;
const ID_BYTES_MAX: usize = 255;

/// A message by its sizes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    payload_bytes: usize,
    levels: usize,
    auth_bytes: usize,
    name_bytes: usize,
}

const AT_THE_BOUNDS: Sizes = Sizes {
    payload_bytes: PAYLOAD_BYTES_MAX,
    levels: Payload::DEPTH_MAX,
    auth_bytes: AUTH_BYTES_MAX,
    name_bytes: MessageName::SENT_BYTES_MAX,
};

/// One beyond each bound, with the status and the words of the refusal.
const BEYOND: [(Sizes, u16, &str); 4] = [
    (Sizes { payload_bytes: PAYLOAD_BYTES_MAX + 1, ..AT_THE_BOUNDS }, 413, "the limit of 1048576 bytes"),
    (Sizes { levels: Payload::DEPTH_MAX + 1, ..AT_THE_BOUNDS }, 400, "nested deeper than 120 levels"),
    (Sizes { auth_bytes: AUTH_BYTES_MAX + 1, ..AT_THE_BOUNDS }, 400, "16385 bytes, at most 16384 are allowed"),
    (Sizes { name_bytes: MessageName::SENT_BYTES_MAX + 1, ..AT_THE_BOUNDS }, 400, "769 bytes, at most 768 are allowed"),
];

impl Sizes {
    fn payload(self) -> String {
        let fill = self.payload_bytes - 2 * self.levels - 2;
        format!("{}\"{}\"{}", "[".repeat(self.levels), "x".repeat(fill), "]".repeat(self.levels))
    }

    fn auth(self) -> String {
        format!("\"{}\"", "a".repeat(self.auth_bytes - 2))
    }

    /// The public name of a message of the role `tweets`.
    fn name(self) -> String {
        format!("tweets.{}", "n".repeat(self.name_bytes - "tweets.".len()))
    }
}

/// The longest prefix: the role calls its own messages by it.
fn namespace() -> String {
    "s".repeat(255)
}

/// A service that returns what it gets, under a name of the greatest length.
async fn mirror(builder: exorelay::Builder) -> Relay {
    let config = Config { namespace: namespace(), ..Config::default() };
    let name = AT_THE_BOUNDS.name().replace("tweets.", &format!("{}.", namespace()));
    let reply = |message: Message, context: Context| async move {
        context.reply("r".repeat(MessageName::SENT_BYTES_MAX), message.payload).await?;
        Ok(())
    };
    let relay = builder.config(config).on(name, reply).connect().await.unwrap();
    relay.ready().await;
    relay
}

fn parsed(json: String) -> Payload {
    serde_json::from_str(&json).unwrap()
}

async fn request(relay: &Relay, sizes: Sizes) -> Result<Message, Error> {
    let payload = serde_json::value::RawValue::from_string(sizes.payload()).unwrap();
    let auth = serde_json::value::RawValue::from_string(sizes.auth()).unwrap();
    relay.request(sizes.name(), payload).auth(auth).activity("q".repeat(ID_BYTES_MAX).as_str()).await
}

async fn check_relay(relay: &Relay) {
    let reply = request(relay, AT_THE_BOUNDS).await.unwrap();
    assert_eq!(reply.payload, Some(parsed(AT_THE_BOUNDS.payload())));
    assert_eq!(reply.auth, Some(parsed(AT_THE_BOUNDS.auth())));
    for (sizes, _, _) in BEYOND {
        let error = request(relay, sizes).await.unwrap_err();
        let is_expected = match &error {
            Error::TooLarge { bytes, bytes_max } => (*bytes, *bytes_max) == (PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX),
            Error::AuthTooLarge { bytes, bytes_max } => (*bytes, *bytes_max) == (AUTH_BYTES_MAX + 1, AUTH_BYTES_MAX),
            Error::Payload { .. } => sizes.levels > AT_THE_BOUNDS.levels,
            Error::Name(_) => sizes.name_bytes > AT_THE_BOUNDS.name_bytes,
            _ => false,
        };
        assert!(is_expected, "{error} of {sizes:?}");
    }
}

/// Sends a message to a listener, with `auth` in a header.
async fn post(url: &str, auth: Option<String>, body: String) -> (u16, Bytes) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut call = client.post(url).header("content-type", "application/json").body(body);
    if let Some(auth) = auth {
        call = call.header("exo-auth", auth).header("exo-activity-id", "q".repeat(ID_BYTES_MAX));
    }
    let answer = call.send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap())
}

async fn check_sidecar(api: &str) {
    let url = |sizes: Sizes| format!("{api}/request/{}", sizes.name());
    let (status, body) = post(&url(AT_THE_BOUNDS), Some(AT_THE_BOUNDS.auth()), AT_THE_BOUNDS.payload()).await;
    assert_eq!((status, body.len()), (200, PAYLOAD_BYTES_MAX), "{:.300}", String::from_utf8_lossy(&body));
    assert_eq!(body, AT_THE_BOUNDS.payload());
    for (sizes, expected, words) in BEYOND {
        let (status, body) = post(&url(sizes), Some(sizes.auth()), sizes.payload()).await;
        let text = String::from_utf8_lossy(&body);
        assert!(status == expected && text.contains(words), "{status} {text} of {sizes:?}");
    }
}

/// The broker is the first listener of services that have no relay.
async fn check_broker(url: &str) {
    let send = async |sizes: Sizes| {
        let envelope = format!(r#"{{"id":"1","payload":{},"auth":{}}}"#, sizes.payload(), sizes.auth());
        post(&format!("{url}/send/{}", sizes.name()), None, envelope).await
    };
    let (status, body) = send(AT_THE_BOUNDS).await;
    assert_eq!(status, 200, "{body:?}");
    for (sizes, expected, words) in BEYOND {
        let (status, body) = send(sizes).await;
        let text = String::from_utf8_lossy(&body);
        let words = if expected == 413 { "1048577 bytes, at most 1048576 are allowed" } else { words };
        assert!(status == expected && text.contains(words), "{status} {text} of {sizes:?}");
    }
}

async fn over(transport: Transport) {
    let broker = Process::start("broker", &[]).await;
    let url = match transport {
        Transport::Http => broker.url("broker"),
        Transport::WebSocket => broker.url("broker").replace("http:", "ws:"),
    };
    let mirror = mirror(Relay::builder("tweets").bus(url.as_str())).await;
    let web = Relay::builder("web").bus(url.as_str()).connect().await.unwrap();
    check_relay(&web).await;
    let sidecar = Process::start(&format!("run --role web --bus {url}"), &[]).await;
    check_sidecar(&sidecar.url("api")).await;
    check_broker(&broker.url("broker")).await;
    web.close().await;
    mirror.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_the_bounds_go_all_the_way_over_http() {
    over(Transport::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_the_bounds_go_all_the_way_over_websockets() {
    over(Transport::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_the_bounds_go_all_the_way_within_a_process() {
    let broker = Broker::start(broker::Config { settle_ms: 0, ..broker::Config::default() });
    let mirror = mirror(Relay::builder("tweets").broker(&broker)).await;
    let web = Relay::builder("web").broker(&broker).connect().await.unwrap();
    check_relay(&web).await;
    web.close().await;
    mirror.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_limit_is_one_setting_for_every_bus() {
    let broker = Process::start("broker", &[("EXORELAY__HTTP__BODY_BYTES_MAX", "40000000")]).await;
    for scheme in ["http:", "ws:"] {
        let url = broker.url("broker").replace("http:", scheme);
        let limits = exorelay::http::Limits { body_bytes_max: 40_000_000, ..exorelay::http::Limits::default() };
        let users = Relay::builder("users").bus(url.as_str()).limits(limits.clone()).on(
            "create",
            |message: Message, context: Context| async move {
                let text: String = message.payload()?;
                context.reply("created", json!(text.len())).await?;
                Ok(())
            },
        );
        let users = users.connect().await.unwrap();
        users.ready().await;
        let web = Relay::builder("web").bus(url.as_str()).limits(limits).connect().await.unwrap();
        let created = web.request("create", "x".repeat(40_000_000 - 2)).await.unwrap();
        assert_eq!(created.payload::<usize>().unwrap(), 40_000_000 - 2);
        let error = web.request("create", "x".repeat(40_000_000 - 1)).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { bytes: 40_000_001, bytes_max: 40_000_000 }), "{error}");
        web.close().await;
        users.close().await;
    }
}
