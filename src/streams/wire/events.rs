//! Server-sent events. PROTOCOL "SSE": `event: data` with one space, `data:` with none. The `id` of each event is the offset
//! after it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use super::content_type::{ContentType, Kind};
use super::offset::Offset;
use crate::http::sse::{DataPrefix, Encoder};

/// The form of the content in the events of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON array per event.
    Json,
    /// Text as it is.
    Text,
    /// Base64: for bytes, and for text that an event cannot hold.
    Base64,
}

impl Form {
    /// The form for a stream of this type, unless its content asks for another one.
    pub(crate) fn of(content_type: &ContentType) -> Self {
        match content_type.kind() {
            Kind::Json => Self::Json,
            Kind::Text if content_type.is_utf8() => Self::Text,
            Kind::Text | Kind::Binary => Self::Base64,
        }
    }
}

/// The content of a `control` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) next: Offset,
    /// `None` at the end of a closed or deleted stream.
    pub(crate) cursor: Option<u64>,
    pub(crate) up_to_date: bool,
    pub(crate) closed: bool,
    pub(crate) deleted: bool,
}

/// Content that comes after some text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Following {
    /// There may be more.
    More,
    /// The stream is closed.
    Nothing,
}

/// Returns the length of the part of `content` that can be sent as text now. The rest, at most 3 bytes, has to wait for what
/// follows: it is a part of a character, or a CR that may belong to a CRLF. `None` if it has bytes that the text of an event
/// cannot hold: it is not UTF-8, or has a CR without LF, which readers would take for an LF.
pub(crate) fn text_until(content: &[u8], following: Following) -> Option<usize> {
    let may_wait = following == Following::More;
    let valid = match std::str::from_utf8(content) {
        Ok(_) => content.len(),
        Err(error) if error.error_len().is_none() && may_wait => error.valid_up_to(),
        Err(_) => return None,
    };
    let until = match content.last() {
        Some(b'\r') if may_wait => valid - 1,
        _ => valid,
    };
    let mut rest = &content[..until];
    while let Some(at) = rest.iter().position(|byte| *byte == b'\r') {
        rest = rest[at + 1..].strip_prefix(b"\n")?;
    }
    Some(until)
}

/// Writes the chunks of a read as one event, which ends at the offset `next`. Text must be UTF-8; a JSON batch is one array.
pub(crate) fn data_event(out: &mut BytesMut, form: Form, chunks: &[Bytes], next: Offset) {
    let event = Encoder::begin(out, "data", DataPrefix::Bare);
    let event = match form {
        Form::Base64 => event.data_line(&STANDARD.encode(joined(chunks))),
        Form::Text => event.data(&String::from_utf8_lossy(&joined(chunks))),
        Form::Json => {
            let messages = joined(chunks);
            let messages = messages.strip_suffix(b",").unwrap_or(&messages);
            event.data(&format!("[{}]", String::from_utf8_lossy(messages)))
        }
    };
    event.id(&next.to_string()).end();
}

/// Writes a `control` event.
pub(crate) fn control_event(out: &mut BytesMut, control: &Control) {
    let Control { next, cursor, up_to_date, closed, deleted } = control;
    let cursor = cursor.map(|cursor| format!(",\"streamCursor\":\"{cursor}\"")).unwrap_or_default();
    let up_to_date = if *up_to_date { ",\"upToDate\":true" } else { "" };
    let closed = if *closed { ",\"streamClosed\":true" } else { "" };
    let deleted = if *deleted { ",\"streamDeleted\":true" } else { "" };
    let next = next.to_string();
    let data = format!("{{\"streamNextOffset\":\"{next}\"{cursor}{up_to_date}{closed}{deleted}}}");
    Encoder::begin(out, "control", DataPrefix::Bare).data_line(&data).id(&next).end();
}

