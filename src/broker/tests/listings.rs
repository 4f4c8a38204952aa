//! `/config.json` in the form of each era, and the HTTP interface of the original broker.

use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

use super::{RecordingInbox, call, quick, registration, serve};
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

async fn check(server: &Serving, method: &str, content_type: &str, expected: &str) {
    let answer = call(server, method, "/config.json", &[], "").await;
    assert_eq!(answer.headers[CONTENT_TYPE], content_type);
    assert_eq!(String::from_utf8_lossy(&answer.body), expected);
}

#[tokio::test]
async fn the_configuration_has_the_form_in_which_the_landscape_was_written() {
    let (broker, server) = serve(quick()).await;
    let configure = |form: Form, roles: Vec<RoleRoutes>| broker.configure(Landscape { form, roles }).unwrap();
    let (plain, json) = ("text/plain; charset=utf-8", "application/json; charset=utf-8");
    configure(Form::Http, Vec::new());
    check(&server, "GET", json, r#"{"services":{},"routes":{}}"#).await;

    configure(Form::Translations, vec![role("users", pairs())]);
    let expected = r#"{"clients":null,"routes":{"users":{"receives":["mongo create"],"sends":["mongo created"],"translations":[{"public":"create user","internal":"mongo create"}]}}}"#;
    check(&server, "GET", plain, &format!("{expected}\n")).await;
    for instance in ["u1", "u2"] {
        broker.join_local(registration("users", instance, &[]), RecordingInbox::answering(Vec::new())).unwrap();
    }
    let expected = expected.replace("null", r#"[{"role":"users","instances":2}]"#);
    check(&server, "POST", plain, &format!("{expected}\n")).await;

    configure(Form::MessageTranslations, vec![role("users", Translation::None)]);
    let expected = r#"{"clients":[{"role":"users","instances":2}],"routes":{"users":{"receives":["mongo create"],"sends":["mongo created"],"messageTranslations":[]}}}"#;
    check(&server, "GET", plain, &format!("{expected}\n")).await;

    configure(
        Form::Namespaces,
        vec![role("users", Translation::Namespace("mongo".into())), role("web", Translation::None)],
    );
    let expected = r#"{"clients":{"users":{"clientName":"users","serviceType":"users","internalNamespace":"mongo"}},"routes":{"users":{"receives":["mongo create"],"sends":["mongo created"],"internalNamespace":"mongo"},"web":{"receives":["mongo create"],"sends":["mongo created"]}}}"#;
    check(&server, "GET", json, expected).await;
}

#[tokio::test]
async fn the_original_interface_serves_sockets_and_configuration_only() {
    let broker = Broker::start(quick());
    broker.configure(Landscape { form: Form::Translations, roles: Vec::new() }).unwrap();
    let listening = Listening::bind("test", "127.0.0.1:0").await.unwrap();
    let server = listening.serve(exocom::router(broker), &Limits::default());
    for (method, path) in
        [("GET", "/"), ("GET", "/services"), ("POST", "/services"), ("POST", "/send/m"), ("PUT", "/ready")]
    {
        let answer = call(&server, method, path, &[], "[]").await;
        assert_eq!((answer.status.as_u16(), answer.body), (400, Bytes::from("Bad Request\n")), "{method} {path}");
        assert_eq!(answer.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
    }
    check(&server, "PUT", "text/plain; charset=utf-8", "{\"clients\":null,\"routes\":{}}\n").await;
}
