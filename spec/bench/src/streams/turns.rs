//! One server under one load.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::calls::{Allowance, Append, Create, Fill, Line, Read};
use super::client::request;
use super::contender::{Durability, Keeps, Name, SERVER, Server};
use super::follow;
use super::loads::{Content, Family, Load, READ_BYTES, RECORD_BYTES, Work, payload};
use crate::cells::{Cell, Shape};
use crate::error::Error;
use crate::load::{self, Figures, Phases};
use crate::options::Streams;
use crate::processes::Processes;
use crate::samples::Sample;
use crate::usage::Reading;

/// No load appends more than this in one turn: several times what any contender does in its warm-up.
const TURN_BYTES_MAX: u64 = 640 * 1024 * 1024;
const TURN_CALLS_MAX: u64 = 1_000_000_000;
/// Connections that fill a stream or a store.
pub const FILLERS: usize = 64;
/// Connections that make and remove streams.
const SENDERS: usize = 16;
/// Time limit for filling a large stream; what was written by then is read.
const FILL_WAIT: Duration = Duration::from_secs(15);
const QUICK_FILL_WAIT: Duration = Duration::from_secs(3);
/// So much longer are the measured phases of events, whose pace is slow.
const FOLLOW_FACTOR: u32 = 3;

/// A started contender.
pub struct Contender {
    /// Which.
    pub name: Name,
    server: Server,
    small: Bytes,
    large: Vec<Large>,
    turns: u64,
}

/// A stream that was made by small appends.
struct Large {
    content: Content,
    expected: Bytes,
}

impl Contender {
    /// Starts the contender and makes the streams that are read.
    pub fn start(name: Name, options: &Streams, processes: &Processes, runtime: &Runtime) -> Result<Self, Error> {
        let folder: PathBuf = processes.scratch().join(name.word());
        let server = name.start(&options.programs, processes, &folder, Durability::Synced)?;
        let mut contender = Self { name, server, small: payload(READ_BYTES), large: Vec::new(), turns: 0 };
        if name != Name::Nginx {
            runtime.block_on(contender.prepare(options))?;
        }
        Ok(contender)
    }

    /// Runs `load` once: warm-up, then the measured phase. Failed calls are in the sample; an error means that the
    /// server is gone, or refused what the load needs.
    pub fn measure(&mut self, load: &Load, phases: Phases, runtime: &Runtime) -> Result<Sample, Error> {
        if self.name.keeps() == Keeps::Disk {
            // What others have left to be written is not this one's burden.
            rustix::fs::sync();
        }
        self.turns += 1;
        let pid = self.server.process.pid;
        let read = || Reading::now([pid]);
        let measured = runtime.block_on(async {
            match load.work {
                Work::Append { streams } => self.append(load, streams, phases, read).await,
                Work::Create => {
                    let folder = format!("/v1/stream/create/{}", self.turns);
                    let callers = Create::callers(self.server.address, &folder, TURN_CALLS_MAX, load.connections);
                    load::run(callers, &load.cell(), phases, read).await
                }
                Work::Read => {
                    let path = if self.name == Name::Nginx { "/small" } else { SMALL };
                    let callers =
                        Read::callers(self.server.address, path, Content::Binary, &self.small, load.connections);
                    load::run(callers, &load.cell(), phases, read).await
                }
                Work::CatchUp(content) => self.catch_up(load, content, phases, read).await,
                Work::Follow => {
                    let path = format!("/v1/stream/follow/{}", self.turns);
                    let phases = Phases { measured: phases.measured * FOLLOW_FACTOR, ..phases };
                    follow::run(self.server.address, &path, load.connections, phases, read).await
                }
            }
        });
        measured.and_then(|measured| Sample::of(measured, &[(SERVER, pid)])).map_err(|error| match error {
            Error::Usage { .. } => self.server.process.not_ready("ended during the run".to_owned()),
            error => error,
        })
    }

    /// MiB of the large stream of that content.
    pub fn large_mib(&self, content: Content) -> Option<f64> {
        let large = self.large.iter().find(|large| large.content == content)?;
        Some(large.expected.len() as f64 / f64::from(1024 * 1024))
    }

    async fn append(
        &self,
        load: &Load,
        streams: usize,
        phases: Phases,
        read: impl Fn() -> Result<Reading, Error>,
    ) -> Result<load::Measured<Reading>, Error> {
        let address = self.server.address;
        let paths: Vec<String> =
            (0..streams).map(|stream| format!("/v1/stream/append/{}/{stream}", self.turns)).collect();
        let keeps = self.name != Name::Nginx;
        if keeps {
            create(address, &paths, Content::Binary).await?;
        }
        let (payload, left) = (payload(load.bytes), Allowance::of(TURN_BYTES_MAX / load.bytes as u64));
        let caller = |number: usize| {
            // Either a caller has several streams of its own, or a stream has several callers.
            let own: Vec<String> = match streams > load.connections {
                true => paths.iter().skip(number).step_by(load.connections).cloned().collect(),
                false => vec![paths[number % streams].clone()],
            };
            Append::new(address, &own, &payload, keeps, left.clone())
        };
        let callers = (0..load.connections).map(caller).collect();
        let measured = load::run(callers, &load.cell(), phases, read).await;
        if keeps {
            delete(address, &paths).await?;
        }
        measured
    }

