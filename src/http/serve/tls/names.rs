//! The names in a certificate. RFC 5280 4.1.2.4 and 4.2.1.6.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::http::serve::identity::CertificateNames;

/// The object identifier of a common name: 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Maximum number of names of one kind that are kept.
const NAMES_MAX: usize = 64;

/// Tags of ASN.1.
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// UTF8String, PrintableString and IA5String, which all are UTF-8.
const STRINGS: [u8; 3] = [0x0c, 0x13, 0x16];

/// Returns the names in a certificate that was verified; `None` if it cannot be parsed.
pub(in crate::http::serve) fn names(certificate: &CertificateDer<'_>) -> Option<CertificateNames> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    Some(CertificateNames {
        common_name: common_name(parsed.subject()),
        dns: parsed.valid_dns_names().take(NAMES_MAX).map(str::to_owned).collect(),
        uris: parsed.valid_uri_names().take(NAMES_MAX).map(str::to_owned).collect(),
    })
}

/// Returns the last common name of a subject, which is the most specific.
fn common_name(mut subject: &[u8]) -> Option<String> {
    let mut found = None;
    while let Some((SET, mut attributes, rest)) = element(subject) {
        subject = rest;
        while let Some((SEQUENCE, attribute, rest)) = element(attributes) {
            attributes = rest;
            if let Some((OBJECT_IDENTIFIER, name, value)) = element(attribute)
                && name == COMMON_NAME
                && let Some((tag, text, _)) = element(value)
                && STRINGS.contains(&tag)
            {
                found = String::from_utf8(text.to_vec()).ok().or(found);
            }
        }
    }
    found
}

/// Splits off the first element: its tag, its content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_common_name_of_a_subject_counts() {
        let attribute = |oid: u8, tag: u8, text: &str| {
            let mut bytes = vec![SET, text.len() as u8 + 9, SEQUENCE, text.len() as u8 + 7, 6, 3, 0x55, 4, oid, tag];
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
            bytes
        };
        let organization = attribute(10, 0x13, "Example");
        assert_eq!(common_name(&organization), None);
        let first = [organization, attribute(3, 0x0c, "users")].concat();
        assert_eq!(common_name(&first).as_deref(), Some("users"));
        let last = [first.clone(), attribute(3, 0x13, "users-1")].concat();
        assert_eq!(common_name(&last).as_deref(), Some("users-1"));
        for end in 0..first.len() {
            assert_eq!(common_name(&first[..end]), None, "{end}");
        }
    }
}
