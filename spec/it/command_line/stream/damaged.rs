//! Tests of `stream read` and `stream follow` at damage.

use std::path::Path;

use super::super::super::stage::reserve_address;
use super::{durable_server, stream_command};

/// Flips a bit of a text in the journal of a data folder.
fn flip(folder: &Path, text: &str) {
    let mut flipped = 0;
    for file in std::fs::read_dir(folder.join("journal")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            flipped += 1;
            std::fs::write(path, bytes).unwrap();
        }
    }
    assert_eq!(flipped, 1);
}

#[test]
fn damage_is_said_at_once_with_the_offset_that_goes_on_after_it() {
    let (folder, address) = (tempfile::tempdir().unwrap(), reserve_address());
    let url = format!("http://{address}/v1/stream");
    let server = durable_server(&address, &folder);
    for (name, content_type, content) in
        [("texts", "text/plain", "one;\ntwo;\nsix;\n"), ("numbers", "application/json", "10001\n10002\n10003\n")]
    {
        assert_eq!(stream_command(&url, &["create", name, "--type", content_type], "").code, Some(0));
        for line in content.split_inclusive('\n') {
            assert_eq!(stream_command(&url, &["append", name, "-"], line).code, Some(0));
        }
    }
    drop(server);
    flip(folder.path(), "two;");
    flip(folder.path(), "10002");
    let _server = durable_server(&address, &folder);
    for (name, before, after) in [("texts", "one;\n", "six;\n"), ("numbers", "10001\n", "10003\n")] {
        for command in ["read", "follow"] {
            let damaged = stream_command(&url, &[command, name], "");
            damaged.check(1, &format!("exorelay: the stream {name} is damaged at "));
            assert_eq!(damaged.stdout, before, "{command}: {damaged:?}");
            assert!(!damaged.stderr.contains("retrying") && !damaged.stderr.contains("resuming"), "{damaged:?}");
            let offset = damaged.stderr.split_once("--from ").unwrap().1.split_whitespace().next().unwrap().to_owned();
            let rest = stream_command(&url, &["read", name, "--from", &offset], "");
            assert_eq!((rest.code, rest.stdout.as_str()), (Some(0), after), "{command}: {rest:?}");
        }
    }
}
