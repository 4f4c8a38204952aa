//! Steps of web pages, and of what a page does with the name of a host. Each sends what browsers send.

use cucumber::when;
use reqwest::{Client, Method};

use crate::world::World;
use crate::world::http::Answer;

/// Headers with which a browser marks the request of a page to another site.
const CROSS_SITE: [(&str, &str); 3] =
    [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];

async fn send(world: &mut World, request: &str, headers: &[(&str, &str)], body: String) {
    let (method, place) = request.split_once(' ').expect("a method and a place");
    let (method, url) = (method.parse::<Method>().expect("a method"), world.url(place).await);
    let client = Client::builder().no_proxy().build().expect("a client");
    let mut call = client.request(method, &url).body(body);
    for (name, value) in headers {
        call = call.header(*name, *value);
    }
    let answer = call.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    world.answers.push(Answer { status, headers, body: answer.text().await.unwrap_or_default() });
}

#[when(regex = r#"^a page of "([^"]*)" sends `([^`]+)`(?: with `(.*)` as (\S+))?$"#)]
async fn page(world: &mut World, origin: String, request: String, body: String, content_type: String) {
    let mut headers = vec![("origin", origin.as_str())];
    headers.extend(CROSS_SITE);
    headers.extend((!content_type.is_empty()).then_some(("content-type", content_type.as_str())));
    send(world, &request, &headers, body).await;
}

#[when(regex = r#"^the page of the listener itself sends `([^`]+)`(?: with `(.*)` as (\S+))?$"#)]
async fn own_page(world: &mut World, request: String, body: String, content_type: String) {
    let url = world.url(request.split_once(' ').expect("a method and a place").1).await;
    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let mut headers = vec![("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
    headers.extend((!content_type.is_empty()).then_some(("content-type", content_type.as_str())));
    send(world, &request, &headers, body).await;
}

#[when(regex = r#"^a page of "([^"]*)" asks whether it may send `([^`]+)`$"#)]
async fn preflight(world: &mut World, origin: String, request: String) {
    let (method, place) = request.split_once(' ').expect("a method and a place");
    let mut headers = vec![("origin", origin.as_str()), ("access-control-request-method", method)];
    headers.push(("access-control-request-headers", "content-type"));
    headers.extend(CROSS_SITE);
    send(world, &format!("OPTIONS {place}"), &headers, String::new()).await;
}

#[when(regex = r#"^a page of "([^"]*)" opens a socket at (\S+)$"#)]
async fn socket(world: &mut World, origin: String, place: String) {
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "websocket"),
        ("origin", &origin),
    ];
    send(world, &format!("GET {place}"), &headers, String::new()).await;
}

#[when(regex = r#"^a person follows a link to (\S+) from a page of another site$"#)]
async fn link(world: &mut World, place: String) {
    let headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    send(world, &format!("GET {place}"), &headers, String::new()).await;
}

#[when(regex = r#"^a page of another site embeds (\S+)$"#)]
async fn embed(world: &mut World, place: String) {
    let headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    send(world, &format!("GET {place}"), &headers, String::new()).await;
}

#[when(regex = r#"^a client sends `([^`]+)` to the host "([^"]*)"(?: with `(.*)`)?$"#)]
async fn names_host(world: &mut World, request: String, host: String, body: String) {
    send(world, &request, &[("host", &host), ("content-type", "application/json")], body).await;
}
