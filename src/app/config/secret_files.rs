//! Secrets in files of their own, as containers and service managers provide them: `X_file` names the file of the secret `X`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use toml::Value;

use super::given::{self, Given};
use super::merge::Merge;
use super::{Error, Origin, Purpose};

/// Maximum size of such a file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The right of every user of the machine to read a file.
const READABLE_BY_ALL: u32 = 0o004;

/// The secrets, and the settings that name their files. Those of `[access]` belong to that section, which reads them itself.
const SETTINGS: [(&str, &str); 4] = [
    ("broker.operator_tokens", "broker.operator_tokens_file"),
    ("broker.tokens", "broker.tokens_file"),
    ("bus.token", "bus.token_file"),
    ("webhook.secret", "webhook.secret_file"),
];

/// Settings that name files with secrets which other parts of the program read.
const READ_ELSEWHERE: [&str; 3] = ["access.jwt_secret_file", "listen.token_file", "tls.key_file"];

/// Sets the secrets that are in files, and records an error for each file that cannot be used. Blocks. Returns warnings.
pub(super) fn read(merge: &mut Merge, purpose: Purpose) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, file_key) in SETTINGS {
        let (file, secret) = (merge.leaf(file_key).clone(), merge.leaf(key).clone());
        let path = file.value.as_str().unwrap_or_default();
        if path.is_empty() || !is_used(merge, key, purpose) {
            continue;
        }
        if !is_empty(&secret.value) {
            let (origin, file_origin) = (secret.origin, file.origin);
            merge.add_errors([Error::TwoSecrets { key, origin, file_key, file_origin }]);
            continue;
        }
        match read_file(path) {
            Ok(text) => {
                let origin = Origin::SecretFile(path.to_owned());
                merge.apply(Given { key: key.to_owned(), value: value(&secret.value, text), origin });
                warnings.extend(open_to_all(file_key, path));
            }
            // An operator's tool, say, works without the secrets of the server whose configuration it shares.
            Err(_) if purpose == Purpose::Other => {}
            Err(source) => {
                let origin = file.origin.clone();
                merge.add_errors([Error::SecretFile { key: file_key, origin, path: path.to_owned(), source }]);
            }
        }
    }
    for file_key in READ_ELSEWHERE {
        warnings.extend(merge.leaf(file_key).value.as_str().and_then(|path| open_to_all(file_key, path)));
    }
    let tokens = merge.leaf("access.tokens").value.as_array().into_iter().flatten();
    let files = tokens.filter_map(|token| token.get("token_file")?.as_str());
    warnings.extend(files.filter_map(|path| open_to_all("access.tokens", path)));
    warnings
}

/// Returns the warning about a file that every user of the machine may read; `None` for others, and for what is no file: a pipe,
/// as shells pass it, has the rights of its reader.
fn open_to_all(key: &str, path: &str) -> Option<String> {
    let file = std::fs::metadata(path).ok()?;
    let is_open = file.is_file() && file.permissions().mode() & READABLE_BY_ALL != 0;
    is_open.then(|| format!("{key}: every user of this machine may read {path}; to change that: chmod o= {path}"))
}

