//! Relaxed JSON, as the environment of a broker of 2016 and 2017 holds it: without quotes, because a shell took them away,
//! and with commas behind the last element. exo 3.7, 3.8.
//!
//! ```text
//! [{role:web,receives:[users.created,user has logged in],sends:[users.create],namespace:},]
//! ```
//!
//! A text without quotes ends before `,`, `]` or `}`, a key also before `:`. It is a string, even if it looks like a number;
//! only `null` is null. Quotes of either kind are optional.

use serde_json::{Map, Value};

use crate::broker::Error;

/// Maximum depth of arrays and objects.
const DEPTH_MAX: usize = 16;

/// Parses relaxed JSON. Errors: [`Error::Syntax`], with line and column.
pub(super) fn parse(text: &str) -> Result<Value, Error> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(other) => Err(reader.error(reader.at, &format!("expected the end, got {other:?}"))),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Bytes read so far.
    at: usize,
}

impl<'a> Reader<'a> {
    /// Returns the next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(self.error(self.at, &format!("more than {DEPTH_MAX} levels of arrays and objects")));
        }
        match self.peek() {
            Some('[') => self.array(depth),
            Some('{') => self.object(depth),
            Some(_) => Ok(self.text_until(&[',', ']', '}'])?.map_or(Value::Null, Value::String)),
            None => Err(self.error(self.at, "expected a value, got the end")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        let start = self.at;
        self.at += 1;
        let mut list = Vec::new();
        loop {
            match self.peek() {
                Some(']') => break,
                Some(',') => return Err(self.error(self.at, "a value is missing before the comma")),
                None => return Err(self.unclosed("array", start)),
                Some(_) => list.push(self.value(depth + 1)?),
            }
            self.comma_or(']', "array", start)?;
        }
        self.at += 1;
        Ok(Value::Array(list))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        let start = self.at;
        self.at += 1;
        let mut map = Map::new();
        loop {
            match self.peek() {
                Some('}') => break,
                Some(',') => return Err(self.error(self.at, "a key is missing before the comma")),
                None => return Err(self.unclosed("object", start)),
                Some(_) => {}
            }
            let key_start = self.at;
            let key = self.text_until(&[':', ',', ']', '}'])?.unwrap_or_else(|| "null".to_owned());
            if self.peek() != Some(':') {
                return Err(self.error(self.at, &format!("expected ':' after the key {key:?}")));
            }
            self.at += 1;
            // Nothing is left of an empty text without its quotes.
            let value = match self.peek() {
                Some(',' | '}') => Value::String(String::new()),
                _ => self.value(depth + 1)?,
            };
            if map.insert(key.clone(), value).is_some() {
                return Err(self.error(key_start, &format!("the key {key:?} is used twice")));
            }
            self.comma_or('}', "object", start)?;
        }
        self.at += 1;
        Ok(Value::Object(map))
    }

    /// Skips a comma. Errors: the value is followed by neither a comma nor `end`.
    fn comma_or(&mut self, end: char, what: &str, start: usize) -> Result<(), Error> {
        match self.peek() {
            Some(',') => {
                self.at += 1;
                Ok(())
            }
            Some(next) if next == end => Ok(()),
            Some(other) => Err(self.error(self.at, &format!("expected ',' or '{end}', got {other:?}"))),
            None => Err(self.unclosed(what, start)),
        }
    }

    /// Returns a quoted text, or one without quotes up to one of `ends`; `None` for `null` without quotes.
    fn text_until(&mut self, ends: &[char]) -> Result<Option<String>, Error> {
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            return self.quoted(quote).map(Some);
        }
        let (start, rest) = (self.at, &self.text[self.at..]);
        let text = &rest[..rest.find(ends).unwrap_or(rest.len())];
        if let Some(stray) = text.find(['[', '{', '"']) {
            let character = text[stray..].chars().next().unwrap_or_default();
            return Err(self.error(start + stray, &format!("unexpected {character:?} in a text without quotes")));
        }
        self.at += text.len();
        match text.trim_end() {
            "" => {
                Err(self.error(start, &format!("expected a text, got {:?}", rest.chars().next().unwrap_or_default())))
            }
            "null" => Ok(None),
            text => Ok(Some(text.to_owned())),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let (start, rest) = (self.at, &self.text[self.at + 1..]);
        let mut escaped = false;
        let end = rest.find(|character| {
            let ends = character == quote && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        });
        let end = end.ok_or_else(|| self.unclosed("text", start))?;
        self.at += end + 2;
        let inner = match quote {
            '"' => rest[..end].to_owned(),
            _ => rest[..end].replace("\\'", "'").replace('"', "\\\""),
        };
        serde_json::from_str(&format!("\"{inner}\"")).map_err(|error| {
            let cause = error.to_string();
            self.error(start, cause.split(" at line").next().unwrap_or_default())
        })
    }

    fn unclosed(&self, what: &str, start: usize) -> Error {
        let (line, column) = self.position(start);
        self.error(self.text.len(), &format!("the {what} that begins at line {line}, column {column} is not closed"))
    }

    fn error(&self, at: usize, cause: &str) -> Error {
        let (line, column) = self.position(at);
        Error::syntax("JSON", &format!("line {line}, column {column}: {cause}"))
    }

    /// Returns line and column of a byte, both from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &Value) {
        assert_eq!(parse(text).as_ref(), Ok(expected), "{text}");
    }

    fn check_refused(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), format!("not JSON: line 1, {expected}"), "{text}");
    }

    #[test]
    fn quotes_are_optional_and_a_last_comma_is_allowed() {
        let role = json!([{ "role": "web", "receives": ["users.created"], "sends": ["users.create"] }]);
        check("[{role:web,receives:[users.created],sends:[users.create]}]", &role);
        check("\n[ { role : web , receives : [ users.created , ] , sends : [users.create] , } , ]\n", &role);
        check(r#"[{"role":'web',receives:["users.created"],'sends':[users.create]}]"#, &role);
        check("{}", &json!({}));
        check("[]", &json!([]));
    }

    #[test]
    fn names_keep_dots_spaces_and_whatever_looks_like_another_type() {
        check(
            "[create user,  it's 5 o'clock ,a.b.c,a:b,5,true,ü,#1]",
            &json!(["create user", "it's 5 o'clock", "a.b.c", "a:b", "5", "true", "ü", "#1"]),
        );
        check("{a:null,b:,c:5}", &json!({ "a": null, "b": "", "c": "5" }));
        check(r#"["a,b]}","c\"d\u00fc",'e\'f"g',"null"," h "]"#, &json!(["a,b]}", "c\"dü", "e'f\"g", "null", " h "]));
    }

    #[test]
    fn an_error_names_line_and_column() {
        for (text, expected) in [
            ("", "column 1: expected a value, got the end"),
            ("[{role:web", "column 11: the object that begins at line 1, column 2 is not closed"),
            ("[{role:web}", "column 12: the array that begins at line 1, column 1 is not closed"),
            ("[{role:web]", "column 11: expected ',' or '}', got ']'"),
            ("[{role:web}{role:tv}]", "column 12: expected ',' or ']', got '{'"),
            ("[a]]", "column 4: expected the end, got ']'"),
            ("[{role}]", "column 7: expected ':' after the key \"role\""),
            ("[{receives:[a sends:[b]}]", "column 21: unexpected '[' in a text without quotes"),
            ("[a,,b]", "column 4: a value is missing before the comma"),
            ("{,a:b}", "column 2: a key is missing before the comma"),
            ("{a:b,a:c}", "column 6: the key \"a\" is used twice"),
            ("{:b}", "column 2: expected a text, got ':'"),
            ("[\"a]", "column 5: the text that begins at line 1, column 2 is not closed"),
            ("[\"\\x\"]", "column 2: invalid escape"),
        ] {
            check_refused(text, expected);
        }
        let error = parse("[\n  {role:web,\n   receives:[a}]").unwrap_err();
        assert_eq!(error.to_string(), "not JSON: line 3, column 15: expected ',' or ']', got '}'");
        check_refused(&"[".repeat(100), "column 18: more than 16 levels of arrays and objects");
    }

    proptest! {
        #[test]
        fn strict_json_of_texts_is_read_as_it_is(texts in proptest::collection::vec(".{0,12}", 0..5)) {
            let value = json!([{ "role": "a", "receives": texts }]);
            prop_assert_eq!(parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn garbage_is_an_error_on_one_line(text in "[\\[\\]{}:,'\"a \\\\\nü]{0,40}") {
            if let Err(error) = parse(&text) {
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }
}
