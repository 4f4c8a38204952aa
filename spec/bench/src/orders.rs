//! Orders to a process that makes the load itself: one JSON line each on its stdin, answered by one line with the figures.

use std::io::{BufRead as _, Write as _};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::cells::{Cell, Shape};
use crate::error::Error;
use crate::load::{CALL_WAIT, Figures, Measured, Phases};
use crate::processes::Process;
use crate::usage::Reading;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    #[serde(skip_serializing_if = "Option::is_none")]
    in_flight: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<usize>,
    payload_bytes: usize,
    seconds: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    requests: u64,
    errors: u64,
    first_error: Option<String>,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Has the first of `processes` run `cell`: the warm-up first, then the measured phase. The readings are of all
/// processes, in their order.
pub fn measure(processes: &mut [Process], cell: &Cell, phases: Phases) -> Result<Measured<Reading>, Error> {
    let pids: Vec<u32> = processes.iter().map(|process| process.pid).collect();
    let caller = processes.first_mut().expect("a started contender has the process that makes its load first");
    let warm_up = order(caller, cell, phases.warm_up)?;
    let before = Reading::now(pids.iter().copied())?;
    let mut figures = order(caller, cell, phases.measured)?;
    let after = Reading::now(pids)?;
    figures.errors += warm_up.errors;
    figures.first_error = warm_up.first_error.or(figures.first_error);
    Ok(Measured { figures, before, after })
}

/// Has `caller` run `cell` for `length`.
pub fn order(caller: &mut Process, cell: &Cell, length: Duration) -> Result<Figures, Error> {
    let (in_flight, per_second, connections) = match cell.shape {
        Shape::Closed { in_flight } => (Some(in_flight), None, None),
        Shape::Rate { per_second, connections } => (None, Some(per_second), Some(connections)),
    };
    let (payload_bytes, seconds) = (cell.payload_bytes, length.as_secs_f64());
    let order = Order { in_flight, per_second, connections, payload_bytes, seconds };
    let order = serde_json::to_string(&order).expect("numbers can be written to memory");
    let line = caller.ask(&order, length * 2 + CALL_WAIT * 2)?;
    let answer: Answer = serde_json::from_str(&line).map_err(|_| Error::Caller(line))?;
    Ok(answer.into())
}

/// Runs the orders that come on stdin, one after the other, until it ends. An order that cannot be read ends it too.
pub async fn obey(mut run: impl AsyncFnMut(Cell, Duration) -> Result<Figures, Error>) -> Result<(), Error> {
    let (sender, mut lines) = mpsc::channel(1);
    // A thread of its own: connections have to be served while nothing is ordered.
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    while let Some(line) = lines.recv().await {
        let order: Order = serde_json::from_str(&line).map_err(std::io::Error::from)?;
        let shape = match (order.in_flight, order.per_second, order.connections) {
            (Some(in_flight), None, None) => Shape::Closed { in_flight },
            (None, Some(per_second), Some(connections)) => Shape::Rate { per_second, connections },
            _ => return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into()),
        };
        let cell = Cell { title: "", shape, payload_bytes: order.payload_bytes };
        let answer = Answer::from(run(cell, Duration::from_secs_f64(order.seconds)).await?);
        let answer = serde_json::to_string(&answer).expect("numbers and texts can be written to memory");
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

impl From<Answer> for Figures {
    fn from(answer: Answer) -> Self {
        let Answer { requests, errors, first_error, per_second, p50_ms, p99_ms } = answer;
        Self { requests, errors, first_error, per_second, p50_ms, p99_ms }
    }
}

impl From<Figures> for Answer {
    fn from(figures: Figures) -> Self {
        let Figures { requests, errors, first_error, per_second, p50_ms, p99_ms } = figures;
        Self { requests, errors, first_error, per_second, p50_ms, p99_ms }
    }
}
