//! The contenders that serve streams, and their start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::loads::{Load, Work};
use crate::error::Error;
use crate::options::Programs;
use crate::processes::{Process, Processes};

const LISTEN_WAIT: Duration = Duration::from_secs(60);
const LISTEN_PAUSE: Duration = Duration::from_millis(2);
/// The role of a contender's process.
pub const SERVER: &str = "server";

/// A contender, by the name that `--only` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// ExoRelay, in memory.
    Exorelay,
    /// ExoRelay, on disk, synced.
    ExorelayDisk,
    /// The official server in Rust, in memory: the system's cache of files.
    Rust,
    /// The official server in Rust, with its synced log.
    RustWal,
    /// The reference server on Node, in memory.
    Node,
    /// The reference server on Node, with its file store.
    NodeFile,
    /// nginx, which answers 204, or a static file: the limit.
    Nginx,
}

/// Durability of an append when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// In memory, of the process or of the system.
    Memory,
    /// On the disk.
    Disk,
}

/// Timeout for opening a store on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// An append is answered when it is on the disk.
    Synced,
    /// The quickest way to fill it.
    Filling,
}

/// A server that takes requests.
pub struct Server {
    /// Its one process.
    pub process: Process,
    /// Address it listens on.
    pub address: SocketAddr,
}

impl Name {
    /// All contenders, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::Exorelay, Self::Rust, Self::Node, Self::ExorelayDisk, Self::RustWal, Self::NodeFile, Self::Nginx];

    /// The name on the command line and in the tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exorelay => "exorelay",
            Self::ExorelayDisk => "exorelay-disk",
            Self::Rust => "rust",
            Self::RustWal => "rust-wal",
            Self::Node => "node",
            Self::NodeFile => "node-file",
            Self::Nginx => "nginx",
        }
    }

    /// Store of the contender.
    pub fn keeps(self) -> Keeps {
        match self {
            Self::Exorelay | Self::Rust | Self::Node | Self::Nginx => Keeps::Memory,
            Self::ExorelayDisk | Self::RustWal | Self::NodeFile => Keeps::Disk,
        }
    }

    /// Returns true for the product, whose absence fails the run.
    pub fn is_ours(self) -> bool {
        match self {
            Self::Exorelay | Self::ExorelayDisk => true,
            Self::Rust | Self::RustWal | Self::Node | Self::NodeFile | Self::Nginx => false,
        }
    }

    /// Returns true if it runs `load`: nginx can only answer.
    pub fn takes(self, load: &Load) -> bool {
        self != Self::Nginx
            || match load.work {
                Work::Append { streams } => streams == 1,
                Work::Read => true,
                Work::Create | Work::CatchUp(_) | Work::Follow => false,
            }
    }

    /// Errors: names the words that exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|name| name.word() == text);
        found.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::word).join(", ")))
    }

    /// Starts it on `folder`, which holds what it has kept, if anything; it takes connections when this returns.
    pub fn start(
        self,
        programs: &Programs,
        processes: &Processes,
        folder: &Path,
        durability: Durability,
    ) -> Result<Server, Error> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Scratch { path: folder.to_owned(), source })?;
        let filling = durability == Durability::Filling;
        match self {
            Self::Exorelay | Self::ExorelayDisk => {
                let mut command = Command::new(programs.path(&programs.exorelay, "exorelay")?);
                command.args(["streams", "--listen", "127.0.0.1:0", "--store"]);
                // The default is for a tenth of the streams that are measured.
                command.env("EXORELAY__STREAMS__METADATA_BYTES_MAX", "17179869184");
                match self.keeps() {
                    Keeps::Memory => command.arg("memory"),
                    Keeps::Disk => command
                        .arg("disk")
                        .arg("--data-dir")
                        .arg(folder)
                        .args(["--durability", if filling { "memory" } else { "sync" }]),
                };
                announced(processes, &mut command)
            }
            Self::Rust | Self::RustWal => {
                let mut command = Command::new(programs.path(&programs.durable_streams, "durable-streams")?);
                let memory = filling || self.keeps() == Keeps::Memory;
                command.arg("--data-dir").arg(folder).args(["--durability", if memory { "memory" } else { "wal" }]);
                let address = free_address()?;
                command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
                listening(processes, &mut command, address)
            }
            Self::Node | Self::NodeFile => {
                let server = programs.path(&programs.node_streams, "node-streams")?.join("server.mjs");
                let mut command = Command::new("node");
                command.arg(server);
                if self.keeps() == Keeps::Disk {
                    command.arg(folder);
                }
                announced(processes, &mut command)
            }
            Self::Nginx => {
                let binary = programs.path(&programs.nginx, "nginx")?;
                let address = free_address()?;
                let configuration = folder.join("nginx.conf");
                let write = |path: &Path, bytes: &[u8]| {
                    std::fs::write(path, bytes).map_err(|source| Error::Scratch { path: path.to_owned(), source })
                };
                write(&configuration, nginx_configuration(folder, address).as_bytes())?;
                write(&folder.join("small"), &super::loads::payload(super::loads::READ_BYTES))?;
                let mut command = Command::new(binary);
                command.arg("-p").arg(folder).arg("-c").arg(&configuration).args(["-e", "stderr"]);
                listening(processes, &mut command, address)
            }
        }
    }
}

fn announced(processes: &Processes, command: &mut Command) -> Result<Server, Error> {
    let mut process = processes.start(SERVER, command)?;
    let (address, _) = process.ready("streams")?;
    Ok(Server { process, address })
}

/// For servers that do not tell when they are ready.
fn listening(processes: &Processes, command: &mut Command, address: SocketAddr) -> Result<Server, Error> {
    let process = processes.start(SERVER, command)?;
    loop {
        if TcpStream::connect(address).is_ok() {
            return Ok(Server { process, address });
        }
        if process.started.elapsed() > LISTEN_WAIT {
            return Err(process.not_ready(format!("took no connection within {} s", LISTEN_WAIT.as_secs())));
        }
        std::thread::sleep(LISTEN_PAUSE);
    }
}

/// A port that was free a moment ago.
fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// One process, which no other outlives.
fn nginx_configuration(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_buffer_size 128k;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address};
        root {folder};
        location /v1/stream/ {{ return 204; }}
        location = /small {{ default_type application/octet-stream; }}
    }}
}}
"
    )
}
