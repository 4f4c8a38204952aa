//! Test of the logs: no level shows a token, a secret or a payload, whatever carries it.

use serde_json::json;

use crate::eventually::eventually;
use crate::stage::{Process, Service, Transport, post};

/// Texts that may be in no log.
const TOKEN: &str = "token-5d41402abc4b2a76";
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const AUTH: &str = "session-7d793037a0760186";
const PAYLOAD: &str = "payload-9e107d9d372bb682";

/// Everything that a program can log.
const TRACE: (&str, &str) = ("RUST_LOG", "trace");

#[tokio::test(flavor = "multi_thread")]
async fn no_level_shows_a_token_a_secret_or_a_payload() {
    for transport in [Transport::Http, Transport::WebSocket] {
        let tokens = format!("users={TOKEN},web={TOKEN}");
        let broker = Process::start("broker", &[TRACE, ("EXORELAY__BROKER__TOKENS", &tokens)]).await;
        let service = Service::start("127.0.0.1:0");
        let (bus, forward) = (broker.bus(transport), service.url());
        let settings = [TRACE, ("EXORELAY__BUS__TOKEN", TOKEN)];
        let signing = [settings.as_slice(), &[("EXORELAY__WEBHOOK__SECRET", SECRET)]].concat();
        let users = format!("run --role users --bus {bus} --receives users.create --forward {forward}");
        let users = Process::start(&users, &signing).await;
        let web = Process::start(&format!("run --role web --bus {bus}"), &settings).await;
        let streams = Process::start("streams", &[TRACE]).await;

        let url = format!("{}/request/users.create?timeout=5s", web.url("api"));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        eventually("a reply", || async {
            let call = client.post(&url).header("exo-auth", json!(AUTH).to_string());
            let answer = call.header("authorization", format!("Bearer {TOKEN}")).body(json!(PAYLOAD).to_string());
            (answer.send().await.unwrap().status() == 200).then_some(())
        })
        .await;
        assert_eq!(post(&format!("{}/send/zonk", web.url("api")), &json!(PAYLOAD)).await.status / 100, 2);
        let stream = format!("{}/v1/stream/orders", streams.url("streams"));
        assert_eq!(client.put(stream).body(PAYLOAD).send().await.unwrap().status(), 201);

        for process in [&broker, &users, &web, &streams] {
            let log = process.log();
            assert!(log.contains("\"level\":\"DEBUG\""), "it does not log at all: {log}");
            for secret in [TOKEN, SECRET, &SECRET["whsec_".len()..], AUTH, PAYLOAD] {
                let line = log.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "{transport:?}: {secret} is in the log: {}", line.unwrap_or_default());
            }
        }
    }
}
