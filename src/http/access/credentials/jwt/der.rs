//! Public keys in PEM and DER. RFC 5280 4.1.2.7, RFC 8017 A.1.1, RFC 5480 2, RFC 8410 4. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::material::Material;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;

/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Parses all public keys in a text in PEM. Errors: the text for the user.
pub(super) fn parse_pem(text: &str) -> Result<Vec<Material>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or("a line with BEGIN has no end")?;
        let end = format!("-----END {label}-----");
        let (encoded, after) = after.split_once(&end).ok_or_else(|| format!("{end} is missing"))?;
        let encoded: String = encoded.split_whitespace().collect();
        let der = STANDARD.decode(encoded).map_err(|error| format!("{label}: {error}"))?;
        let parsed = match label {
            "PUBLIC KEY" => parse_spki(&der),
            "RSA PUBLIC KEY" => parse_rsa(&der),
            _ if label.contains("PRIVATE") => return Err(format!("{label}: expected a public key, not a private one")),
            _ => return Err(format!("{label}: expected PUBLIC KEY")),
        };
        keys.push(parsed.ok_or_else(|| format!("{label}: expected an RSA, P-256 or Ed25519 key"))?);
        rest = after;
    }
    match keys.is_empty() {
        true => Err("it has no public key in PEM".to_owned()),
        false => Ok(keys),
    }
}

fn parse_spki(der: &[u8]) -> Option<Material> {
    let (info, _) = read(SEQUENCE, der)?;
    let (algorithm, rest) = read(SEQUENCE, info)?;
    let (bits, _) = read(BIT_STRING, rest)?;
    let key = bits.strip_prefix(&[0])?;
    let (object, parameters) = read(OBJECT, algorithm)?;
    match object {
        RSA => parse_rsa(key),
        EC if read(OBJECT, parameters)?.0 == P256 => Material::p256(key.to_vec()),
        ED25519 => Material::ed25519(key.to_vec()),
        _ => None,
    }
}

fn parse_rsa(der: &[u8]) -> Option<Material> {
    let (numbers, _) = read(SEQUENCE, der)?;
    let (modulus, rest) = read(INTEGER, numbers)?;
    let (exponent, _) = read(INTEGER, rest)?;
    Material::rsa(modulus, exponent)
}

/// Returns the content of the element at the beginning, and what follows it; `None` if it has another tag or is cut off.
fn read(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}
