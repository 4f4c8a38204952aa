//! Plain English: openings of doc comments and turns of phrase that make a reader stumble.

use crate::source::{Source, line_of, regex};

/// Turns of phrase with what to write instead. The brackets keep the patterns from finding themselves.
const PHRASES: [(&str, &str); 4] = [
    (r"(?i)\bwhoeve[r]\b", "name who it is: the caller, the receiver, each waiting request"),
    (r"(?i)\bso man[y]\b", "name the number: `n`, or what is counted"),
    (r"(?i)\bis tol[d]\b", "write what happens: it receives, learns, is notified, gets the answer"),
    (r"(?i)\btell[s]\b", "write what it does: returns, reports, shows, says, notifies"),
];

/// Finds doc comments in `source` that open with a question word.
pub(crate) fn doc_openings(source: &Source) -> Vec<String> {
    let opening = regex(r"^\s*//[/!]\s*(What|Whether|How|Who(?:ever)?|Why|Where)\b");
    let doc = regex(r"^\s*//[/!](?:[^/]|$)");
    let mut findings = Vec::new();
    let mut inside = false;
    for (index, line) in source.text.lines().enumerate() {
        if let Some(found) = opening.captures(line).filter(|_| !inside) {
            findings.push(format!(
                "{}:{}: a doc comment opens with `{}`; open a type's with what it is, a function's with what it does \
                 (`Returns`), a flag's with `True if`",
                source.path,
                index + 1,
                &found[1]
            ));
        }
        inside = doc.is_match(line);
    }
    findings
}

/// Finds public asynchronous functions whose documentation does not say what a dropped call leaves behind.
pub(crate) fn undocumented_drops(source: &Source) -> Vec<String> {
    let (function, says) = (regex(r"^\s*pub async fn (\w+)"), regex(r"(?i)cancel-safe|dropp"));
    let mut findings = Vec::new();
    let mut documentation = String::new();
    for (index, line) in source.text.lines().enumerate() {
        if let Some(found) = function.captures(line).filter(|_| !says.is_match(&documentation)) {
            findings.push(format!(
                "{}:{}: nothing says what a dropped call of `{}` leaves behind; write `Cancel-safe.` or what it is",
                source.path,
                index + 1,
                &found[1]
            ));
        }
        match line.trim_start() {
            line if line.starts_with("///") => documentation.push_str(line),
            line if line.starts_with("#[") => {}
            _ => documentation.clear(),
        }
    }
    findings
}

/// Finds the phrases in the text of any file.
pub(crate) fn phrases(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (pattern, instead) in PHRASES {
        for found in regex(pattern).find_iter(text) {
            findings.push(format!("{path}:{}: `{}`; {instead}", line_of(text, found.start()), found.as_str()));
        }
    }
    findings
}

#[test]
fn doc_comments_that_open_with_a_question_word_are_found() {
    let check = |text: &str, findings: usize| {
        let found = doc_openings(&Source::new("src/a.rs", text));
        assert_eq!(found.len(), findings, "of {text}: {found:?}");
    };
    for word in ["What", "Whether", "How", "Who", concat!("Who", "ever"), "Why", "Where"] {
        check(&format!("/// {word} it is.\nfn a() {{}}"), 1);
        check(&format!("//! {word} it is.\n"), 1);
        check(&format!("    /// Returns it.\n    /// {word} it is.\n"), 0);
    }
    check("/// Returns it.\nfn a() {}\n\n/// How many.\nfn b() {}", 1);
    check("// How it works: a comment may say.\n/// However long.\n", 0);
}

#[test]
fn phrases_are_found_in_any_text() {
    let check = |text: String, findings: usize| assert_eq!(phrases("a.md", &text).len(), findings, "of {text}");
    check(format!("{}ever asks", "Who"), 1);
    check(format!("on so {} threads", "many"), 1);
    check(format!("the caller is {}, which {}s it", "told", "tell"), 2);
    check("tell, told, so much, many, this told".to_owned(), 0);
}

#[test]
fn asynchronous_functions_without_a_word_on_drops_are_found() {
    let check = |text: &str, count: usize| assert_eq!(undocumented_drops(&Source::new("src/a.rs", text)).len(), count);
    check("/// Waits.\npub async fn wait() {}", 1);
    check("/// Waits. Cancel-safe.\n#[inline]\npub async fn wait() {}", 0);
    check("/// Waits. A dropped call has no effect.\npub async fn wait() {}\n\n/// Ends.\npub async fn end() {}", 1);
    check("pub(crate) async fn own() {}\nasync fn own_too() {}", 0);
}
