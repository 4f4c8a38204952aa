//! Steps about running processes.

use cucumber::{given, then, when};

use crate::world::World;
use crate::world::eventually::eventually;
use crate::world::process::Process;

#[given(regex = r"^the setting (\w+) is (\S+)$")]
async fn setting(world: &mut World, name: String, value: String) {
    world.settings.insert(name, value);
}

#[given(regex = r"^`exorelay ([^`]+)` is running$")]
async fn running(world: &mut World, line: String) {
    let name = match line.split_whitespace().next() {
        Some("broker") => "broker",
        _ => "sidecar",
    };
    start(world, &line, name).await;
}

#[given(regex = r#"^`exorelay ([^`]+)` is running as "([^"]+)"$"#)]
async fn running_as(world: &mut World, line: String, name: String) {
    start(world, &line, &name).await;
    let api = world.address("api").await;
    let url = format!("http://{api}/ready");
    eventually(format!("{name} is ready"), || async {
        reqwest::get(&url).await.ok().filter(|answer| answer.status() == 200)
    })
    .await;
}

async fn start(world: &mut World, line: &str, name: &str) {
    let line = world.fill_in(line).await;
    let process = Process::exorelay(&words(&line), world.settings.clone()).await;
    world.processes.push((name.to_owned(), process));
}

/// Splits a command line as a shell does, as far as double quotes go.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('"').enumerate();
    let parts = quoted.flat_map(|(place, part)| match place % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    parts.collect()
}

#[given(regex = r#"^the Python service "([^"]+)" is running$"#)]
async fn python(world: &mut World, file: String) {
    let environment = [("PORT".to_owned(), "0".to_owned())].into();
    let process = Process::start("python3", vec![format!("docker/services/{file}")], environment);
    let address = process.after("ready on ").await;
    world.places.insert(file.clone(), address);
    world.processes.push((file, process));
}

#[given(regex = r#"^the Node service "([^"]+)" is running beside "([^"]+)"$"#)]
async fn node(world: &mut World, file: String, sidecar: String) {
    let api = world.process(&sidecar).address("api").await;
    let environment = [("PORT".to_owned(), "0".to_owned()), ("SIDECAR".to_owned(), format!("http://{api}"))].into();
    let process = Process::start("node", vec![format!("docker/services/{file}")], environment);
    let address = process.after("ready on ").await;
    world.places.insert(file.clone(), address);
    world.processes.push((file, process));
}

#[given(regex = r#"^the original service "([^"]+)" is running beside `exorelay ([^`]+)`$"#)]
async fn original(world: &mut World, file: String, line: String) {
    // Each needs the other's port: the service takes one that was free a moment ago.
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        free.local_addr().expect("it is bound").port()
    };
    start(world, &format!("{line} --forward http://127.0.0.1:{port}"), "original").await;
    let api = world.process("original").address("api").await;
    let exocom = api.rsplit_once(':').expect("host and port").1.to_owned();
    let settings = [("SERVICE_NAME", "users".to_owned()), ("EXORELAY_PORT", port.to_string()), ("EXOCOM_PORT", exocom)];
    let environment = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let process = Process::start("python3", vec![format!("docker/services/{file}")], environment);
    process.after("online at port ").await;
    world.processes.push((file, process));
}

#[when(regex = r#"^(?:it|"([^"]+)") gets (SIG\w+)$"#)]
async fn signalled(world: &mut World, name: String, signal: String) {
    let name = if name.is_empty() { "sidecar" } else { &name };
    world.process(name).signal(signal.trim_start_matches("SIG"));
}

#[when(regex = r#"^(?:the broker|"([^"]+)") is killed and started again$"#)]
async fn restarted(world: &mut World, name: String) {
    let name = if name.is_empty() { "broker" } else { &name };
    world.process(name).kill_and_restart().await;
}

#[then(regex = r#"^(?:it|"([^"]+)") ends with status (\d+)$"#)]
async fn ends(world: &mut World, name: String, status: i32) {
    let name = if name.is_empty() { "sidecar" } else { &name };
    let process = world.process(name);
    assert_eq!(process.wait().await, status, "{}", process.log());
}

#[then(regex = r#"^its log says "([^"]+)"$"#)]
async fn logs(world: &mut World, words: String) {
    let process = world.process("sidecar");
    eventually(words.clone(), || async { process.log().contains(&words).then_some(()) }).await;
}

#[then(regex = r#"^the log of the sidecar says once "(.+)"$"#)]
async fn logs_once(world: &mut World, words: String) {
    let process = world.process("sidecar");
    let count = || process.log().replace("\\\"", "\"").matches(&words).count();
    eventually(words.clone(), || async { (count() > 0).then_some(()) }).await;
    assert_eq!(count(), 1, "{}", process.log());
}

