//! Cost of an idle sidecar: time from start to ready, and memory.

use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::contenders::{Sidecar, own_service, ready};
use crate::error::Error;
use crate::options::Programs;
use crate::processes::Processes;
use crate::results::{Spread, spread};

const STARTS: usize = 10;
const SETTLE: Duration = Duration::from_millis(300);

/// Figures of ten starts of `exorelay run` with the embedded bus and a service.
pub struct Startup {
    /// Milliseconds from the start of the process to its api's ready line.
    pub ready_ms: Spread,
    /// Resident MiB, 0.3 s after it answered `GET /ready` with 200.
    pub idle_mib: Spread,
    /// Starts that did not end with status 0 after SIGTERM.
    pub bad_ends: Vec<String>,
}

/// Starts the sidecar ten times, one after the other.
pub fn measure(programs: &Programs, processes: &Processes, runtime: &Runtime) -> Result<Startup, Error> {
    let mut service = own_service(processes, "service", &["webhook"])?;
    let (webhook, _) = service.ready("webhook")?;
    let sidecar = Sidecar { process_role: "sidecar", role: "echo", bus: "embedded".to_owned(), service: Some(webhook) };
    let (mut ready_ms, mut idle_mib, mut bad_ends) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut process = sidecar.start(programs, processes)?;
        let (_, took) = process.ready("api")?;
        ready(&mut process, runtime)?;
        thread::sleep(SETTLE);
        ready_ms.push(took.as_secs_f64() * 1e3);
        idle_mib.push(crate::usage::resident_mib(process.pid)?);
        match processes.stop(&process) {
            Some(status) if status.success() => {}
            Some(status) => bad_ends.push(format!("sidecar ended with {status} after SIGTERM")),
            None => bad_ends.push("sidecar had to be killed after SIGTERM".to_owned()),
        }
    }
    processes.stop(&service);
    let ready_ms = spread(ready_ms).expect("there were starts");
    let idle_mib = spread(idle_mib).expect("there were starts");
    Ok(Startup { ready_ms, idle_mib, bad_ends })
}
