//! Settings that are lists of tables: the tokens and rules of `[access]`.

use serde::Deserialize;
use toml::{Table, Value};

use super::given;
use super::{Error, Origin};
use crate::http::access::{Rule, Written, parse_hash};
use crate::http::{RuleConfig, TokenConfig};
use crate::message::nearest;

/// The key of the rules.
const RULES: &str = "access.rules";

/// The key of the tokens.
const TOKENS: &str = "access.tokens";

/// The key of an entry that says where it is written, which is added to it.
const AT: &str = "at";

/// Returns true if the value of a key is a list of tables.
pub(super) fn is_list_of_tables(key: &str) -> bool {
    [RULES, TOKENS].contains(&key)
}

/// Adds to each entry of such a list where it is written.
pub(super) fn locate(value: &mut Value, at: impl Fn(usize) -> String) {
    let entries = value.as_array_mut().into_iter().flatten().enumerate();
    for (index, entry) in entries {
        if let Value::Table(entry) = entry {
            entry.insert(AT.to_owned(), Value::String(at(index)));
        }
    }
}

/// Returns an entry as it was written.
pub(super) fn as_written(entry: &Table) -> Table {
    entry.iter().filter(|(key, _)| *key != AT).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Converts and checks a value. Errors: one for each wrong entry, without secrets.
pub(super) fn convert(key: &str, value: given::Value, origin: &Origin) -> Result<Value, Vec<Error>> {
    let error = |at: String, cause: String| Error::Entry { key: key.to_owned(), at, cause };
    let mut list = match value {
        given::Value::Typed(value) => value,
        given::Value::Text(text) => parse(key, &text).map_err(|cause| vec![error(origin.to_string(), cause)])?,
    };
    if !matches!(origin, Origin::File { .. }) {
        locate(&mut list, |_| origin.to_string());
    }
    let Value::Array(entries) = &list else {
        return Err(vec![error(origin.to_string(), format!("expected a list of tables, each below [[{key}]]"))]);
    };
    let check = |entry: &Value| match entry {
        Value::Table(table) => {
            let at = table.get(AT).and_then(Value::as_str).map_or_else(|| origin.to_string(), str::to_owned);
            check_entry(key, table).err().map(|cause| error(at, cause))
        }
        _ => Some(error(origin.to_string(), format!("expected a table, below [[{key}]]"))),
    };
    let errors: Vec<Error> = entries.iter().filter_map(check).collect();
    if errors.is_empty() { Ok(list) } else { Err(errors) }
}

/// Parses the text of a variable or a flag: a TOML list, or `NAME=TOKEN` entries.
fn parse(key: &str, text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('[') {
        let table: Option<Table> = format!("list = {text}").parse().ok();
        let list = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("list"));
        return list.ok_or_else(|| "expected a TOML list of inline tables, in one line".to_owned());
    }
    let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
    if key != TOKENS && items().next().is_some() {
        return Err("expected a TOML list such as [{ who = \"anyone\", allow = [\"read:**\"] }]".to_owned());
    }
    let token = |item: &str| {
        let (name, token) = item.split_once('=')?;
        let pairs = [("name", name), ("token", token)];
        Some(Value::Table(
            pairs.map(|(key, text)| (key.to_owned(), Value::String(text.to_owned()))).into_iter().collect(),
        ))
    };
    let expected = "expected NAME=TOKEN entries, separated by commas, or a TOML list of inline tables";
    items().map(token).collect::<Option<Vec<Value>>>().map(Value::Array).ok_or_else(|| expected.to_owned())
}

fn check_entry(key: &str, entry: &Table) -> Result<(), String> {
    let known: &[&str] = match key {
        RULES => &["who", "allow", "deny"],
        _ => &["name", "token", "token_file", "token_sha256", "roles"],
    };
    let lists = ["allow", "deny", "roles"];
    for (name, value) in entry.iter().filter(|(name, _)| *name != AT) {
        if !known.contains(&name.as_str()) {
            let hint = nearest(name, known.iter().copied());
            let hint =
                hint.map_or_else(|| format!("expected {}", known.join(", ")), |meant| format!("did you mean {meant}?"));
            return Err(format!("{name} is not known: {hint}"));
        }
        let is_list_of_texts = value.as_array().is_some_and(|items| items.iter().all(Value::is_str));
        match lists.contains(&name.as_str()) {
            true if !is_list_of_texts => return Err(format!("{name}: expected a list of strings")),
            false if !value.is_str() => return Err(format!("{name}: expected a string in quotes")),
            _ => {}
        }
    }
    match key {
        RULES => check_rule(&read(entry)?),
        _ => check_token(&read(entry)?),
    }
}

fn read<T: for<'a> Deserialize<'a>>(entry: &Table) -> Result<T, String> {
    T::deserialize(entry.clone()).map_err(|error| error.message().to_owned())
}

fn check_rule(rule: &RuleConfig) -> Result<(), String> {
    if rule.who.is_empty() {
        return Err("who is missing: expected whom it is about, such as anyone or role:web".to_owned());
    }
    Rule::parse(Written { who: &rule.who, allow: &rule.allow, deny: &rule.deny }).map(|_| ())
}

