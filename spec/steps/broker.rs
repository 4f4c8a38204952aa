//! Steps about the broker and the services around it.

use std::time::Duration;

use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use exorelay::broker::Config;
use serde_json::{Value, json};

use crate::world::broker::{Conduct, RecordingService, RunningBroker, World, call, eventually};

/// Short waits, so that scenarios about failures are quick.
fn quick() -> Config {
    Config {
        settle_ms: 0,
        address: "127.0.0.1:0".into(),
        delivery_timeout_ms: 500,
        retry_wait_max_ms: 50,
        log_messages: true,
        ..Config::default()
    }
}

async fn start(world: &mut World, config: Config) {
    match RunningBroker::start(config).await {
        Ok(broker) => world.broker = Some(broker),
        Err(error) => world.failure = Some(error.to_string()),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn rows(step: &Step) -> Vec<Vec<String>> {
    step.table.as_ref().expect("the step has a table").rows.clone()
}

fn docstring(step: &Step) -> &str {
    step.docstring.as_deref().expect("the step has a text").trim()
}

#[given("a broker")]
async fn a_broker(world: &mut World) {
    start(world, quick()).await;
}

#[given("a broker in compat mode")]
async fn a_broker_in_compat_mode(world: &mut World) {
    start(world, Config { compat: true, ..quick() }).await;
}

#[given("a broker that logs payloads")]
async fn a_broker_that_logs_payloads(world: &mut World) {
    start(world, Config { log_payloads: true, ..quick() }).await;
}

#[given("a broker that does not log")]
async fn a_broker_that_does_not_log(world: &mut World) {
    start(world, Config { log_messages: false, ..quick() }).await;
}

#[given("a broker with these settings:")]
async fn a_broker_with(world: &mut World, step: &Step) {
    let mut config = serde_json::to_value(quick()).unwrap();
    for row in rows(step) {
        config[&row[0]] = serde_json::from_str(&row[1]).unwrap();
    }
    start(world, serde_json::from_value(config).unwrap()).await;
}

#[given("the landscape:")]
#[when("the landscape is posted:")]
async fn the_landscape(world: &mut World, step: &Step) {
    let mut services = Vec::new();
    for row in rows(step).into_iter().skip(1) {
        let [name, namespace, sends, receives] = row.try_into().expect("NAME, NAMESPACE, SENDS, RECEIVES");
        if !world.services.contains_key(&name) {
            world.services.insert(name.clone(), RecordingService::start().await);
        }
        let mut service = json!({
            "name": name,
            "host": "127.0.0.1",
            "port": world.service(&name).port(),
            "sends": list(&sends),
            "receives": list(&receives),
        });
        if !namespace.is_empty() {
            service["internalNamespace"] = namespace.into();
        }
        services.push(service);
    }
    world.ask("POST", "/services", &[], &Value::from(services).to_string()).await;
    assert_eq!(world.answer().status, 200, "{}", world.answer_text());
}

#[given(regex = r#"^the instance "([^"]+)" of (\w+) receives "([^"]*)"( in batches)?$"#)]
#[when(regex = r#"^the instance "([^"]+)" of (\w+) registers for "([^"]*)"( in batches)?$"#)]
async fn an_instance(world: &mut World, instance: String, role: String, receives: String, batch: String) {
    if !world.services.contains_key(&instance) {
        world.services.insert(instance.clone(), RecordingService::start().await);
    }
    let body = json!({
        "instance": instance,
        "host": "127.0.0.1",
        "port": world.service(&instance).port(),
        "receives": list(&receives),
        "batch": !batch.is_empty(),
    });
    world.ask("PUT", &format!("/services/{role}"), &[], &body.to_string()).await;
    assert_eq!(world.answer().status, 200, "{}", world.answer_text());
}

#[when(regex = r#"^the instance "([^"]+)" of (\w+) leaves$"#)]
async fn an_instance_leaves(world: &mut World, instance: String, role: String) {
    world.ask("DELETE", &format!("/services/{role}?instance={instance}"), &[], "").await;
    assert_eq!(world.answer().status, 204, "{}", world.answer_text());
}

#[given(regex = r#"^"?([\w-]+)"? is offline$"#)]
#[when(regex = r#"^"?([\w-]+)"? goes offline$"#)]
async fn goes_offline(world: &mut World, name: String) {
    world.services.get_mut(&name).unwrap().go_offline().await;
}

#[when(regex = r#"^"?([\w-]+)"? comes back$"#)]
async fn comes_back(world: &mut World, name: String) {
    world.services.get_mut(&name).unwrap().come_back().await;
}

#[given(regex = r#"^"?([\w-]+)"? answers every delivery with (\d+)$"#)]
#[when(regex = r#"^"?([\w-]+)"? answers every delivery with (\d+) again$"#)]
async fn answers(world: &mut World, name: String, status: u16) {
    world.service(&name).behave(Conduct::Answer(status));
}

#[given(regex = r#"^"?([\w-]+)"? answers "([^"]+)" only after "([^"]+)" has come$"#)]
async fn answers_after(world: &mut World, name: String, message: String, other: String) {
    world.service(&name).hold_until(&message, &other);
}

#[then(regex = r#"^"?([\w-]+)"? has received the body `(.+)`$"#)]
async fn has_received_body(world: &mut World, name: String, body: String) {
    let (service, expected) = (world.service(&name), serde_json::from_str::<Value>(&body).unwrap());
    let what = || format!("{name} received {:?}", service.received());
    eventually(what, async || service.received().iter().any(|received| received.body == expected)).await;
}

#[given(regex = r#"^"?([\w-]+)"? never answers$"#)]
async fn never_answers(world: &mut World, name: String) {
    world.service(&name).behave(Conduct::Hang);
}

#[given(
    regex = r#"^(\w+) sends "([^"]+)"((?: (?:as|in activity|in reply to|from instance|with the payload) (?:"[^"]*"|\{.*\}|\d+))*)$"#
)]
#[when(
    regex = r#"^(\w+) sends "([^"]+)"((?: (?:as|in activity|in reply to|from instance|with the payload) (?:"[^"]*"|\{.*\}|\d+))*)$"#
)]
async fn sends(world: &mut World, sender: String, name: String, more: String) {
    let mut message = json!({ "id": world.next_id(), "sender": sender });
    if let Some(payload) = detail(&more, "with the payload") {
        message["payload"] = serde_json::from_str(&payload).unwrap();
    }
    for (words, key) in [("as", "id"), ("in activity", "activityId"), ("in reply to", "responseTo")] {
        if let Some(text) = detail(&more, words) {
            message[key] = text.trim_matches('"').into();
        }
    }
    let instance = detail(&more, "from instance").map(|text| text.trim_matches('"').to_owned());
    let headers: Vec<_> = instance.iter().map(|instance| ("Exo-Instance", instance.as_str())).collect();
    let path = format!("/send/{}", percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC));
    world.ask("POST", &path, &headers, &message.to_string()).await;
}

