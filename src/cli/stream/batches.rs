//! Groups input lines into append requests.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::messages::Form;
use crate::cli::Error;

/// Maximum lines in one append.
const BATCH_LINES: u64 = 1_000;

/// Maximum bytes in one append, unless a single line is longer.
const BATCH_BYTES: usize = 256 * 1024;

/// Maximum length of one line.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The content of one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    pub(super) lines: u64,
}

/// Splits input into batches of lines. In a JSON stream each line is one message, even if it is an array, and blank lines
/// are skipped; in any other stream lines keep their line breaks. The same lines always make the same batches.
#[derive(Debug)]
pub(super) struct Batches {
    form: Form,
    /// The beginning of an unfinished line.
    rest: Vec<u8>,
    body: Vec<u8>,
    lines: u64,
    /// Number of the last line read.
    number: u64,
}

impl Batches {
    pub(super) fn of(form: Form) -> Self {
        Self { form, rest: Vec::new(), body: Vec::new(), lines: 0, number: 0 }
    }

    /// Adds input and returns the batches that are full. Errors: [`Error::Line`], [`Error::LineTooLong`].
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<Vec<Batch>, Error> {
        let mut full = Vec::new();
        let mut chunk = chunk;
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.rest);
            line.extend_from_slice(&chunk[..=end]);
            chunk = &chunk[end + 1..];
            full.extend(self.take(&line)?);
        }
        self.rest.extend_from_slice(chunk);
        match self.rest.len() > LINE_BYTES_MAX {
            true => Err(Error::LineTooLong { number: self.number + 1, bytes_max: LINE_BYTES_MAX }),
            false => Ok(full),
        }
    }

    /// Returns the complete lines that are not in a batch yet.
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

    /// Returns the last batches; the last line need not end in a line break. Errors: [`Error::Line`].
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
            let checked = serde_json::from_slice::<IgnoredAny>(record);
            checked.map_err(|error| Error::Line { number: self.number, cause: error.to_string() })?;
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batches(form: Form, chunks: &[&[u8]]) -> Vec<(String, u64)> {
        let mut batches = Batches::of(form);
        let mut all: Vec<Batch> = chunks.iter().flat_map(|chunk| batches.push(chunk).unwrap()).collect();
        all.extend(batches.end().unwrap());
        all.into_iter().map(|batch| (String::from_utf8(batch.body.to_vec()).unwrap(), batch.lines)).collect()
    }

    fn check(form: Form, input: &str, expected: &[(&str, u64)]) {
        let made = batches(form, &[input.as_bytes()]);
        assert_eq!(made, expected.iter().map(|(body, lines)| ((*body).to_owned(), *lines)).collect::<Vec<_>>());
    }

    #[test]
    fn a_json_line_is_one_message_even_if_it_is_an_array() {
        check(Form::Messages, "{\"a\":1}\r\n\n[1,2]\n3", &[("[{\"a\":1},[1,2],3]", 3)]);
    }

    #[test]
    fn text_lines_are_unchanged() {
        check(Form::Bytes, "one\r\n\nthree", &[("one\r\n\nthree", 3)]);
        check(Form::Bytes, "", &[]);
    }

    #[test]
    fn a_batch_has_at_most_1000_lines() {
        let lines = "1\n".repeat(2_001);
        let made = batches(Form::Messages, &[lines.as_bytes()]);
        assert_eq!(made.iter().map(|(_, lines)| *lines).collect::<Vec<_>>(), [1_000, 1_000, 1]);
    }

    #[test]
    fn an_error_names_the_line_that_is_not_json() {
        let mut batches = Batches::of(Form::Messages);
        let error = batches.push(b"1\n\n{a}\n").unwrap_err().to_string();
        assert!(error.starts_with("line 3 is not valid JSON"), "{error}");
    }

    proptest! {
        #[test]
        fn batches_do_not_depend_on_how_the_input_is_split(cut in 0_usize..30) {
            let input = b"{\"a\":\"x\"}\n[1]\n\n  \"b\"  \n4";
            let cut = cut.min(input.len());
            prop_assert_eq!(batches(Form::Messages, &[&input[..cut], &input[cut..]]), batches(Form::Messages, &[input]));
        }
    }
}
