//! NATS request/reply: a server, a responder, and one connection for all calls.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::contender::{Driver, own_service};
use crate::error::Error;
use crate::load::NatsTarget;
use crate::options::Programs;
use crate::processes::{Process, Processes};

const READY_WAIT: Duration = Duration::from_secs(10);
const READY_PAUSE: Duration = Duration::from_millis(20);

/// Starts the server and the responder.
pub fn start(programs: &Programs, processes: &Processes) -> Result<(Vec<Process>, Driver), Error> {
    let (broker, server) = start_server(programs, processes)?;
    let mut service = own_service(processes, "service", &["nats-responder", "--server", &server.to_string()])?;
    service.ready("nats-responder")?;
    Ok((vec![broker, service], Driver::Nats(NatsTarget { server })))
}

/// Starts the server on a free port; it takes clients when this returns.
pub fn start_server(programs: &Programs, processes: &Processes) -> Result<(Process, SocketAddr), Error> {
    let binary = programs.path(&programs.nats_server, "nats-server")?;
    let mut command = Command::new(binary);
    command.args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"]).arg(processes.scratch());
    let broker = processes.start("broker", &mut command)?;
    let ports_file = processes.scratch().join(format!("nats-server_{}.ports", broker.pid));
    let deadline = Instant::now() + READY_WAIT;
    loop {
        if let Some(server) = client_address(&ports_file) {
            return Ok((broker, server));
        }
        if Instant::now() > deadline {
            return Err(broker.not_ready(format!("opened no port within {} s", READY_WAIT.as_secs())));
        }
        std::thread::sleep(READY_PAUSE);
    }
}

/// The server's client port from the file it writes: `{"nats":["nats://127.0.0.1:41234"]}`.
fn client_address(ports_file: &Path) -> Option<SocketAddr> {
    let ports: Value = serde_json::from_slice(&fs::read(ports_file).ok()?).ok()?;
    ports.pointer("/nats/0")?.as_str()?.strip_prefix("nats://")?.parse().ok()
}
