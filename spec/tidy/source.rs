//! Reads Rust just well enough to check it: comments and literals are blanked, every line keeps its number.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use regex::Regex;

/// A `.rs` file in the three views the checks need. Each view has the same bytes at the same offsets or blanks.
pub(crate) struct Source {
    /// Relative to the root of the project, with `/`.
    pub(crate) path: String,
    /// As it stands on disk.
    pub(crate) text: String,
    /// Without comments and without what stands in literals.
    pub(crate) code: String,
    /// The code that ships: `code` without `#[cfg(test)]` items.
    pub(crate) shipped: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = without_literals(text);
        let shipped = without_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped }
    }

    /// `path:line: complaint`, where the line is the one that holds the byte at `offset`.
    pub(crate) fn finding(&self, offset: usize, complaint: &str) -> String {
        format!("{}:{}: {complaint}", self.path, line_of(&self.text, offset))
    }
}

pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Reads every `.rs` file under `folders` of `root`, in the order of their paths. Files that are reached by a
/// `#[cfg(test)] mod name;` ship nothing.
pub(crate) fn sources(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut sources: Vec<Source> = folders
        .iter()
        .flat_map(|folder| files(&root.join(folder)))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| Source::new(&relative(root, &path), &read(&path)))
        .collect();
    let test_modules: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        if test_modules.iter().any(|module| belongs(&source.path, module)) {
            source.shipped = blank(&source.shipped);
        }
    }
    sources
}

/// Every file below `folder`, sorted; build output and fetched packages left out.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let wanted = paths.into_iter().filter(|path| {
        !path.file_name().is_some_and(|name| name == "target" || name == "node_modules" || name == ".git")
    });
    wanted.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(crate) fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{} is not readable text: {error}", path.display()))
}

