//! Test of the container image without an engine: its settings, its command lines and its health check, with other ports.

use std::collections::BTreeMap;
use std::process::Stdio;

use regex::Regex;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::eventually::eventually;
use crate::stage::reserve_address;

const DOCKERFILE: &str = include_str!("../../docker/Dockerfile");

/// Settings and command lines of the image.
struct Image {
    /// Settings, each with a port that is free here.
    settings: BTreeMap<String, String>,
    /// Ports of the settings as they are in the image.
    ports: Vec<String>,
    exposed: Vec<String>,
    health: Vec<String>,
    command: Vec<String>,
}

impl Image {
    fn read() -> Self {
        let joined = DOCKERFILE.replace("\\\n", " ");
        let instruction = |name: &str| {
            let line = joined.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("the Dockerfile has no {name}")).to_owned()
        };
        let list = |text: &str| serde_json::from_str::<Vec<String>>(&text[text.find('[').unwrap()..]).unwrap();
        let (mut settings, mut ports) = (BTreeMap::new(), Vec::new());
        for setting in instruction("ENV").split_whitespace() {
            let (name, address) = setting.split_once('=').unwrap();
            if !name.ends_with("__ADDRESS") {
                settings.insert(name.to_owned(), address.to_owned());
                continue;
            }
            let port = address.strip_prefix("0.0.0.0:").unwrap_or_else(|| panic!("{setting} is not on all interfaces"));
            ports.push(port.to_owned());
            settings.insert(name.to_owned(), on_all_interfaces());
        }
        let exposed = instruction("EXPOSE").split_whitespace().map(str::to_owned).collect();
        Self { settings, ports, exposed, health: list(&instruction("HEALTHCHECK")), command: list(&instruction("CMD")) }
    }

    fn run(&self, folder: &TempDir, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exorelay"));
        command.args(arguments).current_dir(folder.path()).env_clear().envs(&self.settings).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs the health check. Returns true if the container counts as healthy.
    async fn is_healthy(&self, folder: &TempDir) -> bool {
        assert_eq!(self.health[0], "/exorelay");
        let arguments: Vec<&str> = self.health[1..].iter().map(String::as_str).collect();
        self.run(folder, &arguments).status().await.unwrap().success()
    }
}

fn on_all_interfaces() -> String {
    reserve_address().replace("127.0.0.1", "0.0.0.0")
}

async fn terminate(mut server: Child) {
    let id = server.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    server.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_runs_every_server_on_all_interfaces_and_healthy() {
    let image = Image::read();
    let edge = Regex::new(r"^0\.0\.0\.0:(\d+)$").unwrap();
    let dev: Vec<String> = image.command.iter().map(|part| edge.replace(part, on_all_interfaces()).into()).collect();
    let dev: Vec<&str> = dev.iter().map(String::as_str).collect();
    for arguments in [&["broker"][..], &["streams"], &["run", "--role", "users", "--bus", "embedded"], &dev] {
        let folder = tempfile::tempdir().unwrap();
        assert!(!image.is_healthy(&folder).await, "nothing runs yet");
        let server = image.run(&folder, arguments).spawn().unwrap();
        eventually(arguments, || async { image.is_healthy(&folder).await.then_some(()) }).await;
        terminate(server).await;
        assert!(!image.is_healthy(&folder).await, "{arguments:?} has ended");
    }
}

#[test]
fn the_image_exposes_the_port_of_every_listener() {
    let image = Image::read();
    for port in image.ports.iter().map(String::as_str).chain(["4002"]) {
        assert!(image.exposed.iter().any(|exposed| exposed == port), "{port} is not exposed");
    }
    assert_eq!(image.ports, ["4000", "4001", "3100", "4437"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_is_not_healthy() {
    let image = Image::read();
    let folder = tempfile::tempdir().unwrap();
    let away = image.run(&folder, &["run", "--role", "users", "--bus", "http://127.0.0.1:1"]).spawn().unwrap();
    eventually("the sidecar", || async {
        let mut health = image.run(&folder, &["health", "--any"]);
        let output = health.stderr(Stdio::piped()).output().await.unwrap();
        String::from_utf8_lossy(&output.stderr).contains("not ready: bus: ").then_some(())
    })
    .await;
    terminate(away).await;
}
