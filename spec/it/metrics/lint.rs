//! The rules of `promtool check metrics`, and those of the text format itself.

use std::collections::{BTreeMap, BTreeSet};

/// Texts that count as abbreviated units.
const ABBREVIATIONS: [&str; 14] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

/// Prefixes of units, and the units that are not base units, with the base unit.
const PREFIXES: [&str; 19] = [
    "", "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga",
    "gibi", "tera", "tebi", "peta", "pebi",
];
const UNITS: [(&str, &str); 10] = [
    ("seconds", "seconds"),
    ("bytes", "bytes"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("bits", "bytes"),
    ("ratios", "ratios"),
    ("meters", "meters"),
    ("celsius", "celsius"),
];

const TYPES: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

/// A metric with all its samples.
pub(super) struct Family {
    pub(super) name: String,
    help: String,
    metric_type: String,
    /// Names and labels of its samples.
    samples: Vec<(String, String)>,
}

impl Family {
    /// Returns the names that queries can use.
    pub(super) fn sample_names(&self) -> Vec<String> {
        match self.metric_type.as_str() {
            "histogram" => ["_bucket", "_count", "_sum"].map(|suffix| format!("{}{suffix}", self.name)).to_vec(),
            _ => vec![self.name.clone()],
        }
    }
}

/// Returns the metrics in a text.
pub(super) fn families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            let (name, help) = (name.to_owned(), help.to_owned());
            families.push(Family { name, help, metric_type: String::new(), samples: Vec::new() });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, metric_type) = rest.split_once(' ').unwrap();
            let family = families.last_mut().filter(|family| family.name == name);
            family.unwrap_or_else(|| panic!("{name} has a type and no help")).metric_type = metric_type.to_owned();
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = families.last_mut().unwrap_or_else(|| panic!("{line} comes before any description"));
            family.samples.push((name.to_owned(), labels.to_owned()));
        }
    }
    families
}

/// Returns what is wrong with the metrics in a text.
pub(super) fn complaints(text: &str) -> Vec<String> {
    let (families, mut complaints) = (families(text), Vec::new());
    let mut names = BTreeSet::new();
    for family in &families {
        let (name, metric_type) = (&family.name, family.metric_type.as_str());
        let mut complain = |what: &str| complaints.push(format!("{name}: {what}"));
        if !names.insert(name) {
            complain("it is described twice");
        }
        if family.help.trim_matches(['.', ' ']).is_empty() {
            complain("no help text");
        }
        if !TYPES.contains(&metric_type) {
            complain("no type that this format has");
        }
        for (sample, labels) in &family.samples {
            let expected = match metric_type {
                "histogram" => ["_bucket", "_count", "_sum"].iter().any(|suffix| *sample == format!("{name}{suffix}")),
                _ => sample == name,
            };
            if !expected {
                complain(&format!("it has the sample {sample}"));
            }
            if metric_type != "histogram" && labels.starts_with("le=") {
                complain("only histograms have the label le");
            }
            if labels.contains("quantile=") {
                complain("only summaries have the label quantile");
            }
        }
        let series: BTreeMap<_, usize> = family.samples.iter().fold(BTreeMap::new(), |mut seen, sample| {
            *seen.entry(sample).or_default() += 1;
            seen
        });
        if series.values().any(|times| *times > 1) {
            complain("it has a sample twice");
        }
        name_complaints(name, metric_type).into_iter().for_each(|what| complain(&what));
    }
    complaints
}

/// Returns what is wrong with a name.
fn name_complaints(name: &str, metric_type: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('_').collect();
    let mut complaints = Vec::new();
    let mut complain_if = |wrong: bool, what: &str| complaints.extend(wrong.then(|| what.to_owned()));
    complain_if(metric_type == "counter" && !name.ends_with("_total"), "a counter ends with _total");
    complain_if(metric_type != "counter" && name.ends_with("_total"), "only a counter ends with _total");
    complain_if(["_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix)), "a suffix of histograms");
    complain_if(parts[1..].iter().any(|part| TYPES.contains(part)), "the name has a type in it");
    complain_if(name.contains(':'), "colons are for rules");
    complain_if(name.chars().any(|letter| letter.is_ascii_uppercase()), "use snake_case");
    complain_if(parts[1..].iter().any(|part| ABBREVIATIONS.contains(part)), "the unit is abbreviated");
    for part in parts {
        for (unit, base) in UNITS {
            let prefixed = PREFIXES.iter().any(|prefix| part == format!("{prefix}{unit}"));
            complain_if(prefixed && part != base, &format!("use {base} instead of {part}"));
        }
    }
    complaints
}

#[test]
fn the_rules_find_what_they_should() {
    let text = "# HELP a_milliseconds Time.\n# TYPE a_milliseconds gauge\na_milliseconds 1\n\
                # HELP b \n# TYPE b counter\nb 1\nb 2\n\
                # HELP c_gauge_ms Gauge.\n# TYPE c_gauge_ms gauge\nc_gauge_ms{le=\"1\"} 1\n\
                # HELP d_total Gauge.\n# TYPE d_total gauge\nother 1\n";
    let expected = [
        "a_milliseconds: use seconds instead of milliseconds",
        "b: no help text",
        "b: it has a sample twice",
        "b: a counter ends with _total",
        "c_gauge_ms: only histograms have the label le",
        "c_gauge_ms: the name has a type in it",
        "c_gauge_ms: the unit is abbreviated",
        "d_total: it has the sample other",
        "d_total: only a counter ends with _total",
    ];
    assert_eq!(complaints(text), expected);
}
