//! Runs the built binary in an empty folder and environment, with a timeout.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use tempfile::TempDir;
use tokio::runtime::Builder;

use super::super::eventually::eventually;

/// A command that has not been started yet.
pub(crate) struct Program {
    command: Command,
    folder: TempDir,
    stdin: String,
}

/// Returns the command `exorelay ARGUMENTS`.
pub(crate) fn exorelay(arguments: &[&str]) -> Program {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
    command.args(arguments).current_dir(folder.path()).env_clear();
    Program { command, folder, stdin: String::new() }
}

impl Program {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file into the working directory of the command.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    pub(crate) fn start(self) -> Running {
        let stdin = self.stdin.clone();
        let mut running = self.start_open();
        // A command that does not read its stdin may have closed it.
        drop(running.stdin().write_all(stdin.as_bytes()));
        running
    }

    /// Starts the command; the caller writes its stdin.
    pub(crate) fn start_open(mut self) -> Running {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Running { child, stdout, folder: self.folder }
    }

    pub(crate) fn finish(self) -> Finished {
        self.start().finish()
    }
}

/// A running command, killed on drop.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Running {
    /// Takes the writer of stdin; dropping it closes stdin.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Takes the reader of stdout; dropping it closes stdout.
    pub(crate) fn stdout(&mut self) -> BufReader<ChildStdout> {
        self.stdout.take().unwrap()
    }

    /// Reads the next line of stdout, without the line break.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for a file in the working directory of the command.
    pub(crate) fn wait_for_file(&self, name: &str) {
        wait_for(name.to_owned(), || self.folder.path().join(name).exists().then_some(()));
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends SIGINT again and again, and waits for the command to end.
    pub(crate) fn interrupt_until_it_ends(mut self) -> Finished {
        let id = self.child.id().to_string();
        wait_for("the command's end", || {
            let ended = self.child.try_wait().unwrap().is_some();
            ended.then_some(()).or_else(|| Command::new("kill").args(["-INT", &id]).status().map(|_| None).unwrap())
        });
        self.finish()
    }

    /// Waits for the command to end.
    pub(crate) fn finish(mut self) -> Finished {
        let stdout = self.stdout.take().map(read_all);
        let stderr = self.child.stderr.take().map(read_all);
        let status = wait_for("the command's end", || self.child.try_wait().unwrap());
        let text = |reader: Option<thread::JoinHandle<String>>| reader.map(|it| it.join().unwrap()).unwrap_or_default();
        Finished { code: status.code(), stdout: text(stdout), stderr: for_people(&text(stderr)) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Polls until `ask` returns a value, for tests that are not async.
pub(crate) fn wait_for<T>(what: impl Debug, mut ask: impl FnMut() -> Option<T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(eventually(what, || std::future::ready(ask())))
}

fn read_all(mut source: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        text
    })
}

/// Shows the errors of servers, which are JSON, as on a terminal.
fn for_people(stderr: &str) -> String {
    let shown = |line: &str| {
        let error: Option<serde_json::Value> = serde_json::from_str(line).ok();
        match error.filter(|error| error["target"] == "exorelay" && error["level"] == "ERROR") {
            Some(error) => format!("exorelay: {}", error["message"].as_str().unwrap()),
            None => line.trim_end_matches('\n').to_owned(),
        }
    };
    stderr.split_inclusive('\n').map(|line| shown(line) + if line.ends_with('\n') { "\n" } else { "" }).collect()
}

/// The exit code and output of a command.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Checks the exit code, and that stdout or stderr contains `text`.
    pub(crate) fn check(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "no {text:?} in {self:?}");
    }
}

/// Reads a file of the repository.
pub(crate) fn repository_file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}
