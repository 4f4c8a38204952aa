//! One message to a hundred receivers: a process that publishes and holds all of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message as Packet;

use super::Bus;
use super::services::run;
use super::sockets::{self, Outgoing};
use crate::cells::Cell;
use crate::error::Error;
use crate::load::Call;
use crate::options::Client;
use crate::orders;
use crate::services::announce;

/// Receivers, each with a connection of its own.
pub const RECEIVERS: usize = 100;

const NAME: &str = "tick";
const NUMBER: &str = r#"{"number":"#;

/// Publishes as stdin orders, until it ends; its figures count deliveries, and a message has taken as long as the last
/// of its deliveries.
pub async fn fan(client: &Client) -> Result<(), Error> {
    let flights = Arc::new(Flights::default());
    let way = match client.bus {
        Bus::Nats => over_nats(client.address(), &flights).await?,
        Bus::Websocket | Bus::Http | Bus::Embedded | Bus::Sockets => over_sockets(client.address(), &flights).await?,
    };
    announce("fan", client.address())?;
    orders::obey(async |cell, length| {
        let mut figures = run(callers(&way, &flights, &cell), &cell, length).await?;
        figures.requests *= RECEIVERS as u64;
        figures.per_second *= RECEIVERS as f64;
        Ok(figures)
    })
    .await
}

/// Way to publish a message.
#[derive(Clone)]
enum Way {
    Socket(Outgoing),
    Nats(async_nats::Client),
}

/// Messages on their way, by number.
#[derive(Default)]
struct Flights {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Flight>>,
}

struct Flight {
    missing: usize,
    landed: oneshot::Sender<()>,
}

/// One message in flight.
struct Caller {
    way: Way,
    flights: Arc<Flights>,
    text: String,
}

async fn over_sockets(broker: SocketAddr, flights: &Arc<Flights>) -> Result<Way, Error> {
    for number in 0..RECEIVERS {
        let role = format!("receiver {number}");
        let mut socket = sockets::open(broker, &role, &[NAME], &[]).await?;
        let flights = Arc::clone(flights);
        tokio::spawn(async move {
            while let Some(Ok(packet)) = socket.next().await {
                if let Packet::Text(text) = packet {
                    flights.delivered(text.as_bytes());
                }
            }
        });
    }
    let (sink, mut stream) = sockets::open(broker, "source", &[], &[NAME]).await?.split();
    tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
    Ok(Way::Socket(Outgoing::new(sink)))
}

async fn over_nats(server: SocketAddr, flights: &Arc<Flights>) -> Result<Way, Error> {
    for _ in 0..RECEIVERS {
        let client = async_nats::connect(server.to_string()).await.map_err(|error| Error::Nats(error.to_string()))?;
        let mut messages = client.subscribe(NAME).await.map_err(|error| Error::Nats(error.to_string()))?;
        client.flush().await.map_err(|error| Error::Nats(error.to_string()))?;
        let flights = Arc::clone(flights);
        tokio::spawn(async move {
            // The connection lives as long as the client does.
            let _client = client;
            while let Some(message) = messages.next().await {
                flights.delivered(&message.payload);
            }
        });
    }
    let client = async_nats::connect(server.to_string()).await.map_err(|error| Error::Nats(error.to_string()))?;
    Ok(Way::Nats(client))
}

fn callers(way: &Way, flights: &Arc<Flights>, cell: &Cell) -> Vec<Caller> {
    let text = "x".repeat(cell.payload_bytes.saturating_sub(r#"{"number":1000000,"text":""}"#.len()));
    let caller = || Caller { way: way.clone(), flights: Arc::clone(flights), text: text.clone() };
    std::iter::repeat_with(caller).take(cell.callers()).collect()
}

impl Call for Caller {
    async fn call(&mut self) -> Result<(), String> {
        let number = self.flights.next.fetch_add(1, Ordering::Relaxed);
        let (landed, wait) = oneshot::channel();
        self.flights.open().insert(number, Flight { missing: RECEIVERS, landed });
        let payload = format!(r#"{NUMBER}{number},"text":"{}"}}"#, self.text);
        match &self.way {
            Way::Socket(outgoing) => {
                outgoing.send(sockets::frame(NAME, "source", &number.to_string(), &payload)).await?;
            }
            Way::Nats(client) => {
                client.publish(NAME, payload.into()).await.map_err(|error| error.to_string())?;
            }
        }
        wait.await.map_err(|_| "the message was given up".to_owned())
    }
}

impl Flights {
    /// A receiver has got `text`.
    fn delivered(&self, text: &[u8]) {
        let Some(number) = number(text) else { return };
        let mut open = self.open();
        let Some(flight) = open.get_mut(&number) else { return };
        flight.missing -= 1;
        if flight.missing == 0
            && let Some(flight) = open.remove(&number)
        {
            // An error means that the message was given up.
            flight.landed.send(()).ok();
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Flight>> {
        // A count and its removal are one step each, so a panic elsewhere does not spoil them.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the message that `text` is, or that it holds as its payload.
fn number(text: &[u8]) -> Option<u64> {
    let at = text.windows(NUMBER.len()).position(|part| part == NUMBER.as_bytes())?;
    let digits = text[at + NUMBER.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_alone_and_in_a_frame() {
        assert_eq!(number(br#"{"number":0,"text":"x"}"#), Some(0));
        assert_eq!(
            number(sockets::frame("tick", "source", "7", r#"{"number":4711,"text":""}"#).as_bytes()),
            Some(4711)
        );
        assert_eq!(number(b"source is there"), None);
    }
}
