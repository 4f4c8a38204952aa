//! Tests of what commands show on a terminal.

use std::process::Command;

use super::program::exorelay;
use super::sidecar::{Call, Sidecar, answer, unused_address};

/// Runs a command on a terminal at which somebody types, and prints what the terminal shows.
const TERMINAL: &str = r#"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
os.write(terminal, sys.argv[1].encode())
while True:
    try:
        shown = os.read(terminal, 65536)
    except OSError:
        break
    if not shown:
        break
    sys.stdout.buffer.write(shown)
"#;

/// The text that removes a line which may be rewritten.
const REMOVED: &str = "\r\x1b[K";

fn shown(typed: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, typed, env!("CARGO_BIN_EXE_exorelay")]).args(arguments);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// A server of streams that lets the first append wait for a second.
fn streams() -> Sidecar {
    Sidecar::start(|_: &Call, before| match before {
        1 => answer(503, &[("retry-after", "1")], ""),
        _ => answer(200, &[("content-type", "application/octet-stream"), ("stream-next-offset", "12")], ""),
    })
}

#[test]
fn a_command_that_reads_the_terminal_says_so() {
    let (streams, sidecar) = (streams(), Sidecar::start(|_, _| answer(202, &[], "{\"id\":\"7\"}")));
    let notice = "exorelay: reading from the terminal: end the content with Ctrl-D\r\n";
    let appended = shown("hi\n\u{4}", &["stream", "append", "a", "--url", &streams.url()]);
    assert!(appended.contains(notice) && appended.ends_with("12\r\n"), "{appended:?}");
    let sent = shown("1\n\u{4}", &["send", "hello", "-", "--api", &sidecar.url()]);
    assert!(sent.contains(notice) && sent.ends_with("7\r\n"), "{sent:?}");
    assert_eq!(sidecar.calls()[0].body.trim(), "1");
}

#[test]
fn an_attempt_that_is_repeated_is_one_line_that_is_rewritten() {
    let api = unused_address();
    let text = shown("", &["send", "hello", "--api", &api, "--retry-for", "1"]);
    let retrying = "exorelay: retrying (attempt 2, 0 s left): no sidecar at";
    assert!(text.contains(retrying), "{text:?}");
    let (before, after) = text.rsplit_once(REMOVED).unwrap();
    assert!(!before.contains('\n') && after.lines().count() == 1 && after.contains("no sidecar at"), "{text:?}");
}

#[test]
fn progress_has_a_percentage_and_is_gone_before_the_result() {
    let (server, folder) = (streams(), tempfile::tempdir().unwrap());
    let file = folder.path().join("file");
    std::fs::write(&file, vec![b'x'; 3 * 1024 * 1024]).unwrap();
    let arguments = ["stream", "append", "a", "--file", file.to_str().unwrap(), "--url", &server.url()];
    let text = shown("", &arguments);
    assert!(text.contains("1.0 of 3.0 MiB (33 %), ") && text.contains(" MiB/s, "), "{text:?}");
    assert!(text.ends_with(&format!("{REMOVED}12\r\n")), "{text:?}");
    let server = streams();
    let elsewhere = exorelay(&[&arguments[..6], &[&server.url()]].concat()).finish();
    assert!(elsewhere.stdout == "12\n" && !elsewhere.stderr.contains("MiB"), "{elsewhere:?}");
}
