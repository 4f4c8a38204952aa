//! The sockets of listeners: TCP, or a Unix socket in the file system.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};

use super::answering::Scheme;
use super::opening::Accepted;
use crate::http::access::Reach;

/// The beginning of the address of a Unix socket.
const UNIX: &str = "unix:";

/// Maximum length of the path of a Unix socket: that of `sun_path` without its end. unix(7).
const PATH_BYTES_MAX: usize = 107;

/// Maximum number of connections that wait to be accepted at a Unix socket.
const BACKLOG: u32 = 1024;

/// A listener could not be opened. The message is one line that names the address and the option that sets it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The text is not `host:port`.
    #[error(
        "cannot listen on {address:?}: expected HOST:PORT such as 127.0.0.1:4000 (port 0 takes a free one); set it with {option}"
    )]
    NotAnAddress {
        /// The way to choose another address, such as `--listen HOST:PORT`.
        option: &'static str,
        /// The configured address.
        address: String,
    },
    /// Another process listens there.
    #[error("port {port} is already in use; is another `exorelay` running? Choose another with {option}")]
    InUse {
        /// The way to choose another address, such as `--listen HOST:PORT`.
        option: &'static str,
        /// The configured address.
        address: String,
        /// The port that is taken.
        port: u16,
    },
    /// Another process listens on the Unix socket.
    #[error(
        "the socket {} is already in use; is another `exorelay` running? Choose another with {option}",
        path.display()
    )]
    SocketInUse {
        /// The way to choose another address.
        option: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// The path of a Unix socket is that of something else.
    #[error(
        "cannot listen on unix:{}: there is a file that is not a socket; remove it, or choose another path with {option}",
        path.display()
    )]
    NotASocket {
        /// The way to choose another address.
        option: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// The path of a Unix socket is too long for the system, or empty.
    #[error(
        "cannot listen on unix:{}: the path has {} bytes; expected 1 to {PATH_BYTES_MAX}, as the system allows no longer ones; \
         choose another with {option}",
        path.display(),
        path.as_os_str().len()
    )]
    PathLength {
        /// The way to choose another address.
        option: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// The system does not allow it, or the host is not one of this machine.
    #[error("cannot listen on {address}; choose another address with {option}")]
    System {
        /// The way to choose another address, such as `--listen HOST:PORT`.
        option: &'static str,
        /// The configured address.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// The place at which a listener is reached. Displays as `HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    pub(super) scheme: Scheme,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl ListenAddress {
    /// Returns the address of a TCP listener; that of a Unix socket is one of this machine, without a port.
    pub fn tcp(&self) -> SocketAddr {
        match self.place {
            Place::Tcp(address) => address,
            Place::Unix(_) => local(),
        }
    }

    /// Returns who can connect. No name leads to a Unix socket, so its clients may name any host, as those of a network do.
    pub(super) fn reach(&self) -> Reach {
        match &self.place {
            Place::Tcp(address) => Reach::of(address.ip()),
            Place::Unix(_) => Reach::Network,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.scheme) {
            (Place::Tcp(address), Scheme::Http) => write!(formatter, "{address}"),
            (Place::Tcp(address), Scheme::Https) => write!(formatter, "https://{address}"),
            (Place::Unix(path), _) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}

/// Returns the address that stands for the other end of a Unix socket: this machine.
pub(super) fn local() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Returns the path in an address such as `unix:/run/exorelay.sock`; `None` for one of TCP.
pub(crate) fn socket_path(address: &str) -> Option<&Path> {
    address.strip_prefix(UNIX).map(Path::new)
}

/// A bound socket.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

impl Socket {
    /// Binds a TCP port. Cancel-safe: a dropped call binds nothing.
    pub(super) async fn bind_tcp(option: &'static str, address: &str) -> Result<(Self, ListenAddress), BindError> {
        let port =
            address.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
        let address = address.to_owned();
        let Some(port) = port else { return Err(BindError::NotAnAddress { option, address }) };
        let opened = async {
            let listener = TcpListener::bind(&address).await?;
            let place = Place::Tcp(listener.local_addr()?);
            Ok((Self::Tcp(listener), ListenAddress { scheme: Scheme::Http, place }))
        };
        opened.await.map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { option, address, port },
            _ => BindError::System { option, address, source },
        })
    }

    /// Binds a Unix socket with these permissions. The socket of a process that has ended is replaced. Cancel-safe: a dropped call
    /// binds nothing, and may have removed such a socket.
    pub(super) async fn bind_unix(
        option: &'static str,
        path: &Path,
        mode: u32,
    ) -> Result<(Self, ListenAddress), BindError> {
        if !(1..=PATH_BYTES_MAX).contains(&path.as_os_str().len()) {
            return Err(BindError::PathLength { option, path: path.to_owned() });
        }
        let system = |source| BindError::System { option, address: format!("{UNIX}{}", path.display()), source };
        if let Ok(found) = path.symlink_metadata() {
            if !found.file_type().is_socket() {
                return Err(BindError::NotASocket { option, path: path.to_owned() });
            }
            match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(system)?;
                    tracing::info!(path = %path.display(), "replaced the socket of a process that has ended");
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(system(error)),
                Ok(_) | Err(_) => return Err(BindError::SocketInUse { option, path: path.to_owned() }),
            }
        }
        let bound = || {
            let socket = UnixSocket::new_stream()?;
            socket.bind(path)?;
            let file = SocketFile::of(path)?;
            // Nobody can connect before it listens.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            Ok((socket.listen(BACKLOG)?, file))
        };
        let (listener, file) = bound().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::SocketInUse { option, path: path.to_owned() },
            _ => system(error),
        })?;
        let place = Place::Unix(path.to_owned());
        Ok((Self::Unix { listener, _file: file }, ListenAddress { scheme: Scheme::Http, place }))
    }

    /// Waits for the next connection, and returns it with the address of its client, which a Unix socket has not. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| (Accepted::Tcp(stream), Some(peer))),
            Self::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| (Accepted::Unix(stream), None)),
        }
    }
}

