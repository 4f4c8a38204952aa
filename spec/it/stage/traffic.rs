//! A sender of numbered messages that counts how many were accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use exorelay::{Config, Error, Message, Relay};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use super::call;
use super::received::{Entry, Received};
use crate::eventually::{eventually, pause};

/// The name of the numbered messages.
pub(crate) const ORDER: &str = "order.placed";

/// The relay that messages are sent through.
pub(crate) enum Sender {
    Relay(Relay),
    /// The API URL of a sidecar.
    Sidecar(String),
}

impl Sender {
    /// Returns true if the message was accepted, false if it has to be sent again.
    async fn send(&self, entry: &Entry) -> bool {
        match self {
            Self::Relay(relay) => match relay.send(ORDER, entry).await {
                Ok(_) => true,
                Err(Error::Busy { .. }) => false,
                Err(error) => panic!("{entry:?}: {error}"),
            },
            Self::Sidecar(url) => {
                let answer = call(Method::POST, &format!("{url}/send/{ORDER}"), Some(&json!(entry))).await.unwrap();
                assert!(matches!(answer.status, 202 | 503), "{entry:?}: {answer:?}");
                answer.status == 202
            }
        }
    }
}

/// A task that sends numbered messages of one sender until it is stopped.
pub(crate) struct Traffic {
    pub(crate) sender: String,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

impl Traffic {
    pub(crate) fn start(name: &str, sender: Sender) -> Self {
        let (next, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (accepted, stopped, name) = (next.clone(), stop.clone(), name.to_owned());
        let mut entry = Entry { sender: name.clone(), number: 0 };
        let sending = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                if sender.send(&entry).await {
                    entry.number += 1;
                    accepted.store(entry.number, Ordering::Release);
                }
                pause(1).await;
            }
        });
        Self { sender: name, next, stop, sending }
    }

    /// Returns the number of messages accepted so far; they are numbered from 0.
    pub(crate) fn accepted(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Waits until `count` more messages were accepted, and returns their numbers. All of them were sent after the call.
    pub(crate) async fn more(&self, count: u64) -> std::ops::Range<u64> {
        // One may be in flight at this moment.
        let first = self.accepted() + 1;
        eventually((count, "more accepted"), || async { (self.accepted() >= first + count).then_some(()) }).await;
        first..first + count
    }

    /// Stops, and returns the number of accepted messages.
    pub(crate) async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.unwrap();
        self.next.load(Ordering::Acquire)
    }
}

/// Connects a relay that records every order, one by one, and answers `order.count`.
pub(crate) async fn recording_relay(role: &str, url: &str) -> (Relay, Received) {
    // One handler at a time keeps the order of arrival.
    let config = Config { handlers_concurrent_max: 1, ..Config::default() };
    let relay = Relay::builder(role).config(config).bus(url).connect().await.unwrap();
    let book = Received::default();
    let (entering, counting) = (book.clone(), book.clone());
    relay
        .on(ORDER, move |message: Message, _| {
            let entering = entering.clone();
            async move {
                entering.record(message.payload()?);
                Ok(())
            }
        })
        .unwrap();
    relay
        .on("order.count", move |message: Message, context| {
            let counting = counting.clone();
            async move {
                let sender: String = message.payload()?;
                context.reply("order.counted", counting.numbers(&sender).len()).await?;
                Ok(())
            }
        })
        .unwrap();
    relay.ready().await;
    (relay, book)
}