/// Text after these words in the second half of a sending step.
fn detail(more: &str, words: &str) -> Option<String> {
    let pattern = format!(r#" {words} ("[^"]*"|\{{.*\}}|\d+)"#);
    Some(regex::Regex::new(&pattern).unwrap().captures(more)?[1].to_owned())
}

#[when(regex = r"^I (GET|DELETE) (\S+)$")]
async fn i_get(world: &mut World, method: String, path: String) {
    world.ask(&method, &path, &[], "").await;
}

#[when(regex = r"^I (POST|PUT) to (\S+):$")]
async fn i_post(world: &mut World, method: String, path: String, step: &Step) {
    world.ask(&method, &path, &[], docstring(step)).await;
}

#[when(expr = "I POST to {word} with the header {string}:")]
async fn i_post_with(world: &mut World, path: String, header: String, step: &Step) {
    let (name, value) = header.split_once(": ").unwrap();
    world.ask("POST", &path, &[(name, value)], docstring(step)).await;
}

#[given("a port that is taken")]
async fn a_taken_port(world: &mut World) {
    world.taken = Some(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
}

#[when("a broker is started on that port")]
async fn a_broker_on_that_port(world: &mut World) {
    let address = world.taken.as_ref().unwrap().local_addr().unwrap().to_string();
    start(world, Config { address, ..quick() }).await;
}

#[then("it does not start, and says that the port is already in use")]
async fn the_port_is_in_use(world: &mut World) {
    let port = world.taken.as_ref().unwrap().local_addr().unwrap().port();
    let failure = world.failure.as_ref().expect("the broker did not start");
    assert!(failure.contains(&format!("port {port} is already in use")), "{failure}");
}

#[when("the broker shuts down")]
async fn shuts_down(world: &mut World) {
    world.broker().broker.clone().close(Duration::from_millis(50)).await;
}

#[then(
    regex = r#"^"?([\w-]+)"? receives "([^"]+)"((?: (?:as|in activity|in reply to|with the payload) (?:"[^"]*"|\{.*\}|\d+))*)$"#
)]
async fn receives(world: &mut World, name: String, message: String, more: String) {
    let service = world.service(&name);
    let fits = |body: &Value| {
        let payload = detail(&more, "with the payload").map(|text| serde_json::from_str::<Value>(&text).unwrap());
        let texts = [("as", "id"), ("in activity", "activityId"), ("in reply to", "responseTo")];
        payload.is_none_or(|payload| body["payload"] == payload)
            && texts
                .iter()
                .all(|(words, key)| detail(&more, words).is_none_or(|text| body[key] == text.trim_matches('"')))
    };
    let what = || format!("{name} did not receive {message}{more}: {:?}", service.received());
    eventually(what, async || {
        service.received().iter().any(|received| received.name == message && fits(&received.body))
    })
    .await;
}

