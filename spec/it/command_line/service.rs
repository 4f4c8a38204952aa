//! Tests of `run -- CMD`: a service that runs beside its sidecar.

use std::path::Path;
use std::time::{Duration, Instant};

use super::program::{Finished, Program, Running, exorelay, wait_for};

/// Answers `hello` with the URL of its sidecar, ends at the first delivery of "die" and of what is no message, and has a
/// process of its own.
const SERVICE: &str = r#"
import http.server, json, os, subprocess, sys, time

class Service(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if message["payload"] == "die" and self.headers.get("exo-attempt", "1") == "1":
            os._exit(3)
        body = json.dumps({"reply": {"name": "hello.back", "payload": os.environ["SIDECAR"]}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        os._exit(4)

    do_GET = do_HEAD

    def log_message(self, *arguments):
        pass

child = subprocess.Popen(["sleep", "1000"])
print("its process is", child.pid, flush=True)
print("and this is an error", file=sys.stderr, flush=True)
time.sleep(float(os.environ.get("DELAY", "0")))
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Service).serve_forever()
"#;

/// Returns `exorelay run` of the role `users` with these arguments, on a broker of its own.
fn run(arguments: &[&str]) -> Program {
    let listeners = ["--bus", "embedded", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"];
    let program = exorelay(&[&["run", "--role", "users", "--receives", "hello"], &listeners[..], arguments].concat());
    program.env("PATH", "/usr/local/bin:/usr/bin:/bin").file("service.py", SERVICE)
}

/// Reads lines of stdout until one has `marker`, and returns the rest of it.
fn after(running: &mut Running, marker: &str) -> String {
    loop {
        let line = running.line();
        if let Some((_, rest)) = line.split_once(marker) {
            return rest.to_owned();
        }
        assert!(!line.is_empty(), "no {marker}");
    }
}

fn api(running: &mut Running) -> String {
    after(running, "\"system\":\"api\",\"status\":\"ready\",\"address\":\"").trim_end_matches("\"}").to_owned()
}

fn ask(api: &str, payload: &str) -> Finished {
    exorelay(&["request", "hello", payload, "--api", api, "--timeout", "20"]).finish()
}

fn wait_until_gone(process: &str) {
    let path = Path::new("/proc").join(process);
    wait_for(format!("the end of {process}"), || (!path.exists()).then_some(()));
}

#[test]
fn a_service_gets_its_first_message_once_it_accepts_connections() {
    let mut running = run(&["--", "python3", "service.py"]).env("DELAY", "1").start();
    let api = api(&mut running);
    let answer = ask(&api, "1");
    assert_eq!((answer.code, answer.stdout), (Some(0), format!("\"http://{api}\"\n")));
    running.signal("TERM");
    let finished = running.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("users | and this is an error\n"), "{finished:?}");
    assert!(!finished.stderr.contains("the service is away"), "{finished:?}");
}

#[test]
fn a_service_that_ends_is_started_again_with_nothing_left_of_it() {
    let mut running = run(&["--", "python3", "service.py"]).start();
    let api = api(&mut running);
    let first = after(&mut running, "users | its process is ");
    assert_eq!(ask(&api, "\"die\"").code, Some(0));
    let second = after(&mut running, "users | its process is ");
    assert_ne!(first, second);
    wait_until_gone(&first);
    running.signal("TERM");
    let finished = running.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("the service has ended: it is started again"), "{finished:?}");
    wait_until_gone(&second);
}

#[test]
fn a_service_that_is_slow_to_start_again_gets_nothing_but_messages() {
    let mut running = run(&["--", "python3", "service.py"]).env("DELAY", "1").start();
    let api = api(&mut running);
    assert_eq!(ask(&api, "\"die\"").code, Some(0));
    running.signal("TERM");
    let finished = running.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let ends = finished.stderr.matches("the service has ended: it is started again").count();
    assert_eq!(ends, 1, "{finished:?}");
    assert!(finished.stderr.contains("the service is no longer away"), "{finished:?}");
}

#[test]
fn with_once_the_sidecar_ends_with_the_status_of_its_service() {
    run(&["--once", "--", "sh", "-c", "exit 7"]).finish().check(7, "the service has ended: exit status: 7");
    run(&["--once", "--", "sh", "-c", "kill -9 $$"]).finish().check(137, "the service has ended");
    assert_eq!(run(&["--once", "--", "true"]).finish().code, Some(0));
    exorelay(&["run", "--role", "users", "--once"]).finish().check(64, "<CMD>...");
}

#[test]
fn a_command_that_does_not_exist_is_an_error() {
    run(&["--", "no-such-command"]).finish().check(1, "cannot run \"no-such-command\": No such file or directory");
}

#[test]
fn signals_for_the_service_are_passed_on() {
    let script = "trap 'echo got one' HUP USR1 USR2; echo up; while :; do sleep 0.05; done";
    let mut running = run(&["--", "sh", "-c", script]).start();
    after(&mut running, "users | up");
    for signal in ["HUP", "USR1", "USR2"] {
        running.signal(signal);
        after(&mut running, "users | got one");
    }
    running.interrupt();
    assert_eq!(running.finish().code, Some(0));
}

#[test]
fn a_service_that_does_not_stop_is_killed_at_the_end_of_the_grace_time() {
    let script = "trap '' TERM; sleep 1000 & echo its process is $!; wait; sleep 1000";
    let mut running = run(&["--drain-grace", "1", "--", "sh", "-c", script]).start();
    let process = after(&mut running, "users | its process is ");
    let begun = Instant::now();
    running.signal("TERM");
    running.finish();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    wait_until_gone(&process);
}

#[test]
fn a_service_is_not_started_at_the_port_of_another_program_or_on_another_host() {
    let others = ["127.0.0.1:0", "0.0.0.0:0"].map(|address| std::net::TcpListener::bind(address).unwrap());
    for other in &others {
        let port = other.local_addr().unwrap().port();
        let refused =
            run(&["--forward", &format!("http://127.0.0.1:{port}"), "--", "sh", "-c", "echo started"]).finish();
        refused.check(1, &format!("port {port} of webhook.forward is in use at 127.0.0.1"));
        assert!(!refused.stdout.contains("started") && !refused.stdout.contains("ready"), "{refused:?}");
    }
    let own = super::super::stage::reserve_address();
    let forward = format!("http://{own}");
    let listeners = ["--bus", "embedded", "--listen", "127.0.0.1:0", "--api", &own, "--forward", &forward];
    let refused =
        exorelay(&[&["run", "--role", "users"], &listeners[..], &["--", "sh", "-c", "echo started"]].concat());
    refused.finish().check(1, "of webhook.forward is in use at 127.0.0.1");
    // An address for documentation, RFC 5737.
    let elsewhere = run(&["--forward", "http://192.0.2.1:80", "--", "sh", "-c", "echo started"]).finish();
    elsewhere.check(78, "webhook.forward: 192.0.2.1 is not this host");
    assert!(!elsewhere.stdout.contains("started"), "{elsewhere:?}");
}

#[test]
fn the_port_of_the_forward_url_is_that_of_the_service() {
    let address = super::super::stage::reserve_address();
    let port = address.rsplit_once(':').unwrap().1;
    let forward = format!("http://{address}");
    let mut running = run(&["--forward", &forward, "--", "sh", "-c", "echo $PORT; sleep 1000"]).start();
    assert_eq!(after(&mut running, "users | "), port);
    running.signal("TERM");
    assert_eq!(running.finish().code, Some(0));
}
