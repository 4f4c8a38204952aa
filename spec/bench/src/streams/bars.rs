//! The bars that our streams have to clear, as ratios to the official server in Rust.

use super::compare::Run;
use super::contender::{Keeps, Name};
use super::loads::{Load, Work};
use crate::bars::{Bar, Limit};
use crate::results::{Spread, spread};
use crate::samples::Sample;

/// Ours and the official one, in memory and on disk.
const PAIRS: [(Keeps, Name, Name); 2] =
    [(Keeps::Disk, Name::ExorelayDisk, Name::RustWal), (Keeps::Memory, Name::Exorelay, Name::Rust)];

/// All rows, in the order of the table.
pub fn bars(run: &Run, loads: &[Load]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (keeps, ours, theirs) in PAIRS {
        let place = if keeps == Keeps::Disk { "disk" } else { "memory" };
        for (at, load) in loads.iter().enumerate() {
            let compare = if load.work == Work::Follow { p99 } else { per_second };
            let what = match load.work {
                Work::Append { .. } => format!("{place}: appends, {}", load.title),
                Work::Follow => format!("{place}: {}, p99", load.title),
                Work::Create | Work::Read | Work::CatchUp(_) => format!("{place}: {}", load.title),
            };
            bars.push(Bar {
                what: what.into(),
                value: run.results.compare((ours, theirs), at, compare),
                decimals: 2,
                limit: limit(load, keeps),
                unit: "x",
            });
        }
        bars.push(Bar {
            what: format!("{place}: resident memory with {} subscribers", super::memory::SUBSCRIBERS).into(),
            value: subscribers(run, ours, theirs),
            decimals: 2,
            limit: Limit::AtMost(2.0),
            unit: "x",
        });
    }
    bars
}

/// Bars of the loads. Appends in memory have none.
fn limit(load: &Load, keeps: Keeps) -> Limit {
    match (load.work, keeps) {
        (Work::Append { .. }, Keeps::Disk) if load.connections == 1 => Limit::AtLeast(1.3),
        (Work::Append { .. }, Keeps::Disk) => Limit::AtLeast(1.0),
        (Work::Append { .. }, Keeps::Memory) => Limit::Told,
        (Work::Create, _) => Limit::AtLeast(4.0),
        (Work::Read, _) => Limit::AtLeast(1.5),
        (Work::CatchUp(_), _) => Limit::AtLeast(0.8),
        (Work::Follow, _) => Limit::AtMost(1.0),
    }
}

fn per_second(ours: &Sample, theirs: &Sample) -> f64 {
    ours.figures.per_second / theirs.figures.per_second
}

fn p99(ours: &Sample, theirs: &Sample) -> f64 {
    ours.figures.p99_ms / theirs.figures.p99_ms
}

fn subscribers(run: &Run, ours: Name, theirs: Name) -> Option<Spread> {
    let of = |name| run.memory.iter().find(|memory| memory.name == name).map(|memory| memory.subscribers_mib);
    let (ours, theirs) = (of(ours)?, of(theirs)?);
    spread([ours.low / theirs.high, ours.median / theirs.median, ours.high / theirs.low])
}
