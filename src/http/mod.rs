//! What every listener and every outgoing call shares: the server with its limits, its drain and its workers, problem
//! answers, reading bodies and names, the pooled client, and WebSockets of both ends.

mod answering;
mod body;
mod client;
mod line;
mod live;
mod place;
mod pool;
mod problem;
mod server;
mod shelf;
mod socket;
mod stalled;
mod timer;
mod websocket;
mod workers;

pub use answering::{Answering, Answers};
pub use body::{Incoming, json_body, message_name, path_segment, read_body};
pub use client::{Answer, Client, ClientError, ClientLimits};
pub(crate) use client::{join, wait_asked};
pub(crate) use live::live;
pub use place::Place;
pub use problem::{Kind, Problem, not_found};
pub use server::{BindError, Limits, Listening, Peer, Serving};
pub(crate) use socket::{Ending, Reading, Socket, Traffic};
pub(crate) use websocket::{Accepted, upgrade};
pub use workers::Workers;
pub(crate) use workers::{Turn, turn};
