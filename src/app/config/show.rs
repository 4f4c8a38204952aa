//! Formats a configuration with the origin of every value, secrets hidden.

use serde_json::json;

use super::Resolved;
use super::hide::hide;
use super::reference::keys;

/// Longer settings are ignored when the origins of a section are aligned.
const ALIGNED_LETTERS_MAX: usize = 40;

/// Returns TOML in the order of the reference, with each value's origin as a comment.
pub fn to_toml(resolved: &Resolved) -> String {
    let mut sections: Vec<(&str, Vec<(String, String)>)> = Vec::new();
    for (key, _) in keys() {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let Some(leaf) = resolved.leaves.get(key) else { continue };
        if sections.last().is_none_or(|(last, _)| *last != section) {
            sections.push((section, Vec::new()));
        }
        if let Some((_, lines)) = sections.last_mut() {
            lines.push((format!("{name} = {}", hide(key, &leaf.value)), leaf.origin.to_string()));
        }
    }
    let blocks = sections.iter().map(|(section, lines)| format!("[{section}]\n{}", aligned(lines)));
    blocks.collect::<Vec<_>>().join("\n")
}

fn aligned(lines: &[(String, String)]) -> String {
    let letters = lines.iter().map(|(setting, _)| setting.chars().count());
    let width = letters.filter(|letters| *letters <= ALIGNED_LETTERS_MAX).max().unwrap_or_default();
    lines.iter().map(|(setting, origin)| format!("{setting:width$}  # {origin}\n")).collect()
}

/// Returns a JSON object from key to `{"value":…,"origin":…}`.
pub fn to_json(resolved: &Resolved) -> String {
    let entries = resolved.leaves.iter().map(|(key, leaf)| {
        (key.clone(), json!({ "value": hide(key, &leaf.value), "origin": leaf.origin.to_string() }))
    });
    serde_json::Value::Object(entries.collect()).to_string()
}
