//! Checks of imports: which module may use which, and which files do no I/O.

use crate::source::{Source, line_of, regex};

/// Top-level modules by layer. A module may use modules of later layers only: none of an earlier one, none of its own.
/// `main.rs`, `lib.rs` and `bin/` join modules, so they may use all of them, and so may the guide's examples.
const LAYERS: [&[&str]; 10] = [
    &["cli"],
    &["app", "testing"],
    &["listen", "api", "webhook", "streams", "resources", "users", "skylink"],
    &["relay"],
    &["bus"],
    &["broker"],
    &["http", "store", "web"],
    &["metrics"],
    &["message"],
    &["chain", "log_limit", "memory", "mutation", "sync", "time"],
];

/// Crates that do I/O, read the clock or use randomness.
const IMPURE_CRATES: [&str; 6] = ["tokio", "axum", "hyper", "reqwest", "rand", "getrandom"];
const IMPURE_STD: [&str; 5] = ["fs", "net", "env", "thread", "process"];
const PURE_IO: [&str; 3] = ["Error", "ErrorKind", "Result"];

/// Finds imports in `source` that point up or sideways.
pub(crate) fn upward_imports(source: &Source) -> Vec<String> {
    let Some(module) = module(&source.path) else { return Vec::new() };
    let Some(level) = level(module) else {
        return vec![format!(
            "{}:1: `{module}` is not in any layer; add it to LAYERS in spec/tidy/modules.rs",
            source.path
        )];
    };
    let depth = module_depth(&source.path);
    let mut findings = Vec::new();
    for (line, path) in paths(&source.shipped) {
        let Some(target) = target(&path, depth) else { continue };
        let complaint = match self::level(target) {
            _ if target == module => continue,
            Some(below) if below > level => continue,
            Some(_) => "`{module}` may not use `{target}`; move the code down or let a module above join them",
            None => "`crate::{target}` hides the module it comes from; write `crate::<module>::…`",
        };
        let complaint = complaint.replace("{module}", module).replace("{target}", target);
        findings.push(format!("{}:{line}: {complaint}", source.path));
    }
    findings
}

/// Finds I/O, clocks and randomness in `source` if it is one of the pure files, and store types in rules.
pub(crate) fn purity(source: &Source) -> Vec<String> {
    if !is_pure(&source.path) {
        return Vec::new();
    }
    let pure = "this file is pure: pass time, ids and bytes in, hand effects out as values";
    let mut stores = Vec::new();
    let mut findings: Vec<(usize, String)> =
        paths(&source.shipped).into_iter().filter(|(_, path)| does_io(path)).collect();
    if is_named(&source.path, "rules") {
        let stored = paths(&source.shipped).into_iter().filter(|(_, path)| path.starts_with("crate::store"));
        let own = "rules speak of their own changes; let the service map them to the store";
        stored.for_each(|(line, path)| stores.push(format!("{}:{line}: `{path}`; {own}", source.path)));
    }
    let calls = regex(r"\.\s*elapsed\(\)|\be?print(?:ln)?!|\bdbg!");
    let found = calls.find_iter(&source.shipped);
    findings.extend(found.map(|call| (line_of(&source.shipped, call.start()), call.as_str().to_owned())));
    let findings = findings.into_iter().map(|(line, what)| format!("{}:{line}: `{what}`; {pure}", source.path));
    findings.chain(stores).collect()
}

/// Returns the top-level module of a file under `src/`; none for the files that join modules.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    let joins = ["bin", "guide"].contains(&first) || ["main.rs", "lib.rs"].contains(&inside);
    (!joins).then(|| first.trim_end_matches(".rs"))
}

fn level(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns how many `super::` lead from the module of this file to the crate's root.
fn module_depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

/// Returns the first name after the crate's root, if `path` starts there.
fn target(path: &str, depth: usize) -> Option<&str> {
    let mut segments = path.split("::").skip_while(|segment| *segment == "self").peekable();
    if matches!(segments.peek(), Some(&"crate" | &"exorelay")) {
        return segments.nth(1);
    }
    let mut ups = 0;
    while segments.next_if_eq(&"super").is_some() {
        ups += 1;
    }
    if ups >= depth { segments.next() } else { None }
}

fn is_pure(path: &str) -> bool {
    let inside = path.strip_prefix("src/").unwrap_or_default();
    inside.starts_with("message/") || inside == "message.rs" || is_named(path, "wire") || is_named(path, "rules")
}

/// Returns true if `name` is a folder of `path` below `src/`, or its file.
fn is_named(path: &str, name: &str) -> bool {
    let inside = path.strip_prefix("src/").unwrap_or_default();
    inside.split('/').any(|part| part == name || part == format!("{name}.rs"))
}

fn does_io(path: &str) -> bool {
    let segments: Vec<&str> = path.split("::").collect();
    let last = segments.last().copied().unwrap_or_default();
    let before_last = segments.iter().rev().nth(1).copied().unwrap_or_default();
    let clock = last == "now";
    let dice = before_last == "Uuid" && (last.starts_with("now") || last.starts_with("new"));
    let package = IMPURE_CRATES
        .iter()
        .any(|name| segments[0].strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')));
    clock || dice || package || uses_impure_std(&segments)
}

fn uses_impure_std(segments: &[&str]) -> bool {
    match segments {
        ["std" | "core", "io", item, ..] | ["io", item, ..] => !PURE_IO.contains(item),
        ["std", module, ..] | [module, _, ..] if IMPURE_STD.contains(module) => true,
        _ => false,
    }
}

/// Returns every path that `code` names, with its line: the ones in place, and those of `use` trees, expanded.
fn paths(code: &str) -> Vec<(usize, String)> {
    let (uses, in_place) = (regex(r"\buse\s+([^;]+);"), regex(r"(?:\b\w+\s*::\s*)+\w+"));
    let mut found = Vec::new();
    let mut rest = code.to_owned();
    for declaration in uses.captures_iter(code) {
        let (whole, tree) = (declaration.get(0).expect("group 0 is the match").range(), &declaration[1]);
        let start = declaration.get(1).expect("the pattern has one group").start();
        expand("", tree, start, &mut found);
        rest.replace_range(whole.clone(), &" ".repeat(whole.len()));
    }
    found.extend(in_place.find_iter(&rest).map(|path| (path.start(), path.as_str().to_owned())));
    let tidied = found.into_iter().map(|(offset, path)| {
        (line_of(code, offset), path.split_whitespace().collect::<String>().trim_start_matches("::").to_owned())
    });
    tidied.collect()
}

/// Expands one `use` tree that starts at `offset`.
pub(crate) fn expand(prefix: &str, tree: &str, offset: usize, found: &mut Vec<(usize, String)>) {
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        if !path.is_empty() {
            let start = offset + tree.len() - tree.trim_start().len();
            found.push((start, format!("{prefix}{path}").trim_end_matches("::self").to_owned()));
        }
        return;
    };
    let close = tree.rfind('}').unwrap_or(tree.len());
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let (mut depth, mut start) = (0, open + 1);
    for (at, byte) in tree.bytes().enumerate().take(close).skip(open + 1) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                expand(&prefix, &tree[start..at], offset + start, found);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, &tree[start..close], offset + start, found);
}

