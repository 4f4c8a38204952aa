//! Steps about clients that watch a broker.

use cucumber::gherkin::Step;
use cucumber::{given, then};
use serde_json::Value;

use crate::world::broker::World;
use crate::world::http::Follower;

#[given(regex = r"^I follow (/traffic\S*)$")]
async fn i_follow(world: &mut World, path: String) {
    let url = format!("http://{}{path}", world.broker().address());
    world.follower = Some(Follower::start(&url).await);
}

#[then("I see this go by:")]
async fn i_see(world: &mut World, step: &Step) {
    let expected: Value = serde_json::from_str(step.docstring.as_deref().expect("the step has a text")).unwrap();
    let seen = world.follower().next().await;
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&seen[key], value, "{key} of {seen}");
    }
}

#[then(regex = r"^I see (.+) go by, in this order$")]
async fn i_see_in_order(world: &mut World, ids: String) {
    for id in ids.split(", ") {
        let seen = world.follower().next().await;
        assert_eq!(seen["id"], id, "{seen}");
    }
}

#[then("I see nothing more")]
async fn i_see_nothing_more(world: &mut World) {
    world.follower().end().await;
}

#[then(regex = r#"^the activity "([^"]+)" is shown as: (.+)$"#)]
async fn is_shown(world: &mut World, activity: String, story: String) {
    let reported = messages(world, &activity).await.into_iter().map(|row| {
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        let id = text("id").expect("an id");
        text("parent").map_or(id.clone(), |parent| format!("{id} below {parent}"))
    });
    assert_eq!(reported.collect::<Vec<_>>().join(", "), story);
}

#[then(regex = r#"^"([^"]+)" answered after the time since "([^"]+)" in activity "([^"]+)"$"#)]
async fn answered_after(world: &mut World, answer: String, request: String, activity: String) {
    let rows = messages(world, &activity).await;
    let of = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no {id} in {rows:?}"));
    let time = |id: &str, key: &str| of(id)[key].as_f64().unwrap_or_else(|| panic!("no {key} of {id} in {rows:?}"));
    let expected = time(&answer, "afterMs") - time(&request, "afterMs");
    // Each of the three is rounded to the microsecond.
    assert!((time(&answer, "responseTimeMs") - expected).abs() <= 0.002, "{expected} in {rows:?}");
}

async fn messages(world: &mut World, activity: &str) -> Vec<Value> {
    world.ask("GET", &format!("/activities/{activity}"), &[], "").await;
    world.answer_json()["messages"].as_array().unwrap_or_else(|| panic!("{}", world.answer_text())).clone()
}
