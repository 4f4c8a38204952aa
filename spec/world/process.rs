//! Real processes: the binary under test, and sample services.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::eventually::eventually;

/// A running process, ended when it is dropped.
#[derive(Debug)]
pub struct Process {
    program: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a program; its output is collected line by line.
    pub fn start(program: &str, arguments: Vec<String>, environment: BTreeMap<String, String>) -> Self {
        let mut command = Command::new(program);
        command.args(&arguments).envs(&environment).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let output = collect(child.stdout.take().expect("stdout is piped"));
        let log = collect(child.stderr.take().expect("stderr is piped"));
        Self { program: program.into(), arguments, environment, child, output, log }
    }

    /// Starts the binary under test. Listeners without an address get a free port, and all must be ready.
    pub async fn exorelay(line: &[String], environment: BTreeMap<String, String>) -> Self {
        let systems: &[(&str, &str)] = match line.first().map(String::as_str) {
            // Over a WebSocket nothing listens for the broker.
            Some("run")
                if line.iter().any(|argument| argument.starts_with("ws://") || argument.starts_with("wss://")) =>
            {
                &[("api", "--api")]
            }
            Some("run") if line.iter().any(|argument| argument == "--edge") => {
                &[("listen", "--listen"), ("api", "--api"), ("edge", "--edge")]
            }
            Some("run") => &[("listen", "--listen"), ("api", "--api")],
            Some("dev") => &[("listen", "--listen"), ("api", "--api"), ("broker", "--broker"), ("edge", "--edge")],
            Some("streams") => &[("streams", "--listen")],
            Some("broker") => &[("broker", "--listen")],
            other => panic!("{other:?} is no server"),
        };
        let mut arguments = line.to_vec();
        for (_, flag) in systems {
            if !arguments.iter().any(|argument| argument == flag) {
                arguments.extend([(*flag).to_owned(), "127.0.0.1:0".to_owned()]);
            }
        }
        let mut process = Self::start(env!("CARGO_BIN_EXE_exorelay"), arguments, environment);
        for (system, flag) in systems {
            let address = process.address(system).await;
            let place = process.arguments.iter().position(|argument| argument == flag).expect("it was just added");
            process.arguments[place + 1] = address;
        }
        process
    }

    /// Returns true if it runs this command of the binary.
    pub fn is(&self, command: &str) -> bool {
        self.arguments.first().is_some_and(|argument| argument == command)
    }

    /// Returns true if it has this option.
    pub fn has(&self, option: &str) -> bool {
        self.arguments.iter().any(|argument| argument == option)
    }

    /// Returns the address of one of its listeners, once announced.
    pub async fn address(&mut self, system: &str) -> String {
        let marker = format!(r#""system":"{system}","status":"ready","address":""#);
        eventually((system.to_owned(), self.log.clone()), || async {
            let line = self.lines().into_iter().find(|line| line.contains(&marker))?;
            Some(line.split(&marker).nth(1)?.trim_end_matches("\"}").to_owned())
        })
        .await
    }

    /// The rest of the first line that has `marker` in it, once there is one.
    pub async fn after(&self, marker: &str) -> String {
        eventually(marker.to_owned(), || async {
            self.lines().iter().find_map(|line| line.split_once(marker).map(|(_, rest)| rest.to_owned()))
        })
        .await
    }

    /// Returns its output so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// Returns its log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().expect("it has not ended yet").to_string();
        let status = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name} to {id}");
    }

    pub async fn wait(&mut self) -> i32 {
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("it did not end: {}", self.log()));
        status.expect("a child can be waited for").code().expect("it ended by itself")
    }

    /// Kills it and starts it again, at the same addresses.
    pub async fn kill_and_restart(&mut self) {
        self.child.kill().await.expect("it can be killed");
        let (arguments, environment) = (self.arguments.clone(), self.environment.clone());
        *self = match self.program.ends_with("exorelay") {
            true => Self::exorelay(&arguments, environment).await,
            false => Self::start(&self.program, arguments, environment),
        };
    }
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collected = lines.clone();
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            collected.lock().unwrap().push(line);
        }
    });
    lines
}
