//! Steps that call a running process over HTTP, and look at what it answers.

use cucumber::{given, then, when};
use reqwest::Method;
use serde_json::Value;

use crate::world::World;
use crate::world::eventually::eventually;
use crate::world::http::{Answer, Follower, call};

#[when(regex = r"^I (GET|DELETE) (\S+)$")]
async fn get(world: &mut World, method: String, place: String) {
    let url = world.url(&place).await;
    let method = method.parse().expect("a method");
    world.answers.push(call(method, &url, Vec::new(), None).await);
}

/// As a person does who has no other client.
#[when(regex = r"^I open (\S+) in a browser$")]
async fn open(world: &mut World, place: String) {
    let url = world.url(&place).await;
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".to_owned();
    world.answers.push(call(Method::GET, &url, Vec::new(), Some(("accept".to_owned(), accept))).await);
}

#[when(regex = r#"^I POST `(.*)` to (\S+?)(?: with the header "([^:]+): (.+)")?$"#)]
async fn post(world: &mut World, body: String, place: String, name: String, value: String) {
    let url = world.url(&place).await;
    let body = world.fill_in(&body).await;
    let header = (!name.is_empty()).then_some((name, value));
    world.answers.push(call(Method::POST, &url, body.into_bytes(), header).await);
}

#[when(regex = r"^I PUT `(.*)` to (\S+) as (\S+)$")]
async fn put(world: &mut World, body: String, place: String, content_type: String) {
    let url = world.url(&place).await;
    let header = Some(("content-type".to_owned(), content_type));
    world.answers.push(call(Method::PUT, &url, body.into_bytes(), header).await);
}

/// As a caller does who gets the answer to try again later.
#[when(regex = r"^I POST `(.*)` to (\S+), and again while it is refused as unavailable$")]
async fn post_again(world: &mut World, body: String, place: String) {
    let url = world.url(&place).await;
    let answer = eventually("another answer than 502 and 503", || async {
        let answer = call(Method::POST, &url, body.clone().into_bytes(), None).await;
        (![502, 503].contains(&answer.status)).then_some(answer)
    });
    world.answers.push(answer.await);
}

#[when(regex = r"^I POST `(.*)` to (\S+) until it is refused$")]
async fn post_until_refused(world: &mut World, body: String, place: String) {
    let url = world.url(&place).await;
    for _ in 0..100 {
        let answer = call(Method::POST, &url, body.clone().into_bytes(), None).await;
        world.answers.push(answer);
        if world.answer().status != 202 {
            return;
        }
    }
    panic!("no message was refused");
}

#[when(regex = r"^I POST the bytes ([0-9a-f ]+) to (\S+)$")]
async fn post_bytes(world: &mut World, hex: String, place: String) {
    let body = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect();
    let url = world.url(&place).await;
    world.answers.push(call(Method::POST, &url, body, None).await);
}

#[when(regex = r"^I POST (\d+) (opening brackets|bytes of JSON) to (\S+)$")]
async fn post_much(world: &mut World, count: usize, what: String, place: String) {
    let body = match what.as_str() {
        "opening brackets" => "[".repeat(count),
        _ => format!("\"{}\"", "x".repeat(count - 2)),
    };
    let url = world.url(&place).await;
    world.answers.push(call(Method::POST, &url, body.into_bytes(), None).await);
}

#[when(regex = r"^I POST `(.*)` to (\S+) and a name of (\d+) letters$")]
async fn post_long_name(world: &mut World, body: String, place: String, letters: usize) {
    let url = world.url(&place).await + &"x".repeat(letters);
    world.answers.push(call(Method::POST, &url, body.into_bytes(), None).await);
}

#[when(regex = r"^I POST `(.*)` to (\S+) in answer to what the service got$")]
async fn post_reply(world: &mut World, body: String, place: String) {
    let got = world.service().last().await.json()["id"].as_str().expect("an id").to_owned();
    let url = world.url(&place).await;
    world.answers.push(call(Method::POST, &url, body.into_bytes(), Some(("exo-response-to".into(), got))).await);
}

#[when(regex = r"^I POST `(.*)` to (\S+) (\d+) times$")]
async fn post_many(world: &mut World, body: String, place: String, count: usize) {
    let url = world.url(&place).await;
    for _ in 0..count {
        let answer = call(Method::POST, &url, body.clone().into_bytes(), None).await;
        assert!(answer.status < 300, "{answer:?}");
    }
}

