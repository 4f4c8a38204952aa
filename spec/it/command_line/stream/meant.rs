//! Tests of names, addresses and positions as a user writes them.

use super::super::super::stage::reserve_address;
use super::super::program::exorelay;
use super::super::sidecar::{Call, Sidecar, answer};
use super::{Streams, TEXT, UP_TO_DATE, head, stream_command};

#[test]
fn a_missing_stream_is_named_and_so_is_the_one_that_was_meant() {
    let streams = Streams::start();
    streams.succeed(&["create", "orders"]);
    let meant = format!("exorelay: no stream ordres at {}: did you mean orders?\n", streams.url);
    let unknown = format!("exorelay: no stream nope at {}\n", streams.url);
    for command in [
        &["read", "NAME"][..],
        &["follow", "NAME"],
        &["append", "NAME", "x"],
        &["close", "NAME"],
        &["rm", "NAME"],
        &["create", "copy", "--fork-from", "NAME"],
    ] {
        for (name, stderr) in [("ordres", &meant), ("nope", &unknown)] {
            let words: Vec<&str> = command.iter().map(|word| if *word == "NAME" { name } else { word }).collect();
            let finished = streams.run(&words);
            assert_eq!((finished.code, &finished.stderr), (Some(1), stderr), "{words:?}");
        }
    }
    let server = streams.url.strip_suffix("/v1/stream").unwrap();
    let finished = stream_command(server, &["read", "orders"], "");
    finished.check(1, &format!("there are no streams at {server}: did you mean --url {}?", streams.url));
    let port = server.rsplit_once(':').unwrap().1;
    assert_eq!(stream_command(port, &["read", "orders"], "").code, Some(0));
}

#[test]
fn reading_and_following_can_go_on_at_the_printed_offset() {
    let streams = Streams::start();
    streams.succeed(&["create", "a", "--type", "application/json"]);
    streams.succeed(&["append", "a", "1"]);
    let first = streams.run(&["read", "a", "--print-offset"]);
    assert_eq!(first.stdout, "1\n");
    streams.succeed(&["append", "a", "2"]);
    let second = streams.run(&["read", "a", "--print-offset", "--from", first.stderr.trim()]);
    assert_eq!(second.stdout, "2\n");
    let follow = ["stream", "follow", "a", "--url", &streams.url, "--print-offset", "--from", second.stderr.trim()];
    let mut following = exorelay(&follow).start();
    streams.succeed(&["append", "a", "3"]);
    assert_eq!(following.line(), "3");
    following.interrupt();
    let third = following.finish();
    streams.succeed(&["append", "a", "4"]);
    assert_eq!(streams.succeed(&["read", "a", "--from", third.stderr.trim()]), "4\n");
    let none = streams.run(&["read", "a", "--from", "now", "--print-offset"]);
    streams.succeed(&["append", "a", "5"]);
    assert_eq!(
        (none.stdout.as_str(), streams.succeed(&["read", "a", "--from", none.stderr.trim()]).as_str()),
        ("", "5\n")
    );
}

#[test]
fn append_and_ls_wait_for_a_server_that_is_not_up_yet() {
    for command in [&["append", "a", "hello"][..], &["ls"], &["read", "a"]] {
        let address = reserve_address();
        let url = format!("http://{address}/s");
        let running = exorelay(&[&["stream"], command, &["--url", &url, "--retry-for", "30"]].concat()).start();
        let _server = Sidecar::start_at(&address, |call: &Call, _| match call.line.split(' ').next() {
            Some("HEAD") => head(TEXT),
            _ => answer(200, &[TEXT, ("stream-next-offset", "12"), UP_TO_DATE], ""),
        });
        assert_eq!(running.finish().code, Some(0), "{command:?}");
    }
}
