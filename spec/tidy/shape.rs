//! Checks of length, and of the content of `mod.rs` files.

use crate::source::{Source, line_of, regex};

const FILE_LINES_MAX: usize = 399;
const FUNCTION_LINES_MAX: usize = 69;

/// Reports a file that is too long.
pub(crate) fn long_file(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}:{lines}: {lines} lines of at most {FILE_LINES_MAX}; split the file by meaning", source.path)]
}

/// Functions that are too long, counted from `fn` to the closing brace.
pub(crate) fn long_functions(source: &Source) -> Vec<String> {
    let long = functions(&source.code).into_iter().filter_map(|(name, start, end)| {
        let lines = line_of(&source.code, end) - line_of(&source.code, start) + 1;
        let complaint = format!("`{name}` has {lines} lines of at most {FUNCTION_LINES_MAX}; give its parts names");
        (lines > FUNCTION_LINES_MAX).then(|| source.finding(start, &complaint))
    });
    long.collect()
}

/// Finds anything in a `mod.rs` besides docs, modules and re-exports.
pub(crate) fn crowded_mod_files(source: &Source) -> Vec<String> {
    if !source.path.ends_with("/mod.rs") {
        return Vec::new();
    }
    let allowed = regex(r"^(?:pub(?:\([^)]*\))?\s+)?(?:(?:mod\s+\w+|use\s[^;]*)\s*;|mod\s+\w+\s*\{\s*\})");
    let attribute = regex(r"^#!?\[(?:[^\[\]]|\[[^\]]*\])*\]");
    let code = source.code.as_str();
    let mut at = 0;
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        let rest = &code[at..];
        if rest.is_empty() {
            return Vec::new();
        }
        let Some(item) = attribute.find(rest).or_else(|| allowed.find(rest)) else {
            let complaint = "a mod.rs holds docs, `mod` and `use` only; move this to a file named after it";
            return vec![source.finding(at, complaint)];
        };
        at += item.end();
    }
}

/// Name, start and end of every function of `code` that has a body.
fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let heads = regex(r"\bfn\s+(\w+)");
    let found = heads.captures_iter(code).filter_map(|head| {
        let whole = head.get(0).expect("group 0 is the match");
        let name = head.get(1).expect("the pattern has one group").as_str();
        Some((name, whole.start(), end_of_body(code, whole.end())?))
    });
    found.collect()
}

/// The offset of the brace that closes the body of the function whose name ends at `start`; none for a declaration.
fn end_of_body(code: &str, start: usize) -> Option<usize> {
    let (mut brackets, mut braces) = (0_i32, 0_i32);
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' => braces -= 1,
            b';' if brackets == 0 && braces == 0 => return None,
            _ => {}
        }
        if byte == b'}' && brackets == 0 && braces == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
fn lines_of(count: usize) -> String {
    "    a();\n".repeat(count)
}

#[test]
fn a_file_of_400_lines_is_too_long() {
    assert!(long_file(&Source::new("src/a.rs", &lines_of(399))).is_empty());
    let found = long_file(&Source::new("src/a.rs", &lines_of(400)));
    assert_eq!(found, ["src/a.rs:400: 400 lines of at most 399; split the file by meaning"]);
}

#[test]
fn a_function_of_70_lines_is_too_long() {
    let check = |text: &str, names: &[&str]| {
        let found = long_functions(&Source::new("src/a.rs", text));
        assert_eq!(found.len(), names.len(), "{found:?}");
        for (finding, name) in found.iter().zip(names) {
            assert!(finding.starts_with("src/a.rs:2: ") && finding.contains(name), "{finding}");
        }
    };
    check(&format!("\nfn short() {{\n{}}}", lines_of(67)), &[]);
    check(&format!("\nfn long() {{\n{}}}", lines_of(68)), &["`long`"]);
    check(&format!("\nfn long(b: [u8; 3]) -> C where D: E {{\n{}}}\nfn f() {{}}", lines_of(68)), &["`long`"]);
    check(&format!("\nfn long() {{ \"}}\"; '}}'; /* }} */\n{}}}", lines_of(68)), &["`long`"]);
    check(&format!("trait A {{ fn a();\n fn long() {{\n{}}} }}", lines_of(68)), &["`long`"]);
    check(&format!("fn a(b: fn(u8));\n{}", lines_of(80)), &[]);
}

#[test]
fn a_mod_file_holds_modules_and_re_exports() {
    let check = |text: &str, lines: &[&str]| {
        let found = crowded_mod_files(&Source::new("src/relay/mod.rs", text));
        let at: Vec<&str> = found.iter().map(|finding| finding.split(':').nth(1).unwrap()).collect();
        assert_eq!(at, lines, "of {text}");
    };
    check("//! Docs.\n#![allow(x)]\n\nmod a;\npub(crate) mod b;\n#[cfg(test)]\nmod c;\npub use a::{B, C};\n", &[]);
    check("mod a;\n\nfn b() {}", &["3"]);
    check("mod a;\n/// Doc.\npub const B: u8 = 1;", &["3"]);
    check("#[cfg(test)]\nmod tests {\n fn a() {}\n}", &["2"]);
    check("pub struct A;", &["1"]);
    assert!(crowded_mod_files(&Source::new("src/relay/a.rs", "fn b() {}")).is_empty());
}
