//! Reads `text/event-stream` (HTML Standard 9.2.6). Lines end in LF, CRLF or CR: a payload's own line breaks, of which any
//! may be, become those of the stream.

/// One event. `name` is `message` where the server gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// The event that is being read is longer than [`EventStream::EVENT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is over the limit of {} bytes", EventStream::EVENT_BYTES_MAX)]
pub(super) struct TooLong;

/// What has been read of a stream. Bytes go in as they come, events come out when their blank line has.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    rest: Vec<u8>,
    name: String,
    data: Option<String>,
    /// The last line ended in CR: a LF right behind it ends no other.
    after_return: bool,
}

impl EventStream {
    /// How long one event may be.
    pub(super) const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

    /// Takes the next bytes of the stream. After [`TooLong`] the stream cannot be read any further.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
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
            events.extend(self.take_line(&String::from_utf8_lossy(&line)));
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
            // The id is in the envelope too, the server's own wait is not asked for, and comments keep the line alive.
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
        let events = EventStream::default().push(stream.as_bytes()).unwrap();
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
        // As a payload `{"a":\r\n1\r}` is written.
        check("data: {\"a\":\rdata: \ndata: 1\rdata: }\n\n", &[("message", "{\"a\":\n\n1\n}")]);
    }

    #[test]
    fn comments_and_events_without_data_are_passed_over() {
        check(": still here\n\nevent: ping\n\nretry: 5\nevent: drain\ndata\n\n", &[("drain", "")]);
    }

    #[test]
    fn an_event_without_end_is_refused_at_the_limit() {
        let mut stream = EventStream::default();
        let line = vec![b'x'; EventStream::EVENT_BYTES_MAX];
        assert_eq!(stream.push(&line), Ok(vec![]));
        assert_eq!(stream.push(b"x"), Err(TooLong));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(cuts in proptest::collection::vec(0_usize..60, 0..6)) {
            let whole = "event: message\r\ndata: {\rdata: \ndata: ö}\n\n: ping\r\n\r\ndata: 2\n\n";
            let mut stream = EventStream::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &whole.as_bytes()[cut[0]..cut[1]]);
            let events: Vec<Event> = pieces.flat_map(|piece| stream.push(piece).unwrap()).collect();
            prop_assert_eq!(events, EventStream::default().push(whole.as_bytes()).unwrap());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(EventStream::default().push(&bytes));
        }
    }
}
