//! The bars that the broker has to clear, and how it stands beside NATS.

use super::Bus;
use super::compare::Run;
use super::contender::{FAN, Name, SATURATED};
use crate::bars::{Bar, Limit};
use crate::results::Spread;
use crate::samples::Sample;

const BROKER: &str = "broker";

/// All rows, in the order of the table.
pub fn bars(run: &Run) -> Vec<Bar> {
    let pair = (Name::WebSocket, Name::Nats);
    let mut bars = vec![
        Bar {
            what: "round trips over WebSocket at 64 in flight".into(),
            value: run.results.figure(Name::WebSocket, SATURATED, |sample| sample.figures.per_second),
            decimals: 0,
            limit: Limit::AtLeast(34_000.0),
            unit: "/s",
        },
        Bar {
            what: "NATS / WebSocket, round trips at 64 in flight".into(),
            value: run
                .results
                .compare(pair, SATURATED, |ours, theirs| theirs.figures.per_second / ours.figures.per_second),
            decimals: 2,
            limit: Limit::AtMost(1.5),
            unit: "x",
        },
        Bar {
            what: "broker, resident memory for each idle WebSocket".into(),
            value: each_kib(run, Bus::Websocket),
            decimals: 1,
            limit: Limit::Below(12.0),
            unit: "KiB",
        },
    ];
    let told = [
        ("WebSocket / NATS, round trips at 1 in flight", rate(run, Name::WebSocket, 0)),
        ("WebSocket / NATS, round trips at 16 in flight", rate(run, Name::WebSocket, 1)),
        ("WebSocket / NATS, round trips at 64 in flight", rate(run, Name::WebSocket, SATURATED)),
        ("WebSocket / NATS, round trips at 256 in flight", rate(run, Name::WebSocket, 3)),
        ("HTTP / NATS, round trips at 64 in flight", rate(run, Name::Http, SATURATED)),
        ("embedded / NATS, round trips at 64 in flight", rate(run, Name::Embedded, SATURATED)),
        ("services without relays / NATS, round trips at 64 in flight", rate(run, Name::Sockets, SATURATED)),
        (
            "WebSocket / NATS, CPU of all processes per round trip at 64",
            run.results.compare(pair, SATURATED, |ours, theirs| ours.cpu_us() / theirs.cpu_us()),
        ),
        (
            "WebSocket / NATS, CPU of the broker per round trip at 64",
            run.results.compare(pair, SATURATED, |ours, theirs| broker_us(ours) / broker_us(theirs)),
        ),
        ("ExoCom / NATS, deliveries from 1 to 100 roles", fan(run, |sample| sample.figures.per_second)),
        ("ExoCom / NATS, CPU of the broker per delivery", fan(run, broker_us)),
        (
            "ExoCom / NATS, resident memory for each idle connection",
            each_kib(run, Bus::Websocket).zip(each_kib(run, Bus::Nats)).map(quotient),
        ),
    ];
    bars.extend(told.map(|(what, value)| Bar { what: what.into(), value, decimals: 2, limit: Limit::Told, unit: "x" }));
    bars
}

fn rate(run: &Run, name: Name, cell: usize) -> Option<Spread> {
    let rate = |ours: &Sample, theirs: &Sample| ours.figures.per_second / theirs.figures.per_second;
    run.results.compare((name, Name::Nats), cell, rate)
}

fn fan(run: &Run, figure: fn(&Sample) -> f64) -> Option<Spread> {
    let pair = (Name::FanWebSocket, Name::FanNats);
    run.results.compare(pair, FAN, |ours, theirs| figure(ours) / figure(theirs))
}

/// CPU time of the broker alone per call, in microseconds.
fn broker_us(sample: &Sample) -> f64 {
    sample.spent.iter().filter(|spent| spent.role == BROKER).map(|spent| spent.cpu_us).sum()
}

fn each_kib(run: &Run, bus: Bus) -> Option<Spread> {
    run.memory.iter().find(|memory| memory.bus == bus).map(|memory| memory.each_kib)
}

fn quotient((left, right): (Spread, Spread)) -> Spread {
    Spread { median: left.median / right.median, low: left.low / right.high, high: left.high / right.low }
}
