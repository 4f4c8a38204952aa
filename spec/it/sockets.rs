//! Tests of the broker's WebSockets: malformed frames, many connections, and outages.

use serde_json::{Value, json};

use crate::stage::{Process, declare};

mod crowds;
mod frames;
mod outages;

/// Returns the roles: `web` asks, `users` answers.
fn web_and_users() -> Value {
    json!({
        "web": { "sends": ["create user"], "receives": ["user created"] },
        "users": { "sends": ["user created"], "receives": ["create user"] },
    })
}

/// Starts a broker with these roles.
async fn broker(settings: &[(&str, &str)]) -> Process {
    let broker = Process::start("broker", settings).await;
    declare(&broker, web_and_users()).await;
    broker
}