#[given(regex = r#"^a request of "([^"]+)"(?: with a timeout of (\w+))? is waiting at the api$"#)]
async fn request_waits(world: &mut World, name: String, timeout: String) {
    let query = if timeout.is_empty() { String::new() } else { format!("?timeout={timeout}") };
    let url = world.url(&format!("api/request/{name}{query}")).await;
    world.waiting = Some(tokio::spawn(async move { call(Method::POST, &url, b"1".to_vec(), None).await }));
    world.service().got(&name, 1).await;
}

#[when(regex = r#"^(\d+) requests of "([^"]+)" are made at the same time$"#)]
async fn many_requests(world: &mut World, count: usize, name: String) {
    let url = world.url(&format!("api/request/{name}")).await;
    let requests = (0..count).map(|_| call(Method::POST, &url, b"1".to_vec(), None));
    world.answers = futures_util::future::join_all(requests).await;
}

#[then(regex = r"^all of them get (\d+) with `(.*)`$")]
async fn all_get(world: &mut World, status: u16, body: String) {
    let answers: Vec<_> = world.answers.iter().map(|answer| (answer.status, answer.body.as_str())).collect();
    assert_eq!(answers, vec![(status, body.as_str()); answers.len()]);
}

#[then(regex = r"^the waiting request gets (\d+) with `(.*)`$")]
async fn waiting_gets(world: &mut World, status: u16, body: String) {
    let answer = world.waiting.take().expect("a request waits").await.expect("it ended");
    assert_eq!((answer.status, answer.body.as_str()), (status, body.as_str()));
}

#[then(regex = r"^I get (\d+) with an empty body$")]
async fn empty(world: &mut World, status: u16) {
    let answer = world.answer();
    assert_eq!((answer.status, answer.body.as_str()), (status, ""));
}

#[then(regex = r"^I get (\d+) with `(.*)`$")]
async fn has_body(world: &mut World, status: u16, body: String) {
    let answer = world.answer();
    assert_eq!((answer.status, answer.body.as_str()), (status, body.as_str()));
}

#[then(regex = r#"^I get (\d+) with the problem "([^"]+)"(?: and the words "(.+)")?$"#)]
async fn problem(world: &mut World, status: u16, slug: String, words: String) {
    let answer = world.answer();
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(problem["type"], format!("urn:exorelay:problem:{slug}"));
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(&words)), "{problem}");
}

#[then(regex = r#"^I get (\d+) and the words "(.+)"$"#)]
async fn has_words(world: &mut World, status: u16, words: String) {
    let answer = world.answer();
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.body.contains(&words), "{answer:?}");
}

#[then("I get 202 with an id and an activity id")]
async fn accepted(world: &mut World) {
    let sent: Value = serde_json::from_str(&world.answer().body).expect("JSON");
    assert_eq!(world.answer().status, 202);
    assert!(sent["id"].is_string() && sent["activityId"].is_string(), "{sent}");
}

#[then(regex = r#"^I get 202 with the activity id "([^"]+)"$"#)]
async fn accepted_in(world: &mut World, activity: String) {
    let sent: Value = serde_json::from_str(&world.answer().body).expect("JSON");
    assert_eq!(sent["activityId"], activity);
}

#[then(regex = r#"^I get (\d+) with a user called "([^"]+)"$"#)]
async fn user(world: &mut World, status: u16, name: String) {
    assert_eq!(world.answer().status, status, "{:?}", world.answer());
    let user: Value = serde_json::from_str(&world.answer().body).expect("JSON");
    assert_eq!(user["name"], name);
    assert!(user["id"].is_number(), "{user}");
}

#[then(regex = r#"^the answer has (?:the header "([^:]+): (.+)"|a header "(.+)")$"#)]
async fn has_header(world: &mut World, name: String, value: String, present: String) {
    let answer = world.answer();
    match present.is_empty() {
        true => assert_eq!(answer.header(&name), Some(value.as_str()), "{answer:?}"),
        false => assert!(answer.header(&present).is_some(), "{answer:?}"),
    }
}

#[then(regex = r#"^the answer has no header "(.+)"$"#)]
async fn has_no_header(world: &mut World, name: String) {
    let answer = world.answer();
    assert_eq!(answer.header(&name), None, "{answer:?}");
}

#[then("both answers are the same")]
async fn same_answers(world: &mut World) {
    let [.., first, second] = world.answers.as_slice() else { panic!("there are no two answers") };
    assert_eq!((&first.body, first.header("exo-message-id")), (&second.body, second.header("exo-message-id")));
}

