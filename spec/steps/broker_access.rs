//! Steps about the tokens of the broker.

use cucumber::gherkin::Step;
use cucumber::{given, when};
use serde_json::json;

use crate::world::broker::{RecordingService, World};

/// Headers that name an instance and present a token, if they are given.
fn headers<'a>(instance: &'a str, authorization: &'a str) -> Vec<(&'static str, &'a str)> {
    let given = [("Exo-Instance", instance), ("Authorization", authorization)];
    given.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn bearer(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("Bearer {token}") }
}

#[when(regex = r#"^I (GET|DELETE) (\S+) with the token "([^"]*)"$"#)]
async fn i_get_with_token(world: &mut World, method: String, path: String, token: String) {
    world.ask(&method, &path, &headers("", &bearer(&token)), "").await;
}

#[when(regex = r#"^(?:as the instance "([^"]+)" )?I (POST|PUT) to (\S+) with the token "([^"]*)":$"#)]
async fn i_post_with_token(
    world: &mut World,
    instance: String,
    method: String,
    path: String,
    token: String,
    step: &Step,
) {
    world
        .ask(
            &method,
            &path,
            &headers(&instance, &bearer(&token)),
            step.docstring.as_deref().expect("the step has a text").trim(),
        )
        .await;
}

#[given(regex = r#"^the service "([^"]+)" is running$"#)]
async fn a_service(world: &mut World, name: String) {
    world.services.insert(name, RecordingService::start().await);
}

#[given(regex = r#"^(\w+) listens as "([^"]+)" for "([^"]*)" with the token "([^"]+)"$"#)]
async fn listens_with_token(world: &mut World, role: String, instance: String, receives: String, token: String) {
    let service = RecordingService::start().await;
    let body = json!({
        "instance": instance, "host": "127.0.0.1", "port": service.port(), "receives": receives.split(',').collect::<Vec<_>>(), "token": token,
    });
    world.services.insert(instance, service);
    world.ask("PUT", &format!("/services/{role}"), &[], &body.to_string()).await;
    assert_eq!(world.answer().status, 200, "{}", world.answer_text());
}
