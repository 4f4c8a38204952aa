//! Checks of everything around the code: the manifest, the root, the text files, generated blocks in them.

use std::path::Path;
use std::process::Command;

use crate::source::{files, line_of, regex, relative};

const ROOT: [&str; 9] =
    ["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "docker", "features", "spec", "src"];

/// Lock files name registries because their formats ask for it.
const LOCK_FILES: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// Paths and words of the workplace where the project is written. The brackets keep the patterns
/// from finding themselves.
const FOREIGN: [&str; 10] = [
    r"/wor[k]/",
    r"/far[m]/",
    r"registr[y][.](npmjs|yarnpkg)",
    r"(static|index)[.]crate[s]\b",
    r"file[s][.]pythonhosted",
    r"(deb|security)[.]debia[n]",
    r"(?i)\bissue #?[0-9]+\b",
    r"(?i)\bthi[s] session\b",
    r"(?i)\bclosin[g] note\b",
    r"(?i)\bLL[M]-generated\b",
];

/// The blocks of text files that a command prints: file, name of the block, command.
const GENERATED: [(&str, &str, &[&str]); 1] =
    [("src/guide/configuration.md", "configuration", &["config", "show", "--format", "markdown"])];

/// Reports a manifest that does not require docs on public items.
pub(crate) fn missing_docs_lint(manifest: &str) -> Vec<String> {
    let lints = section(manifest, "[lints.rust]");
    let asked = regex(r#"^missing_docs\s*=\s*"(?:warn|deny|forbid)""#);
    if lints.iter().any(|(_, line)| asked.is_match(line)) {
        return Vec::new();
    }
    vec!["Cargo.toml:1: write `missing_docs = \"warn\"` under [lints.rust]".to_owned()]
}

/// Finds lines of the delivery chapter whose proof does not exist. `proofs` is the text of all features and sources.
pub(crate) fn unproven(page: &str, proofs: &str) -> Vec<String> {
    let quoted = regex(r#"\| "([^"]+)" \|$"#);
    let row = regex(r"^\| (?:moment|-)");
    let mut findings = Vec::new();
    for (index, line) in page.lines().enumerate().filter(|(_, line)| line.starts_with("| ") && !row.is_match(line)) {
        let scenario = |name: &str| {
            let titles = ["Scenario: ", "Scenario Outline: "].map(|kind| format!("{kind}{name}\n"));
            titles.iter().any(|title| proofs.contains(title)) || proofs.contains(&format!("fn {name}()"))
        };
        if !quoted.captures(line).is_some_and(|found| scenario(&found[1])) {
            findings.push(format!("src/guide/delivery.md:{}: name a scenario or a test that exists", index + 1));
        }
    }
    findings
}

/// Finds dependencies without a reason.
pub(crate) fn dependencies_without_reason(manifest: &str) -> Vec<String> {
    let headings = regex(r"(?m)^\[[^\]\n]*dependencies(?:\.[^\]\n]*)?\]");
    let (quoted, reason) = (regex(r#""[^"]*""#), regex(r"(?:^|\s)#\s+\S"));
    let mut findings = Vec::new();
    for heading in headings.find_iter(manifest) {
        for (line, text) in section(manifest, heading.as_str()) {
            if !reason.is_match(&quoted.replace_all(text, "")) {
                let name = text.split([' ', '=']).next().unwrap_or(text);
                findings.push(format!("Cargo.toml:{line}: end the line of `{name}` with `# its reason`"));
            }
        }
    }
    findings
}

/// The lines of a section that are not empty, with their numbers.
fn section<'a>(manifest: &'a str, heading: &str) -> Vec<(usize, &'a str)> {
    let numbered = manifest.lines().enumerate().map(|(index, line)| (index + 1, line));
    let body = numbered.skip_while(|(_, line)| line.trim() != heading).skip(1);
    body.take_while(|(_, line)| !line.starts_with('[')).filter(|(_, line)| !line.trim().is_empty()).collect()
}

/// Finds surplus and missing entries of the root. Dotfiles and `target` are ignored.
pub(crate) fn cluttered_root(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).expect("the root of the project is a folder");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let shown: Vec<String> = names.filter(|name| !name.starts_with('.') && name != "target").collect();
    let surplus = shown.iter().filter(|name| !ROOT.contains(&name.as_str()));
    let mut findings: Vec<String> =
        surplus.map(|name| format!("{name}:1: the root is for {ROOT:?}; move it")).collect();
    let missing = ROOT.iter().filter(|name| !shown.iter().any(|shown| shown == *name));
    findings.extend(missing.map(|name| format!("{name}:1: missing at the root; add it")));
    findings
}

/// Every text file of the project with its content: what git knows or would add, or all there is without git.
pub(crate) fn texts(root: &Path) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty());
    let mut paths: Vec<String> = match listed {
        Some(output) => String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect(),
        None => files(root).iter().map(|path| relative(root, path)).collect(),
    };
    paths.retain(|path| !LOCK_FILES.contains(&path.rsplit('/').next().unwrap_or(path)));
    let readable = paths.into_iter().filter_map(|path| {
        let text = std::fs::read_to_string(root.join(&path)).ok()?;
        Some((path, text))
    });
    readable.collect()
}

/// Places and talk in `text` that are not the project's own.
pub(crate) fn foreign_words(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for pattern in FOREIGN {
        for found in regex(pattern).find_iter(text) {
            let line = line_of(text, found.start());
            findings.push(format!("{path}:{line}: `{}`; the project speaks only of itself", found.as_str()));
        }
    }
    findings
}

/// Finds generated blocks that differ from what `print` returns for their command, are missing, or have no command.
/// `texts` are the files of the project, path and content.
pub(crate) fn stale_blocks(
    texts: &[(String, String)],
    print: impl Fn(&[&str]) -> Result<String, String>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for (file, name, command) in GENERATED {
        let text = texts.iter().find(|(path, _)| path == file).map_or("", |(_, text)| text.as_str());
        if let Err(finding) = up_to_date(text, name, command, &print) {
            findings.push(format!("{file}:{finding}"));
        }
    }
    for (path, text) in texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        for block in regex(r"<!-- generated: ([^>]*?) -->").captures_iter(text) {
            if !GENERATED.iter().any(|(file, name, _)| file == path && *name == &block[1]) {
                let line = line_of(text, block.get(0).expect("group 0 is the match").start());
                findings.push(format!("{path}:{line}: name the command of `{}` in spec/tidy/project.rs", &block[1]));
            }
        }
    }
    findings
}

