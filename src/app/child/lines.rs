//! Marks each line of a service's output with its role.

/// Longest line; a longer one is broken.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Splits output into lines.
pub(super) struct Lines {
    prefix: Vec<u8>,
    /// The beginning of an unfinished line.
    rest: Vec<u8>,
}

impl Lines {
    pub(super) fn new(role: &str) -> Self {
        Self { prefix: format!("{role} | ").into_bytes(), rest: Vec::new() }
    }

    /// Takes more output, and appends the lines that are complete to `out`.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.break_long(out);
            self.write_rest(out);
        }
        self.rest.extend_from_slice(bytes);
        self.break_long(out);
    }

    /// Appends the last line, which has no line break, to `out`.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            self.write_rest(out);
        }
    }

    fn break_long(&mut self, out: &mut Vec<u8>) {
        while self.rest.len() > LINE_BYTES_MAX {
            let is_boundary = |at: &usize| self.rest[*at] & 0xc0 != 0x80;
            let at = (LINE_BYTES_MAX - 3..=LINE_BYTES_MAX).rev().find(is_boundary).unwrap_or(LINE_BYTES_MAX);
            let after = self.rest.split_off(at);
            self.write_rest(out);
            self.rest = after;
        }
    }

    fn write_rest(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix);
        out.append(&mut self.rest);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(pieces: &[&[u8]]) -> String {
        let (mut lines, mut out) = (Lines::new("users"), Vec::new());
        pieces.iter().for_each(|piece| lines.push(piece, &mut out));
        lines.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_line_begins_with_the_role() {
        assert_eq!(written(&[b"one\n\ntw", b"o\nrest"]), "users | one\nusers | \nusers | two\nusers | rest\n");
        assert_eq!(written(&[b""]), "");
    }

    #[test]
    fn a_long_line_is_broken_between_characters() {
        let text = "ö".repeat(LINE_BYTES_MAX);
        let written = written(&[b"x", text.as_bytes(), b"\n"]);
        let parts: Vec<&str> = written.lines().map(|line| line.strip_prefix("users | ").unwrap()).collect();
        assert_eq!(parts.concat(), format!("x{text}"));
        assert!(parts.len() == 3 && parts.iter().all(|part| part.len() <= LINE_BYTES_MAX), "{}", parts.len());
    }

    proptest! {
        #[test]
        fn garbage_is_kept_in_lines_of_bounded_length(bytes in proptest::collection::vec(any::<u8>(), 0..100), count in 1_usize..800) {
            let (mut lines, mut out) = (Lines::new("a"), Vec::new());
            for _ in 0..count {
                lines.push(&bytes, &mut out);
            }
            lines.end(&mut out);
            prop_assert!(out.split(|byte| *byte == b'\n').all(|line| line.len() <= LINE_BYTES_MAX + 4));
        }
    }
}