#[then(regex = r#"^"?([\w-]+)"? has received (\d+) messages?$"#)]
async fn has_received(world: &mut World, name: String, count: usize) {
    let service = world.service(&name);
    let what = || format!("{name} received {:?}", service.received());
    eventually(what, async || service.received().len() >= count).await;
    assert_eq!(service.received().len(), count, "{}", what());
}

#[then(regex = r#"^"?([\w-]+)"? has received nothing$"#)]
async fn has_received_nothing(world: &mut World, name: String) {
    assert_eq!(world.service(&name).received().len(), 0, "{:?}", world.service(&name));
}

#[then(regex = r#"^"?([\w-]+)"? has received, in this order: (.+)$"#)]
async fn has_received_in_order(world: &mut World, name: String, ids: String) {
    let (service, expected) = (world.service(&name), list(&ids));
    let got = || service.received().iter().map(|received| received.id().to_owned()).collect::<Vec<_>>();
    eventually(|| format!("{name} received {:?}", got()), async || got().len() >= expected.len()).await;
    assert_eq!(got(), expected);
}

#[then(regex = r#"^"?([\w-]+)"? has been called (\d+) times?$"#)]
async fn has_been_called(world: &mut World, name: String, count: usize) {
    let service = world.service(&name);
    eventually(|| format!("{name} was called {} times", service.calls()), async || service.calls() >= count).await;
    assert_eq!(service.calls(), count);
}

#[then(regex = r#"^"?([\w-]+)"? has been called more than once$"#)]
async fn has_been_called_again(world: &mut World, name: String) {
    let service = world.service(&name);
    eventually(|| format!("{name} was called {} times", service.calls()), async || service.calls() > 1).await;
}

#[then(expr = "{word} received the header {string}")]
async fn received_the_header(world: &mut World, name: String, header: String) {
    let (key, value) = header.split_once(": ").unwrap();
    let received = world.service(&name).received();
    assert!(
        received.iter().any(|received| received.headers.get(key).is_some_and(|other| other == value)),
        "{received:?}"
    );
}

