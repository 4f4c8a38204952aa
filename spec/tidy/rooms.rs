//! Who may import whom, and which files never touch the world.

use crate::source::{Source, line_of, regex};

/// The rooms from the top of the house down. A room uses any room of a later line; never one of an earlier line,
/// never one beside it. `main.rs`, `lib.rs` and `bin/` join rooms, so they may use all of them.
const ORDER: [&[&str]; 8] = [
    &["cli"],
    &["app", "testing"],
    &["listen", "api", "webhook", "streams", "resources", "users", "skylink"],
    &["relay"],
    &["bus"],
    &["broker"],
    &["http", "store", "web"],
    &["message", "sync"],
];

/// Crates that do input and output, tell the time by themselves or throw dice.
const IMPURE_CRATES: [&str; 6] = ["tokio", "axum", "hyper", "reqwest", "rand", "getrandom"];
const IMPURE_STD: [&str; 5] = ["fs", "net", "env", "thread", "process"];
const PURE_IO: [&str; 3] = ["Error", "ErrorKind", "Result"];

/// Imports in `source` that point up or sideways.
pub(crate) fn arrows(source: &Source) -> Vec<String> {
    let Some(room) = room(&source.path) else { return Vec::new() };
    let Some(level) = level(room) else {
        return vec![format!("{}:1: `{room}` is no room; add it to ORDER in spec/tidy/rooms.rs", source.path)];
    };
    let depth = module_depth(&source.path);
    let mut findings = Vec::new();
    for (line, path) in paths(&source.shipped) {
        let Some(target) = target(&path, depth) else { continue };
        let complaint = match self::level(target) {
            _ if target == room => continue,
            Some(below) if below > level => continue,
            Some(_) => "`{room}` may not use `{target}`; move the code down or let a room above join them",
            None => "`crate::{target}` hides the room it comes from; write `crate::<room>::…`",
        };
        let complaint = complaint.replace("{room}", room).replace("{target}", target);
        findings.push(format!("{}:{line}: {complaint}", source.path));
    }
    findings
}

/// What `source` does to the world, where it is one of the files that must not.
pub(crate) fn purity(source: &Source) -> Vec<String> {
    if !is_pure(&source.path) {
        return Vec::new();
    }
    let pure = "this file is pure: pass time, ids and bytes in, hand effects out as values";
    let mut findings: Vec<(usize, String)> =
        paths(&source.shipped).into_iter().filter(|(_, path)| touches_the_world(path)).collect();
    let calls = regex(r"\.\s*elapsed\(\)|\be?print(?:ln)?!|\bdbg!");
    let found = calls.find_iter(&source.shipped);
    findings.extend(found.map(|call| (line_of(&source.shipped, call.start()), call.as_str().to_owned())));
    findings.into_iter().map(|(line, what)| format!("{}:{line}: `{what}`; {pure}", source.path)).collect()
}

/// The room of a file under `src/`; none for the files that join rooms.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    let joins = first == "bin" || ["main.rs", "lib.rs"].contains(&inside);
    (!joins).then(|| first.trim_end_matches(".rs"))
}

fn level(room: &str) -> Option<usize> {
    ORDER.iter().position(|rooms| rooms.contains(&room))
}

/// How many `super::` lead from the module of this file to the crate's root.
fn module_depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

/// The first name after the crate's root, if `path` starts there.
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
    let Some(inside) = path.strip_prefix("src/") else { return false };
    let named = |name: &str| inside.split('/').any(|part| part == name || part == format!("{name}.rs"));
    inside.starts_with("message/") || inside == "message.rs" || named("wire") || named("rules")
}

fn touches_the_world(path: &str) -> bool {
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

/// Every path that `code` names, with its line: the ones in place, and those of `use` trees, written out.
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

/// Writes out one `use` tree that starts at `offset`.
fn expand(prefix: &str, tree: &str, offset: usize, found: &mut Vec<(usize, String)>) {
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
fn arrows_point_down() {
    check(arrows, "src/relay/service.rs", "use crate::bus::Bus;\nuse crate::message::Message;", &[]);
    check(arrows, "src/relay/service.rs", "use crate::relay::rules;\nuse super::wire;", &[]);
    check(arrows, "src/bus/mod.rs", "use std::fmt;\nuse crate::relay::Relay;", &[2]);
    check(arrows, "src/streams/routes.rs", "use crate::users::Name;", &[1]);
    check(arrows, "src/store/disk.rs", "fn a() {\n    crate::http::drain();\n}", &[2]);
    check(arrows, "src/message/name.rs", "fn a() { let b = <B as exorelay::http::C>::d(); }", &[1]);
    check(arrows, "src/api/routes.rs", "use crate::Relay;", &[1]);
    check(arrows, "src/kitchen/mod.rs", "", &[1]);
}

#[test]
fn arrows_are_seen_in_trees_and_behind_super() {
    check(
        arrows,
        "src/bus/nats.rs",
        "use crate::{\n    message::{Message, Role},\n    relay::{self, Relay},\n};",
        &[3, 3],
    );
    check(arrows, "src/bus/nats.rs", "use super::super::app;", &[1]);
    check(arrows, "src/bus/mod.rs", "use super::{cli as below, message};", &[1]);
    check(arrows, "src/bus/nats/wire.rs", "use super::super::Error;", &[]);
}

#[test]
fn comments_tests_and_joining_files_import_what_they_like() {
    check(arrows, "src/bus/mod.rs", "//! use crate::relay::Relay;\n#[cfg(test)]\nmod t { use crate::relay::A; }", &[]);
    check(arrows, "src/lib.rs", "pub use crate::relay::Relay;", &[]);
    check(arrows, "src/bin/exocom.rs", "use exorelay::broker::Broker;", &[]);
}

#[test]
fn pure_files_touch_nothing() {
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
fn purity_is_asked_of_messages_wires_and_rules_only() {
    for pure in ["src/message/id.rs", "src/bus/wire.rs", "src/streams/rules/append.rs", "src/users/wire/frame.rs"] {
        check(purity, pure, "use tokio::time;", &[1]);
    }
    for shell in ["src/relay/service.rs", "src/http/rulers.rs", "spec/it/rules.rs"] {
        check(purity, shell, "use tokio::time;", &[]);
    }
}
