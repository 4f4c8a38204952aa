//! The processes at both ends of a round trip. Each prints a ready line when it is connected.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use exorelay::{Context, Event, Message, Relay};
use serde_json::value::RawValue;

use super::Bus;
use super::sockets::{self, Requests};
use crate::cells::Cell;
use crate::error::Error;
use crate::load::{self, Call, Figures, NatsCaller, Phases};
use crate::options::Client;
use crate::orders;
use crate::services::{announce, nats_responder};

/// Makes requests called `echo`, as stdin orders, until it ends.
pub async fn requester(client: &Client) -> Result<(), Error> {
    const SYSTEM: &str = "requester";
    match client.bus {
        Bus::Websocket | Bus::Http => {
            let relay = relay(client, "requester").await?;
            announce(SYSTEM, client.address())?;
            orders::obey(async |cell, length| relay_calls(&relay, &cell, length).await).await
        }
        Bus::Embedded => {
            let broker = exorelay::broker::Broker::start(exorelay::broker::Config::default());
            let responder = connected(Relay::builder("responder").broker(&broker)).await?;
            answer(&responder)?;
            let relay = connected(Relay::builder("requester").broker(&broker)).await?;
            announce(SYSTEM, client.address())?;
            orders::obey(async |cell, length| relay_calls(&relay, &cell, length).await).await
        }
        Bus::Sockets => {
            let requests = Requests::open(client.address()).await?;
            announce(SYSTEM, client.address())?;
            orders::obey(async |cell, length| run(requests.callers(&cell), &cell, length).await).await
        }
        Bus::Nats => {
            let server = client.address().to_string();
            let nats = async_nats::connect(server).await.map_err(|error| Error::Nats(error.to_string()))?;
            announce(SYSTEM, client.address())?;
            orders::obey(async |cell, length| {
                run(NatsCaller::sharing(&nats, cell.callers(), &cell.payload()), &cell, length).await
            })
            .await
        }
    }
}

/// Answers requests called `echo` with the payload that they bring, until the process is stopped.
pub async fn responder(client: &Client) -> Result<(), Error> {
    const SYSTEM: &str = "responder";
    match client.bus {
        Bus::Websocket | Bus::Http | Bus::Embedded => {
            let relay = relay(client, SYSTEM).await?;
            answer(&relay)?;
            announce(SYSTEM, client.address())?;
            let mut events = relay.events();
            while let Some(event) = events.next().await {
                if let Event::Error(error) = event {
                    return Err(Error::Exocom(error.to_string()));
                }
            }
            Ok(())
        }
        Bus::Sockets => sockets::respond(client.address(), || announce(SYSTEM, client.address())).await,
        Bus::Nats => nats_responder(client.address(), SYSTEM).await,
    }
}

impl Client {
    /// The broker's address; port 0 for the embedded one.
    pub fn address(&self) -> SocketAddr {
        self.broker.unwrap_or((Ipv4Addr::LOCALHOST, 0).into())
    }
}

async fn relay(client: &Client, role: &str) -> Result<Relay, Error> {
    let scheme = if client.bus == Bus::Http { "http" } else { "ws" };
    connected(Relay::builder(role).bus(format!("{scheme}://{}", client.address()))).await
}

/// The relay, once it is on the bus.
async fn connected(builder: exorelay::Builder) -> Result<Relay, Error> {
    let relay = builder.connect().await.map_err(|error| Error::Exocom(error.to_string()))?;
    let mut events = relay.events();
    loop {
        match events.next().await {
            Some(Event::Online { .. }) => return Ok(relay),
            Some(_) => {}
            None => return Err(Error::Exocom("the relay ended before it was online".to_owned())),
        }
    }
}

fn answer(relay: &Relay) -> Result<(), Error> {
    relay
        .on("echo", |message: Message, context: Context| async move {
            let payload: Box<RawValue> = message.payload()?;
            context.reply("echoed", payload).await?;
            Ok(())
        })
        .map_err(|error| Error::Exocom(error.to_string()))
}

/// One request in flight of a relay.
struct RelayCaller {
    relay: Relay,
    payload: Box<RawValue>,
    expected: Bytes,
}

async fn relay_calls(relay: &Relay, cell: &Cell, length: Duration) -> Result<Figures, Error> {
    let expected = cell.payload();
    let payload: Box<RawValue> = serde_json::from_slice(&expected).map_err(std::io::Error::from)?;
    let caller = || RelayCaller { relay: relay.clone(), payload: payload.clone(), expected: expected.clone() };
    run(std::iter::repeat_with(caller).take(cell.callers()).collect(), cell, length).await
}

impl Call for RelayCaller {
    async fn call(&mut self) -> Result<(), String> {
        let reply = self.relay.request("echo", &self.payload).await.map_err(|error| error.to_string())?;
        match reply.payload.is_some_and(|payload| payload.as_bytes() == &self.expected) {
            true => Ok(()),
            false => Err("the answer is not the payload".to_owned()),
        }
    }
}

/// Runs one phase.
pub(super) async fn run<C: Call>(callers: Vec<C>, cell: &Cell, length: Duration) -> Result<Figures, Error> {
    let phases = Phases { warm_up: Duration::ZERO, measured: length };
    Ok(load::run(callers, cell, phases, || Ok(())).await?.figures)
}
