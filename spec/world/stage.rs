//! The state of one scenario, and the placeholders of its texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::authority::Authority;
use super::http::{Answer, Follower};
use super::mock::Mock;
use super::original::Exocom;
use super::process::Process;
use super::relays::Relays;
use super::service::Service;

/// Everything a scenario has started, and what it has seen. All of it ends with the scenario.
#[derive(Debug, Default, cucumber::World)]
pub struct World {
    /// Environment of the processes that start from now on.
    pub settings: BTreeMap<String, String>,
    pub processes: Vec<(String, Process)>,
    /// Addresses of sample services, by file name.
    pub places: BTreeMap<String, String>,
    pub service: Option<Service>,
    /// An original broker of the WebSocket era.
    pub exocom: Option<Exocom>,
    pub answers: Vec<Answer>,
    pub waiting: Option<JoinHandle<Answer>>,
    pub follower: Option<Follower>,
    /// Followers that are connected, and that no step reads from.
    pub silent_followers: Vec<Follower>,
    /// The id of the message that the follower got last.
    pub followed: String,
    /// Relays in this process.
    pub relays: Relays,
    /// A recorder in place of a broker.
    pub mock: Mock,
    /// Files of this scenario.
    pub folder: Option<TempDir>,
    /// The authority of the certificates of this scenario.
    pub authority: Option<Authority>,
    /// Output of the last command that ended.
    pub finished: Option<Output>,
}

impl World {
    pub fn service(&self) -> &Service {
        self.service.as_ref().expect("there is a service")
    }

    pub fn exocom(&self) -> &Exocom {
        self.exocom.as_ref().expect("there is a broker of the WebSocket era")
    }

    pub fn answer(&self) -> &Answer {
        self.answers.last().expect("there is an answer")
    }

    pub fn process(&mut self, name: &str) -> &mut Process {
        let found = self.processes.iter_mut().rev().find(|(known, _)| known == name);
        &mut found.unwrap_or_else(|| panic!("nothing runs as {name:?}")).1
    }

    /// The folder of this scenario's files.
    pub fn folder(&mut self) -> &Path {
        self.folder.get_or_insert_with(|| TempDir::new().expect("a folder can be made")).path()
    }

    /// Returns the path of a file of this scenario.
    pub fn file(&mut self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The address of the last process that has this listener.
    pub async fn address(&mut self, system: &str) -> String {
        let runs = |name: &str, process: &Process| match system {
            "broker" => name == "broker" || process.is("dev") || (process.is("run") && process.has("--broker")),
            "streams" => process.is("streams"),
            _ => process.is("run") || process.is("dev"),
        };
        let found = self.processes.iter_mut().rev().find(|(name, process)| runs(name, process));
        found.unwrap_or_else(|| panic!("nothing has a listener {system:?}")).1.address(system).await
    }

    /// Turns `api/send/hello` or `web.mjs/signup` into a URL.
    pub async fn url(&mut self, place: &str) -> String {
        let (start, rest) = place.split_once('/').unwrap_or((place, ""));
        let address = match self.places.get(start) {
            Some(address) => address.clone(),
            None => self.address(start).await,
        };
        format!("http://{address}/{rest}")
    }

    /// Puts addresses into `{service}`, `{broker}`, `{listen.port}` and `{users.py}`, and a path into `{folder}`.
    pub async fn fill_in(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        if line.contains("{folder}") {
            line = line.replace("{folder}", &self.folder().display().to_string());
        }
        if let Some(service) = &self.service {
            line = line.replace("{service}", &format!("http://{}", service.address));
            line = line.replace("{service.address}", &service.address);
        }
        for (file, address) in &self.places {
            line = line.replace(&format!("{{{file}}}"), &format!("http://{address}"));
        }
        if line.contains("{listen.port}") {
            let listen = self.address("listen").await;
            line = line.replace("{listen.port}", listen.rsplit_once(':').expect("host and port").1);
        }
        for system in ["edge", "streams", "api"] {
            let place = format!("{{{system}}}");
            if line.contains(&place) {
                line = line.replace(&place, &self.address(system).await);
            }
        }
        if line.contains("{broker}") {
            let broker = self.address("broker").await;
            line = line.replace("{broker}", &format!("http://{broker}"));
        }
        if line.contains("{broker.address}") || line.contains("{broker.wss}") {
            let broker = self.address("broker").await;
            line = line.replace("{broker.address}", &broker);
            line = line.replace("{broker.wss}", &broker.replace("https://", "wss://"));
        }
        line
    }
}
