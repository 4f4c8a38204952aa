//! The processes under measurement: started, listened to, and ended whatever happens to the run.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::Error;

const LINES_MAX: usize = 1024;
const READY_WAIT: Duration = Duration::from_secs(20);
const STOP_WAIT: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_millis(2);
const LOG_TAIL_BYTES: usize = 400;

/// Owner of every process that the run has started, and of its scratch folder. Cheap to clone; when the last clone
/// goes, or [`Processes::end_all`] is called, the processes are killed and the folder is removed.
#[derive(Clone)]
pub struct Processes {
    owner: Arc<Owner>,
}

struct Owner {
    scratch: PathBuf,
    started: AtomicU64,
    running: Mutex<Vec<Child>>,
}

/// One running process.
pub struct Process {
    /// Part that it plays in its contender: `sidecar`, `service`, ...
    pub role: &'static str,
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub started: Instant,
    stdin: ChildStdin,
    lines: Receiver<(Instant, String)>,
    seen: Vec<Ready>,
    log: PathBuf,
}

/// A listener's announcement.
#[derive(Clone, Debug, Deserialize)]
struct Ready {
    system: String,
    status: String,
    address: SocketAddr,
    #[serde(skip)]
    at: Option<Instant>,
}

impl Processes {
    /// Makes the scratch folder, in the system's folder for temporary files.
    pub fn new() -> Result<Self, Error> {
        Self::below(&std::env::temp_dir())
    }

    /// Makes the scratch folder in `folder`.
    pub fn below(folder: &Path) -> Result<Self, Error> {
        let scratch = folder.join(format!("exorelay-bench-{}", std::process::id()));
        fs::create_dir_all(&scratch).map_err(|source| Error::Scratch { path: scratch.clone(), source })?;
        Ok(Self { owner: Arc::new(Owner { scratch, started: AtomicU64::new(0), running: Mutex::new(Vec::new()) }) })
    }

    /// The run's folder for configuration files and logs.
    pub fn scratch(&self) -> &Path {
        &self.owner.scratch
    }

    /// Writes `text` to a file of that name in the scratch folder and returns its path.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.owner.scratch.join(name);
        fs::write(&path, text).map_err(|source| Error::Scratch { path: path.clone(), source })?;
        Ok(path)
    }

    /// Starts `command` with its standard streams taken over: stdout is read line by line, stderr goes to a log.
    pub fn start(&self, role: &'static str, command: &mut Command) -> Result<Process, Error> {
        let mut running = self.owner.running();
        let log = self.owner.scratch.join(format!("{}-{role}.log", self.owner.started.fetch_add(1, Ordering::Relaxed)));
        let stderr = File::create(&log).map_err(|source| Error::Scratch { path: log.clone(), source })?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let started = Instant::now();
        let mut child = command.spawn().map_err(|source| Error::Spawn { name: role.to_owned(), source })?;
        let pid = child.id();
        let stdin = child.stdin.take().expect("the command asked for a pipe");
        let stdout = child.stdout.take().expect("the command asked for a pipe");
        running.push(child);
        let (sender, lines) = sync_channel(LINES_MAX);
        thread::Builder::new().name(format!("stdout-{role}")).spawn(move || forward(stdout, &sender))?;
        Ok(Process { role, pid, started, stdin, lines, seen: Vec::new(), log })
    }

    /// Asks the process to end (SIGTERM), and after 5 s kills it. Returns its exit status; `None` when it had to be
    /// killed.
    pub fn stop(&self, process: &Process) -> Option<ExitStatus> {
        let pid = i32::try_from(process.pid).ok().and_then(rustix::process::Pid::from_raw)?;
        let mut running = self.owner.running();
        let at = running.iter().position(|child| child.id() == process.pid)?;
        let mut child = running.swap_remove(at);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        let deadline = Instant::now() + STOP_WAIT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            thread::sleep(STOP_POLL);
        }
        end(&mut child);
        None
    }

    /// Kills everything that still runs and removes the scratch folder.
    pub fn end_all(&self) {
        self.owner.end_all();
    }

    /// As [`Processes::end_all`], then ends this process with `code`. Nothing can be started in between.
    pub fn end_all_and_exit(&self, code: i32) -> ! {
        let mut running = self.owner.running();
        running.iter_mut().for_each(end);
        fs::remove_dir_all(&self.owner.scratch).ok();
        std::process::exit(code)
    }
}

impl Owner {
    fn running(&self) -> MutexGuard<'_, Vec<Child>> {
        // A list of children is whole at every step, so a panic elsewhere does not spoil it.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_all(&self) {
        self.running().drain(..).for_each(|mut child| end(&mut child));
        fs::remove_dir_all(&self.scratch).ok();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Process {
    /// Waits until listener `system` is announced; returns its address and how long that took since the start.
    pub fn ready(&mut self, system: &str) -> Result<(SocketAddr, Duration), Error> {
        let deadline = Instant::now() + READY_WAIT;
        loop {
            if let Some(ready) = self.seen.iter().find(|ready| ready.system == system) {
                let took = ready.at.map_or(Duration::ZERO, |at| at.duration_since(self.started));
                return Ok((ready.address, took));
            }
            let (at, line) = self.next_line(deadline, &format!("announced no {system:?} listener"))?;
            if let Ok(ready) = serde_json::from_str::<Ready>(&line)
                && ready.status == "ready"
            {
                self.seen.push(Ready { at: Some(at), ..ready });
            }
        }
    }

    /// Writes one line to the process and waits up to `wait` for its next line.
    pub fn ask(&mut self, line: &str, wait: Duration) -> Result<String, Error> {
        writeln!(self.stdin, "{line}")?;
        self.stdin.flush()?;
        self.line(wait)
    }

    /// Waits up to `wait` for the process's next line.
    pub fn line(&mut self, wait: Duration) -> Result<String, Error> {
        Ok(self.next_line(Instant::now() + wait, "gave no answer")?.1)
    }

    fn next_line(&self, deadline: Instant, complaint: &str) -> Result<(Instant, String), Error> {
        use std::sync::mpsc::RecvTimeoutError;

        let wait = deadline.saturating_duration_since(Instant::now());
        let what = match self.lines.recv_timeout(wait) {
            Ok(line) => return Ok(line),
            Err(RecvTimeoutError::Timeout) => format!("{complaint} in time"),
            Err(RecvTimeoutError::Disconnected) => format!("{complaint} before it ended"),
        };
        Err(self.not_ready(what))
    }

    /// The error that says `what` the process failed to do, with the end of its log.
    pub fn not_ready(&self, what: String) -> Error {
        Error::NotReady { name: self.role.to_owned(), what, log: self.log_tail() }
    }

    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]);
        let tail = tail.split_whitespace().collect::<Vec<_>>().join(" ");
        if tail.is_empty() { String::new() } else { format!("; its log ends: {tail}") }
    }
}

/// Reads to the end, so that the process never blocks on a full pipe; lines that nobody waits for are dropped.
fn forward(stdout: ChildStdout, lines: &SyncSender<(Instant, String)>) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { return };
        lines.try_send((Instant::now(), line)).ok();
    }
}

fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}
