//! Tests of the one schema of what servers print for programs: log, ready lines and errors.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::stage::Process;

/// Checks the keys that every line has. Returns the line as JSON.
fn check(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let at = value["timestamp"].as_str().unwrap_or_else(|| panic!("no timestamp: {line}"));
    humantime::parse_rfc3339(at).unwrap();
    assert!(["DEBUG", "INFO", "WARN", "ERROR"].contains(&value["level"].as_str().unwrap()), "{line}");
    assert!(value["message"].is_string() && value["target"].is_string(), "{line}");
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_ready_lines_have_the_same_keys() {
    let debug = [("RUST_LOG", "exorelay=debug")];
    let broker = Process::start("broker", &debug).await;
    let users = Process::start(&format!("run --role users --bus {}", broker.url("broker")), &debug).await;
    for process in [&broker, &users] {
        let log = process.log();
        assert!(log.lines().count() > 0);
        log.lines().for_each(|line| drop(check(line)));
        for line in process.printed() {
            let ready = check(&line);
            assert_eq!((&ready["status"], &ready["level"]), (&Value::from("ready"), &Value::from("INFO")), "{line}");
            let (system, address) = (ready["system"].as_str().unwrap(), ready["address"].as_str().unwrap());
            assert_eq!(ready["message"], format!("{system} ready on {address}"));
        }
    }
    let connects = broker.log().lines().filter(|line| line.contains("connection accepted")).count();
    assert!(connects > 0, "{}", broker.log());
    assert!(users.log().contains("\"message\":\"connected\""), "{}", users.log());
}

#[test]
fn errors_of_servers_have_the_keys_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], format: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
        command.args(arguments).current_dir(folder.path()).env_clear().stdin(Stdio::null());
        command.envs(format.map(|format| ("EXORELAY__LOG__FORMAT", format)));
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (arguments, code, words) in [
        (&["run"][..], 78, "relay.role is not set"),
        (&["broker", "--listen", "nowhere"], 78, "broker.address (flag --listen) is \"nowhere\""),
        (&["streams", "--listen", &taken], 1, "is already in use"),
    ] {
        for format in [None, Some("json")] {
            let (got, stderr) = run(arguments, format);
            assert_eq!(got, code, "{arguments:?}: {stderr}");
            let last = check(stderr.lines().last().unwrap());
            assert_eq!(last["level"], "ERROR");
            assert!(last["message"].as_str().unwrap().contains(words), "{stderr}");
        }
        let (_, stderr) = run(arguments, Some("human"));
        assert!(stderr.lines().last().unwrap().starts_with("exorelay: "), "{stderr}");
    }
    // A tool speaks to people.
    let (code, stderr) = run(&["send", "hello", "--api", "127.0.0.1:1"], None);
    assert_eq!((code, stderr.starts_with("exorelay: no sidecar")), (1, true), "{stderr}");
}
