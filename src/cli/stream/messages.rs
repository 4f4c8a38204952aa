//! Turns what a read gives into what is printed: bytes as they are, JSON as one message a line.

/// How content is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Bytes, text included.
    Bytes,
    /// One JSON array of messages.
    Messages,
}

impl Form {
    pub(super) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") { Self::Messages } else { Self::Bytes }
    }
}

/// Takes the body of an answer, piece by piece. A message keeps its own text, except that line breaks between its parts
/// become blanks. Nothing is held back but blanks, so a message may be longer than memory.
#[derive(Debug)]
pub(super) struct Messages {
    form: Form,
    depth: usize,
    quoted: bool,
    escaped: bool,
    /// Whether something of the present message was written.
    begun: bool,
    /// Blanks that belong to the message if it goes on behind them.
    blanks: Vec<u8>,
}

impl Messages {
    pub(super) fn of(form: Form) -> Self {
        Self { form, depth: 0, quoted: false, escaped: false, begun: false, blanks: Vec::new() }
    }

    /// Takes the next bytes of the body, and writes what is to be printed to `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.form {
            Form::Bytes => out.extend_from_slice(bytes),
            Form::Messages => bytes.iter().for_each(|byte| self.take(*byte, out)),
        }
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return out.push(byte);
        }
        match byte {
            b'\r' | b'\n' if self.begun => self.blanks.push(b' '),
            b' ' | b'\t' if self.begun => self.blanks.push(byte),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'[' if self.depth == 0 => self.depth = 1,
            // The end of the array is the end of a message and nothing else: an array that is read again may be longer.
            b',' | b']' if self.depth == 1 => {
                if std::mem::take(&mut self.begun) {
                    out.push(b'\n');
                }
                self.blanks.clear();
            }
            _ => self.go_on(byte, out),
        }
    }

    fn go_on(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'"' => self.quoted = true,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.begun = true;
        out.append(&mut self.blanks);
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(pieces: &[&[u8]]) -> String {
        let (mut messages, mut out) = (Messages::of(Form::Messages), Vec::new());
        pieces.iter().for_each(|piece| messages.push(piece, &mut out));
        String::from_utf8(out).unwrap()
    }

    fn check(body: &str, expected: &str) {
        assert_eq!(printed(&[body.as_bytes()]), expected, "{body}");
    }

    #[test]
    fn each_message_is_a_line_with_its_own_text() {
        check("[]", "");
        check("[1.50, [2,3] ,{\"a\": \"],[\"}]", "1.50\n[2,3]\n{\"a\": \"],[\"}\n");
        check("[ \"a\\\\\", \"b\\\"]\" ]", "\"a\\\\\"\n\"b\\\"]\"\n");
        check("[{\n  \"a\":\r\n1 }]\n", "{   \"a\":  1 }\n");
    }

    #[test]
    fn an_array_that_is_read_again_and_longer_goes_on_where_it_was() {
        assert_eq!(printed(&[b"[1,2]", b",3]"]), "1\n2\n3\n");
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        assert_eq!(Form::of("Application/JSON; charset=utf-8"), Form::Messages);
        assert_eq!(Form::of("application/jsonl"), Form::Bytes);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(cut in 0_usize..40) {
            let body = br#"[ {"a": "x\"y]"} , [1, 2], "z", [[]] ]"#;
            let cut = cut.min(body.len());
            prop_assert_eq!(printed(&[&body[..cut], &body[cut..]]), printed(&[body]));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut out = Vec::new();
            Messages::of(Form::Messages).push(&bytes, &mut out);
        }
    }
}
