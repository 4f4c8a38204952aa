//! Steps about making a relay.

use cucumber::{then, when};
use exorelay::{Error, Event, Relay};

use crate::world::World;
use crate::world::http::call;

#[when(regex = r#"^a relay "(.*)" is made with the bus "(.*)"$"#)]
async fn made_with_bus(world: &mut World, role: String, bus: String) {
    let outcome = Relay::builder(role).bus(bus).connect().await;
    keep(world, outcome);
}

#[when(regex = r#"^a relay "(.*)" is made that listens on (\S+)$"#)]
async fn made_listening(world: &mut World, role: String, address: String) {
    let broker = exorelay::broker::Broker::start(Default::default());
    let outcome = Relay::builder(role).broker(&broker).listen(address).connect().await;
    keep(world, outcome);
}

#[when(regex = r#"^a relay "(.*)" is made that listens on a port that is taken$"#)]
async fn made_on_taken_port(world: &mut World, role: String) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    let broker = exorelay::broker::Broker::start(Default::default());
    let outcome = Relay::builder(role).broker(&broker).listen(address).connect().await;
    keep(world, outcome);
}

fn keep(world: &mut World, outcome: Result<Relay, Error>) {
    match outcome {
        Ok(relay) => world.relays.made = Some(relay),
        Err(error) => world.relays.failure = Some(error),
    }
}

#[then("it is online with the port it listens on")]
async fn is_online(world: &mut World) {
    let relay = world.relays.made.as_ref().expect("a relay was made");
    let address = relay.address().expect("it listens");
    let event = relay.events().next().await;
    assert!(matches!(event, Some(Event::Online { port }) if port == address.port()), "{event:?}");
}

#[then(regex = r"^GET (\S+) there is answered (\d+)$")]
async fn answers(world: &mut World, path: String, status: u16) {
    let relay = world.relays.made.as_ref().expect("a relay was made");
    let url = format!("http://{}{path}", relay.address().expect("it listens"));
    assert_eq!(call(reqwest::Method::GET, &url, Vec::new(), None).await.status, status);
}
