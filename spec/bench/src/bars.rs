//! The bars that ExoRelay has to clear, each a figure of this run against a limit.

use std::borrow::Cow;

use crate::cells::{FIXED_RATE, SATURATED};
use crate::contenders::Name;
use crate::results::{Results, Spread};
use crate::startup::Startup;

/// One bar.
pub struct Bar {
    /// Name of the measurement.
    pub what: Cow<'static, str>,
    /// The figure; `None` when a contender it needs was not measured.
    pub value: Option<Spread>,
    /// Decimal places that mean something.
    pub decimals: usize,
    /// The limit.
    pub limit: Limit,
    /// Unit of figure and limit.
    pub unit: &'static str,
}

/// Which side of which value the figure must lie on.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
    /// More than.
    Above(f64),
    /// Less than.
    Below(f64),
    /// No limit: the figure is reported only.
    Told,
}

impl Limit {
    /// Returns true if `value` clears the bar; `None` without a bar.
    pub fn holds(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(limit) => Some(value >= limit),
            Self::AtMost(limit) => Some(value <= limit),
            Self::Above(limit) => Some(value > limit),
            Self::Below(limit) => Some(value < limit),
            Self::Told => None,
        }
    }

    /// As in the table.
    pub fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!(">= {limit}"),
            Self::AtMost(limit) => format!("<= {limit}"),
            Self::Above(limit) => format!("> {limit}"),
            Self::Below(limit) => format!("< {limit}"),
            Self::Told => String::new(),
        }
    }
}

/// All bars, in the order of the table.
pub fn bars(results: &Results<Name>, startup: Option<&Startup>) -> Vec<Bar> {
    let rate = |pair| results.compare(pair, SATURATED, |a, b| a.figures.per_second / b.figures.per_second);
    let direct = (Name::Exorelay, Name::Axum);
    vec![
        Bar {
            what: "one sidecar / one Envoy hop, rate at 64 in flight".into(),
            value: rate((Name::Exorelay, Name::Envoy)),
            decimals: 2,
            limit: Limit::AtLeast(2.5),
            unit: "x",
        },
        Bar {
            what: "one sidecar, its CPU per request at 64 in flight".into(),
            value: results.cpu_us(Name::Exorelay, SATURATED, "sidecar"),
            decimals: 1,
            limit: Limit::AtMost(60.0),
            unit: "us",
        },
        Bar {
            what: "two sidecars + broker / two Envoy hops, rate at 64 in flight".into(),
            value: rate((Name::ExorelayTwo, Name::EnvoyTwo)),
            decimals: 2,
            limit: Limit::Above(1.0),
            unit: "x",
        },
        Bar {
            what: "p50 that one sidecar adds at 1,000 requests/s".into(),
            value: results.compare(direct, FIXED_RATE, |a, b| a.figures.p50_ms - b.figures.p50_ms),
            decimals: 3,
            limit: Limit::Below(1.0),
            unit: "ms",
        },
        Bar {
            what: "p99 that one sidecar adds at 1,000 requests/s".into(),
            value: results.compare(direct, FIXED_RATE, |a, b| a.figures.p99_ms - b.figures.p99_ms),
            decimals: 3,
            limit: Limit::Below(1.5),
            unit: "ms",
        },
        Bar {
            what: "sidecar, resident memory while idle".into(),
            value: startup.map(|startup| startup.idle_mib),
            decimals: 1,
            limit: Limit::Below(12.0),
            unit: "MiB",
        },
        Bar {
            what: "sidecar, start to ready".into(),
            value: startup.map(|startup| startup.ready_ms),
            decimals: 1,
            limit: Limit::Below(50.0),
            unit: "ms",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_includes_its_own_value_only_when_it_says_so() {
        assert_eq!(Limit::AtLeast(2.5).holds(2.5), Some(true));
        assert_eq!(Limit::AtMost(60.0).holds(60.0), Some(true));
        assert_eq!(Limit::Above(1.0).holds(1.0), Some(false));
        assert_eq!(Limit::Below(50.0).holds(50.0), Some(false));
        assert_eq!(Limit::Told.holds(1.0), None);
    }
}