/// The paths, without `.rs`, of the modules that `source` declares for tests only.
fn test_modules(source: &Source) -> Vec<String> {
    let declaration = regex(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;");
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let base = match file {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    declaration.captures_iter(&source.code).map(|found| format!("{base}/{}", &found[1])).collect()
}

fn belongs(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Compiles a pattern of ours, once.
pub(crate) fn regex(pattern: &'static str) -> Regex {
    static COMPILED: LazyLock<Mutex<HashMap<&str, Regex>>> = LazyLock::new(Mutex::default);
    let compile = || Regex::new(pattern).unwrap_or_else(|error| panic!("the pattern {pattern} is wrong: {error}"));
    COMPILED.lock().expect("a wrong pattern has failed the run already").entry(pattern).or_insert_with(compile).clone()
}

/// `text` with every comment and literal blanked; newlines stay, so offsets and lines do too.
pub(crate) fn without_literals(text: &str) -> String {
    let mut code = text.as_bytes().to_vec();
    let mut at = 0;
    while at < code.len() {
        match end_of_comment(&code, at).or_else(|| end_of_literal(&code, at)) {
            Some(end) => {
                blank_range(&mut code, at, end);
                at = end;
            }
            None => at += 1,
        }
    }
    String::from_utf8(code).expect("whole comments and literals were blanked, so what is left is still UTF-8")
}

fn end_of_comment(code: &[u8], at: usize) -> Option<usize> {
    if code[at..].starts_with(b"//") {
        return Some(find(code, at, b"\n").unwrap_or(code.len()));
    }
    if !code[at..].starts_with(b"/*") {
        return None;
    }
    let (mut depth, mut end) = (1, at + 2);
    while depth > 0 && end < code.len() {
        let step = match &code[end..] {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        depth += step.0;
        end += step.1;
    }
    Some(end)
}

fn end_of_literal(code: &[u8], at: usize) -> Option<usize> {
    match code[at] {
        b'r' if !continues_a_word(code, at) => end_of_raw_string(code, at),
        b'"' => Some(end_of_quoted(code, at, b'"')),
        b'\'' => end_of_char(code, at),
        _ => None,
    }
}

/// Returns true if the `r` at `at` ends a word such as `for`; the `r` of `br"…"` and `cr"…"` does not.
fn continues_a_word(code: &[u8], at: usize) -> bool {
    let before = |steps: usize| at.checked_sub(steps).map_or(b' ', |index| code[index]);
    let prefixed = matches!(before(1), b'b' | b'c') && !is_word(before(2));
    is_word(before(1)) && !prefixed
}

fn end_of_raw_string(code: &[u8], at: usize) -> Option<usize> {
    let hashes = code[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if code.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    Some(find(code, open + 1, &close).map_or(code.len(), |found| found + close.len()))
}

fn end_of_quoted(code: &[u8], open: usize, quote: u8) -> usize {
    let mut at = open + 1;
    while at < code.len() && code[at] != quote {
        at += if code[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(code.len())
}

/// The end of the character at `at`; none for a lifetime.
fn end_of_char(code: &[u8], at: usize) -> Option<usize> {
    let first = *code.get(at + 1)?;
    if first == b'\\' {
        return Some(end_of_quoted(code, at, b'\''));
    }
    let width = match first {
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
    };
    (code.get(at + 1 + width) == Some(&b'\'')).then_some(at + width + 2)
}

/// `code` with every item under `#[cfg(test)]` blanked, and all of it under `#![cfg(test)]`.
fn without_tests(code: &str) -> String {
    if code.contains("#![cfg(test)]") {
        return blank(code);
    }
    let mut shipped = code.as_bytes().to_vec();
    for attribute in regex(r"#\[cfg\((?:test|all\(test\b[^\]]*)\)\]").find_iter(code) {
        blank_range(&mut shipped, attribute.start(), end_of_item(code.as_bytes(), attribute.end()));
    }
    String::from_utf8(shipped).expect("an item ends at an ASCII byte, so what is left is still UTF-8")
}

/// The end of the item, field or statement after an attribute: a `;`, the `}` of its body, or a field's comma.
fn end_of_item(code: &[u8], start: usize) -> usize {
    let before_keyword = regex(r"^\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?");
    let has_body = regex(r"^(?:(?:async|unsafe|const|extern)\s+)*(?:fn|impl|mod|struct|enum|trait)\b");
    let ends_with_semicolon = regex(r"^(?:use|const|static|let|type)\b");
    let rest = String::from_utf8_lossy(&code[start..]);
    let keyword = &rest[before_keyword.find(&rest).map_or(0, |found| found.end())..];
    let item = has_body.is_match(keyword);
    let plain = !item && ends_with_semicolon.is_match(keyword);
    let mut depth = 0_i32;
    for (at, byte) in code.iter().enumerate().skip(start) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' if depth == 0 => return at,
            b'}' | b')' | b']' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            b',' if depth == 0 && !item && !plain => return at + 1,
            _ => {}
        }
        if *byte == b'}' && depth == 0 && (item || !plain) {
            return at + 1;
        }
    }
    code.len()
}

fn find(code: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let rest = code.get(from..)?;
    rest.windows(wanted.len()).position(|window| window == wanted).map(|position| from + position)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank_range(code: &mut [u8], start: usize, end: usize) {
    code[start..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn blank(code: &str) -> String {
    let mut blanked = code.as_bytes().to_vec();
    let end = blanked.len();
    blank_range(&mut blanked, 0, end);
    String::from_utf8(blanked).expect("blanks and newlines are UTF-8")
}

/// The code of `text`, its blanks squeezed, for a test to compare.
#[cfg(test)]
fn squeezed(view: &str) -> String {
    view.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn comments_and_literals_are_blanked() {
    let check = |text: &str, code: &str| assert_eq!(squeezed(&without_literals(text)), code, "of {text}");
    check("a // b\nc", "a c");
    check("a /* b /* c */ d */ e", "a e");
    check(r#"f("{ \" }") + 1"#, "f( ) + 1");
    check(r###"f(r#"say "{" "#, br"\", c"x") + g"###, "f( , b , c ) + g");
    check("x('{', '\\'', '\\u{7d}', 'é', b'}')", "x( , , , , b )");
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    check("for r in r#fn {}", "for r in r#fn {}");
    check("let open = \"never closed { é", "let open =");
}

#[test]
fn lines_and_offsets_stay() {
    let text = "let a = \"1\n2\"; /* 3\n4 */ end";
    let source = Source::new("src/a.rs", text);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.finding(source.code.find("end").unwrap(), "here"), "src/a.rs:3: here");
}

#[test]
fn what_is_for_tests_does_not_ship() {
    let check = |text: &str, shipped: &str| assert_eq!(squeezed(&Source::new("src/a.rs", text).shipped), shipped);
    check("a(); #[cfg(test)] mod tests { fn b() {} } c();", "a(); c();");
    check("a(); #[cfg(test)] mod tests; c();", "a(); c();");
    check("#[cfg(test)] use x::{y, z}; c();", "c();");
    check("#[cfg(test)] #[derive(Debug)] struct A<B, C> { b: B } c();", "c();");
    check("#[cfg(test)] const fn a<B, C>(b: [B; 2]) -> C { {} } c();", "c();");
    check("struct A { #[cfg(test)] b: Option<u8>, c: u8 }", "struct A { c: u8 }");
    check("struct A { #[cfg(test)] b: u8 }", "struct A { }");
    check("#![cfg(test)] fn a() {}", "");
    check("#[cfg(not(test))] fn a() {}", "#[cfg(not(test))] fn a() {}");
}

#[test]
fn a_test_module_in_a_file_of_its_own_does_not_ship() {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("src/relay/mod.rs", "mod rules;\n#[cfg(test)]\nmod contract;"),
        ("src/relay/rules.rs", "fn a() {}\n#[cfg(test)]\nmod tests;"),
        ("src/relay/rules/tests.rs", "fn b() {}"),
        ("src/relay/contract/order.rs", "fn c() {}"),
    ] {
        std::fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(root.path().join(path), text).unwrap();
    }
    let shipping = sources(root.path(), &["src"]).into_iter().filter(|source| !source.shipped.trim().is_empty());
    let paths: Vec<String> = shipping.map(|source| source.path).collect();
    assert_eq!(paths, ["src/relay/mod.rs", "src/relay/rules.rs"]);
}