fn up_to_date(
    text: &str,
    name: &str,
    command: &[&str],
    print: impl Fn(&[&str]) -> Result<String, String>,
) -> Result<(), String> {
    let opening = format!("<!-- generated: {name} -->");
    let missing = || format!("1: has no block `{opening}` … `<!-- /generated -->`; add it");
    let (before, rest) = text.split_once(&opening).ok_or_else(missing)?;
    let line = line_of(text, before.len());
    let unclosed = || format!("{line}: close the block with `<!-- /generated -->`");
    let (block, _) = rest.split_once("<!-- /generated -->").ok_or_else(unclosed)?;
    let command_line = format!("exorelay {}", command.join(" "));
    match print(command) {
        Ok(printed) if printed.trim() == block.trim() => Ok(()),
        Ok(printed) => {
            let change = difference(block.trim(), printed.trim());
            Err(format!("{line}: paste what `{command_line}` prints; {change}"))
        }
        Err(error) => Err(format!("{line}: `{command_line}` failed: {error}")),
    }
}

/// The first line in which a block is not what was printed.
fn difference(block: &str, printed: &str) -> String {
    let (mut has, mut wants) = (block.lines(), printed.lines());
    loop {
        match (has.next(), wants.next()) {
            (Some(has), Some(wants)) if has == wants => {}
            (has, wants) => return format!("first difference: has {has:?}, should be {wants:?}"),
        }
    }
}

#[test]
fn a_manifest_without_the_docs_lint_is_found() {
    assert!(missing_docs_lint("[lints.rust]\nmissing_docs = \"warn\"\n").is_empty());
    assert_eq!(missing_docs_lint("[lints.rust]\nmissing_docs = \"allow\"\n").len(), 1);
    assert_eq!(missing_docs_lint("[lints.clippy]\nmissing_docs = \"warn\"\n").len(), 1);
}

