//! Reads events from bytes (HTML Standard 9.2.6). Pure.

/// One event. `name` is `message` if the server gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Error: an event is longer than [`Decoder::EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is over the limit of {} bytes", Decoder::EVENT_BYTES_MAX)]
pub(crate) struct TooLong;

/// Incremental decoder of one stream. Bytes go in as they arrive; an event comes out with its blank line. Lines end in
/// LF, CRLF or CR.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The line that is not complete yet.
    rest: Vec<u8>,
    name: String,
    data: Option<String>,
    /// True if the last line ended in CR: an LF directly behind it belongs to the same line break.
    after_return: bool,
    /// True after the first line, which a byte order mark may precede.
    begun: bool,
}

impl Decoder {
    /// Largest event.
    pub(crate) const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

    /// Decodes the next bytes of the stream and returns the events they complete. After [`TooLong`] the stream cannot be
    /// read any further.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        let mut bytes = bytes;
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else { break };
            self.rest.extend_from_slice(&bytes[..end]);
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.rest);
            let line = String::from_utf8_lossy(&line);
            let marked = if std::mem::replace(&mut self.begun, true) { None } else { line.strip_prefix('\u{feff}') };
            events.extend(self.take_line(marked.unwrap_or(&line)));
            self.check_length()?;
        }
        self.rest.extend_from_slice(bytes);
        self.check_length()?;
        Ok(events)
    }

    fn take_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (field, &mut self.data) {
            ("event", _) => self.name = value.to_owned(),
            ("data", Some(data)) => {
                data.push('\n');
                data.push_str(value);
            }
            ("data", none) => *none = Some(value.to_owned()),
            // Ids are in the envelopes too, the server's `retry` is not used, and comments only keep the connection open.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = self.data.take()?;
        Some(Event { name: if name.is_empty() { "message".to_owned() } else { name }, data })
    }

    fn check_length(&self) -> Result<(), TooLong> {
        let length = self.rest.len() + self.data.as_ref().map_or(0, String::len);
        if length > Self::EVENT_BYTES_MAX { Err(TooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(stream: &str, expected: &[(&str, &str)]) {
        let events = Decoder::default().push(stream.as_bytes()).unwrap();
        let events: Vec<_> = events.iter().map(|event| (event.name.as_str(), event.data.as_str())).collect();
        assert_eq!(events, expected, "{stream:?}");
    }

    #[test]
    fn an_event_ends_at_its_blank_line() {
        check(
            "event: message\nid: 7\ndata: {\"id\":\"7\"}\n\nevent: message\ndata: x\n",
            &[("message", "{\"id\":\"7\"}")],
        );
    }

    #[test]
    fn data_over_several_lines_is_joined() {
        check("data: {\r\ndata:  \"a\": 1\r\ndata: }\r\n\r\n", &[("message", "{\n \"a\": 1\n}")]);
    }

    #[test]
    fn a_payload_keeps_its_value_whatever_its_line_breaks_are() {
        // The payload `{"a":\r\n1\r}`, as servers that keep line breaks write it.
        check("data: {\"a\":\rdata: \ndata: 1\rdata: }\n\n", &[("message", "{\"a\":\n\n1\n}")]);
    }

    #[test]
    fn comments_and_events_without_data_are_skipped() {
        check(": still here\n\nevent: ping\n\nretry: 5\nevent: drain\ndata\n\n", &[("drain", "")]);
    }

    #[test]
    fn an_event_without_end_is_refused_at_the_limit() {
        let mut decoder = Decoder::default();
        let line = vec![b'x'; Decoder::EVENT_BYTES_MAX];
        assert_eq!(decoder.push(&line), Ok(vec![]));
        assert_eq!(decoder.push(b"x"), Err(TooLong));
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_how_the_bytes_are_split(cuts in proptest::collection::vec(0_usize..60, 0..6)) {
            let whole = "event: message\r\ndata: {\rdata: \ndata: ö}\n\n: ping\r\n\r\ndata: 2\n\n";
            let mut decoder = Decoder::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &whole.as_bytes()[cut[0]..cut[1]]);
            let events: Vec<Event> = pieces.flat_map(|piece| decoder.push(piece).unwrap()).collect();
            prop_assert_eq!(events, Decoder::default().push(whole.as_bytes()).unwrap());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Decoder::default().push(&bytes));
        }
    }
}
