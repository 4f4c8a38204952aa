//! Starts the built binary in an empty folder and environment, stops, kills and restarts it.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Command as Tool, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::eventually::{eventually, pause};

/// Ports below the ephemeral range, so that outgoing connections do not take the port of a stopped process.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// Number of ports reserved for the tests of one process.
const BLOCK: u16 = 1_000;

/// Returns an unused address that stays free while a process restarts.
pub(crate) fn reserve_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static OURS: LazyLock<(u16, File)> = LazyLock::new(claim_block);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < BLOCK, "the tests need more than {BLOCK} ports");
        let address = format!("127.0.0.1:{}", OURS.0 + step);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// Returns the first port of a block that no other test process uses. The block is ours while the file is open.
fn claim_block() -> (u16, File) {
    let claim = |first: u16| {
        let path = std::env::temp_dir().join(format!("exorelay-spec-ports-{first}"));
        let file = File::options().create(true).append(true).open(path).ok()?;
        file.try_lock().ok().map(|()| (first, file))
    };
    PORTS.step_by(usize::from(BLOCK)).find_map(claim).expect("fewer than 20 runs at the same time")
}

/// Raises the limit of open files of this process and its children to the hard limit.
pub(crate) fn raise_file_limit() {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let hard =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().nth(4).unwrap();
    let own = std::process::id().to_string();
    let raised = Tool::new("prlimit").args(["--pid", &own, &format!("--nofile={hard}:{hard}")]).status().unwrap();
    assert!(raised.success());
}

/// The transport between relays and a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Http,
    WebSocket,
}

/// A server process, killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    arguments: Vec<String>,
    settings: Vec<(String, String)>,
    files: &'static str,
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    log: Arc<Mutex<Vec<String>>>,
    logging: JoinHandle<()>,
    folder: TempDir,
}

impl Process {
    /// Starts `exorelay LINE` and waits until it is ready. Listeners without an address get one that stays the same across
    /// restarts.
    pub(crate) async fn start(line: &str, settings: &[(&str, &str)]) -> Self {
        // The usual limit of open files, not the one raised for the tests.
        Self::start_with_files(line, settings, "1024:").await
    }

    /// Starts it with this limit of open files: `SOFT:HARD`.
    pub(crate) async fn start_with_files(line: &str, settings: &[(&str, &str)], files: &'static str) -> Self {
        let mut arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        for (_, flag) in listeners(&arguments) {
            if !arguments.iter().any(|argument| argument == flag) {
                arguments.extend([(*flag).to_owned(), reserve_address()]);
            }
        }
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let process = Self::spawn(arguments, settings, files);
        process.ready().await;
        process
    }

    fn spawn(arguments: Vec<String>, settings: Vec<(String, String)>, files: &'static str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("prlimit");
        command.args([&format!("--nofile={files}"), env!("CARGO_BIN_EXE_exorelay")]);
        command.args(&arguments).current_dir(folder.path()).env_clear().envs(settings.clone()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (output, _) = collect(child.stdout.take().unwrap());
        let (log, logging) = collect(child.stderr.take().unwrap());
        Self { arguments, settings, files, child, output, log, logging, folder }
    }

    async fn ready(&self) {
        eventually((&self.arguments, self.log.clone()), || async { self.is_ready().then_some(()) }).await;
    }

    fn is_ready(&self) -> bool {
        let output = self.output.lock().unwrap();
        let announced = |system: &str| output.iter().any(|line| line.contains(&format!(r#""system":"{system}""#)));
        listeners(&self.arguments).iter().all(|(system, _)| announced(system))
    }

    /// Returns the address of a listener.
    pub(crate) fn address(&self, system: &str) -> &str {
        let listener = listeners(&self.arguments).iter().find(|(name, _)| *name == system);
        let (_, flag) = listener.unwrap_or_else(|| panic!("{:?} has no {system}", self.arguments));
        let index = self.arguments.iter().position(|argument| argument == flag).unwrap();
        &self.arguments[index + 1]
    }

    pub(crate) fn url(&self, system: &str) -> String {
        format!("http://{}", self.address(system))
    }

    /// Returns the bus URL of a broker.
    pub(crate) fn bus(&self, transport: Transport) -> String {
        let scheme = match transport {
            Transport::Http => "http",
            Transport::WebSocket => "ws",
        };
        format!("{scheme}://{}", self.address("broker"))
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Returns what it has printed so far.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Returns the number of open files, including connections.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Tool::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills the process (SIGKILL) and waits for its end.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Restarts the ended process at the same addresses.
    pub(crate) async fn restart(&mut self) {
        *self = Self::spawn(self.arguments.clone(), self.settings.clone(), self.files);
        self.ready().await;
    }

    /// Restarts the ended process and kills it after some time, at an unknown point of its start.
    pub(crate) async fn restart_and_kill(&mut self, milliseconds: u64) {
        *self = Self::spawn(self.arguments.clone(), self.settings.clone(), self.files);
        pause(milliseconds).await;
        self.kill().await;
    }

    /// Waits for the process to exit with code 0 and no files left behind. The log is complete then.
    pub(crate) async fn exits_cleanly(&mut self) {
        self.exits_with(0).await;
    }

    /// Waits for the process to exit with this code and no files left behind. The log is complete then.
    pub(crate) async fn exits_with(&mut self, expected: i32) {
        let code = eventually(("the end", self.arguments.clone(), self.log.clone()), || {
            std::future::ready(self.child.try_wait().unwrap())
        });
        let code = code.await.code();
        (&mut self.logging).await.unwrap();
        assert_eq!(code, Some(expected), "{:?}: {}", self.arguments, self.log());
        assert!(self.folder.path().read_dir().unwrap().next().is_none(), "it left files behind");
    }

    /// Sends SIGTERM and waits for a clean exit.
    pub(crate) async fn stop(&mut self) {
        self.signal("TERM");
        self.exits_cleanly().await;
    }
}

/// Returns the listeners of a command, with the flags that set their addresses.
fn listeners(arguments: &[String]) -> &'static [(&'static str, &'static str)] {
    let embedded = arguments.iter().any(|argument| argument == "--broker");
    let connected = arguments.iter().any(|argument| argument.starts_with("ws"));
    match arguments[0].as_str() {
        "broker" => &[("broker", "--listen")],
        "dev" => &[("listen", "--listen"), ("api", "--api"), ("broker", "--broker"), ("edge", "--edge")],
        "run" if embedded => &[("listen", "--listen"), ("api", "--api"), ("broker", "--broker")],
        // With a WebSocket bus there is no listener for the broker.
        "run" if connected => &[("api", "--api")],
        "run" => &[("listen", "--listen"), ("api", "--api")],
        "streams" => &[("streams", "--listen")],
        other => panic!("{other:?} is not a server these tests can start"),
    }
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static) -> (Arc<Mutex<Vec<String>>>, JoinHandle<()>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collected = lines.clone();
    let collecting = tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            collected.lock().unwrap().push(line);
        }
    });
    (lines, collecting)
}
