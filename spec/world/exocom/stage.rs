//! The state of one scenario about `exocom`.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Dialect, End, Peer};
use crate::world::eventually::eventually;
use crate::world::process::Process;

/// Everything a scenario has started, and what it has seen. All of it ends with the scenario.
#[derive(Debug, Default, cucumber::World)]
pub struct World {
    /// The environment of the next `exocom`; it has no other.
    pub settings: BTreeMap<String, String>,
    pub exocom: Option<Process>,
    /// By name: the role, or an instance of it.
    pub peers: HashMap<String, Peer>,
    /// A service that comes back whenever its connection ends, and yields those ends.
    pub returning: Option<JoinHandle<Vec<End>>>,
    /// A port that is taken for the scenario.
    pub taken: Option<std::net::TcpListener>,
    /// Answer to the last HTTP call: status, content type, body.
    pub answer: Option<(u16, String, String)>,
    /// The activity in which the security service was asked last.
    pub judged_in: String,
    /// The activity of the last message that came with a new id.
    pub conversation: String,
    /// Number of message ids taken from here.
    pub messages_named: usize,
}

impl World {
    /// Starts the program with these arguments, alone in its environment.
    pub fn start(&mut self, arguments: &[&str]) {
        let settings = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        let mut line = vec!["-i".to_owned()];
        line.extend(settings);
        line.push(env!("CARGO_BIN_EXE_exocom").to_owned());
        line.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.exocom = Some(Process::start("env", line, BTreeMap::new()));
    }

    pub fn exocom(&mut self) -> &mut Process {
        self.exocom.as_mut().expect("the scenario starts exocom first")
    }

    /// Address it listens on, once announced.
    pub async fn address(&mut self) -> String {
        let port = self.exocom().after("nline at port ").await;
        format!("127.0.0.1:{port}")
    }

    pub fn lines(&mut self) -> Vec<String> {
        self.exocom().lines()
    }

    /// Number of log lines that say this.
    pub fn count(&mut self, line: &str) -> usize {
        self.lines().iter().filter(|known| *known == line).count()
    }

    /// Waits until the log says this more than `before` times.
    pub async fn logs_again(&mut self, line: &str, before: usize) {
        let process = self.exocom();
        let count = || process.lines().iter().filter(|known| *known == line).count();
        eventually(line.to_owned(), || async { (count() > before).then_some(()) }).await;
    }

    /// Connects a service, which is registered when this returns.
    pub async fn connect(&mut self, name: &str, role: &str, dialect: Dialect) {
        let url = format!("ws://{}/services", self.address().await);
        let line = format!("'{role}' registered");
        let before = self.count(&line);
        let mut peer = Peer::connect(&url, role, dialect).await;
        peer.register().await;
        self.logs_again(&line, before).await;
        self.peers.insert(name.to_owned(), peer);
    }

    /// Cuts a service's connection; the broker knows it when this returns.
    pub async fn disconnect(&mut self, name: &str) {
        let peer = self.peers.remove(name).expect("the service is connected");
        let line = format!("'{}' disconnected", peer.role);
        let before = self.count(&line);
        drop(peer);
        self.logs_again(&line, before).await;
    }

    pub fn peer(&mut self, name: &str) -> &mut Peer {
        self.peers.get_mut(name).unwrap_or_else(|| panic!("{name} is not connected"))
    }

    /// Sends a message of the named service; `more` wins over what is usual.
    pub async fn say(&mut self, name: &str, message: &str, more: Value) {
        self.messages_named += 1;
        let id = format!("message-{}", self.messages_named);
        let peer = self.peer(name);
        let mut frame = serde_json::json!({ "name": message, "sender": peer.role, "id": id });
        if peer.dialect == Dialect::ActivityId {
            frame["activityId"] = format!("activity-of-{id}").into();
        }
        for (key, value) in more.as_object().expect("an object") {
            frame[key] = value.clone();
        }
        peer.send(frame.to_string()).await;
    }
}
