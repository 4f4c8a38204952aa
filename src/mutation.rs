//! Generated input for parsers: valid examples with a few changes, which get deeper into a parser than random bytes do.
//!
//! The tests in the modules named `fuzz` use it: each parser that reads what a stranger sends has one. `cargo test` tries a few
//! hundred inputs of each, `spec/fuzz MINUTES` as many as there is time for.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Maximum size of an input.
const BYTES_MAX: usize = 64 * 1024;

/// Maximum number of levels that a change adds.
const LEVELS_MAX: usize = 3_000;

/// Texts that have a meaning for one parser or another, or have broken one.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\r\n",
    b"\n",
    b"\r",
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[]",
    b"{}",
    b",",
    b":",
    b";",
    b"=",
    b"&",
    b"?",
    b"#",
    b".",
    b"..",
    b"/",
    b"//",
    b"*",
    b"**",
    b"%",
    b"%00",
    b"%2e%2e",
    b"%2F",
    b"%ff",
    b"+",
    b"-",
    b"-1",
    b"0",
    b"00",
    b"1e400",
    b"0.1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9007199254740993",
    b"99999999999999999999999999",
    b"ffffffffffffffff",
    b"null",
    b"true",
    b"NaN",
    b" ",
    b"\t",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "é".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{1f596}".as_bytes(),
];

/// Brackets that may be nested.
const BRACKETS: [(u8, u8); 4] = [(b'[', b']'), (b'{', b'}'), (b'(', b')'), (b'<', b'>')];

/// A change of an example. Positions are relative to its length.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, u8),
    Insert(Index, &'static [u8]),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Nest(Index, (u8, u8), usize),
    Append(Vec<u8>),
    Cut(Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            from.min(to)..from.max(to)
        };
        let position = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Replace(_, byte) => bytes.push(*byte),
            Self::Insert(at, token) => {
                let at = position(at);
                drop(bytes.splice(at..at, token.iter().copied()));
            }
            Self::Remove(from, to) => drop(bytes.drain(range(from, to))),
            Self::Repeat(from, to, times) => {
                let range = range(from, to);
                let repeated = bytes[range.clone()].repeat(*times);
                drop(bytes.splice(range.end..range.end, repeated));
            }
            Self::Nest(at, (open, close), levels) => {
                let at = position(at);
                bytes.splice(at..at, vec![*open; *levels]);
                bytes.extend(vec![*close; *levels]);
            }
            Self::Append(other) => bytes.extend_from_slice(other),
            Self::Cut(at) => bytes.truncate(position(at)),
        }
        bytes.truncate(BYTES_MAX);
    }
}

fn change(examples: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        8 => (at(), select(TOKENS)).prop_map(|(at, token)| Change::Insert(at, token)),
        4 => (at(), at()).prop_map(|(from, to)| Change::Remove(from, to)),
        2 => (at(), at(), 1_usize..40).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        1 => (at(), select(&BRACKETS[..]), 1..LEVELS_MAX).prop_map(|(at, pair, levels)| Change::Nest(at, pair, levels)),
        1 => select(examples).prop_map(Change::Append),
        1 => at().prop_map(Change::Cut),
    ]
}

/// Returns changed examples, and now and then an unchanged one or nothing but garbage; at most 64 KiB.
pub(crate) fn mutated<E: AsRef<[u8]>>(examples: impl IntoIterator<Item = E>) -> impl Strategy<Value = Vec<u8>> {
    let examples: Vec<Vec<u8>> = examples.into_iter().map(|example| example.as_ref().to_vec()).collect();
    let changed = (select(examples.clone()), vec(change(examples), 0..7)).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    });
    prop_oneof![15 => changed, 1 => vec(any::<u8>(), 0..300)]
}

/// Returns changed examples as text.
pub(crate) fn mutated_text<E: AsRef<[u8]>>(examples: impl IntoIterator<Item = E>) -> impl Strategy<Value = String> {
    mutated(examples).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