#[then(expr = "exactly one of {string} and {string} has received {int} message(s)")]
async fn exactly_one_of(world: &mut World, one: String, other: String, count: usize) {
    let counts = || [&one, &other].map(|name| world.service(name).received().len());
    eventually(|| format!("{:?}", counts()), async || counts().iter().sum::<usize>() >= count).await;
    assert!(counts() == [count, 0] || counts() == [0, count], "{:?}", counts());
}

#[then(expr = "{string} and {string} have received {int} messages each")]
async fn each_has_received(world: &mut World, one: String, other: String, count: usize) {
    let counts = || [&one, &other].map(|name| world.service(name).received().len());
    eventually(|| format!("{:?}", counts()), async || counts() == [count, count]).await;
}

#[then(expr = "the broker answers {int}")]
async fn the_broker_answers(world: &mut World, status: u16) {
    assert_eq!(world.answer().status.as_u16(), status, "{}", world.answer_text());
}

#[then("the answer is empty")]
async fn the_answer_is_empty(world: &mut World) {
    assert_eq!(world.answer_text(), "");
}

#[then(expr = "the answer is {string}")]
async fn the_answer_is(world: &mut World, text: String) {
    assert_eq!(world.answer_text(), text);
}

#[then(expr = "the answer says {string}")]
async fn the_answer_says(world: &mut World, text: String) {
    let text = world.fill(&text);
    let plain = world.answer_text().replace("\\\"", "'");
    assert!(plain.contains(&text), "{plain}");
}

#[then(expr = "the answer is a problem of the kind {string} that says {string}")]
async fn the_answer_is_a_problem(world: &mut World, kind: String, text: String) {
    let problem = world.answer_json();
    assert_eq!(problem["type"], format!("urn:exorelay:problem:{kind}"));
    let detail = problem["detail"].as_str().unwrap().replace('"', "'");
    assert!(detail.contains(&text), "{detail}");
}

#[then(expr = "the answer has the header {string}")]
async fn the_answer_has_the_header(world: &mut World, header: String) {
    let (key, value) = header.split_once(": ").unwrap();
    assert_eq!(world.answer().headers.get(key).map(|value| value.to_str().unwrap()), Some(value));
}

#[then("the answer is this JSON:")]
async fn the_answer_is_json(world: &mut World, step: &Step) {
    let expected: Value = serde_json::from_str(&world.fill(docstring(step))).unwrap();
    assert_eq!(world.answer_json(), expected);
}

#[then(expr = "GET {word} eventually says {string}")]
async fn eventually_says(world: &mut World, path: String, text: String) {
    let url = format!("http://{}{path}", world.broker().address());
    let text = world.fill(&text).replace('\'', "\"");
    eventually(
        || format!("{path} never said {text}"),
        async || String::from_utf8_lossy(&call("GET", &url, &[], "").await.body).contains(&text),
    )
    .await;
}

#[then(expr = "GET {word} eventually does not say {string}")]
async fn eventually_says_not(world: &mut World, path: String, text: String) {
    let url = format!("http://{}{path}", world.broker().address());
    eventually(
        || format!("{path} still says {text}"),
        async || !String::from_utf8_lossy(&call("GET", &url, &[], "").await.body).contains(&text),
    )
    .await;
}

#[then(expr = "the broker logs {string}")]
async fn the_broker_logs(world: &mut World, line: String) {
    let (broker, line) = (world.broker(), world.fill(&line).replace('\'', "\""));
    eventually(|| format!("no line {line:?} in {:#?}", broker.log()), async || broker.log().contains(&line)).await;
}

#[then(expr = "the log does not contain {string}")]
async fn the_log_does_not_contain(world: &mut World, text: String) {
    let log = world.broker().log();
    assert!(!log.iter().any(|line| line.contains(&text)), "{log:#?}");
}
