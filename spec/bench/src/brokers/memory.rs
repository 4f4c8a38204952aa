//! Memory of idle connections in a broker.

use std::thread;
use std::time::Duration;

use super::Bus;
use super::contender::start_broker;
use crate::contenders::own_service;
use crate::error::Error;
use crate::options::Brokers;
use crate::processes::Processes;
use crate::results::{Spread, spread};
use crate::usage::{Reading, resident_mib};

/// Longer than the broker's heartbeat, so that what a ping and its answer leave behind is counted too.
const SETTLE: Duration = Duration::from_secs(7);
const QUIET: Duration = Duration::from_millis(300);
/// Every start gives nearly the same figures.
const ROUNDS_MAX: u32 = 3;

/// Figures of one broker.
pub struct Memory {
    /// Whose: that of this way to it.
    pub bus: Bus,
    /// Resident MiB without any connection.
    pub alone_mib: Spread,
    /// Resident MiB with all of them.
    pub full_mib: Spread,
    /// Resident KiB for each of them.
    pub each_kib: Spread,
    /// Percent of one core that the broker used while nothing happened.
    pub busy_percent: Spread,
}

/// Fills a broker with `options.idle` connections, in every round a new one.
pub fn measure(bus: Bus, options: &Brokers, processes: &Processes) -> Result<Memory, Error> {
    let (mut alone, mut full, mut each, mut busy) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.extent.rounds().min(ROUNDS_MAX) {
        let (broker, address) = start_broker(bus, &options.programs, processes)?;
        thread::sleep(QUIET);
        let before = resident_mib(broker.pid)?;
        let (word, address, count) = (bus.word(), address.to_string(), options.idle.to_string());
        let arguments = ["idle", "--bus", &word, "--broker", &address, "--count", &count];
        let mut client = own_service(processes, "idle", &arguments)?;
        client.ready("idle")?;
        let begun = Reading::now([broker.pid])?;
        thread::sleep(SETTLE);
        let ended = Reading::now([broker.pid])?;
        let after = resident_mib(broker.pid)?;
        // Had it ended, the connections would not have been there.
        resident_mib(client.pid).map_err(|_| client.not_ready("lost a connection".to_owned()))?;
        alone.push(before);
        full.push(after);
        each.push((after - before) * 1024.0 / f64::from(options.idle));
        busy.push((ended.cpu_seconds[0] - begun.cpu_seconds[0]) * 100.0 / SETTLE.as_secs_f64());
        processes.stop(&client);
        processes.stop(&broker);
    }
    let of = |values| spread(values).expect("there is at least one round");
    Ok(Memory { bus, alone_mib: of(alone), full_mib: of(full), each_kib: of(each), busy_percent: of(busy) })
}
