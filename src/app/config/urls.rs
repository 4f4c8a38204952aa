//! URLs in settings.

use axum::http::Uri;

use crate::http::split_credentials;

/// Returns true for a URL of one of these schemes, without a query.
pub(super) fn is_url(text: &str, schemes: &[&str]) -> bool {
    let (text, _) = split_credentials(text);
    let Ok(url) = text.parse::<Uri>() else { return false };
    let Some(authority) = url.authority() else { return false };
    let scheme_is_valid = url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme));
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    // Uri::port returns None for a port that is not a number, so the text is checked.
    let port_is_valid = port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
    scheme_is_valid && port_is_valid && !authority.host().is_empty() && !text.contains(['?', '#'])
}
