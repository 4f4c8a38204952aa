//! The rules of style and structure that a program can check. Each test reads the whole tree and reports each violation as
//! `file:line: violation; what to do`. The scanners prove on small bad snippets, beside their code, that they can fail.

#[path = "tidy/cycles.rs"]
mod cycles;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/plain.rs"]
mod plain;
#[path = "tidy/project.rs"]
mod project;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use source::{Source, sources};

#[test]
fn imports_point_down() {
    check_sources(&["src"], modules::upward_imports);
}

#[test]
fn messages_wires_and_rules_are_pure() {
    check_sources(&["src"], modules::purity);
}

#[test]
fn modules_form_no_cycles() {
    let inside: Vec<&Source> = SOURCES.iter().filter(|source| source.path.starts_with("src/")).collect();
    assert!(!inside.is_empty(), "no sources were found under src");
    check(cycles::cycles(&inside));
}

#[test]
fn doc_comments_open_with_what_it_is_or_does() {
    check_sources(&["src", "spec"], plain::doc_openings);
}

#[test]
fn asynchronous_functions_say_what_a_drop_does() {
    check_sources(&["src"], plain::undocumented_drops);
}

#[test]
fn texts_are_plain_english() {
    let texts = project::texts(root());
    let checked = texts.iter().filter(|(path, _)| path != "LICENSE");
    check(checked.flat_map(|(path, text)| plain::phrases(path, text)).collect());
}

#[test]
fn files_are_short() {
    check_sources(&["src", "spec"], shape::long_file);
}

#[test]
fn functions_are_short() {
    check_sources(&["src", "spec"], shape::long_functions);
}

#[test]
fn mod_files_hold_modules_and_re_exports_only() {
    check_sources(&["src", "spec"], shape::crowded_mod_files);
}

#[test]
fn no_forbidden_words() {
    check_sources(&["src", "spec"], words::forbidden);
}

#[test]
fn tests_do_not_sleep() {
    check_sources(&["spec"], words::sleeps);
}

#[test]
fn errors_derive_thiserror() {
    check_sources(&["src"], words::plain_errors);
}

#[test]
fn public_items_need_docs() {
    check(project::missing_docs_lint(&manifest()));
}

#[test]
fn every_dependency_has_a_reason() {
    check(project::dependencies_without_reason(&manifest()));
}

#[test]
fn the_root_shows_what_it_should() {
    check(project::cluttered_root(root()));
}

#[test]
fn the_project_speaks_only_of_itself() {
    let texts = project::texts(root());
    assert!(texts.iter().any(|(path, _)| path == "Cargo.toml"), "the files of the project were not found");
    check(texts.iter().flat_map(|(path, text)| project::foreign_words(path, text)).collect());
}

#[test]
fn every_line_of_the_delivery_chapter_is_proven() {
    let texts = project::texts(root());
    let page = texts.iter().find(|(path, _)| path == "src/guide/delivery.md").map(|(_, text)| text.as_str());
    let proofs = texts.iter().filter(|(path, _)| path.ends_with(".feature") || path.ends_with(".rs"));
    let proofs: String = proofs.map(|(_, text)| text.as_str()).collect();
    check(project::unproven(page.expect("the page is there"), &proofs));
}

#[test]
fn generated_blocks_show_what_the_program_prints() {
    let texts = project::texts(root());
    check(project::stale_blocks(&texts, printed));
}

/// Returns what the program prints in an empty folder and without an environment that could configure it.
fn printed(command: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = Command::new(env!("CARGO_BIN_EXE_exorelay"))
        .args(command)
        .current_dir(folder.path())
        .env_clear()
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| sources(root(), &["src", "spec"]));

fn check_sources(folders: &[&str], scan: fn(&Source) -> Vec<String>) {
    let mut findings = Vec::new();
    for folder in folders {
        let inside: Vec<&Source> = SOURCES.iter().filter(|source| source.path.starts_with(folder)).collect();
        assert!(!inside.is_empty(), "no sources were found under {folder}");
        findings.extend(inside.into_iter().flat_map(scan));
    }
    check(findings);
}

fn check(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} to fix:\n  {}\n", findings.len(), findings.join("\n  "));
}

fn manifest() -> String {
    std::fs::read_to_string(root().join("Cargo.toml")).expect("cargo built this test from the manifest")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
