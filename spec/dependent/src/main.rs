//! A program that depends on the crate and notices every change that the crate makes in it: the TLS provider, the limit on
//! open files, signal handlers, the subscriber of logs. It prints nothing itself, so its output shows what the crate prints.

use std::error::Error;
use std::fs::read_to_string;
use std::time::Duration;

use exorelay::streams::{Config, Streams};
use exorelay::{Message, Relay};
use rustls::crypto::CryptoProvider;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let before = Process::now()?;
    match std::env::args().nth(1).as_deref() {
        Some("untouched") => {}
        Some("used") => use_the_crate().await?,
        _ => return Err("expected `untouched` or `used`".into()),
    }
    assert!(CryptoProvider::get_default().is_none(), "the crate has installed a TLS provider");
    assert!(!tracing::dispatcher::has_been_set(), "the crate has set a subscriber");
    assert_eq!(Process::now()?, before);
    // Both panic if there is no provider, and if there are two.
    #[cfg(any(feature = "tls", feature = "defaults", feature = "ring"))]
    drop(rustls::ClientConfig::builder());
    drop(reqwest::Client::new());
    Ok(())
}

/// Uses every bus and the streams.
async fn use_the_crate() -> Result<(), Box<dyn Error>> {
    let embedded = Relay::builder("web").bus("embedded").on("hello", |_: Message, _| async { Ok(()) }).connect().await?;
    embedded.send("hello", 1).await?;
    for url in ["http://127.0.0.1:9", "ws://127.0.0.1:9", "https://127.0.0.1:9", "wss://127.0.0.1:9"] {
        let is_secure = url.starts_with("https") || url.starts_with("wss");
        match Relay::builder("web").bus(url).connect().await {
            Ok(relay) => drop(relay.close_within(Duration::ZERO).await),
            Err(error) if is_secure && !cfg!(feature = "tls") => assert!(error.to_string().contains("tls"), "{error}"),
            Err(error) => return Err(error.into()),
        }
    }
    embedded.close().await;
    Streams::in_memory(Config::default()).drain();
    Ok(())
}

/// State of the process that belongs to the program.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    limits: String,
    signals: Vec<String>,
}

impl Process {
    fn now() -> Result<Self, Box<dyn Error>> {
        let is_signal = |line: &&str| ["SigIgn", "SigCgt"].iter().any(|name| line.starts_with(name));
        let signals = read_to_string("/proc/self/status")?.lines().filter(is_signal).map(str::to_owned).collect();
        Ok(Self { limits: read_to_string("/proc/self/limits")?, signals })
    }
}