/// Joins chunks; a single one is not copied.
pub(crate) fn joined(chunks: &[Bytes]) -> Bytes {
    match chunks {
        [one] => one.clone(),
        several => several.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::sse::Decoder;

    fn event(form: Form, chunks: &[&[u8]]) -> String {
        let chunks: Vec<Bytes> = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect();
        let mut out = BytesMut::new();
        data_event(&mut out, form, &chunks, Offset::START);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn check(form: Form, chunks: &[&[u8]], data: &str) {
        assert_eq!(event(form, chunks), format!("event: data\n{data}id: {}\n\n", Offset::START));
    }

    /// The data of an event, as a client reads it.
    fn read(event: &str) -> String {
        let events = Decoder::default().push(event.as_bytes()).unwrap();
        assert_eq!(events.len(), 1, "{event}");
        events[0].data.clone()
    }

    #[test]
    fn each_line_has_its_own_prefix_and_keeps_its_blanks() {
        check(Form::Text, &[b"a\nb\r\nc"], "data:a\ndata:b\ndata:c\n");
        check(Form::Text, &[b" a\n", b"\n  b\nevent: x"], "data:  a\ndata:\ndata:   b\ndata:event: x\n");
    }

    #[test]
    fn json_is_one_array_and_binary_is_base64() {
        check(Form::Json, &[b"1,", b"{\"a\":\n 2},"], "data:[1,{\"a\":\ndata:  2}]\n");
        check(Form::Base64, &[b"\x00\xff", b"\x10"], "data:AP8Q\n");
    }

    #[test]
    fn a_part_of_a_character_or_of_a_line_break_waits_for_the_rest() {
        let check = |content: &[u8], waiting: usize| {
            assert_eq!(text_until(content, Following::More), Some(content.len() - waiting), "{content:?}");
            let end = if waiting == 0 { Some(content.len()) } else { None };
            assert_eq!(text_until(content, Following::Nothing), end, "{content:?} at the end");
        };
        check(b"", 0);
        check("größe\r\n".as_bytes(), 0);
        check(b"gr\xc3", 1);
        check(b"\xf0\x9f\x98", 3);
        check(b"\xf0\x9f", 2);
        check(b"a\r\nb\r", 1);
        check(b"\r", 1);
    }

    #[test]
    fn what_an_event_cannot_hold_as_text_is_found() {
        for content in [&b"\xff"[..], b"caf\xe9!", b"\xa9", b"50%\r100%", b"\r\r\n", b"a\r\xc3"] {
            assert_eq!(text_until(content, Following::More), None, "{content:?}");
        }
    }

    #[test]
    fn text_of_another_charset_is_sent_as_base64() {
        let form = |text: &str| Form::of(&ContentType::parse(text).unwrap());
        assert_eq!(form("text/plain"), Form::Text);
        assert_eq!(form("text/plain; charset=latin1"), Form::Base64);
        assert_eq!(form("image/png"), Form::Base64);
        assert_eq!(form("application/json"), Form::Json);
    }

    #[test]
    fn a_control_event_has_only_what_applies() {
        let mut out = BytesMut::new();
        let (next, none) = (
            Offset::START,
            Control { next: Offset::START, cursor: None, up_to_date: false, closed: false, deleted: false },
        );
        control_event(&mut out, &Control { cursor: Some(7), up_to_date: true, ..none });
        control_event(&mut out, &Control { up_to_date: true, closed: true, ..none });
        control_event(&mut out, &Control { deleted: true, ..none });
        let expected = [
            "\"streamCursor\":\"7\",\"upToDate\":true",
            "\"upToDate\":true,\"streamClosed\":true",
            "\"streamDeleted\":true",
        ]
        .map(|rest| format!("event: control\ndata:{{\"streamNextOffset\":\"{next}\",{rest}}}\nid: {next}\n\n"));
        assert_eq!(out, expected.concat());
    }

    proptest! {
        #[test]
        fn text_is_read_back_and_injects_nothing(text in "[ab\n :eé]{0,40}") {
            let event = event(Form::Text, &[text.as_bytes()]);
            prop_assert_eq!(event.matches("\n\n").count(), 1);
            prop_assert_eq!(read(&event), text);
        }

        #[test]
        fn text_in_parts_is_read_back_as_a_whole(text in "[a\n é😀]{0,30}", crlf: bool, cuts in prop::collection::vec(0_usize..90, 0..9)) {
            let text = if crlf { text.replace('\n', "\r\n") } else { text };
            let (mut sent, mut waiting) = (String::new(), Vec::new());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            for cut in cuts.windows(2) {
                waiting.extend_from_slice(&text.as_bytes()[cut[0]..cut[1]]);
                let until = text_until(&waiting, Following::More).unwrap();
                prop_assert!(waiting.len() - until <= 3);
                if until > 0 {
                    sent += &read(&event(Form::Text, &[&waiting[..until]]));
                    waiting.drain(..until);
                }
            }
            prop_assert_eq!(waiting.len(), 0);
            prop_assert_eq!(sent, text.replace("\r\n", "\n"));
        }

        #[test]
        fn binary_is_read_back(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..5)) {
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(STANDARD.decode(read(&event(Form::Base64, &slices))).unwrap(), chunks.concat());
        }
    }
}