/// The file of a Unix socket, which is removed with it.
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    number: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = path.symlink_metadata()?;
        // With its whole path: the working directory may change.
        let path = std::path::absolute(path)?;
        Ok(Self { path, device: found.dev(), number: found.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = |found: std::fs::Metadata| (found.dev(), found.ino()) == (self.device, self.number);
        if self.path.symlink_metadata().is_ok_and(is_own)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bind(path: &Path) -> Result<Socket, String> {
        let bound = Socket::bind_unix("--api unix:PATH", path, 0o600).await;
        bound.map(|(socket, _)| socket).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_loopback_address_is_reached_by_names_of_this_machine_alone() {
        let reach = |place| ListenAddress { scheme: Scheme::Http, place }.reach();
        assert_eq!(reach(Place::Tcp("127.0.0.1:4001".parse().unwrap())), Reach::Loopback);
        assert_eq!(reach(Place::Tcp("0.0.0.0:4001".parse().unwrap())), Reach::Network);
        assert_eq!(reach(Place::Unix("/run/exorelay.sock".into())), Reach::Network);
    }

    #[tokio::test]
    async fn a_socket_is_private_and_removed_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let socket = bind(&path).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let refused = bind(&path).await.err().unwrap();
        assert!(refused.contains("already in use") && refused.contains("--api unix:PATH"), "{refused}");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_process_is_replaced_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "nobody has removed it");
        let socket = bind(&path).await.unwrap();
        let next = folder.path().join("next.sock");
        std::fs::rename(&path, &next).unwrap();
        drop(socket);
        assert!(next.exists(), "the path was that of another one");
        std::fs::write(&path, "text").unwrap();
        assert!(bind(&path).await.err().unwrap().contains("not a socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_named() {
        let long = Path::new("/tmp").join("x".repeat(200));
        let refused = bind(&long).await.err().unwrap();
        assert!(refused.contains("205 bytes") && refused.contains("107"), "{refused}");
        assert!(bind(Path::new("")).await.err().unwrap().contains("0 bytes"));
        let missing = bind(Path::new("/nowhere/at/all.sock")).await.err().unwrap();
        assert!(missing.contains("cannot listen on unix:/nowhere/at/all.sock"), "{missing}");
    }
}
