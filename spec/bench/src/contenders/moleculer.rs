//! Moleculer: the caller node makes the load itself, as a user's code in that node would, and answers with figures.

use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::contender::{Driver, program};
use crate::cells::{Cell, Shape};
use crate::error::Error;
use crate::load::{CALL_WAIT, Figures};
use crate::options::Compare;
use crate::processes::{Process, Processes};

/// Starts the node with the service and the node that calls it.
pub fn start(options: &Compare, processes: &Processes) -> Result<(Vec<Process>, Driver), Error> {
    let modules = program(&options.moleculer, options, "moleculer")?;
    let scripts = program(&options.moleculer_scripts, options, "moleculer")?;
    let node = |script: &str| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", modules).env("NODE_ENV", "production").arg(scripts.join(script));
        command
    };
    let mut service = processes.start("service", &mut node("echo.js"))?;
    let (address, _) = service.ready("echo")?;
    let mut caller = processes.start("load + node", node("caller.js").arg(address.to_string()))?;
    caller.ready("caller")?;
    Ok((vec![caller, service], Driver::Moleculer))
}

/// Has the caller node, the first of `processes`, run `cell` for `length`.
pub fn order(processes: &mut [Process], cell: &Cell, length: Duration) -> Result<Figures, Error> {
    let order = match cell.shape {
        Shape::Closed { in_flight } => json!({ "inFlight": in_flight }),
        Shape::Rate { per_second, connections } => json!({ "perSecond": per_second, "connections": connections }),
    };
    let mut order = order;
    order["payloadBytes"] = json!(cell.payload_bytes);
    order["seconds"] = json!(length.as_secs_f64());
    let caller = processes.first_mut().expect("a started contender has its caller node first");
    let line = caller.ask(&order.to_string(), length * 2 + CALL_WAIT * 2)?;
    let answer: Answer = serde_json::from_str(&line).map_err(|_| Error::CallerNode(line))?;
    Ok(answer.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    requests: u64,
    errors: u64,
    first_error: Option<String>,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl From<Answer> for Figures {
    fn from(answer: Answer) -> Self {
        let Answer { requests, errors, first_error, per_second, p50_ms, p99_ms } = answer;
        Self { requests, errors, first_error, per_second, p50_ms, p99_ms }
    }
}
