//! The README's example of a test, which is this one.

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

#[test]
fn the_readme_shows_this_service_and_its_test() {
    let (readme, here) = (include_str!("../../README.md"), include_str!("readme.rs"));
    for part in ["fn greeter()", "#[tokio::test]\nasync fn it_greets()"] {
        let start = here.find(part).unwrap();
        let end = start + here[start..].find("\n}\n").unwrap() + 2;
        assert!(readme.contains(&here[start..end]), "README.md does not show:\n{}", &here[start..end]);
    }
}
