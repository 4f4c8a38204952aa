//! Words that are not allowed in the code.

use crate::source::{Source, regex};

/// A word, where it is looked for, and what to do instead.
struct Word {
    pattern: &'static str,
    view: View,
    instead: &'static str,
}

enum View {
    /// Comments and literals too.
    Text,
    /// Code, tests as well.
    Code,
    /// Code outside tests, under `src/` only.
    Shipped,
}

const WORDS: [Word; 11] = [
    Word { pattern: r"\bunbounded_channel\b", view: View::Code, instead: "use a channel with a named bound" },
    Word { pattern: r"\b(?:todo|unimplemented)!", view: View::Code, instead: "write it, or leave it out" },
    Word { pattern: r"\bdbg!", view: View::Code, instead: "use tracing" },
    Word { pattern: r"\b(?:FIXME|XXX)\b", view: View::Text, instead: "mend it, or say why it stays" },
    Word { pattern: r"#\[ignore\b", view: View::Code, instead: "make the test pass, or delete it" },
    Word { pattern: r"allow\([^)]*\bdead_code\b", view: View::Code, instead: "delete the dead code" },
    Word { pattern: r"\banyhow\b", view: View::Code, instead: "write one thiserror enum for the module" },
    Word { pattern: r"\bthread::\s*sleep\b", view: View::Code, instead: "drive the clock, or wait for the event" },
    Word { pattern: r"\.\s*unwrap\(\)", view: View::Shipped, instead: "handle it, or `expect` with the reason" },
    Word { pattern: r"\bunsafe\s*(?:\{|fn|impl)", view: View::Code, instead: "find the safe way" },
    Word { pattern: r"\.\s*unwrap_unchecked\(\)", view: View::Code, instead: "handle it" },
];

/// Words in `source` that must not be there. The checks themselves name them, so they are left out.
pub(crate) fn forbidden(source: &Source) -> Vec<String> {
    if source.path.starts_with("spec/tidy") {
        return Vec::new();
    }
    // A load generator paces itself by the real clock; there is nothing else to wait for.
    let paced = |word: &&Word| !(source.path.starts_with("spec/bench/") && word.pattern.contains("thread"));
    WORDS.iter().filter(paced).flat_map(|word| find(source, word)).collect()
}

/// Sleeping in tests outside `eventually.rs`, the one place that polls.
pub(crate) fn sleeps(source: &Source) -> Vec<String> {
    let watched = ["spec/it/", "spec/steps/", "spec/world/"].iter().any(|folder| source.path.starts_with(folder));
    if !watched || source.path.ends_with("/eventually.rs") {
        return Vec::new();
    }
    let word = Word { pattern: r"\bsleep\s*\(", view: View::Code, instead: "poll with the helper in eventually.rs" };
    find(source, &word)
}

/// `enum Error`s that are not made by thiserror.
pub(crate) fn plain_errors(source: &Source) -> Vec<String> {
    let declaration = regex(r"((?:#\[(?:[^\[\]]|\[[^\]]*\])*\]\s*)*)\bpub(?:\([^)]*\))?\s+enum\s+Error\b");
    let derived = regex(r"derive\([^)]*\bError\b");
    let plain = declaration.captures_iter(&source.shipped).filter(|found| !derived.is_match(&found[1]));
    let findings = plain.map(|found| {
        let end = found.get(0).expect("group 0 is the match").end();
        source.finding(end, "derive `thiserror::Error` for this enum")
    });
    findings.collect()
}

fn find(source: &Source, word: &Word) -> Vec<String> {
    let view = match word.view {
        View::Text => &source.text,
        View::Code => &source.code,
        View::Shipped if source.path.starts_with("src/") => &source.shipped,
        View::Shipped => return Vec::new(),
    };
    let pattern = regex(word.pattern);
    let found = pattern.find_iter(view);
    found.map(|found| source.finding(found.start(), &format!("`{}`; {}", found.as_str(), word.instead))).collect()
}

#[cfg(test)]
fn check(scan: fn(&Source) -> Vec<String>, path: &str, text: &str, findings: usize) {
    let found = scan(&Source::new(path, text));
    assert_eq!(found.len(), findings, "of {path} with {text}: {found:?}");
}

#[test]
fn every_forbidden_word_is_found() {
    let snippets = [
        "let a = mpsc::unbounded_channel();",
        "fn a() { todo!() }",
        "fn a() { unimplemented!(\"later\") }",
        "dbg!(a);",
        "// FIXME: b",
        "let a = \"XXX\";",
        "#[ignore = \"slow\"]",
        "#[allow(unused, dead_code)]",
        "use anyhow::Result;",
        "std::thread::sleep(a);",
        "a.unwrap();",
        "unsafe { a() }",
        "a.unwrap_unchecked()",
    ];
    for snippet in snippets {
        check(forbidden, "src/a.rs", snippet, 1);
    }
}

#[test]
fn a_word_is_reported_with_its_line() {
    let found = forbidden(&Source::new("spec/it/a.rs", "\n\n  todo!()"));
    assert_eq!(found, ["spec/it/a.rs:3: `todo!`; write it, or leave it out"]);
}

#[test]
fn words_in_comments_literals_and_tests_are_let_be() {
    check(forbidden, "src/a.rs", "// a todo! or anyhow\nlet b = \"unbounded_channel\";", 0);
    check(forbidden, "src/a.rs", "#[cfg(test)]\nmod tests { fn a() { b.unwrap(); } }", 0);
    check(forbidden, "spec/it/a.rs", "b.unwrap();", 0);
    check(forbidden, "src/a.rs", "a.unwrap_or(b); forbid(unsafe_code); XXXX", 0);
}

#[test]
fn only_the_polling_helper_sleeps() {
    check(sleeps, "spec/it/crash.rs", "tokio::time::sleep(a).await;", 1);
    check(sleeps, "spec/steps/relay.rs", "sleep (a)", 1);
    check(sleeps, "spec/it/eventually.rs", "tokio::time::sleep(a).await;", 0);
    check(sleeps, "spec/bench/main.rs", "sleep(a)", 0);
}

#[test]
fn errors_are_made_by_thiserror() {
    check(plain_errors, "src/a.rs", "#[derive(Debug, thiserror::Error)]\n#[non_exhaustive]\npub enum Error {}", 0);
    check(plain_errors, "src/a.rs", "#[derive(Debug, Error)]\n/// Doc.\npub(crate) enum Error {}", 0);
    check(plain_errors, "src/a.rs", "#[derive(Debug)]\npub enum Error {}", 1);
    check(plain_errors, "src/a.rs", "#[derive(thiserror::Error)]\npub struct A;\npub enum Error {}", 1);
    check(plain_errors, "src/a.rs", "pub enum ErrorKind {}", 0);
}
