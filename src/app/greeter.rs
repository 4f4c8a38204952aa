//! The greeter of `exorelay dev`, written like a user's service.

use serde::Deserialize;
use serde_json::json;

use crate::broker::Broker;
use crate::message::Message;
use crate::relay::{Context, Error, Relay};

#[derive(Deserialize, Default)]
struct Hello {
    name: Option<String>,
}

/// Starts a service that replies to `hello` with `greeting`, on the embedded broker.
pub(super) async fn start(broker: &Broker) -> Result<Relay, Error> {
    let relay = Relay::builder("greeter").broker(broker).connect().await?;
    relay.on("hello", |message: Message, context: Context| async move {
        let hello: Option<Hello> = message.payload()?;
        let name = hello.unwrap_or_default().name.unwrap_or_else(|| "world".into());
        context.reply("greeting", json!({ "text": format!("Hello, {name}!") })).await?;
        Ok(())
    })?;
    Ok(relay)
}
