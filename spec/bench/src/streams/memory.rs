//! Resident memory of a server: idle, with subscribers, after many records.

use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::calls::Line;
use super::client::request;
use super::contender::{Durability, Name};
use super::follow::Subscriber;
use super::loads::{Content, RECORD_BYTES};
use super::turns::{create, fill};
use crate::error::Error;
use crate::options::Streams;
use crate::processes::Processes;
use crate::results::{Spread, spread};
use crate::usage::resident_mib;

/// Subscribers of one stream.
pub const SUBSCRIBERS: usize = 1_000;
const RECORDS: u64 = 1_000_000;
const QUICK_RECORDS: u64 = 50_000;
/// Time limit for filling; the measurement uses the records made by then.
const FILL_WAIT: Duration = Duration::from_secs(25);
const QUICK_FILL_WAIT: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_millis(500);
/// Appends that every subscriber gets before memory is read.
const APPENDS: u64 = 10;
const ARRIVAL_WAIT: Duration = Duration::from_secs(10);
/// Every start gives nearly the same figures.
const ROUNDS_MAX: u32 = 3;

/// Figures of one server.
pub struct Memory {
    /// Whose.
    pub name: Name,
    /// Resident MiB after its start.
    pub idle_mib: Spread,
    /// Resident MiB while [`SUBSCRIBERS`] follow one stream and have got its appends.
    pub subscribers_mib: Spread,
    /// Resident MiB after the records.
    pub records_mib: f64,
    /// Records that were appended.
    pub records: u64,
}

/// Starts the server a few times.
pub fn measure(name: Name, options: &Streams, processes: &Processes, runtime: &Runtime) -> Result<Memory, Error> {
    let (mut idle, mut subscribers) = (Vec::new(), Vec::new());
    let start = |what: &str| {
        let folder = processes.scratch().join(format!("{}-{what}", name.word()));
        name.start(&options.programs, processes, &folder, Durability::Synced)
    };
    for round in 0..options.extent.rounds().min(ROUNDS_MAX) {
        let server = start(&format!("subscribers-{round}"))?;
        thread::sleep(QUIET);
        idle.push(resident_mib(server.process.pid)?);
        let address = server.address;
        let following = runtime.block_on(subscribe(address));
        let following = following.map_err(|why| Error::Prepare { what: format!("{SUBSCRIBERS} subscribers"), why })?;
        thread::sleep(QUIET);
        subscribers.push(resident_mib(server.process.pid)?);
        drop(following);
        processes.stop(&server.process);
    }
    let server = start("records")?;
    let path = "/v1/stream/records";
    let (records, wait) = if options.extent.quick { (QUICK_RECORDS, QUICK_FILL_WAIT) } else { (RECORDS, FILL_WAIT) };
    let figures = runtime.block_on(async {
        create(server.address, &[path.to_owned()], Content::Binary).await?;
        fill(server.address, path, Content::Binary, records, wait).await
    })?;
    thread::sleep(QUIET);
    let records_mib = resident_mib(server.process.pid)?;
    processes.stop(&server.process);
    let of = |values| spread(values).expect("there is at least one round");
    let records = figures.requests;
    Ok(Memory { name, idle_mib: of(idle), subscribers_mib: of(subscribers), records_mib, records })
}

/// Subscribers that have got everything.
async fn subscribe(address: std::net::SocketAddr) -> Result<Vec<Subscriber>, String> {
    let (path, media_type) = ("/v1/stream/followed", "text/plain");
    Line::to(address).exchange(&request("PUT", path, Some(media_type), b""), 201).await?;
    let mut following = JoinSet::new();
    for _ in 0..SUBSCRIBERS {
        let mut subscriber = Subscriber::open(address, path).await?;
        following.spawn(async move {
            let mut bytes = 0;
            while bytes < APPENDS as usize * RECORD_BYTES {
                bytes += subscriber.next().await?.len();
            }
            Ok::<_, String>(subscriber)
        });
    }
    // A new connection: servers close those that were idle for as long as a thousand subscribers take to come.
    let mut line = Line::to(address);
    for number in 0..APPENDS {
        let append = request("POST", path, Some(media_type), &Content::Binary.record(number));
        line.exchange(&append, 204).await?;
    }
    let all = timeout(ARRIVAL_WAIT, following.join_all()).await;
    all.map_err(|_| format!("not everybody had everything after {} s", ARRIVAL_WAIT.as_secs()))?.into_iter().collect()
}
