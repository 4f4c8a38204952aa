//! ExoRelay: one sidecar with the embedded bus, or two sidecars and a broker.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::contender::{Driver, own_service};
use crate::error::Error;
use crate::load::{HttpTarget, get_status};
use crate::options::Programs;
use crate::processes::{Process, Processes};

const READY_WAIT: Duration = Duration::from_secs(15);
const READY_PAUSE: Duration = Duration::from_millis(20);
const ANY: &str = "127.0.0.1:0";

/// Arguments of `exorelay run`.
pub struct Sidecar {
    /// Its name in the tables.
    pub process_role: &'static str,
    /// Its role on the bus.
    pub role: &'static str,
    /// `embedded`, or the broker's address as a URL.
    pub bus: String,
    /// The service behind it, when it has one: it then receives `echo`.
    pub service: Option<SocketAddr>,
}

impl Sidecar {
    /// Starts the process. Returns at once.
    pub fn start(&self, programs: &Programs, processes: &Processes) -> Result<Process, Error> {
        let mut command = Command::new(programs.path(&programs.exorelay, "exorelay")?);
        command.args(["run", "--role", self.role, "--bus", &self.bus, "--listen", ANY, "--api", ANY]);
        if let Some(service) = self.service {
            command.args(["--receives", "echo", "--forward", &format!("http://{service}")]);
        }
        processes.start(self.process_role, &mut command)
    }
}

pub fn start_one(
    programs: &Programs,
    processes: &Processes,
    runtime: &Runtime,
) -> Result<(Vec<Process>, Driver), Error> {
    programs.path(&programs.exorelay, "exorelay")?;
    let mut service = own_service(processes, "service", &["webhook"])?;
    let (webhook, _) = service.ready("webhook")?;
    let sidecar = Sidecar { process_role: "sidecar", role: "echo", bus: "embedded".to_owned(), service: Some(webhook) };
    let mut sidecar = sidecar.start(programs, processes)?;
    let address = ready(&mut sidecar, runtime)?;
    Ok((vec![sidecar, service], Driver::Http(request_echo(address))))
}

pub fn start_two(
    programs: &Programs,
    processes: &Processes,
    runtime: &Runtime,
) -> Result<(Vec<Process>, Driver), Error> {
    let exorelay = programs.path(&programs.exorelay, "exorelay")?;
    let mut broker = processes.start("broker", Command::new(exorelay).args(["broker", "--listen", ANY]))?;
    let bus = format!("http://{}", broker.ready("broker")?.0);
    let mut service = own_service(processes, "service", &["webhook"])?;
    let (webhook, _) = service.ready("webhook")?;
    let echo = Sidecar { process_role: "sidecar 2", role: "echo", bus: bus.clone(), service: Some(webhook) };
    let mut echo = echo.start(programs, processes)?;
    let mut caller =
        Sidecar { process_role: "sidecar 1", role: "caller", bus, service: None }.start(programs, processes)?;
    ready(&mut echo, runtime)?;
    let address = ready(&mut caller, runtime)?;
    Ok((vec![caller, broker, echo, service], Driver::Http(request_echo(address))))
}

/// Waits until the sidecar's api is announced and `GET /ready` on it answers 200; returns the api's address.
pub fn ready(sidecar: &mut Process, runtime: &Runtime) -> Result<SocketAddr, Error> {
    let (address, _) = sidecar.ready("api")?;
    let deadline = Instant::now() + READY_WAIT;
    loop {
        let last = match runtime.block_on(get_status(address, "/ready")) {
            Ok((status, _)) if status.is_success() => return Ok(address),
            Ok((status, body)) => format!("{status} {}", String::from_utf8_lossy(&body)),
            Err(error) => error,
        };
        if Instant::now() > deadline {
            let what = format!("answers GET /ready with {last:?} for {} s", READY_WAIT.as_secs());
            return Err(Error::NotReady { name: sidecar.role.to_owned(), what, log: String::new() });
        }
        std::thread::sleep(READY_PAUSE);
    }
}

fn request_echo(address: SocketAddr) -> HttpTarget {
    HttpTarget { address, path: "/request/echo" }
}
