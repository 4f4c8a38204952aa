//! The two text formats of metrics.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' own, version 0.0.4, which every scraper reads.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns the format that the value of an `Accept` header prefers: OpenMetrics only where it is named. A client that
    /// accepts neither gets [`Format::Text`], as from other programs. RFC 9110 12.5.1.
    pub(super) fn preferred(accept: &str) -> Self {
        let (mut text, mut openmetrics) = (0.0, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let quality = quality.map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0));
            match media_type.as_str() {
                "application/openmetrics-text" => openmetrics = quality.max(openmetrics),
                "text/plain" | "text/*" | "*/*" => text = quality.max(text),
                _ => {}
            }
        }
        if openmetrics > 0.0 && openmetrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// Returns the metrics of `registry` in this format.
    pub(super) fn write(self, registry: &Registry) -> String {
        let text = openmetrics(registry);
        match self {
            Self::OpenMetrics => text,
            Self::Text => classic(&text),
        }
    }
}

/// Returns the metrics of `registry` as OpenMetrics.
pub(crate) fn openmetrics(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("writing to a string cannot fail");
    text
}

/// Translates OpenMetrics into the older format. There a counter's name ends with `_total` in its description, too, an info is
/// a gauge, and there are neither units nor an end. The samples are the same.
fn classic(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        let described = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, metric_type)) = described {
            let (suffix, metric_type) = match metric_type {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                other => ("", other),
            };
            text.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {metric_type}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::info::Info;
    use prometheus_client::registry::Unit;

    use super::*;

    #[test]
    fn openmetrics_is_for_clients_that_name_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html, application/xhtml+xml, */*;q=0.8", Format::Text),
            ("text/plain; version=0.0.4", Format::Text),
            ("application/json", Format::Text),
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text", Format::OpenMetrics),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.8", Format::Text),
            ("text/plain, application/openmetrics-text;q=0", Format::Text),
            ("text/*;q=0.1, application/openmetrics-text;q=0.5", Format::OpenMetrics),
        ] {
            assert_eq!(Format::preferred(accept), expected, "{accept}");
        }
    }

    #[test]
    fn both_formats_describe_the_names_of_their_samples() {
        let mut registry = Registry::default();
        let (sent, free) = (Counter::<u64>::default(), Gauge::<i64>::default());
        registry.register("sent", "Messages sent", sent);
        registry.register_with_unit("free", "Free space", Unit::Bytes, free);
        registry.register("build", "Build", Info::new([("version", "1")]));
        let samples = "sent_total 0\n| free_bytes 0\n| build_info{version=\"1\"} 1\n";
        let of = |format: Format| format.write(&registry).replace('\n', "\n| ");
        assert_eq!(of(Format::Text).matches('#').count(), 6);
        for line in [
            "# HELP sent_total Messages sent.\n| # TYPE sent_total counter\n",
            "# HELP free_bytes Free space.\n| # TYPE free_bytes gauge\n",
            "# HELP build_info Build.\n| # TYPE build_info gauge\n",
        ] {
            assert!(of(Format::Text).contains(line), "{line}");
        }
        for line in samples.split("| ") {
            assert!(of(Format::Text).contains(line) && of(Format::OpenMetrics).contains(line), "{line}");
        }
        assert!(of(Format::OpenMetrics).contains("# UNIT free_bytes bytes\n"));
        assert!(of(Format::OpenMetrics).ends_with("# EOF\n| "));
    }
}
