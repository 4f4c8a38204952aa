//! Starts a service, watches it, starts it again, and stops it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::group::ProcessGroup;
use super::output::Output;
use super::restarts::Restarts;
use super::service::{Prepared, Restart};
use super::signals::PassedSignals;
use crate::app::Error;
use crate::http::accepts;

/// Interval of looking whether the service accepts connections, and whether all its processes have ended.
const INTERVAL: Duration = Duration::from_millis(25);

/// Timeout of one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time after which a service that does not accept connections is reported.
const SLOW: Duration = Duration::from_secs(10);

/// The end of a service that is not started again.
#[derive(Debug, Clone)]
pub(in crate::app) enum Ended {
    /// It has ended with this status.
    Exited(ExitStatus),
    /// It cannot be started: the system's reason.
    NotStarted(String),
}

impl Ended {
    /// Returns the end of the sidecar of such a service. Errors: [`Error::ServiceEnded`], [`Error::ServiceNotStarted`].
    pub(in crate::app) fn into_result(self, program: String) -> Result<(), Error> {
        match self {
            Self::Exited(status) if status.success() => Ok(()),
            Self::Exited(status) => Err(Error::ServiceEnded { status }),
            Self::NotStarted(cause) => Err(Error::ServiceNotStarted { program, cause }),
        }
    }
}

/// A service that runs. Dropping it ends all its processes at once.
pub(in crate::app) struct Supervised {
    stop: oneshot::Sender<Instant>,
    ended: watch::Receiver<Option<Ended>>,
    task: AbortOnDropHandle<()>,
}

impl Supervised {
    /// Starts the service, and calls `accepts` once it accepts connections. Errors: the system refuses to report signals.
    pub(in crate::app) fn start(service: Prepared, accepts: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let supervisor = Supervisor {
            service,
            signals: PassedSignals::listen()?,
            accepts: Some(Box::new(accepts)),
            restarts: Restarts::new(),
        };
        let task = tokio::spawn(async move {
            let outcome = supervisor.run(stopped).await;
            end.send_replace(outcome);
        });
        Ok(Self { stop, ended, task: AbortOnDropHandle::new(task) })
    }

    /// Returns a future that ends when the service has ended and is not started again. Cancel-safe.
    pub(in crate::app) fn ended(&self) -> impl Future<Output = Ended> + use<> {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await.as_deref().cloned() {
                Ok(Some(ended)) => ended,
                // It was stopped.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Asks the service to stop, by the signal that this process got, and ends all its processes at `deadline`. Not
    /// cancel-safe: a dropped call ends them at once.
    pub(in crate::app) async fn stop(self, deadline: Instant) {
        // Fails if it has ended already.
        self.stop.send(deadline).ok();
        drop(self.task.await);
    }
}

struct Supervisor {
    service: Prepared,
    signals: PassedSignals,
    accepts: Option<Box<dyn FnOnce() + Send>>,
    restarts: Restarts,
}

/// A run of the service.
struct Running {
    child: Child,
    group: ProcessGroup,
    output: Output,
    since: Instant,
}

impl Supervisor {
    /// Runs the service until it is stopped, which returns `None`, or has ended and is not started again.
    async fn run(mut self, mut stopped: oneshot::Receiver<Instant>) -> Option<Ended> {
        let mut is_first = true;
        loop {
            let (ended, ran) = match self.start() {
                Err(error) if is_first || self.service.command.restart == Restart::Never => {
                    return Some(Ended::NotStarted(error.to_string()));
                }
                Err(error) => (error.to_string(), Duration::ZERO),
                Ok(mut running) => {
                    let status = tokio::select! {
                        status = self.watch(&mut running.child) => status,
                        deadline = &mut stopped => {
                            self.stop(running, deadline.unwrap_or_else(|_| Instant::now())).await;
                            return None;
                        }
                    };
                    let ran = running.since.elapsed();
                    running.output.end().await;
                    match status {
                        Ok(status) if self.service.command.restart == Restart::Never => {
                            return Some(Ended::Exited(status));
                        }
                        Ok(status) => (status.to_string(), ran),
                        Err(error) => (error.to_string(), ran),
                    }
                }
            };
            is_first = false;
            let pause = self.restarts.pause(ran);
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(status = ended, pause_ms, "the service has ended: it is started again");
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut stopped => return None,
            }
        }
    }

    fn start(&self) -> io::Result<Running> {
        let mut command = self.service.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut child, group) = ProcessGroup::spawn(&mut command)?;
        tracing::info!(pid = child.id(), port = self.service.port, command = self.service.program(), "service started");
        let output = Output::pass_on(&mut child, &self.service.role);
        Ok(Running { child, group, output, since: Instant::now() })
    }

    /// Waits for the end of the service, and meanwhile passes signals on to it. Cancel-safe.
    async fn watch(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        let Self { service, signals, accepts, .. } = self;
        let accepting = wait_until_it_accepts(service);
        tokio::pin!(accepting);
        let mut is_accepting = false;
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = &mut accepting, if !is_accepting => {
                    is_accepting = true;
                    tracing::info!(port = service.port, "the service accepts connections");
                    if let Some(accepts) = accepts.take() {
                        accepts();
                    }
                }
                signal = signals.next() => {
                    let id = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
                    if let Some(id) = id {
                        // Fails if it has just ended.
                        rustix::process::kill_process(id, signal).ok();
                    }
                }
            }
        }
    }

    async fn stop(&mut self, mut running: Running, deadline: Instant) {
        running.group.signal(self.signals.stop());
        let all_ended = async {
            drop(running.child.wait().await);
            while running.group.is_running() {
                sleep(INTERVAL).await;
            }
        };
        match timeout_at(deadline, all_ended).await {
            Ok(()) => tracing::info!("service stopped"),
            Err(_) => tracing::warn!("the service did not stop within drain.grace_ms: its processes are killed"),
        }
        drop(running.group);
        drop(running.child.wait().await);
        running.output.end().await;
    }
}

async fn wait_until_it_accepts(service: &Prepared) {
    let (began, mut is_reported) = (Instant::now(), false);
    loop {
        if accepts(&service.host, service.port, CONNECT_TIMEOUT).await.is_ok() {
            return;
        }
        if began.elapsed() >= SLOW && !std::mem::replace(&mut is_reported, true) {
            tracing::warn!(
                port = service.port,
                "the service does not accept connections yet: it should listen on the port in PORT"
            );
        }
        sleep(if is_reported { INTERVAL * 10 } else { INTERVAL }).await;
    }
}
