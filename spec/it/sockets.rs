//! The broker's sockets on bad days: frames that are wrong, crowds, and outages.

use serde_json::{Value, json};

use crate::stage::{Process, declare};

mod crowds;
mod frames;
mod outages;

/// `web` asks, `users` answers.
fn web_and_users() -> Value {
    json!({
        "web": { "sends": ["create user"], "receives": ["user created"] },
        "users": { "sends": ["user created"], "receives": ["create user"] },
    })
}

/// A broker of these two.
async fn broker(settings: &[(&str, &str)]) -> Process {
    let broker = Process::start("broker", settings).await;
    declare(&broker, web_and_users()).await;
    broker
}