#[test]
fn a_line_of_the_delivery_chapter_without_proof_is_found() {
    let proofs = "  Scenario: It holds\nfn it_holds() {}\n";
    let page = "| moment | what | proven by |\n|---|---|---|\n| a | b | \"It holds\" |\n| a | b | \"it_holds\" |\n";
    assert!(unproven(page, proofs).is_empty());
    assert_eq!(unproven("| a | b | \"It hol\" |\n| a | b | |\n", proofs).len(), 2);
}

#[test]
fn a_dependency_without_reason_is_found() {
    let check = |manifest: &str, found: &[&str]| {
        let lines: Vec<String> = dependencies_without_reason(manifest);
        assert_eq!(lines.len(), found.len(), "{lines:?}");
        lines.iter().zip(found).for_each(|(line, start)| assert!(line.starts_with(start), "{line}"));
    };
    check("[dependencies]\n# all of them:\na = \"1\" # it counts\nb = { version = \"1\" } # it adds [up]\n", &[]);
    check("[dependencies]\na = \"1\"\n\n[lints]\nb = 1\n", &["Cargo.toml:2: end the line of `a`"]);
    check("[dev-dependencies]\na = \"1\" #\n", &["Cargo.toml:2:"]);
    check("[dependencies]\na = { features = [\n \"b # c\"] } # d\n", &["Cargo.toml:2:"]);
    check("[dependencies.a]\nversion = \"1\"\n", &["Cargo.toml:2:"]);
    check("[target.'cfg(unix)'.dependencies]\na = \"1\"\n", &["Cargo.toml:2:"]);
}

#[test]
fn a_cluttered_root_is_found() {
    let root = tempfile::tempdir().unwrap();
    for name in ROOT.into_iter().chain([".gitignore", "target"]) {
        std::fs::write(root.path().join(name), "").unwrap();
    }
    assert!(cluttered_root(root.path()).is_empty());
    std::fs::write(root.path().join("notes.md"), "").unwrap();
    std::fs::remove_file(root.path().join("LICENSE")).unwrap();
    let found = cluttered_root(root.path());
    assert!(found[0].starts_with("notes.md:1: ") && found[1].starts_with("LICENSE:1: "), "{found:?}");
}

#[test]
fn foreign_words_are_found() {
    let check = |text: String, findings: usize| assert_eq!(foreign_words("a.md", &text).len(), findings, "of {text}");
    check(format!("a\nsee /{}/main", "work"), 1);
    check(format!("https://{}.npmjs.org", "registry"), 1);
    check(format!("{}.crates.io and static.{}.io", "index", "crates"), 2);
    check(format!("{}.pythonhosted.org, deb.{}.org", "files", "debian"), 2);
    check(format!("Closes {} #12, in this {}; closing {}", "issue", "session", "note"), 3);
    check("A session of a user, the work of a network, an issue of ids, a registry.".to_owned(), 0);
}

#[test]
fn without_git_every_file_is_read() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("a")).unwrap();
    std::fs::write(root.path().join("a/b.txt"), "c").unwrap();
    std::fs::write(root.path().join("Cargo.lock"), "d").unwrap();
    std::fs::write(root.path().join("picture"), [0xff, 0xfe]).unwrap();
    assert_eq!(texts(root.path()), [("a/b.txt".to_owned(), "c".to_owned())]);
}

#[test]
fn stale_blocks_are_found() {
    let chapter = "src/guide/configuration.md";
    let check = |text: &str, printed: Result<&str, &str>, expected: Option<&str>| {
        let texts = [(chapter.to_owned(), text.to_owned())];
        let found = stale_blocks(&texts, |_| printed.map(str::to_owned).map_err(str::to_owned));
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
        found.iter().zip(expected).for_each(|(found, expected)| assert!(found.contains(expected), "{found}"));
    };
    let good = "a\n<!-- generated: configuration -->\n\n| b |\n\n<!-- /generated -->\n";
    check(good, Ok("| b |\n"), None);
    check(good, Ok("| c |\n"), Some("configuration.md:2: paste what `exorelay config show --format markdown` prints"));
    check(good, Ok("| b |\n| c |\n"), Some("has None, should be Some(\"| c |\")"));
    check(good, Err("no such command"), Some("no such command"));
    check("a", Ok(""), Some("configuration.md:1: has no block"));
    check("<!-- generated: configuration -->\n| b |", Ok(""), Some("configuration.md:1: close the block"));
    check(&format!("{good}<!-- generated: x -->"), Ok("| b |"), Some("configuration.md:7: name the command of `x`"));
}
