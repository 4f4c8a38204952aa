//! Test of the guide's example of an application that serves streams beside its own routes.

use axum::Router;
use axum::routing::get;
use exorelay::streams::{Config, Streams};
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
fn the_guide_shows_this_application() {
    let (guide, here) = (include_str!("../../src/guide/streams.md"), include_str!("embedding.rs"));
    let start = here.find("fn application(").unwrap();
    let end = start + here[start..].find("\n}\n").unwrap() + 2;
    assert!(guide.contains(&here[start..end]), "src/guide/streams.md does not show:\n{}", &here[start..end]);
}
