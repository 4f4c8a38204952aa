//! Time that a store with many streams takes to serve them.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::calls::{Create, Line};
use super::client::request;
use super::contender::{Durability, Name};
use super::turns::FILLERS;
use crate::cells::{Cell, Shape};
use crate::error::Error;
use crate::load::{self, Phases};
use crate::options::Streams;
use crate::processes::Processes;
use crate::usage::resident_mib;

/// Time limit for making the streams: ours has all of them, the others what they made by then.
const FILL_WAIT: Duration = Duration::from_secs(180);
const PEER_FILL_WAIT: Duration = Duration::from_secs(20);
/// The official server keeps a file open for each stream, and the number of open files is limited.
const PEER_STREAMS_MAX: u64 = 15_000;
const QUICK_STREAMS: u64 = 20_000;
const QUICK_FILL_WAIT: Duration = Duration::from_secs(4);
const FOLDER: &str = "/v1/stream/many";

/// Figures of one server.
pub struct Opening {
    /// Whose.
    pub name: Name,
    /// Streams in the store.
    pub streams: u64,
    /// From the start of the process until the last of them was served, in milliseconds.
    pub opened_ms: f64,
    /// Resident MiB then.
    pub resident_mib: f64,
}

/// Fills a store, stops the server, and starts it again.
pub fn measure(name: Name, options: &Streams, processes: &Processes, runtime: &Runtime) -> Result<Opening, Error> {
    let folder = processes.scratch().join(format!("{}-open", name.word()));
    let server = name.start(&options.programs, processes, &folder, Durability::Filling)?;
    let streams = if options.extent.quick { options.streams.min(QUICK_STREAMS) } else { options.streams };
    let streams = if name.is_ours() { streams } else { streams.min(PEER_STREAMS_MAX) };
    let wait = match (options.extent.quick, name.is_ours()) {
        (true, _) => QUICK_FILL_WAIT,
        (false, true) => FILL_WAIT,
        (false, false) => PEER_FILL_WAIT,
    };
    let cell = Cell { title: "", shape: Shape::Closed { in_flight: FILLERS }, payload_bytes: 0 };
    let phases = Phases { warm_up: Duration::ZERO, measured: wait };
    let figures = runtime.block_on(async {
        let callers = Create::callers(server.address, FOLDER, streams, FILLERS);
        load::run(callers, &cell, phases, || Ok(())).await
    })?;
    let figures = figures.figures;
    if let Some(why) = figures.first_error {
        return Err(Error::Prepare { what: format!("creating {streams} streams"), why });
    }
    if processes.stop(&server.process).is_none() {
        return Err(server.process.not_ready("did not end in time after SIGTERM".to_owned()));
    }
    let server = name.start(&options.programs, processes, &folder, Durability::Synced)?;
    let missing = |why| Error::Prepare { what: format!("reading the last of {} streams", figures.requests), why };
    let read = request("GET", &format!("{FOLDER}/{}", figures.requests - 1), None, b"");
    runtime.block_on(Line::to(server.address).exchange(&read, 200)).map_err(missing)?;
    let opened = server.process.started.elapsed();
    let resident_mib = resident_mib(server.process.pid)?;
    processes.stop(&server.process);
    Ok(Opening { name, streams: figures.requests, opened_ms: opened.as_secs_f64() * 1e3, resident_mib })
}
