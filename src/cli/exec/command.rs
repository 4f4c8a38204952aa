//! Runs a shell command for one message.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::app::ProcessGroup;
use crate::message::Message;

/// Maximum length of the output of one run.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

/// Maximum length of an `auth` in a variable.
const AUTH_BYTES_MAX: usize = 64 * 1024;

/// Time to read what a command has printed, once it has ended: processes that it left behind may keep its output open.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// Exit codes by which a shell says that it cannot run a command.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Result of a run.
pub(super) enum Ran {
    /// It exited with 0, and has printed this.
    Handled(Bytes),
    /// It failed; the reason, for people.
    Failed(String),
    /// It cannot be run, now or later; the reason, for people.
    Impossible(String),
}

/// Runs `command` in a shell: the payload is its stdin, the envelope is in variables. Ends it, with all its processes, after
/// `timeout`, and when the future is dropped.
pub(super) async fn run(command: &str, message: &Message, attempt: u32, timeout: Duration) -> Ran {
    let (mut child, mut group) = match start(command, message, attempt) {
        Ok(started) => started,
        Err(error) => return not_started(&error),
    };
    let payload = message.payload.as_ref().map(|payload| payload.as_bytes().clone()).unwrap_or_default();
    let ended = tokio::time::timeout(timeout, finish(&mut child, payload)).await;
    let (status, output) = match ended {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return Ran::Failed(error.to_string()),
        Err(_) => return Ran::Failed(format!("it was ended after {}", humantime::format_duration(timeout))),
    };
    // What it has left in the background on purpose goes on.
    group.release();
    match status.code() {
        Some(0) => Ran::Handled(output),
        Some(NOT_FOUND) => Ran::Impossible("the shell does not find a command in it (exit status 127)".to_owned()),
        Some(NOT_EXECUTABLE) => Ran::Impossible("the shell cannot execute it (exit status 126)".to_owned()),
        _ => Ran::Failed(status.to_string()),
    }
}

/// Returns the result of a run without a shell. Most causes pass, such as too many processes, or belong to the message, such
/// as long variables.
fn not_started(error: &io::Error) -> Ran {
    let reason = format!("cannot start a shell: {error}");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ran::Impossible(reason),
        _ => Ran::Failed(reason),
    }
}

fn start(command: &str, message: &Message, attempt: u32) -> io::Result<(Child, ProcessGroup)> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
    let auth = message.auth.as_ref().map(|auth| String::from_utf8_lossy(auth.as_bytes()));
    let conversation = message.conversation();
    let variables = [
        ("EXO_MESSAGE", Some(message.name.as_str())),
        ("EXO_MESSAGE_ID", Some(message.id.as_str())),
        ("EXO_ACTIVITY_ID", Some(conversation.as_str())),
        ("EXO_SENDER", message.sender.as_ref().map(|sender| sender.as_str())),
        ("EXO_RESPONSE_TO", message.response_to.as_ref().map(|id| id.as_str())),
        ("EXO_AUTH", auth.as_deref().filter(|auth| auth.len() <= AUTH_BYTES_MAX)),
        ("TRACEPARENT", message.trace.as_ref().map(|trace| trace.as_str())),
    ];
    for (name, text) in variables {
        match text {
            Some(text) => shell.env(name, text),
            None => shell.env_remove(name),
        };
    }
    // In a group of its own: Ctrl-C in the terminal reaches only this process, which lets running commands finish.
    ProcessGroup::spawn(shell.env("EXO_ATTEMPT", attempt.to_string()))
}

/// Writes the payload, and reads the output until the shell has ended. Errors: the output is too long, or cannot be read.
async fn finish(child: &mut Child, payload: Bytes) -> io::Result<(std::process::ExitStatus, Bytes)> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut output = Vec::new();
    let status = {
        let reading = async {
            let ((), read) = tokio::join!(write(stdin, payload), read(stdout, &mut output));
            read
        };
        tokio::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await?
            }
            status = child.wait() => {
                if let Ok(read) = tokio::time::timeout(OUTPUT_GRACE, reading).await {
                    read?;
                }
                status?
            }
        }
    };
    Ok((status, output.into()))
}

async fn write(stdin: Option<ChildStdin>, payload: Bytes) {
    if let Some(mut stdin) = stdin {
        // A command need not read its input.
        drop(stdin.write_all(&payload).await);
    }
}

async fn read(stdout: Option<ChildStdout>, output: &mut Vec<u8>) -> io::Result<()> {
    let Some(stdout) = stdout else { return Ok(()) };
    stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(output).await?;
    match output.len() as u64 > OUTPUT_BYTES_MAX {
        true => Err(io::Error::other(format!("its output is over the limit of {OUTPUT_BYTES_MAX} bytes"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_shell_makes_every_run_impossible() {
        for (kind, is_impossible) in [
            (io::ErrorKind::NotFound, true),
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::WouldBlock, false),
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::ArgumentListTooLong, false),
        ] {
            assert_eq!(matches!(not_started(&kind.into()), Ran::Impossible(_)), is_impossible, "{kind}");
        }
    }
}