#[when(regex = r"^I run `exorelay ([^`]+)`$")]
async fn run(world: &mut World, line: String) {
    let line = world.fill_in(&line).await;
    // A broker's URL is no listen address.
    let line = line.replace("--listen http://", "--listen ");
    let process = Process::start(env!("CARGO_BIN_EXE_exorelay"), words(&line), world.settings.clone());
    world.processes.push(("run".into(), process));
}

#[when(regex = r#"^I follow the stream "([^"]+)"$"#)]
async fn follow(world: &mut World, stream: String) {
    let url = world.url(&format!("streams/v1/stream/{stream}")).await;
    let arguments = ["stream", "follow", &url].map(str::to_owned).to_vec();
    let process = Process::start(env!("CARGO_BIN_EXE_exorelay"), arguments, world.settings.clone());
    world.processes.push(("follow".into(), process));
}

#[then(regex = r#"^it ends with status (\d+) and one line that names the port and "([^"]+)"$"#)]
async fn ends_with_line(world: &mut World, status: i32, setting: String) {
    let broker = world.process("broker").address("broker").await;
    let port = broker.rsplit_once(':').expect("host and port").1.to_owned();
    let process = world.process("run");
    assert_eq!(process.wait().await, status);
    eventually("a line on stderr", || async { (!process.log().is_empty()).then_some(()) }).await;
    let log = process.log();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(&format!("port {port} is already in use")), "{log}");
    assert!(log.contains(&setting), "{log}");
}

#[then("it prints ready lines for broker, listen, api and edge")]
async fn prints_ready(world: &mut World) {
    for system in ["broker", "listen", "api", "edge"] {
        world.process("sidecar").address(system).await;
    }
}

#[then(regex = r"^it has printed no ready line for (\w+)$")]
async fn prints_no_ready(world: &mut World, system: String) {
    let lines = world.process("sidecar").lines();
    assert!(!lines.iter().any(|line| line.contains(&format!("\"{system}\""))), "{lines:?}");
}

#[then("it prints commands to try")]
async fn prints_commands(world: &mut World) {
    for name in ["request", "send", "follow", "write a stream", "read a stream"] {
        world.process("sidecar").after(name).await;
    }
}

#[when(regex = r#"^I run the printed command "([^"]+)"(?: in another terminal)?$"#)]
async fn run_printed(world: &mut World, name: String) {
    let command = world.process("sidecar").after(&name).await;
    let process = Process::start("sh", vec!["-c".into(), command], Default::default());
    world.processes.push((name, process));
}

#[when(regex = r#"^I wait for the end of "([^"]+)"$"#)]
async fn wait_for_end(world: &mut World, name: String) {
    let process = world.process(&name);
    assert_eq!(process.wait().await, 0, "{}", process.log());
}

#[then(regex = r#"^"([^"]+)" prints (?:`(.+)`|"(.+)"|(an id))$"#)]
async fn printed(world: &mut World, name: String, exact: String, words: String, _id: String) {
    let expected = [exact, words].concat();
    let expected = if expected.is_empty() { "\"id\":\"".to_owned() } else { expected };
    let process = world.process(&name);
    eventually((name, expected.clone()), || async {
        process.lines().iter().any(|line| line.contains(&expected)).then_some(())
    })
    .await;
}

#[then(regex = r#"^"([^"]+)" prints the row "(.+)"$"#)]
async fn prints_row(world: &mut World, name: String, pattern: String) {
    let pattern = regex::Regex::new(&pattern).expect("a pattern");
    let process = world.process(&name);
    eventually((name, pattern.clone()), || async {
        process.lines().iter().any(|line| pattern.is_match(line)).then_some(())
    })
    .await;
}

#[then(regex = r#"^"([^"]+)" logs "(.+)"$"#)]
async fn log_of(world: &mut World, name: String, words: String) {
    let process = world.process(&name);
    eventually((name, words.clone()), || async { process.log().contains(&words).then_some(()) }).await;
}

#[then(regex = r#"^the broker knows the role "([^"]+)"$"#)]
async fn broker_knows(world: &mut World, role: String) {
    let url = format!("http://{}/services", world.address("broker").await);
    eventually(role.clone(), || async {
        reqwest::get(&url).await.ok()?.text().await.ok().filter(|text| text.contains(&format!("\"{role}\"")))
    })
    .await;
}

#[then(regex = r#"^the broker knows no instance of "([^"]+)"$"#)]
async fn broker_forgot(world: &mut World, role: String) {
    let url = format!("http://{}/services", world.address("broker").await);
    let services = reqwest::get(&url).await.unwrap().text().await.unwrap();
    assert!(!services.contains(&format!("\"{role}\"")), "{services}");
}
