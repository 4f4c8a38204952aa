//! What the broker shows of itself, in the words of every era.

use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

use super::{Recording, call, face, quick, registration};
use crate::broker::{Broker, Form, Landscape, Pair, RoleRoutes, Translation, exocom};
use crate::http::{Limits, Listening, Serving};
use crate::message::{MessageName, Role};

fn name(text: &str) -> MessageName {
    MessageName::parse(text).unwrap()
}

fn role(role: &str, translation: Translation) -> RoleRoutes {
    let (sends, receives) = (vec![name("mongo created")], vec![name("mongo create")]);
    RoleRoutes { role: Role::parse(role).unwrap(), sends, receives, translation, address: None }
}

fn pairs() -> Translation {
    let pair = Pair { public: name("create user"), internal: name("mongo create") };
    Translation::Pairs([pair].into())
}

async fn check(face: &Serving, method: &str, content_type: &str, expected: &str) {
    let answer = call(face, method, "/config.json", &[], "").await;
    assert_eq!(answer.headers[CONTENT_TYPE], content_type);
    assert_eq!(String::from_utf8_lossy(&answer.body), expected);
}

#[tokio::test]
async fn the_configuration_is_shown_in_the_form_it_was_written_in() {
    let (broker, face) = face(quick()).await;
    let show = |form: Form, roles: Vec<RoleRoutes>| broker.configure(Landscape { form, roles }).unwrap();
    let (plain, json) = ("text/plain; charset=utf-8", "application/json; charset=utf-8");
    show(Form::Http, Vec::new());
    check(&face, "GET", json, r#"{"services":{},"routes":{}}"#).await;

    show(Form::Translations, vec![role("users", pairs())]);
    let expected = r#"{"clients":null,"routes":{"users":{"receives":["mongo create"],"sends":["mongo created"],"translations":[{"public":"create user","internal":"mongo create"}]}}}"#;
    check(&face, "GET", plain, &format!("{expected}\n")).await;
    for instance in ["u1", "u2"] {
        broker.join_local(registration("users", instance, &[]), Recording::answering(Vec::new())).unwrap();
    }
    let expected = expected.replace("null", r#"[{"role":"users","instances":2}]"#);
    check(&face, "POST", plain, &format!("{expected}\n")).await;

    show(Form::MessageTranslations, vec![role("users", Translation::None)]);
    let expected = r#"{"clients":[{"role":"users","instances":2}],"routes":{"users":{"receives":["mongo create"],"sends":["mongo created"],"messageTranslations":[]}}}"#;
    check(&face, "GET", plain, &format!("{expected}\n")).await;

    show(Form::Namespaces, vec![role("users", Translation::Namespace("mongo".into())), role("web", Translation::None)]);
    let expected = r#"{"clients":{"users":{"clientName":"users","serviceType":"users","internalNamespace":"mongo"}},"routes":{"users":{"receives":["mongo create"],"sends":["mongo created"],"internalNamespace":"mongo"},"web":{"receives":["mongo create"],"sends":["mongo created"]}}}"#;
    check(&face, "GET", json, expected).await;
}

#[tokio::test]
async fn the_face_of_the_original_says_no_to_everything_but_sockets_and_its_configuration() {
    let broker = Broker::start(quick());
    broker.configure(Landscape { form: Form::Translations, roles: Vec::new() }).unwrap();
    let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
    let face = listening.serve(exocom::router(broker), &Limits::default());
    for (method, path) in
        [("GET", "/"), ("GET", "/services"), ("POST", "/services"), ("POST", "/send/m"), ("PUT", "/ready")]
    {
        let answer = call(&face, method, path, &[], "[]").await;
        assert_eq!((answer.status.as_u16(), answer.body), (400, Bytes::from("Bad Request\n")), "{method} {path}");
        assert_eq!(answer.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    }
    check(&face, "PUT", "text/plain; charset=utf-8", "{\"clients\":null,\"routes\":{}}\n").await;
}
