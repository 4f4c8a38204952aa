//! Tests of what a process lets out: no level of the log shows a token, a secret or a payload, whatever carries it; and no
//! answer, no configuration that is shown and no list of processes shows a secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

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

/// Secrets that a configuration can have, in files and in variables.
const OTHER_SECRET: &str = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";
const FORWARD_PASSWORD: &str = "password-0cc175b9c0f1b6a8";
const BUS_PASSWORD: &str = "password-92eb5ffee6ae2fec";
const WRONG_TOKEN: &str = "token-4a8a08f09d37b737";
const OPERATOR_TOKEN: &str = "token-8277e0910d750195";

const ALL: [&str; 8] = [
    TOKEN,
    OPERATOR_TOKEN,
    WRONG_TOKEN,
    FORWARD_PASSWORD,
    BUS_PASSWORD,
    // Without its prefix, too.
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0",
    AUTH,
];

/// Everything that a listener answers without being asked for a message, and a few mistakes.
const PATHS: [&str; 14] = [
    "/",
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/guide/configuration",
    "/config.json",
    "/services",
    "/undelivered",
    "/dead-letters",
    "/landscape",
    "/v1/stream/__registry__?offset=-1",
    "/nowhere",
    "/send",
];

/// Checks that a text has none of the secrets in it.
fn check_hidden(place: &str, text: &str) {
    let found = ALL.iter().find(|secret| text.contains(**secret));
    assert!(found.is_none(), "{place} shows {}: {text}", found.unwrap_or(&""));
}

/// Checks what a process logs and prints, and what other users of the machine see of it.
fn check_process(process: &Process) {
    check_hidden("the log", &process.log());
    check_hidden("the output", &process.printed().join("\n"));
    for name in ["cmdline", "comm", "status"] {
        let text = fs::read(format!("/proc/{}/{name}", process.id())).unwrap();
        check_hidden(name, &String::from_utf8_lossy(&text));
    }
}

/// Creates a file that only its owner may read; returns its path.
fn private_file(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_no_shown_setting_and_no_list_of_processes_shows_a_secret() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &str| private_file(&folder, name, content);
    let tokens = file("tokens", &format!("users={TOKEN}\nweb={TOKEN}\n"));
    let token = file("token", TOKEN);
    let secrets = file("secrets", &format!("{SECRET}\n{OTHER_SECRET}\n"));
    let operators = file("operators", OPERATOR_TOKEN);
    let guarding = [
        ("EXORELAY__BROKER__TOKENS_FILE", tokens.as_str()),
        ("EXORELAY__BROKER__OPERATOR_TOKENS_FILE", &operators),
        ("EXORELAY__LOG__LEVEL", "trace"),
    ];
    let broker = Process::start("broker", &guarding).await;
    let bus = broker.bus(Transport::Http);
    // Nothing listens there, so messages become dead letters, and `/ready` says why.
    let forward = format!("http://me:{FORWARD_PASSWORD}@127.0.0.1:9/");
    let settings = [
        ("EXORELAY__BUS__TOKEN_FILE", token.as_str()),
        ("EXORELAY__WEBHOOK__SECRET_FILE", &secrets),
        ("EXORELAY__WEBHOOK__FORWARD", &forward),
        ("EXORELAY__WEBHOOK__DEADLINE_MS", "300"),
        ("EXORELAY__BROKER__TOKENS_FILE", &tokens),
        ("EXORELAY__BROKER__OPERATOR_TOKENS_FILE", &operators),
        ("EXORELAY__LOG__LEVEL", "trace"),
    ];
    let users = Process::start(&format!("run --role users --bus {bus} --receives users.create"), &settings).await;
    let wrong = [("EXORELAY__BUS__TOKEN", WRONG_TOKEN)];
    let refused = Process::start(&format!("run --role web --bus {bus}"), &wrong).await;
    let away = format!("http://me:{BUS_PASSWORD}@127.0.0.1:9");
    let lonely = Process::start("run --role web", &[("EXORELAY__BUS__URL", &away)]).await;
    let streams = Process::start("streams", &[("EXORELAY__LOG__LEVEL", "trace")]).await;

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let message = json!({ "id": "1", "name": "users.create", "sender": "web", "payload": 1, "auth": AUTH });
    eventually("a dead letter", || async {
        let send = client.post(format!("{bus}/send/users.create")).bearer_auth(TOKEN).body(message.to_string());
        drop(send.send().await.unwrap());
        let letters = client.get(format!("{}/dead-letters", users.url("api"))).send().await.unwrap();
        letters.text().await.unwrap().contains("users.create").then_some(())
    })
    .await;

    for (process, listeners) in [
        (&broker, &["broker"][..]),
        (&users, &["api", "listen"]),
        (&refused, &["api", "listen"]),
        (&lonely, &["api", "listen"]),
        (&streams, &["streams"]),
    ] {
        for listener in listeners {
            for path in PATHS {
                let call = client.get(format!("{}{path}", process.url(listener))).bearer_auth(OPERATOR_TOKEN);
                let answer = call.send().await.unwrap();
                let place = format!("{listener}{path}");
                check_hidden(&place, &format!("{:?}", answer.headers()));
                // The letter itself is for operators, with the credentials it came with.
                let text = answer.text().await.unwrap();
                check_hidden(&place, &if path == "/dead-letters" { text.replace(AUTH, "") } else { text });
            }
        }
        check_process(process);
    }
    for arguments in [&["config", "show"][..], &["config", "show", "--output", "json"], &["config", "check"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
        command.args(arguments).current_dir(folder.path()).env_clear().envs(settings);
        let ended = command.env("EXORELAY__BUS__URL", away.replace("http", "ws")).output().unwrap();
        check_hidden("config", &String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()));
    }
}
