//! Garbage for the parsers of the broker.

use bytes::Bytes;
use proptest::prelude::*;

use super::wire::{Address, Announcement, Application, Frame, Landscape, Lease};
use crate::message::{Delivery, MessageId, Role, Verdict};
use crate::mutation::{mutated, mutated_text};

/// Frames of both eras, and of our relays.
const FRAMES: [&str; 7] = [
    r#"{"id":"1","name":"users.create","payload":{"name":"Will"},"sender":"web","activityId":"7"}"#,
    r#"{"name":"exocom.register-service","sender":"web","id":"1","activityId":"1"}"#,
    r#"{"name":"exocom.register-service","payload":{"name":"users","instance":"users-1","receives":["a"],"sends":["b"],"namespace":"mongo","token":"t"}}"#,
    r#"{"name":"exocom.register-service","payload":{"clientName":"web"},"id":"1"}"#,
    r#"[{"id":"1","status":200},{"id":"2","status":429,"retryAfterMs":50}]"#,
    r#"{"name":"exocom.status","id":"1"}"#,
    r#"{"name":"users created","id":"","responseTo":"1","auth":"x","isSecurity":true}"#,
];

const ANNOUNCEMENTS: [&str; 3] = [
    r#"{"instance":"users-1","port":5002,"receives":["users.create"]}"#,
    r#"{"instance":"users-1","host":"::1","port":65535,"receives":[],"sends":["a"],"namespace":"mongo","token":"t","away":true}"#,
    r#"{"instance":"a","host":"users.internal","port":0,"batch":true,"translations":[{"public":"a","internal":"b"}]}"#,
];

const LANDSCAPES: [&str; 6] = [
    r#"[{"name":"users","internalNamespace":"mongo","host":"localhost","port":5001,"sends":["a"],"receives":["b"]}]"#,
    r#"[{"role":"users","receives":["mongo create"],"sends":[],"namespace":"mongo"}]"#,
    r#"{"users":{"receives":["a"],"sends":["b"],"messageTranslations":[{"public":"a","internal":"c"}]}}"#,
    "[{role:users,receives:[a,b],sends:[c],namespace:mongo},]",
    "[{'role': 'web', 'sends': ['a b'], 'receives': []}]",
    "[]",
];

const FILES: [&str; 4] = [
    "[services.users]\nreceives = [\"mongo.create\"]\nsends = [\"mongo.created\"]\nnamespace = \"mongo\"\n",
    "services:\n  users:\n    location: ./users\n    dependency-data:\n      exocom:\n        receives: [a]\n        sends: [b]\n",
    "services:\n  public:\n    web:\n      location: ./web\n      message-translation:\n        - public: a\n          internal: b\n",
    "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nservices: {users: {location: *c}}\n",
];

fn id() -> MessageId {
    MessageId::parse("made").unwrap()
}

proptest! {
    #[test]
    fn a_frame_that_is_read_can_be_sent_on(frame in mutated(FRAMES)) {
        let frame = Bytes::from(frame);
        if let Ok(Frame::Message(message)) = Frame::from_bytes(&frame) {
            prop_assert_eq!(Frame::from_bytes(&message.to_json()).unwrap(), Frame::Message(message));
        }
        if let Err(error) = Frame::of_original(&frame, id) {
            drop(error.to_string());
        }
        let _ = (Verdict::list_from_json(&frame).is_ok(), Delivery::list_from_json(&frame).is_ok());
    }

    #[test]
    fn a_registration_that_is_read_can_be_sent_on(body in mutated(ANNOUNCEMENTS)) {
        let (role, body) = (Role::parse("users").unwrap(), Bytes::from(body));
        if let Ok(announcement) = Announcement::from_json(role.clone(), &body) {
            prop_assert_eq!(Announcement::from_json(role, &announcement.to_json()).unwrap(), announcement);
        }
        drop(Lease::from_json(&body));
    }

    #[test]
    fn an_address_is_one_host_of_a_url(host in mutated_text(["users.internal", "127.0.0.1", "[::1]", "::ffff:1.2.3.4"]), port: u16) {
        if let Ok(address) = Address::new(&host, port) {
            let url: http::Uri = format!("http://{address}/run/a").parse().unwrap();
            prop_assert_eq!(url.host().map(|host| host.trim_matches(['[', ']'])), Some(address.host()));
            prop_assert_eq!((url.port_u16(), url.path()), (Some(port), "/run/a"));
        }
    }

    #[test]
    fn a_landscape_in_json_is_the_same_in_relaxed_json(text in mutated_text(LANDSCAPES)) {
        let strict = Landscape::from_json(&Bytes::from(text.clone()));
        let relaxed = Landscape::from_relaxed_json(&text);
        if let (Ok(strict), Some('[')) = (strict, text.chars().next()) {
            prop_assert_eq!(relaxed.unwrap(), strict);
        }
    }

    #[test]
    fn files_of_landscapes_never_panic(text in mutated_text(FILES)) {
        drop(Landscape::from_toml(&text).map_err(|error| error.to_string()));
        if let Ok(application) = Application::from_yaml(&text) {
            for part in &application.parts {
                drop(part.routes(&text).map_err(|error| error.to_string()));
            }
        }
    }
}