#[cfg(test)]
fn check(scan: fn(&Source) -> Vec<String>, path: &str, text: &str, lines: &[usize]) {
    let found = scan(&Source::new(path, text));
    let at: Vec<usize> = found.iter().map(|finding| finding.split(':').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(at, lines, "of {path} with {text}: {found:?}");
}

#[test]
fn imports_point_down() {
    check(upward_imports, "src/relay/service.rs", "use crate::bus::Bus;\nuse crate::message::Message;", &[]);
    check(upward_imports, "src/relay/service.rs", "use crate::relay::rules;\nuse super::wire;", &[]);
    check(upward_imports, "src/bus/mod.rs", "use std::fmt;\nuse crate::relay::Relay;", &[2]);
    check(upward_imports, "src/streams/routes.rs", "use crate::users::Name;", &[1]);
    check(upward_imports, "src/store/disk.rs", "fn a() {\n    crate::http::drain();\n}", &[2]);
    check(upward_imports, "src/message/name.rs", "fn a() { let b = <B as exorelay::http::C>::d(); }", &[1]);
    check(upward_imports, "src/api/routes.rs", "use crate::Relay;", &[1]);
    check(upward_imports, "src/kitchen/mod.rs", "", &[1]);
}

#[test]
fn imports_in_trees_and_behind_super_are_checked() {
    check(
        upward_imports,
        "src/bus/nats.rs",
        "use crate::{\n    message::{Message, Role},\n    relay::{self, Relay},\n};",
        &[3, 3],
    );
    check(upward_imports, "src/bus/nats.rs", "use super::super::app;", &[1]);
    check(upward_imports, "src/bus/mod.rs", "use super::{cli as below, message};", &[1]);
    check(upward_imports, "src/bus/nats/wire.rs", "use super::super::Error;", &[]);
}

#[test]
fn comments_tests_and_joining_files_may_import_anything() {
    check(
        upward_imports,
        "src/bus/mod.rs",
        "//! use crate::relay::Relay;\n#[cfg(test)]\nmod t { use crate::relay::A; }",
        &[],
    );
    check(upward_imports, "src/lib.rs", "pub use crate::relay::Relay;", &[]);
    check(upward_imports, "src/bin/exocom.rs", "use exorelay::broker::Broker;", &[]);
}

#[test]
fn pure_files_do_no_io() {
    let pure = "src/relay/rules.rs";
    check(purity, pure, "use std::time::{Duration, Instant};\nuse std::{fmt, io::{self, Error}};", &[]);
    check(purity, pure, "use std::{fmt,\n fs,\n io::{self, Read}};", &[2, 3]);
    check(purity, pure, "use std::net::IpAddr;\nuse tokio::sync::mpsc;\nuse axum_extra::A;", &[1, 2, 3]);
    check(
        purity,
        pure,
        "fn a() { Instant::now();\n std::time::SystemTime::now();\n Uuid::now_v7();\n Uuid::new_v4(); }",
        &[1, 2, 3, 4],
    );
    check(purity, pure, "fn a() { io::stdin();\n env::var(B);\n thread::spawn(c);\n rand::random(); }", &[1, 2, 3, 4]);
    check(purity, pure, "fn a() { start.elapsed();\n println!(); }", &[1, 2]);
    check(purity, pure, "#[cfg(test)]\nmod tests { fn a() { Instant::now(); } }", &[]);
}

#[test]
fn purity_is_required_of_messages_wires_and_rules_only() {
    for pure in ["src/message/id.rs", "src/bus/wire.rs", "src/streams/rules/append.rs", "src/users/wire/frame.rs"] {
        check(purity, pure, "use tokio::time;", &[1]);
    }
    check(purity, "src/streams/rules/append.rs", "use crate::store::Table;\nuse crate::message::Role;", &[1]);
    check(purity, "src/streams/wire/entry.rs", "use crate::store::Table;", &[]);
    for impure in ["src/relay/service.rs", "src/http/rulers.rs", "spec/it/rules.rs"] {
        check(purity, impure, "use tokio::time;", &[]);
    }
}
