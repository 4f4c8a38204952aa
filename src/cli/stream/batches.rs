//! Puts lines together into appends.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::messages::Form;
use crate::cli::Error;

/// How many lines one append has.
const BATCH_LINES: u64 = 1_000;

/// How many bytes one append has; a single line may have more.
const BATCH_BYTES: usize = 256 * 1024;

/// How long one line may be.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    pub(super) lines: u64,
}

/// Lines on their way into batches. In a stream of JSON messages each line is one, whatever it is; blank ones are passed
/// over. Anywhere else lines stay as they are, line breaks included. The same lines make the same batches.
#[derive(Debug)]
pub(super) struct Batches {
    form: Form,
    /// The beginning of a line.
    rest: Vec<u8>,
    body: Vec<u8>,
    lines: u64,
    /// Lines that were seen before.
    number: u64,
}

impl Batches {
    pub(super) fn of(form: Form) -> Self {
        Self { form, rest: Vec::new(), body: Vec::new(), lines: 0, number: 0 }
    }

    /// Takes more of the input and gives the batches that are full. Errors: [`Error::Line`].
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Batch>, Error> {
        let mut full = Vec::new();
        let mut piece = piece;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.rest);
            line.extend_from_slice(&piece[..=end]);
            piece = &piece[end + 1..];
            full.extend(self.take(&line)?);
        }
        self.rest.extend_from_slice(piece);
        match self.rest.len() > LINE_BYTES_MAX {
            true => Err(self.wrong(format!("it is longer than {LINE_BYTES_MAX} bytes"))),
            false => Ok(full),
        }
    }

    /// What is there of whole lines, full or not.
    pub(super) fn flush(&mut self) -> Option<Batch> {
        if self.body.is_empty() {
            return None;
        }
        let mut body = std::mem::take(&mut self.body);
        if self.form == Form::Messages {
            body.push(b']');
        }
        Some(Batch { body: body.into(), lines: std::mem::take(&mut self.lines) })
    }

    /// The input is over: its last line may have no end. Errors: [`Error::Line`].
    pub(super) fn end(&mut self) -> Result<Vec<Batch>, Error> {
        let line = std::mem::take(&mut self.rest);
        let full = if line.is_empty() { None } else { self.take(&line)? };
        Ok(full.into_iter().chain(self.flush()).collect())
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<Batch>, Error> {
        self.number += 1;
        let record = match self.form {
            Form::Bytes => line,
            Form::Messages => line.trim_ascii(),
        };
        if record.is_empty() {
            return Ok(None);
        }
        if self.form == Form::Messages {
            serde_json::from_slice::<IgnoredAny>(record).map_err(|error| self.wrong(error.to_string()))?;
        }
        let fits = self.body.len() + record.len() <= BATCH_BYTES && self.lines < BATCH_LINES;
        let full = if fits { None } else { self.flush() };
        if self.form == Form::Messages {
            self.body.push(if self.body.is_empty() { b'[' } else { b',' });
        }
        self.body.extend_from_slice(record);
        self.lines += 1;
        Ok(full)
    }

    fn wrong(&self, cause: String) -> Error {
        Error::Line { number: self.number, cause }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batches(form: Form, pieces: &[&[u8]]) -> Vec<(String, u64)> {
        let mut batches = Batches::of(form);
        let mut all: Vec<Batch> = pieces.iter().flat_map(|piece| batches.push(piece).unwrap()).collect();
        all.extend(batches.end().unwrap());
        all.into_iter().map(|batch| (String::from_utf8(batch.body.to_vec()).unwrap(), batch.lines)).collect()
    }

    fn check(form: Form, input: &str, expected: &[(&str, u64)]) {
        let made = batches(form, &[input.as_bytes()]);
        assert_eq!(made, expected.iter().map(|(body, lines)| ((*body).to_owned(), *lines)).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_of_json_is_one_message_even_if_it_is_an_array() {
        check(Form::Messages, "{\"a\":1}\r\n\n[1,2]\n3", &[("[{\"a\":1},[1,2],3]", 3)]);
    }

    #[test]
    fn lines_of_text_stay_as_they_are() {
        check(Form::Bytes, "one\r\n\nthree", &[("one\r\n\nthree", 3)]);
        check(Form::Bytes, "", &[]);
    }

    #[test]
    fn a_batch_has_so_many_lines_and_no_more() {
        let lines = "1\n".repeat(2_001);
        let made = batches(Form::Messages, &[lines.as_bytes()]);
        assert_eq!(made.iter().map(|(_, lines)| *lines).collect::<Vec<_>>(), [1_000, 1_000, 1]);
    }

    #[test]
    fn a_line_that_is_no_json_is_told_with_its_number() {
        let mut batches = Batches::of(Form::Messages);
        let error = batches.push(b"1\n\n{a}\n").unwrap_err().to_string();
        assert!(error.starts_with("line 3 is not fit"), "{error}");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_input_is_cut(cut in 0_usize..30) {
            let input = b"{\"a\":\"x\"}\n[1]\n\n  \"b\"  \n4";
            let cut = cut.min(input.len());
            prop_assert_eq!(batches(Form::Messages, &[&input[..cut], &input[cut..]]), batches(Form::Messages, &[input]));
        }
    }
}
