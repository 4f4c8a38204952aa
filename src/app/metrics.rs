//! The text form of metrics.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// The content type of [`text`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the metrics of `registry` in the OpenMetrics text form.
pub(super) fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("writing to a string cannot fail");
    text
}
