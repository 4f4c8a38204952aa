//! Writes events as bytes. Pure.

use bytes::{BufMut, BytesMut};

/// The characters that end a line of an event.
const LINE_BREAKS: [char; 2] = ['\r', '\n'];

/// Prefix of data lines. Readers drop one space after the colon, so both mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataPrefix {
    /// `data: text`.
    Spaced,
    /// `data:text`, the form of Durable Streams; with a space before a line that begins with one.
    Bare,
}

/// An event that is being written to a buffer. Names and ids must not contain line breaks.
#[must_use = "an event without its end is never dispatched"]
pub(crate) struct Encoder<'a> {
    out: &'a mut BytesMut,
    prefix: DataPrefix,
}

impl<'a> Encoder<'a> {
    /// Begins an event called `name`.
    pub(crate) fn begin(out: &'a mut BytesMut, name: &str, prefix: DataPrefix) -> Self {
        Self { out, prefix }.line(b"event: ", name)
    }

    /// Adds `text` as data, each line of it behind its own prefix. CRLF, CR and LF each end a line.
    pub(crate) fn data(mut self, text: &str) -> Self {
        let mut rest = text;
        loop {
            let end = rest.find(LINE_BREAKS).unwrap_or(rest.len());
            self = self.data_line(&rest[..end]);
            rest = match &rest[end..] {
                "" => return self,
                tail if tail.starts_with("\r\n") => &tail[2..],
                tail => &tail[1..],
            };
        }
    }

    /// Adds one line of data, which must not contain a line break: for long texts that are known to have none.
    pub(crate) fn data_line(self, line: &str) -> Self {
        let prefix: &[u8] = match self.prefix {
            DataPrefix::Bare if !line.starts_with(' ') => b"data:",
            DataPrefix::Bare | DataPrefix::Spaced => b"data: ",
        };
        self.line(prefix, line)
    }

    /// Adds the id of the event. Readers ignore an id that contains NUL.
    pub(crate) fn id(self, id: &str) -> Self {
        self.line(b"id: ", id)
    }

    /// Ends the event.
    pub(crate) fn end(self) {
        self.out.put_u8(b'\n');
    }

    fn line(self, prefix: &[u8], text: &str) -> Self {
        debug_assert!(!text.contains(LINE_BREAKS), "a line break would end the field: {text:?}");
        self.out.put_slice(prefix);
        self.out.put_slice(text.as_bytes());
        self.out.put_u8(b'\n');
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::sse::Decoder;

    fn encode(prefix: DataPrefix, text: &str) -> String {
        let mut out = BytesMut::new();
        Encoder::begin(&mut out, "message", prefix).data(text).id("7").end();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn fields_are_written_in_the_order_of_the_calls() {
        assert_eq!(encode(DataPrefix::Spaced, "x"), "event: message\ndata: x\nid: 7\n\n");
        assert_eq!(encode(DataPrefix::Bare, "x"), "event: message\ndata:x\nid: 7\n\n");
    }

    #[test]
    fn each_line_of_data_has_its_own_prefix() {
        let expected = "event: message\ndata:a\ndata:b\ndata:c\ndata:\nid: 7\n\n";
        assert_eq!(encode(DataPrefix::Bare, "a\nb\r\nc\r"), expected);
    }

    #[test]
    fn the_blank_at_the_beginning_of_a_line_is_not_the_one_that_readers_drop() {
        assert_eq!(encode(DataPrefix::Bare, " a\nb\n  c"), "event: message\ndata:  a\ndata:b\ndata:   c\nid: 7\n\n");
        assert_eq!(encode(DataPrefix::Spaced, " a"), "event: message\ndata:  a\nid: 7\n\n");
    }

    proptest! {
        #[test]
        fn text_survives_encoding_and_decoding(text in "[ab\r\n: ]{0,40}", bare: bool) {
            let event = encode(if bare { DataPrefix::Bare } else { DataPrefix::Spaced }, &text);
            let events = Decoder::default().push(event.as_bytes()).unwrap();
            prop_assert_eq!(events.len(), 1);
            prop_assert_eq!(&events[0].data, &text.replace("\r\n", "\n").replace('\r', "\n"));
        }
    }
}
