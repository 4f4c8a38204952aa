//! The state of one scenario about the broker.

use std::collections::HashMap;

use exorelay::http::Answer;
use serde_json::Value;

use super::{RecordingService, RunningBroker, call};
use crate::world::http::Follower;

/// The state of one scenario. Everything in it ends with the scenario.
#[derive(Debug, Default, cucumber::World)]
pub(crate) struct World {
    /// The broker, once there is one.
    pub(crate) broker: Option<RunningBroker>,
    /// By name: the role, or the instance for services that register themselves.
    pub(crate) services: HashMap<String, RecordingService>,
    /// Answer to the last call.
    pub(crate) answer: Option<Answer>,
    /// Number of message ids taken from here.
    pub(crate) messages_named: usize,
    /// A port that is taken for the scenario.
    pub(crate) taken: Option<std::net::TcpListener>,
    /// A client that watches the broker.
    pub(crate) follower: Option<Follower>,
    /// Error of the broker that could not be started.
    pub(crate) failure: Option<String>,
}

impl World {
    pub(crate) fn broker(&self) -> &RunningBroker {
        self.broker.as_ref().expect("the scenario starts a broker first")
    }

    pub(crate) fn service(&self, name: &str) -> &RecordingService {
        self.services.get(name).unwrap_or_else(|| panic!("the scenario has no service {name}"))
    }

    pub(crate) fn follower(&mut self) -> &mut Follower {
        self.follower.as_mut().expect("the scenario follows the traffic first")
    }

    pub(crate) fn answer(&self) -> &Answer {
        self.answer.as_ref().expect("the scenario makes a call first")
    }

    pub(crate) fn answer_text(&self) -> String {
        String::from_utf8_lossy(&self.answer().body).into_owned()
    }

    pub(crate) fn answer_json(&self) -> Value {
        serde_json::from_slice(&self.answer().body).unwrap_or_else(|_| panic!("no JSON: {}", self.answer_text()))
    }

    /// Makes a call to the broker and keeps the answer.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let url = format!("http://{}{path}", self.broker().address());
        let body = self.fill(body);
        self.answer = Some(call(method, &url, headers, &body).await);
    }

    /// Puts the real ports where the scenario says `{users.port}`.
    pub(crate) fn fill(&self, text: &str) -> String {
        self.services.iter().fold(text.to_owned(), |text, (name, service)| {
            text.replace(&format!("{{{name}.port}}"), &service.port().to_string())
        })
    }

    /// An id that no other message of the scenario has.
    pub(crate) fn next_id(&mut self) -> String {
        self.messages_named += 1;
        format!("message-{}", self.messages_named)
    }
}
