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
fn a_missing_stream_that_is_given_as_a_url_is_missing_at_its_own_server() {
    let streams = Streams::start();
    let url = format!("{}/n%20o", streams.url);
    for command in [
        &["read", "NAME"][..],
        &["follow", "NAME"],
        &["append", "NAME", "x"],
        &["close", "NAME"],
        &["rm", "NAME"],
        &["create", "copy", "--url", &streams.url, "--fork-from", "NAME"],
    ] {
        let words = command.iter().map(|word| if *word == "NAME" { url.as_str() } else { word });
        let finished = exorelay(&std::iter::once("stream").chain(words).collect::<Vec<_>>()).finish();
        assert_eq!(finished.stderr, format!("exorelay: no stream n o at {}\n", streams.url), "{command:?}");
    }
    let nobody = format!("http://{}/v1/stream", reserve_address());
    let finished = exorelay(&["stream", "rm", &format!("{nobody}/a")]).finish();
    finished.check(1, &format!("no streams at {nobody}: start a server"));
}

#[test]
fn a_name_that_a_client_would_turn_into_another_is_refused_and_leads_to_no_call() {
    let server = Sidecar::start(|_: &Call, _| answer(200, &[TEXT, ("stream-next-offset", "12"), UP_TO_DATE], ""));
    let root = format!("{}/v1/stream", server.url());
    let dots = ["zz/../s1", "./s1", "../x", "../../metrics", "..", "s1/."].map(str::to_owned);
    let encoded =
        ["zz/../s1", "zz/%2e%2e/s1", "%2E/s1", "zz/.%2e/s1", "zz%2F..%2Fs1"].map(|path| format!("{root}/{path}"));
    let empty = ["a//b", "/s1", "s1/"].map(|name| [name.to_owned(), format!("{root}/{name}")]);
    let rm = |name: &String, reason: &str| stream_command(&root, &["rm", "s1", name], "").check(64, reason);
    dots.iter()
        .chain(&encoded)
        .for_each(|name| rm(name, "has the segment `.` or `..`: expected the path that is meant"));
    empty.as_flattened().iter().for_each(|name| rm(name, "has an empty segment: no slash at its beginning or end"));
    for command in [
        &["read", "NAME"][..],
        &["follow", "NAME"],
        &["append", "NAME", "x"],
        &["create", "NAME"],
        &["close", "NAME"],
        &["create", "copy", "--fork-from", "NAME"],
    ] {
        for name in [dots[0].as_str(), encoded[1].as_str()] {
            let words: Vec<&str> = command.iter().map(|word| if *word == "NAME" { name } else { word }).collect();
            stream_command(&root, &words, "").check(64, "/../s1\" has the segment `.` or `..`");
        }
    }
    for name in ["zz\\..\\s1".to_owned(), format!("{root}/zz\\..\\s1")] {
        rm(&name, "has the segment `.` or `..`");
    }
    assert_eq!(server.lines(0), Vec::<String>::new());
    // A tab, which such a client leaves out, is one of the name.
    for name in [".\t./s1".to_owned(), format!("{root}/.\t./s1")] {
        stream_command(&root, &["rm", &name], "").check(0, "");
    }
    assert_eq!(server.lines(2), ["DELETE /v1/stream/.%09./s1"; 2]);
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
