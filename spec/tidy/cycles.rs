//! Finds cycles between modules: groups in which each module imports, directly or through others, every other one. Imports
//! between a module and its parents do not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::expand;
use crate::source::{Source, line_of, regex};

/// The path of a module below the crate's root, such as `["relay", "incoming"]`.
type Module = Vec<String>;

/// Names that modules re-export with `pub use`, with the paths that they stand for.
type ReExports = BTreeMap<(Module, String), Vec<String>>;

/// An import: the module that it leads to, and the line.
type Imports = BTreeMap<Module, BTreeMap<Module, String>>;

/// Returns one finding per import that is part of a cycle. `sources` are all files of the crate.
pub(crate) fn cycles(sources: &[&Source]) -> Vec<String> {
    let imports = imports(sources);
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (module, reachable(module, &imports))).collect();
    let mut findings = Vec::new();
    for (module, targets) in &imports {
        for (target, line) in targets {
            if reached.get(target).is_some_and(|back| back.contains(module)) {
                let (module, target) = (module.join("::"), target.join("::"));
                findings.push(format!(
                    "{line}: `{module}` imports `{target}`, which leads back to it; move what both need to a module below \
                     them, or pass it as an argument"
                ));
            }
        }
    }
    findings
}

fn imports(sources: &[&Source]) -> Imports {
    let modules: BTreeSet<Module> = sources.iter().filter_map(|source| module_of(&source.path)).collect();
    let mut re_exports = ReExports::new();
    for (source, module) in with_modules(sources) {
        for (_, path) in uses(source, true) {
            if let Some(absolute) = absolute(&module, &path, &modules) {
                let name = path.rsplit("::").next().unwrap_or(&path).to_owned();
                re_exports.insert((module.clone(), name), absolute);
            }
        }
    }
    let mut imports = Imports::new();
    for (source, module) in with_modules(sources) {
        let targets = imports.entry(module.clone()).or_default();
        for (line, path) in uses(source, false) {
            let Some(absolute) = absolute(&module, &path, &modules) else { continue };
            let target = defining_module(absolute, &modules, &re_exports);
            let related = target.starts_with(&module) || module.starts_with(&target);
            if !related {
                targets.entry(target).or_insert_with(|| format!("{}:{line}", source.path));
            }
        }
    }
    imports
}

fn with_modules<'a>(sources: &'a [&Source]) -> impl Iterator<Item = (&'a Source, Module)> {
    sources.iter().filter_map(|source| Some((*source, module_of(&source.path)?)))
}

/// Returns the module of a file under `src/`; none for `main.rs` and `bin/`.
fn module_of(path: &str) -> Option<Module> {
    let inside = path.strip_prefix("src/")?.trim_end_matches(".rs");
    if inside == "main" || inside.starts_with("bin/") {
        return None;
    }
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    Some(if inside == "lib" { Vec::new() } else { inside.split('/').map(str::to_owned).collect() })
}

/// Returns line and path of each import in shipped code: re-exports only, or all others only.
fn uses(source: &Source, re_exports: bool) -> Vec<(usize, String)> {
    let declaration = regex(r"(\bpub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);");
    let mut found = Vec::new();
    for declared in declaration.captures_iter(&source.shipped) {
        if declared.get(1).is_some() == re_exports {
            let tree = declared.get(2).expect("the pattern has two groups");
            expand("", tree.as_str(), tree.start(), &mut found);
        }
    }
    let tidied = found.into_iter().map(|(offset, path)| {
        (
            line_of(&source.shipped, offset),
            path.split_whitespace().collect::<String>().trim_start_matches("::").to_owned(),
        )
    });
    tidied.collect()
}

/// Resolves a path that is written in `module` from the crate's root on; none if it leads to another crate.
fn absolute(module: &Module, path: &str, modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let mut segments = path.split("::").peekable();
    let mut base = module.clone();
    if segments.next_if_eq(&"crate").is_some() {
        base.clear();
    } else {
        let mut relative = segments.next_if_eq(&"self").is_some();
        while segments.next_if_eq(&"super").is_some() {
            base.pop();
            relative = true;
        }
        let child = || segments.clone().next().map(|first| [module.as_slice(), &[first.to_owned()]].concat());
        if !relative && !child().is_some_and(|child| modules.contains(&child)) {
            return None;
        }
    }
    base.extend(segments.map(str::to_owned));
    Some(base)
}

/// Returns the module that defines what `path` leads to, through re-exports.
fn defining_module(mut path: Vec<String>, modules: &BTreeSet<Module>, re_exports: &ReExports) -> Module {
    // As often as a name is re-exported at the most; names that re-export each other would go on for ever.
    for _ in 0..8 {
        let length = (0..=path.len()).rev().find(|length| modules.contains(&path[..*length])).unwrap_or(0);
        let name = path.get(length).cloned().unwrap_or_default();
        match re_exports.get(&(path[..length].to_vec(), name)) {
            Some(source) => path = [source.as_slice(), &path[length + 1..]].concat(),
            None => return path[..length].to_vec(),
        }
    }
    path
}

fn reachable<'a>(from: &Module, imports: &'a Imports) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = imports.get(from).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(imports.get(module).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

#[cfg(test)]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    let found = cycles(&sources.iter().collect::<Vec<_>>());
    let at: Vec<String> = found.iter().map(|finding| finding.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(at, expected, "{found:?}");
}

#[test]
fn two_modules_that_import_each_other_are_found() {
    let (a, b) = ("use super::b::B;\nfn a() {}", "use std::fmt;\nuse crate::relay::a::A;");
    let module = ("src/relay/mod.rs", "mod a;\nmod b;");
    check(&[module, ("src/relay/a.rs", a), ("src/relay/b.rs", b)], &["src/relay/a.rs:1", "src/relay/b.rs:2"]);
    check(&[module, ("src/relay/a.rs", a), ("src/relay/b.rs", "")], &[]);
}

#[test]
fn a_cycle_through_re_exports_and_a_third_module_is_found() {
    let files = [
        ("src/relay/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\npub(crate) use self::{b::B, c::C};"),
        ("src/relay/a.rs", "use super::{B, other::Name};"),
        ("src/relay/b.rs", "use crate::relay::C;"),
        ("src/relay/c.rs", "use super::A as Renamed;"),
    ];
    check(&files, &["src/relay/a.rs:1", "src/relay/b.rs:1", "src/relay/c.rs:1"]);
}

#[test]
fn parents_children_and_tests_are_not_part_of_cycles() {
    let files = [
        ("src/relay.rs", "mod a;\nuse a::A;"),
        ("src/relay/a.rs", "use super::Relay;\nuse b::B;\n#[cfg(test)]\nmod tests { use super::super::c::C; }"),
        ("src/relay/a/b.rs", "use crate::relay::Relay;"),
        ("src/relay/c.rs", "use super::a::A;"),
    ];
    check(&files, &[]);
}
