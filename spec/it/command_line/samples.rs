//! Tests of the sample services: what is no message does not end them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::super::stage::reserve_address;
use super::program::{repository_file, wait_for};

const MESSAGE: &str = r#"{"id":"1","name":"users.create","payload":{"name":"Will"}}"#;

/// A service that ends with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // Fails if it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Returns the block of a document that begins with this line.
fn block(document: &str, first: &str) -> String {
    let text = repository_file(document);
    let (_, rest) = text.split_once(&format!("\n{first}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

/// Makes a call and returns the status and the whole answer; 0 if there is none.
fn call(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = wait_for(format!("{address} to accept"), || TcpStream::connect(address).ok());
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    write!(stream, "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    // A service may close the connection without an answer.
    stream.read_to_string(&mut answer).ok();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), answer)
}

fn check(program: &str, file: &Path) {
    let address = reserve_address();
    let port = address.rsplit_once(':').unwrap().1;
    let command = Command::new(program).arg(file).env("PORT", port).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _service = Service(command.unwrap());
    for method in ["HEAD", "GET", "PUT", "DELETE"] {
        let (status, answer) = call(&address, method, "/", "");
        assert_eq!(status, 405, "{file:?} {method}: {answer}");
    }
    for malformed in ["{", "null"] {
        call(&address, "POST", "/run/users.create", malformed);
    }
    for body in ["", "{}", r#"{"id":"1","payload":null}"#] {
        let (status, answer) = call(&address, "POST", "/run/users.create", body);
        assert_eq!(status, 400, "{file:?} {body}: {answer}");
    }
    let (status, answer) = call(&address, "POST", "/run/users.create", MESSAGE);
    assert!(status == 200 && answer.contains("users.created"), "{file:?}: {answer}");
}

#[test]
fn a_sample_service_survives_what_is_no_message() {
    let folder = tempfile::tempdir().unwrap();
    for (program, name, first) in [("python3", "users.py", "# users.py"), ("node", "users.mjs", "// users.mjs")] {
        let file = folder.path().join(name);
        std::fs::write(&file, block("README.md", first)).unwrap();
        check(program, &file);
    }
    check("python3", &Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/services/users.py"));
}