#[then(regex = r#"^api/ready becomes (\d+) with the words "([^"]+)"$"#)]
async fn becomes_ready(world: &mut World, status: u16, words: String) {
    let url = world.url("api/ready").await;
    eventually((status, words.clone()), || async {
        let answer = call(Method::GET, &url, Vec::new(), None).await;
        (answer.status == status && answer.body.contains(&words)).then_some(())
    })
    .await;
}

#[then(regex = r#"^the metric "([^"]+)" of the sidecar becomes (\d+)$"#)]
async fn metric(world: &mut World, name: String, value: u64) {
    let url = world.url("api/metrics").await;
    let line = format!("{name} {value}");
    eventually(line.clone(), || async {
        let answer = call(Method::GET, &url, Vec::new(), None).await;
        answer.body.lines().any(|other| other == line).then_some(())
    })
    .await;
}

#[then(regex = r#"^there is a dead letter "([^"]+)" with the words "([^"]+)"$"#)]
async fn dead_letter(world: &mut World, name: String, words: String) {
    let url = world.url("api/dead-letters").await;
    eventually((name.clone(), words.clone()), || async {
        let letters: Value = serde_json::from_str(&call(Method::GET, &url, Vec::new(), None).await.body).ok()?;
        let letter = letters.as_array()?.iter().find(|letter| letter["message"]["name"] == name)?.clone();
        letter["reason"].as_str()?.contains(&words).then_some(())
    })
    .await;
}

#[then("there are no dead letters")]
async fn no_dead_letters(world: &mut World) {
    let url = world.url("api/dead-letters").await;
    assert_eq!(call(Method::GET, &url, Vec::new(), None).await.body, "[]");
}

#[given(regex = r"^somebody follows (\S+)$")]
#[when(regex = r"^somebody follows (\S+)$")]
async fn follows(world: &mut World, place: String) {
    let url = world.url(&place).await;
    world.follower = Some(Follower::start(&url).await);
}

#[given(regex = r"^somebody else follows (\S+)$")]
#[when(regex = r"^somebody else follows (\S+)$")]
async fn also_follows(world: &mut World, place: String) {
    world.silent_followers.extend(world.follower.take());
    follows(world, place).await;
}

#[when("the follower goes away")]
async fn unfollows(world: &mut World) {
    world.follower = None;
}

#[then(regex = r#"^the follower gets "([^"]+)" (?:with the payload `(.*)`|with the id "(.*)"|(without payload))$"#)]
async fn follower_gets(world: &mut World, name: String, payload: String, id: String, _without: String) {
    let message = world.follower.as_mut().expect("somebody follows").next().await;
    assert_eq!(message["name"], name);
    if !id.is_empty() {
        assert_eq!(message["id"], id);
    } else if payload.is_empty() {
        assert_eq!(message.get("payload"), None);
    } else {
        assert_eq!(message["payload"].to_string(), payload);
    }
    world.followed = message["id"].as_str().expect("an id").to_owned();
}

#[then(regex = r#"^the follower gets "([^"]+)" again, as attempt (\d+)$"#)]
async fn follower_gets_again(world: &mut World, name: String, attempt: u64) {
    let message = world.follower.as_mut().expect("somebody follows").next().await;
    assert_eq!((message["name"].as_str(), message["attempt"].as_u64()), (Some(name.as_str()), Some(attempt)));
    assert_eq!(message["id"], world.followed);
}

#[then(regex = r#"^giving it back makes room for "([^"]+)" with the payload `(.*)`, and it comes again$"#)]
async fn give_back(world: &mut World, name: String, payload: String) {
    let given_back = world.followed.clone();
    let url = world.url(&format!("api/messages/{given_back}/retry")).await;
    assert_eq!(call(Method::POST, &url, Vec::new(), None).await.status, 204);
    follower_gets(world, name.clone(), payload, String::new(), String::new()).await;
    acknowledge(world, 204).await;
    world.followed = given_back;
    follower_gets_again(world, name, 2).await;
}

#[then(regex = r"^acknowledging it gives (\d+)$")]
async fn acknowledge(world: &mut World, status: u16) {
    let url = world.url(&format!("api/messages/{}/ack", world.followed)).await;
    let answer: Answer = call(Method::POST, &url, Vec::new(), None).await;
    assert_eq!(answer.status, status);
}