fn check_token(token: &TokenConfig) -> Result<(), String> {
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_word(&token.name) {
        return Err(
            "name: expected visible ASCII without spaces, by which rules and the log call the caller".to_owned()
        );
    }
    let given = [&token.token, &token.token_file, &token.token_sha256];
    if given.iter().filter(|text| !text.is_empty()).count() != 1 {
        return Err(format!("{}: expected one of token, token_file and token_sha256", token.name));
    }
    let hash = token
        .token
        .strip_prefix("sha256:")
        .or(Some(&token.token_sha256).filter(|text| !text.is_empty()).map(String::as_str));
    if hash.is_some_and(|digits| parse_hash(digits).is_none()) {
        return Err(format!("{}: expected a SHA-256 of 64 hexadecimal digits", token.name));
    }
    if !token.token.is_empty() && !is_word(&token.token) {
        return Err(format!("{}: expected a token of visible ASCII without spaces", token.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Purpose, Sources};

    /// Checks a configuration file. `expected` is the only error, without the name of the file; empty for none.
    fn check(text: &str, expected: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let resolved = Sources::of(Some(file.path().to_owned()), &[]).resolve(Purpose::Check);
        let found = resolved.map_or_else(|errors| errors.to_string(), |_| String::new());
        assert_eq!(found.replace(&format!("{}:", file.path().display()), ""), expected, "{text}");
    }

    const RULE: &str = "[[access.rules]]\nwho = \"anyone\"\nallow = [\"read:**\"]\n";

    #[test]
    fn a_mistake_in_a_rule_names_its_line_and_the_nearest_word() {
        check(RULE, "");
        check(
            &format!("{RULE}\n{}", RULE.replace("read:**", "raed:**")),
            "access.rules (5): allow: \"raed\" is not known: did you mean read?",
        );
        check(&RULE.replace("allow", "allows"), "access.rules (1): allows is not known: did you mean allow?");
        check(&RULE.replace("[\"read:**\"]", "\"read:**\""), "access.rules (1): allow: expected a list of strings");
        check(
            &RULE.replace("who = \"anyone\"", ""),
            "access.rules (1): who is missing: expected whom it is about, such as anyone or role:web",
        );
        check("[access]\nrules = 5", "access.rules (2): expected a list of tables, each below [[access.rules]]");
        check("[access]\nrules = [5]", "access.rules (2): expected a table, below [[access.rules]]");
        check(
            &format!("{RULE}{}", RULE.replace("anyone", "nobody:")),
            "access.rules (4): who: \"nobody\" is not known: expected role, token, sub, claim, cert, unix",
        );
    }

    #[test]
    fn a_token_has_one_form_and_errors_do_not_show_it() {
        let token = |line: &str| format!("[[access.tokens]]\nname = \"ops\"\n{line}\n");
        check(&token("token = \"s3cret\""), "");
        check(&token("token_file = \"/run/secrets/ops\"\nroles = [\"web\"]"), "");
        check(&token(&format!("token_sha256 = \"{}\"", "0f".repeat(32))), "");
        check(&token(""), "access.tokens (1): ops: expected one of token, token_file and token_sha256");
        check(
            &token("token = \"two s3cret\""),
            "access.tokens (1): ops: expected a token of visible ASCII without spaces",
        );
        check(
            &token("token = \"sha256:s3cret\""),
            "access.tokens (1): ops: expected a SHA-256 of 64 hexadecimal digits",
        );
        check(&token("tokn = \"s3cret\""), "access.tokens (1): tokn is not known: did you mean token?");
    }

    #[test]
    fn tokens_and_rules_can_be_in_the_environment() {
        let resolved =
            |variables: &[(&str, &str)]| Sources::of(Some("/dev/null".into()), variables).resolve(Purpose::Check);
        let config = resolved(&[
            ("EXORELAY__ACCESS__TOKENS", "ops=s3cret, web=other"),
            ("EXORELAY__ACCESS__RULES", "[{ who = \"token:ops\", allow = [\"**\"] }]"),
        ]);
        let access = config.unwrap().config.access;
        assert_eq!(access.tokens.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["ops", "web"]);
        assert_eq!(access.rules[0].at, "environment EXORELAY__ACCESS__RULES");
        let errors = resolved(&[("EXORELAY__ACCESS__TOKENS", "s3cret")]).unwrap_err().to_string();
        assert!(errors.contains("expected NAME=TOKEN entries") && !errors.contains("s3cret"), "{errors}");
    }

    #[test]
    fn settings_are_shown_without_tokens() {
        let variables = [
            ("EXORELAY__ACCESS__TOKENS", "ops=s3cret"),
            ("EXORELAY__ACCESS__JWT_SECRET", &"s3cret".repeat(6)),
            ("EXORELAY__ACCESS__RULES", "[{ who = \"token:ops\", allow = [\"**\"] }]"),
        ];
        let resolved = Sources::of(Some("/dev/null".into()), &variables).resolve(Purpose::Check).unwrap();
        for shown in
            [super::super::to_toml(&resolved), super::super::to_json(&resolved), format!("{:?}", resolved.config)]
        {
            assert!(!shown.contains("s3cret"), "{shown}");
            assert!(shown.contains("token:ops"), "{shown}");
        }
    }
}
