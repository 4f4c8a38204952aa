//! Notifies systemd, or another supervisor that sets `NOTIFY_SOCKET`, that this process is ready or stopping: sd_notify(3).

use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable with the path of the supervisor's socket; a leading `@` means one without a file.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// A state of this process that its supervisor learns of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Every listener is open.
    Ready,
    /// It takes nothing new, and ends soon.
    Stopping,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            Self::Ready => "READY=1\nSTATUS=ready",
            Self::Stopping => "STOPPING=1\nSTATUS=draining",
        }
    }
}

/// Reports the state, if there is a supervisor. A failure is only logged: the supervisor then acts on its timeouts.
pub(super) fn notify(state: State) {
    let Some(socket) = std::env::var(NOTIFY_SOCKET).ok().filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, state.text()) {
        tracing::warn!(%error, socket, "cannot notify the supervisor that NOTIFY_SOCKET names");
    }
}

fn send(socket: &str, text: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None if socket.starts_with('/') => SocketAddr::from_pathname(socket)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a path, or @ and a name")),
    };
    let sender = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold up this process.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(text.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listener: &UnixDatagram, socket: &str) {
        send(socket, State::Ready.text()).unwrap();
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=ready");
    }

    #[test]
    fn a_supervisor_is_notified_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        check(&UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap());
        let name = format!("exorelay-notify-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        check(&listener, &format!("@{name}"));
    }

    #[test]
    fn any_other_socket_is_refused() {
        for socket in ["vsock:2:1234", "notify", "/nowhere/notify"] {
            assert!(send(socket, "READY=1").is_err(), "{socket}");
        }
    }
}
