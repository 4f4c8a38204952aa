//! Tokens of the configuration. Only their hashes are in memory.

use std::io;
use std::path::Path;

use ring::digest::{SHA256, digest};

use super::super::config::TokenConfig;
use super::super::principal::{Identity, Principal};
use super::super::token::equals_bytes;
use super::Error;

/// The beginning of a token that is stored as its hash.
const HASHED: &str = "sha256:";

/// Maximum length of a file with a token, in bytes.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// The SHA-256 of a token.
pub(crate) type Hash = [u8; 32];

/// The tokens, each with the caller that it stands for. Several may stand for the same, so that one can replace another.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<(Hash, Principal)>);

impl Tokens {
    /// Reads the tokens, and their files. Blocks. Errors: [`Error::TokenFile`], [`Error::Token`].
    pub(crate) fn read(configs: &[TokenConfig]) -> Result<Self, Error> {
        configs.iter().map(|config| Ok((hash_of(config)?, principal(config)))).collect::<Result<_, _>>().map(Self)
    }

    /// Adds a token of a role, plain or as its hash, which entitles to nothing but what rules say.
    pub(crate) fn add_role(&mut self, role: &str, token: &str) {
        let hash = token.strip_prefix(HASHED).map_or_else(|| Some(hash(token)), parse_hash);
        let principal = || Identity { roles: vec![role.to_owned()], ..Identity::default() }.into();
        self.0.extend(hash.map(|hash| (hash, principal())));
    }

    /// Returns the caller that a token stands for. Takes the same time wherever it is in the list.
    pub(crate) fn find(&self, hash: &Hash) -> Option<Principal> {
        let equal = self.0.iter().filter(|(known, _)| equals_bytes(known, hash));
        equal.fold(None, |found, (_, principal)| found.or(Some(principal))).cloned()
    }
}

/// Returns the hash of a token.
pub(crate) fn hash(token: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Parses a hash that is written in 64 hexadecimal digits.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

fn principal(config: &TokenConfig) -> Principal {
    Identity { token: Some(config.name.clone()), roles: config.roles.clone(), ..Identity::default() }.into()
}

fn hash_of(config: &TokenConfig) -> Result<Hash, Error> {
    let invalid = |cause: &'static str| Error::Token { name: config.name.clone(), cause };
    if !config.token_sha256.is_empty() {
        return parse_hash(&config.token_sha256).ok_or_else(|| invalid("expected 64 hexadecimal digits"));
    }
    let text = match config.token_file.is_empty() {
        true => config.token.clone(),
        false => read_secret(&config.token_file)
            .map_err(|source| Error::TokenFile { file: config.token_file.clone(), source })?,
    };
    match text.strip_prefix(HASHED) {
        Some(digits) => parse_hash(digits).ok_or_else(|| invalid("expected 64 hexadecimal digits after sha256:")),
        None if text.is_empty() => Err(invalid("the token is empty")),
        None if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(invalid("expected visible ASCII without spaces"))
        }
        None => Ok(hash(&text)),
    }
}

/// Reads a file with a secret; blanks and line breaks around it do not count. Blocks.
pub(crate) fn read_secret(file: &str) -> Result<String, io::Error> {
    let bytes = std::fs::read(Path::new(file))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, token: &str) -> TokenConfig {
        TokenConfig { name: name.into(), token: token.into(), ..TokenConfig::default() }
    }

    fn found(tokens: &Tokens, text: &str) -> Option<String> {
        tokens.find(&hash(text)).map(|principal| principal.label())
    }

    #[test]
    fn a_token_is_plain_hashed_or_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "in-a-file\n").unwrap();
        // The SHA-256 of `abc`. FIPS 180-2 B.1.
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let tokens = Tokens::read(&[
            config("plain", "s3cret"),
            config("hashed", &format!("sha256:{of_abc}")),
            TokenConfig { name: "file".into(), token_file: file.path().display().to_string(), ..config("", "") },
            TokenConfig { name: "hash".into(), token_sha256: hash_text("other"), ..config("", "") },
        ])
        .unwrap();
        for (text, name) in
            [("s3cret", "token:plain"), ("abc", "token:hashed"), ("in-a-file", "token:file"), ("other", "token:hash")]
        {
            assert_eq!(found(&tokens, text).as_deref(), Some(name));
        }
        for wrong in ["", "s3cre", "s3cret2", of_abc, "sha256:", "in-a-file\n"] {
            assert_eq!(found(&tokens, wrong), None, "{wrong}");
        }
    }

    fn hash_text(token: &str) -> String {
        hash(token).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn two_tokens_of_one_name_are_good_at_the_same_time() {
        let tokens = Tokens::read(&[config("ops", "old"), config("ops", "new")]).unwrap();
        assert_eq!(found(&tokens, "old").as_deref(), Some("token:ops"));
        assert_eq!(found(&tokens, "new").as_deref(), Some("token:ops"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in ["", "two words", "sha256:abc", "sha256:", "über"] {
            assert!(Tokens::read(&[config("ops", token)]).is_err(), "{token:?}");
        }
        let missing = TokenConfig { token_file: "/does/not/exist".into(), ..config("ops", "") };
        let error = Tokens::read(&[missing]).unwrap_err().to_string();
        assert!(error.contains("/does/not/exist"), "{error}");
    }
}
