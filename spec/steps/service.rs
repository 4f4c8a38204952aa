//! Steps about the service behind a webhook.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cucumber::{given, then, when};
use ring::hmac;

use crate::world::World;
use crate::world::eventually::eventually;
use crate::world::service::{Behaviour, Recorded, Service};

#[given("a service that answers every message")]
async fn accepting(world: &mut World) {
    world.service = Some(Service::up(Behaviour::Accept));
}

#[given(regex = r#"^a service that answers "([^"]+)" with "([^"]+)" and `([^`]*)`(?: after (\d+) ms)?$"#)]
async fn replying(world: &mut World, to: String, name: String, payload: String, after_ms: String) {
    let after_ms = after_ms.parse().unwrap_or(0);
    world.service = Some(Service::up(Behaviour::Reply { to, name, payload, after_ms }));
}

#[given(regex = r"^a service that answers with the body `(.*)`$")]
async fn answering_body(world: &mut World, body: String) {
    world.service = Some(Service::up(Behaviour::Body(body)));
}

#[given(regex = r"^a service that answers with the body `(.*)` as (\S+)$")]
async fn answering_typed_body(world: &mut World, body: String, content_type: String) {
    let body = body.replace("(byte order mark)", "\u{feff}");
    world.service = Some(Service::up(Behaviour::TypedBody { content_type, body }));
}

#[given(regex = r"^a service that answers (\d+) to every message$")]
async fn failing(world: &mut World, status: u16) {
    world.service = Some(Service::up(Behaviour::Status { status, header: None, times: usize::MAX }));
}

#[given(regex = r"^a service that answers (\d+) to the first (\d+) messages$")]
async fn failing_first(world: &mut World, status: u16, times: usize) {
    world.service = Some(Service::up(Behaviour::Status { status, header: None, times }));
}

#[given(regex = r#"^a service that answers (\d+) with "([^:]+): ([^"]+)" to the first message$"#)]
async fn failing_with_header(world: &mut World, status: u16, name: String, value: String) {
    world.service = Some(Service::up(Behaviour::Status { status, header: Some((name, value)), times: 1 }));
}

#[given("a service that hangs")]
async fn hanging(world: &mut World) {
    world.service = Some(Service::up(Behaviour::Hang));
}

#[given("a service that resets every connection")]
async fn resetting(world: &mut World) {
    world.service = Some(Service::resetting().await);
}

#[given(regex = r"^a service that answers with (\d+) bytes$")]
async fn huge(world: &mut World, bytes: usize) {
    world.service = Some(Service::up(Behaviour::Huge(bytes)));
}

#[given(regex = r#"^a service that redirects to "([^"]+)"$"#)]
async fn redirecting(world: &mut World, url: String) {
    world.service = Some(Service::up(Behaviour::Redirect(url)));
}

#[given("a service that is not up yet")]
async fn down(world: &mut World) {
    world.service = Some(Service::down(Behaviour::Accept));
}

#[when("the service comes up")]
async fn comes_up(world: &mut World) {
    world.service.as_mut().expect("there is a service").come_up();
}

#[given("the service answers with nothing")]
#[when("the service answers every message")]
async fn accepts(world: &mut World) {
    world.service().behave(Behaviour::Accept);
}

#[then(regex = r#"^the service gets "([^"]+)" with no payload$"#)]
async fn gets_without_payload(world: &mut World, name: String) {
    let recorded = world.service().got(&name, 1).await;
    assert_eq!(recorded.raw("payload"), None);
}

#[then(regex = r#"^the service gets "([^"]+)" with payload `(.*)`$"#)]
#[when(regex = r#"^the service gets "([^"]+)" with payload `(.*)`$"#)]
async fn gets_with_payload(world: &mut World, name: String, payload: String) {
    let recorded = world.service().got(&name, 1).await;
    assert_eq!(recorded.raw("payload"), Some(payload));
}

#[then(regex = r"^the service was called (\d+) times$")]
async fn called_times(world: &mut World, count: usize) {
    let called = || world.service().recorded().len();
    eventually(("calls", count), || async { (called() >= count).then_some(()) }).await;
    assert_eq!(called(), count);
}

#[then(regex = r#"^the service has got "([^"]+)" (\d+) times$"#)]
async fn got_times(world: &mut World, name: String, count: usize) {
    world.service().got(&name, count).await;
    assert_eq!(named(world, &name).len(), count);
}

#[then(regex = r#"^the service has got "([^"]+)" (\d+) times once message "([^"]+)" is there$"#)]
async fn got_times_until(world: &mut World, name: String, count: usize, id: String) {
    let recorded = world.service().got(&name, count).await;
    assert_eq!(recorded.json()["id"], id);
    assert_eq!(named(world, &name).len(), count);
}

#[then(regex = r#"^the service has got "([^"]+)" 2 times, at least (\d+) ms apart$"#)]
async fn got_apart(world: &mut World, name: String, milliseconds: u128) {
    let (first, second) = (world.service().got(&name, 1).await, world.service().got(&name, 2).await);
    assert!((second.at - first.at).as_millis() >= milliseconds);
}

#[then(regex = r#"^the service gets the (id|activity id) "([^"]+)"$"#)]
async fn gets_id(world: &mut World, which: String, id: String) {
    let field = if which == "id" { "id" } else { "activityId" };
    assert_eq!(world.service().last().await.json()[field], id);
}

#[then(regex = r"^the service gets (?:the auth `(.*)`|no auth)$")]
async fn gets_auth(world: &mut World, auth: String) {
    assert_eq!(world.service().last().await.raw("auth").unwrap_or_default(), auth);
}

#[then(regex = r#"^the service gets the header "([^:]+): (.+)"$"#)]
async fn gets_header(world: &mut World, name: String, value: String) {
    let recorded = world.service().last().await;
    assert_eq!(recorded.headers.get(&name).map(|value| value.to_str().unwrap()), Some(value.as_str()), "{recorded:?}");
}

#[then(regex = r#"^the service gets the path "([^"]+)"$"#)]
async fn gets_path(world: &mut World, path: String) {
    assert_eq!(world.service().last().await.path, path);
}

#[then(regex = r"^the service gets the raw body `(.*)`$")]
async fn gets_body(world: &mut World, body: String) {
    assert_eq!(world.service().last().await.body, body);
}

#[then(regex = r"^the service gets a body with (.+)$")]
async fn gets_fields(world: &mut World, fields: String) {
    let recorded = world.service().last().await;
    for field in fields.split('"').skip(1).step_by(2) {
        assert!(recorded.raw(field).is_some(), "{field} is missing in {recorded:?}");
    }
}

#[then(regex = r#"^the service gets a signature that fits the secret "whsec_([^"]+)"$"#)]
async fn gets_signature(world: &mut World, secret: String) {
    let Recorded { headers, body, .. } = world.service().last().await;
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signed = [header("webhook-id").as_bytes(), b".", header("webhook-timestamp").as_bytes(), b".", &body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
    let expected = format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed)));
    let signatures = header("webhook-signature");
    assert!(signatures.split(' ').any(|signature| signature == expected), "{expected} is not in {signatures}");
}

fn named(world: &World, name: &str) -> Vec<Recorded> {
    world.service().recorded().into_iter().filter(|recorded| recorded.name() == name).collect()
}