/// Returns true if the process uses the section of a key, so that it needs the file.
fn is_used(merge: &Merge, key: &str, purpose: Purpose) -> bool {
    let is_of_broker = key.starts_with("broker.");
    match purpose {
        Purpose::Check | Purpose::Dev | Purpose::Other => true,
        Purpose::Broker => is_of_broker,
        Purpose::Sidecar | Purpose::SidecarOfChild => {
            !is_of_broker || merge.leaf("bus.url").value.as_str() == Some("embedded")
        }
        Purpose::Streams => false,
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Returns the content of a file without the line breaks at its end.
fn read_file(path: &str) -> io::Result<String> {
    let invalid = |fault: String| io::Error::new(io::ErrorKind::InvalidData, fault);
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)? as u64;
    if read > FILE_BYTES_MAX {
        return Err(invalid(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8 text".to_owned()))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Err(invalid("it is empty".to_owned()));
    }
    Ok(text.to_owned())
}

/// Returns the value for a key: a list has an item in each line.
fn value(current: &Value, text: String) -> given::Value {
    match current {
        Value::Array(_) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            given::Value::Typed(lines.map(|line| Value::String(line.to_owned())).collect::<Vec<_>>().into())
        }
        _ => given::Value::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::super::{Resolved, Sources, to_json, to_toml};
    use super::*;

    const OLD: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    const NEW: &str = "whsec_NDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

    const RULES: &str = "[{ who = \"anyone\", allow = [\"read:**\"] }]";

    /// A file with a secret that only its owner may read.
    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    /// Resolves variables of the environment, each given as its path and its value.
    fn resolve(variables: &[(&str, &str)], purpose: Purpose) -> Result<Resolved, String> {
        let name = |path: &str| format!("EXORELAY__{}", path.replace('.', "__").to_uppercase());
        let variables: Vec<(String, &str)> = variables.iter().map(|(path, text)| (name(path), *text)).collect();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        Sources::of(Some("/dev/null".into()), &variables).resolve(purpose).map_err(|errors| errors.to_string())
    }

    #[test]
    fn each_secret_may_be_in_a_file_and_is_shown_with_the_name_of_the_file_only() {
        let (token, tokens) = (file("s3cret-a\n"), file("users=s3cret-b\r\n\nweb=s3cret-c\n"));
        let operators = file("s3cret-d");
        let secrets = file(&format!("{NEW}\n{OLD}\n"));
        let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
        let variables = [
            ("bus.token_file", path(&token)),
            ("broker.operator_tokens_file", path(&operators)),
            ("broker.tokens_file", path(&tokens)),
            ("webhook.secret_file", path(&secrets)),
            ("webhook.forward", "http://service".to_owned()),
        ];
        let variables: Vec<(&str, &str)> = variables.iter().map(|(key, text)| (*key, text.as_str())).collect();
        let resolved = resolve(&variables, Purpose::Check).unwrap();
        let config = &resolved.config;
        assert_eq!(config.bus.token, "s3cret-a");
        assert_eq!(config.broker.tokens, ["users=s3cret-b", "web=s3cret-c"]);
        assert_eq!(config.broker.operator_tokens, ["s3cret-d"]);
        assert_eq!(config.webhook.secret, [NEW, OLD]);
        assert_eq!(resolved.origin("bus.token").unwrap().to_string(), format!("file {}", path(&token)));
        assert_eq!(resolved.warnings, [""; 0]);
        for shown in [to_toml(&resolved), to_json(&resolved), format!("{config:?}"), format!("{resolved:?}")] {
            assert!(!shown.contains("s3cret") && !shown.contains(OLD), "{shown}");
        }
    }

    fn check_refused(variables: &[(&str, &str)], expected: &str) {
        assert_eq!(resolve(variables, Purpose::Check).map(drop).unwrap_err(), expected);
    }

    #[test]
    fn a_file_that_is_missing_empty_or_wrong_is_named() {
        let (empty, wrong) = (file(" \n\n"), file("two words\n"));
        let (empty, wrong) = (empty.path().to_str().unwrap(), wrong.path().to_str().unwrap());
        let given = "bus.token_file (environment EXORELAY__BUS__TOKEN_FILE)";
        check_refused(&[("bus.token_file", empty)], &format!("{given}: cannot read {empty}: it is empty"));
        check_refused(
            &[("bus.token_file", "/nowhere/token")],
            &format!("{given}: cannot read /nowhere/token: No such file or directory (os error 2)"),
        );
        check_refused(&[("bus.token_file", "/")], &format!("{given}: cannot read /: Is a directory (os error 21)"));
        let wrong_token = "\"***\": expected visible ASCII characters without spaces, or an empty string";
        check_refused(&[("bus.token_file", wrong)], &format!("bus.token (file {wrong}) is {wrong_token}"));
        let large = file(&"x".repeat(70_000));
        let large = large.path().to_str().unwrap();
        let too_long = format!("{given}: cannot read {large}: it is longer than 65536 bytes");
        check_refused(&[("bus.token_file", large)], &too_long);
    }

    #[test]
    fn a_secret_and_its_file_exclude_each_other() {
        check_refused(
            &[("bus.token", "s3cret"), ("bus.token_file", "/nowhere/token")],
            "bus.token (environment EXORELAY__BUS__TOKEN) and bus.token_file (environment EXORELAY__BUS__TOKEN_FILE) are both set: \
             remove one of them",
        );
    }

    #[test]
    fn only_a_process_that_uses_a_secret_needs_its_file() {
        let missing = [("webhook.secret_file", "/nowhere/secret"), ("webhook.forward", "http://service")];
        let sidecar = [missing.as_slice(), &[("relay.role", "users")]].concat();
        assert!(resolve(&missing, Purpose::Broker).is_ok() && resolve(&missing, Purpose::Other).is_ok());
        assert!(resolve(&sidecar, Purpose::Sidecar).is_err() && resolve(&missing, Purpose::Dev).is_err());
    }

    #[test]
    fn a_file_that_everyone_may_read_is_warned_about() {
        let token = file("s3cret");
        fs::set_permissions(token.path(), Permissions::from_mode(0o604)).unwrap();
        let path = token.path().to_str().unwrap();
        let expected =
            format!("bus.token_file: every user of this machine may read {path}; to change that: chmod o= {path}");
        assert_eq!(resolve(&[("bus.token_file", path)], Purpose::Check).unwrap().warnings, [expected.as_str()]);
        let elsewhere = resolve(&[("access.jwt_secret_file", path), ("access.rules", RULES)], Purpose::Check).unwrap();
        assert_eq!(elsewhere.warnings, [expected.replace("bus.token_file", "access.jwt_secret_file")]);
    }

    #[test]
    fn one_webhook_secret_is_a_list_of_one() {
        let config = |value: &str| {
            let text = format!("[webhook]\nforward = \"http://service\"\nsecret = {value}\n");
            let resolved = Sources::of(Some(file(&text).path().to_owned()), &[]).resolve(Purpose::Check);
            resolved.map(|resolved| resolved.config.webhook.secret).map_err(|errors| errors.to_string())
        };
        assert_eq!(config("\"\"").unwrap(), [""; 0]);
        assert_eq!(config(&format!("\"{OLD}\"")).unwrap(), [OLD]);
        assert_eq!(config(&format!("[\"{NEW}\", \"{OLD}\"]")).unwrap(), [NEW, OLD]);
        assert!(config("5").unwrap_err().ends_with("expected a list of strings"));
        let variable = format!("{NEW}, {OLD}");
        let variables = [("webhook.secret", variable.as_str()), ("webhook.forward", "http://service")];
        assert_eq!(resolve(&variables, Purpose::Check).unwrap().config.webhook.secret, [NEW, OLD]);
    }
}
