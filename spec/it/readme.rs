//! The README's examples of a test and of an application, which are these.

use axum::Router;
use axum::routing::get;
use exorelay::streams::{Config, Streams};
use exorelay::testing::MockBroker;
use exorelay::{Context, Message, Service};

fn greeter() -> Service {
    Service::new("greeter").on("greet", |message: Message, context: Context| async move {
        let name: String = message.payload()?;
        context.reply("greeting", format!("Hello {name}")).await?;
        Ok(())
    })
}

#[tokio::test]
async fn it_greets() -> Result<(), Box<dyn std::error::Error>> {
    let broker = MockBroker::start().await?;
    let relay = greeter().bus(broker.url()).connect().await?;
    broker.wait_until_known("greeter").await?;

    broker.send("greeter", "greet").payload("world").await?;
    let greeting = broker.wait_until_received("greeting").await?;
    assert_eq!(greeting.payload::<String>()?, "Hello world");

    relay.close().await;
    Ok(())
}

fn application(streams: &Streams) -> Router {
    let own = Router::new().route("/", get(|| async { "an application of its own" }));
    own.merge(exorelay::streams::router(streams.clone()))
}

#[tokio::test]
async fn an_application_serves_streams_beside_its_own() -> Result<(), Box<dyn std::error::Error>> {
    let streams = Streams::in_memory(Config::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(axum::serve(listener, application(&streams)).into_future());

    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build()?;
    let notes = format!("{root}/v1/stream/notes");
    let created = client.put(&notes).header("content-type", "text/plain").body("hello").send().await?;
    assert_eq!(created.headers()["location"], notes.as_str());
    assert_eq!(client.get(&notes).send().await?.text().await?, "hello");
    assert_eq!(client.get(&root).send().await?.text().await?, "an application of its own");

    streams.drain();
    serving.abort();
    Ok(())
}

#[test]
fn the_readme_shows_this_service_and_its_test() {
    let (readme, here) = (include_str!("../../README.md"), include_str!("readme.rs"));
    for part in ["fn greeter()", "#[tokio::test]\nasync fn it_greets()", "fn application("] {
        let start = here.find(part).unwrap();
        let end = start + here[start..].find("\n}\n").unwrap() + 2;
        assert!(readme.contains(&here[start..end]), "README.md does not show:\n{}", &here[start..end]);
    }
}
