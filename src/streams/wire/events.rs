//! Server-sent events. PROTOCOL "SSE": `event: data` with one space, `data:` with none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use super::content_type::Kind;
use super::offset::Offset;
use crate::http::sse::{DataPrefix, Encoder};

/// The content of a `control` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) next: Offset,
    /// `None` at the end of a closed stream.
    pub(crate) cursor: Option<u64>,
    pub(crate) up_to_date: bool,
    pub(crate) closed: bool,
}

/// Writes the chunks of a read as one event. Text that is not UTF-8 is written with replacement characters; a JSON
/// batch is one array.
pub(crate) fn data_event(out: &mut BytesMut, kind: Kind, chunks: &[Bytes]) {
    let event = Encoder::begin(out, "data", DataPrefix::Bare);
    let event = match kind {
        Kind::Binary => event.data_line(&STANDARD.encode(joined(chunks))),
        Kind::Text => event.data(&String::from_utf8_lossy(&joined(chunks))),
        Kind::Json => {
            let messages = joined(chunks);
            let messages = messages.strip_suffix(b",").unwrap_or(&messages);
            event.data(&format!("[{}]", String::from_utf8_lossy(messages)))
        }
    };
    event.end();
}

/// Writes a `control` event.
pub(crate) fn control_event(out: &mut BytesMut, control: &Control) {
    let Control { next, cursor, up_to_date, closed } = control;
    let cursor = cursor.map(|cursor| format!(",\"streamCursor\":\"{cursor}\"")).unwrap_or_default();
    let up_to_date = if *up_to_date { ",\"upToDate\":true" } else { "" };
    let closed = if *closed { ",\"streamClosed\":true" } else { "" };
    let data = format!("{{\"streamNextOffset\":\"{next}\"{cursor}{up_to_date}{closed}}}");
    Encoder::begin(out, "control", DataPrefix::Bare).data_line(&data).end();
}

fn joined(chunks: &[Bytes]) -> Bytes {
    match chunks {
        [one] => one.clone(),
        several => several.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(kind: Kind, chunks: &[&[u8]]) -> String {
        let chunks: Vec<Bytes> = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect();
        let mut out = BytesMut::new();
        data_event(&mut out, kind, &chunks);
        String::from_utf8(out.to_vec()).unwrap()
    }

    /// The data of an event, as a client reads it.
    fn read(event: &str) -> String {
        let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
        data.join("\n")
    }

    #[test]
    fn each_line_has_its_own_prefix_and_no_space() {
        assert_eq!(event(Kind::Text, &[b" a\nb\r\nc\rd"]), "event: data\ndata: a\ndata:b\ndata:c\ndata:d\n\n");
        assert_eq!(event(Kind::Text, &[b"a\n", b"\nevent: x"]), "event: data\ndata:a\ndata:\ndata:event: x\n\n");
    }

    #[test]
    fn json_is_one_array_and_binary_is_base64() {
        assert_eq!(event(Kind::Json, &[b"1,", b"{\"a\":\n2},"]), "event: data\ndata:[1,{\"a\":\ndata:2}]\n\n");
        assert_eq!(event(Kind::Binary, &[b"\x00\xff", b"\x10"]), "event: data\ndata:AP8Q\n\n");
    }

    #[test]
    fn a_control_event_has_only_what_applies() {
        let mut out = BytesMut::new();
        control_event(&mut out, &Control { next: Offset::at(3), cursor: Some(7), up_to_date: true, closed: false });
        control_event(&mut out, &Control { next: Offset::at(3), cursor: None, up_to_date: true, closed: true });
        let expected = "event: control\ndata:{\"streamNextOffset\":\"0000000000000000_0000000000000003\",\
            \"streamCursor\":\"7\",\"upToDate\":true}\n\nevent: control\n\
            data:{\"streamNextOffset\":\"0000000000000000_0000000000000003\",\"upToDate\":true,\"streamClosed\":true}\n\n";
        assert_eq!(out, expected);
    }

    proptest! {
        #[test]
        fn text_is_read_back_line_by_line_and_injects_nothing(text in "[ab\r\n:e]{0,40}") {
            let event = event(Kind::Text, &[text.as_bytes()]);
            prop_assert!(event.starts_with("event: data\ndata:") && event.ends_with("\n\n"));
            prop_assert_eq!(event.matches("\n\n").count(), 1);
            prop_assert_eq!(read(&event), text.replace("\r\n", "\n").replace('\r', "\n"));
        }

        #[test]
        fn binary_is_read_back(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..5)) {
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(STANDARD.decode(read(&event(Kind::Binary, &slices))).unwrap(), chunks.concat());
        }
    }
}