    async fn catch_up(
        &self,
        load: &Load,
        content: Content,
        phases: Phases,
        read: impl Fn() -> Result<Reading, Error>,
    ) -> Result<load::Measured<Reading>, Error> {
        let large = self.large.iter().find(|large| large.content == content);
        let large = large.ok_or_else(|| Error::Absent("the large stream was not made".to_owned()))?;
        let path = large_path(content);
        let callers = Read::callers(self.server.address, &path, content, &large.expected, load.connections);
        let mut measured = load::run(callers, &load.cell(), phases, read).await?;
        // Streams of slow contenders are smaller.
        measured.figures.per_second *= self.large_mib(content).unwrap_or_default();
        Ok(measured)
    }

    async fn prepare(&mut self, options: &Streams) -> Result<(), Error> {
        let address = self.server.address;
        let wanted = |family| options.loads.is_empty() || options.loads.contains(&family);
        let put = request("PUT", SMALL, Some(Content::Binary.media_type()), &self.small);
        let created = Line::to(address).exchange(&put, 201).await;
        created.map_err(|why| Error::Prepare { what: "the small stream".to_owned(), why })?;
        if wanted(Family::CatchUp) {
            let (mib, wait) = if options.extent.quick { (1, QUICK_FILL_WAIT) } else { (10, FILL_WAIT) };
            let records = (mib * 1024 * 1024_u64).div_ceil(RECORD_BYTES as u64);
            for content in [Content::Binary, Content::Json] {
                let path = large_path(content);
                create(address, std::slice::from_ref(&path), content).await?;
                let figures = fill(address, &path, content, records, wait).await?;
                let expected = Read::all(address, &path, content).await.and_then(|all| {
                    check(content, &all, figures.requests)?;
                    Ok(all)
                });
                let expected = expected.map_err(|why| Error::Prepare { what: format!("reading {path}"), why })?;
                self.large.push(Large { content, expected: expected.into() });
            }
        }
        Ok(())
    }
}

const SMALL: &str = "/v1/stream/small";

fn large_path(content: Content) -> String {
    format!("/v1/stream/large/{content:?}").to_lowercase()
}

/// Creates empty streams.
pub async fn create(address: SocketAddr, paths: &[String], content: Content) -> Result<(), Error> {
    let created = |path: &String| request("PUT", path, Some(content.media_type()), b"");
    send_all(address, paths.iter().map(created).collect(), 201)
        .await
        .map_err(|why| Error::Prepare { what: "creating streams".to_owned(), why })
}

async fn delete(address: SocketAddr, paths: &[String]) -> Result<(), Error> {
    let deleted = |path: &String| request("DELETE", path, None, b"");
    send_all(address, paths.iter().map(deleted).collect(), 204)
        .await
        .map_err(|why| Error::Prepare { what: "deleting streams".to_owned(), why })
}

/// Sends requests that have nothing to do with each other, several at a time, and expects `status` of each.
async fn send_all(address: SocketAddr, requests: Vec<Bytes>, status: u16) -> Result<(), String> {
    let mut sending = JoinSet::new();
    for share in requests.chunks(requests.len().div_ceil(SENDERS).max(1)) {
        let share = share.to_vec();
        sending.spawn(async move {
            let mut line = Line::to(address);
            for request in share {
                line.exchange(&request, status).await?;
            }
            Ok::<_, String>(())
        });
    }
    sending.join_all().await.into_iter().collect()
}

/// Appends `records` records one by one, from many connections, as long as `wait` allows.
pub async fn fill(
    address: SocketAddr,
    path: &str,
    content: Content,
    records: u64,
    wait: Duration,
) -> Result<Figures, Error> {
    let callers = Fill::callers(address, path, content, records, FILLERS);
    let cell = Cell { title: "", shape: Shape::Closed { in_flight: FILLERS }, payload_bytes: RECORD_BYTES };
    let phases = Phases { warm_up: Duration::ZERO, measured: wait };
    let figures = load::run(callers, &cell, phases, || Ok(())).await?.figures;
    match &figures.first_error {
        Some(why) => Err(Error::Prepare { what: format!("filling {path}"), why: why.clone() }),
        None => Ok(figures),
    }
}

/// Returns true if these are that number of records, each of them once.
fn check(content: Content, all: &[u8], records: u64) -> Result<(), String> {
    let stride = RECORD_BYTES + usize::from(content == Content::Json);
    let mut numbers = Vec::new();
    for (at, record) in all.chunks(stride).enumerate() {
        let number = content.number(&record[..record.len().min(RECORD_BYTES)]);
        numbers.push(number.ok_or_else(|| format!("record {at} is {}", super::client::excerpt(record)))?);
    }
    numbers.sort_unstable();
    if numbers.iter().copied().ne(0..records) {
        return Err(format!("{records} records were appended, and {} are there, or others", numbers.len()));
    }
    Ok(())
}
