//! Converts response bodies to output: bytes unchanged, JSON arrays as one message per line.

/// The structure of a stream's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Bytes, text included.
    Bytes,
    /// A JSON array of messages.
    Messages,
}

impl Form {
    pub(super) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") { Self::Messages } else { Self::Bytes }
    }
}

/// An incremental converter for one body. Messages keep their text, except that line breaks between tokens become
/// spaces. Only whitespace is buffered, so a message may be larger than memory.
#[derive(Debug)]
pub(super) struct Messages {
    form: Form,
    depth: usize,
    quoted: bool,
    escaped: bool,
    /// True once part of the current message was written.
    begun: bool,
    /// Whitespace that belongs to the message only if more of it follows.
    blanks: Vec<u8>,
}

impl Messages {
    pub(super) fn of(form: Form) -> Self {
        Self { form, depth: 0, quoted: false, escaped: false, begun: false, blanks: Vec::new() }
    }

    /// Converts the next bytes of the body and appends the result to `out`.
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
            // The closing bracket only ends the message: an array that is read again may have grown.
            b',' | b']' if self.depth == 1 => {
                if std::mem::take(&mut self.begun) {
                    out.push(b'\n');
                }
                self.blanks.clear();
            }
            _ => self.write(byte, out),
        }
    }

    fn write(&mut self, byte: u8, out: &mut Vec<u8>) {
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
    fn each_message_is_printed_on_one_line() {
        check("[]", "");
        check("[1.50, [2,3] ,{\"a\": \"],[\"}]", "1.50\n[2,3]\n{\"a\": \"],[\"}\n");
        check("[ \"a\\\\\", \"b\\\"]\" ]", "\"a\\\\\"\n\"b\\\"]\"\n");
        check("[{\n  \"a\":\r\n1 }]\n", "{   \"a\":  1 }\n");
    }

    #[test]
    fn a_longer_array_continues_after_the_printed_part() {
        assert_eq!(printed(&[b"[1,2]", b",3]"]), "1\n2\n3\n");
    }

    #[test]
    fn json_is_detected_by_its_media_type() {
        assert_eq!(Form::of("Application/JSON; charset=utf-8"), Form::Messages);
        assert_eq!(Form::of("application/jsonl"), Form::Bytes);
    }

    proptest! {
        #[test]
        fn output_does_not_depend_on_how_the_bytes_are_split(cut in 0_usize..40) {
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
