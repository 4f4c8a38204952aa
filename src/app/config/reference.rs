//! The description of every setting, from which the reference file and the table of the user guide are generated.

mod broker;
mod process;
mod sidecar;
mod streams;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use super::idle::is_idle_by_default;
use super::merge::defaults;
use super::tables::is_list_of_tables;

/// Line length of comments in the reference file.
const COLUMNS: usize = 116;

const HEADER: &str = "\
Every setting of exorelay with its default. Generated: `exorelay config show --format reference`.

Each key can also be set in the environment, two underscores between levels: EXORELAY__WEBHOOK__TIMEOUT_MS=5000.
Flags override the environment, the environment overrides this file, this file overrides the defaults.
A setting that has no effect together with the others is an error, so those that need another one are comments.
`exorelay config show` prints the origin of each current value. \"\" means \"not set\".";

/// Returns all keys and their descriptions, in the order of the reference.
pub(super) fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    [sidecar::KEYS, broker::KEYS, streams::KEYS, process::KEYS].into_iter().flatten().copied()
}

/// Returns the reference file: every key at its default, below a comment with its description.
pub fn toml_file() -> String {
    let mut text = comment(HEADER);
    let mut current = "";
    let defaults = defaults();
    for (key, description) in keys() {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        if section != current {
            text += &format!("\n[{section}]\n");
            current = section;
        }
        text += &comment(description);
        if let Some(default) = defaults.get(key) {
            // A setting without effect is an error, and the file is to be usable as it is.
            // A list of tables has its entries elsewhere.
            let is_comment = is_idle_by_default(key, &defaults) || is_list_of_tables(key);
            let mark = if is_comment { "# " } else { "" };
            text += &format!("{mark}{name} = {default}\n");
        }
    }
    text
}

/// Returns the table of the user guide in Markdown.
pub fn markdown() -> String {
    let mut text = String::from("| key | default | meaning |\n|---|---|---|\n");
    let defaults = defaults();
    for (key, description) in keys() {
        let default = defaults.get(key).map(ToString::to_string).unwrap_or_default();
        let description = description.replace('|', "\\|");
        writeln!(text, "| `{key}` | `{default}` | {description} |").expect("writing to a String cannot fail");
    }
    text
}

fn comment(text: &str) -> String {
    let mut comment = String::new();
    for paragraph in text.lines() {
        let mut line = String::from("#");
        for word in paragraph.split(' ') {
            if line.len() > 1 && line.len() + 1 + word.len() > COLUMNS {
                comment += &format!("{line}\n");
                line = String::from("#");
            }
            line += &format!(" {word}");
        }
        comment += &format!("{}\n", line.trim_end());
    }
    comment
}
