//! Moleculer: the caller node makes the load itself, as a user's code in that node would, and answers with figures.

use std::process::Command;

use super::contender::Driver;
use crate::error::Error;
use crate::options::Programs;
use crate::processes::{Process, Processes};

/// Starts the node with the service and the node that calls it.
pub fn start(programs: &Programs, processes: &Processes) -> Result<(Vec<Process>, Driver), Error> {
    let modules = programs.path(&programs.moleculer, "moleculer")?;
    let scripts = programs.path(&programs.moleculer_scripts, "moleculer")?;
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
