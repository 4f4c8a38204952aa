//! JSON forms.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Form, Landscape, RoleRoutes};
use super::stage::{any_roles, check_reads, check_refused, is_one_line, pairs, role};
use crate::broker::Error;
use crate::broker::wire::Translation;

fn read(body: &str) -> Result<Landscape, Error> {
    Landscape::from_json(&Bytes::from(body.to_owned()))
}

#[test]
fn a_body_that_is_neither_array_nor_object_is_refused() {
    for body in ["5", "null", "\"users\"", "true"] {
        check_refused(read(body), "the body must be a JSON array of services or a JSON object of roles");
    }
}

#[test]
fn an_error_in_an_array_names_index_and_field() {
    let good = r#"{"name":"web","port":1,"receives":[]}"#;
    for (body, expected) in [
        (format!("[{good},{{\"port\":1}}]"), "service 1: \"name\" must be a non-empty string"),
        (format!(r#"[{good},{{"name":"a","receives":[]}}]"#), "service 1: \"port\" must be a number from 1 to 65535"),
        (r#"[{"name":"a","port":1}]"#.into(), "service 0: \"receives\" must be an array of message names"),
        (format!("[{good},{good}]"), "service 1: \"name\" must be unique, but \"web\" is used twice"),
        (r#"[{"role":"a"},{"role":"a"}]"#.into(), "service 1: \"role\" must be unique, but \"a\" is used twice"),
        (r#"[{"receives":[]}]"#.into(), "service 0: \"role\" must be a non-empty string"),
        (
            r#"[{"role":"a","messageTranslations":[{"public":"b"}]}]"#.into(),
            "service 0: \"messageTranslations\" must be an array of {\"public\", \"internal\"} pairs of message names, \
             at most 4096",
        ),
    ] {
        check_refused(read(&body), expected);
    }
}

#[test]
fn an_error_in_an_object_names_role_and_field() {
    for (body, expected) in [
        (r#"{"users":5}"#, r#"role "users": it must be a JSON object, like {"receives":[…],"sends":[…]}"#),
        (r#"{"users":{"sends":[""]}}"#, r#"role "users": "sends": the message name is empty"#),
        (r#"{"":{}}"#, r#""role": the role is empty"#),
        (r#"{"users":{},"users":{}}"#, r#"the role "users" is declared twice"#),
    ] {
        check_refused(read(body), expected);
    }
}

#[test]
fn an_array_with_ports_is_that_of_the_http_era() {
    let landscape = read(r#"[{"name":"a","port":1,"receives":["x"],"color":"red","internalNamespace":""}]"#).unwrap();
    assert_eq!(landscape.form, Form::Http);
    assert_eq!(landscape.roles[0].address.as_ref().unwrap().to_string(), "localhost:1");
    assert_eq!(landscape.roles[0].translation, Translation::None);
    check_reads(read("[]"), Form::Http, &[]);
}

#[test]
fn an_array_without_ports_declares_roles() {
    let plain = [role("web", &["b"], &["a"], Translation::None)];
    check_reads(read(r#"[{"role":"web","sends":["a"],"receives":["b"]}]"#), Form::MessageTranslations, &plain);
    check_reads(read(r#"[{"name":"web","sends":["a"],"receives":["b"]}]"#), Form::MessageTranslations, &plain);
    let nothing = [role("web", &[], &[], Translation::None)];
    check_reads(read(r#"[{"role":"web","sends":null,"receives":null}]"#), Form::MessageTranslations, &nothing);
}

#[test]
fn a_variable_may_have_lost_its_quotes() {
    let relaxed = Landscape::from_relaxed_json;
    let web = role("web", &["users.created", "user has logged in"], &["users.create"], Translation::None);
    for text in [
        "[{role:web,receives:[users.created,user has logged in],sends:[users.create]}]",
        "[{name: web, receives: [users.created, user has logged in,], sends: [users.create,], namespace:},]\n",
        "'[{role:web,receives:[users.created,user has logged in],sends:[users.create]}]'",
        r#""[{role:web,receives:[users.created,user has logged in],sends:[users.create]}]""#,
        r#"[{"role":"web","receives":["users.created","user has logged in"],"sends":["users.create"],}]"#,
    ] {
        check_reads(relaxed(text), Form::Namespaces, std::slice::from_ref(&web));
    }
    let strict = r#"[{"role":"web","receives":["users.created","user has logged in"],"sends":["users.create"]}]"#;
    check_reads(relaxed(strict), Form::MessageTranslations, &[web]);
    for text in ["", " \n", "null", "{}", "{ }", "''", "\"\""] {
        check_reads(relaxed(text), Form::Namespaces, &[]);
    }
    let mongo = [role("users", &["mongo.create"], &[], Translation::Namespace("mongo".into()))];
    check_reads(relaxed("[{role:users,receives:[mongo.create],namespace:mongo}]"), Form::Namespaces, &mongo);
    let pair = [role("users", &["b"], &[], pairs(&[("a", "b")]))];
    let translations = "[{role:users,receives:[b],messageTranslations:[{public:a,internal:b}]}]";
    check_reads(relaxed(translations), Form::MessageTranslations, &pair);
}

#[test]
fn a_broken_variable_is_refused_with_the_place_of_the_error() {
    for (text, expected) in [
        ("[{role:web,receives:[a}]", "not JSON: line 1, column 23: expected ',' or ']', got '}'"),
        ("[{role:web}", "not JSON: line 1, column 12: the array that begins at line 1, column 1 is not closed"),
        ("[{receives:[a]}]", "service 0: \"role\" must be a non-empty string"),
        ("[{role:web},{role:web}]", "service 1: \"role\" must be unique, but \"web\" is used twice"),
        ("[{role:web,receives:a}]", "service 0: \"receives\" must be an array of message names, at most 4096"),
        ("[web]", "service 0: it must be a JSON object, like {\"role\":\"users\",\"receives\":[…],\"sends\":[…]}"),
        ("{role:web}", "the body must be a JSON array of roles"),
    ] {
        check_refused(Landscape::from_relaxed_json(text), expected);
    }
}

#[test]
fn an_array_with_namespaces_is_of_that_form() {
    let expected = [role("users", &["mongo.create"], &[], Translation::Namespace("mongo".into()))];
    for key in ["namespace", "internalNamespace"] {
        let body = format!(r#"[{{"role":"users","receives":["mongo.create"],"{key}":"mongo"}}]"#);
        check_reads(read(&body), Form::Namespaces, &expected);
    }
    let plain = [role("users", &[], &[], Translation::None)];
    check_reads(read(r#"[{"role":"users","namespace":""}]"#), Form::Namespaces, &plain);
}

#[test]
fn an_array_with_message_translations_is_of_that_form() {
    let body = r#"[{"role":"users","receives":["b"],"messageTranslations":[{"public":"a","internal":"b"}]}]"#;
    let expected = [role("users", &["b"], &[], pairs(&[("a", "b")]))];
    check_reads(read(body), Form::MessageTranslations, &expected);
}

#[test]
fn namespaces_and_message_translations_do_not_mix() {
    let pair = r#""messageTranslations":[{"public":"a","internal":"b"}]"#;
    check_refused(
        read(&format!(r#"[{{"role":"a"}},{{"role":"b","namespace":"c"}},{{"role":"d",{pair}}}]"#)),
        "service 1 has a namespace and service 2 has \"messageTranslations\": use either for all",
    );
    check_refused(
        read(&format!(r#"[{{"role":"a","namespace":"c",{pair}}}]"#)),
        "service 0: \"namespace\" and \"messageTranslations\" cannot be used together: a role has one or the other",
    );
}

#[test]
fn an_object_declares_roles_with_translations_and_all_of_it_is_optional() {
    let body = r#"{"web":{},"users":{"receives":["c"],"sends":["d"],"translations":[{"public":"a","internal":"c"}]},
        "log":null,"tv":{"sends":null,"receives":null,"translations":null}}"#;
    let expected = [
        role("web", &[], &[], Translation::None),
        role("users", &["c"], &["d"], pairs(&[("a", "c")])),
        role("log", &[], &[], Translation::None),
        role("tv", &[], &[], Translation::None),
    ];
    check_reads(read(body), Form::Translations, &expected);
    check_reads(read("{}"), Form::Translations, &[]);
}

#[test]
fn a_key_of_another_form_is_refused() {
    for key in ["namespace", "internalNamespace", "messageTranslations"] {
        check_refused(
            read(&format!(r#"{{"users":{{"{key}":"x"}}}}"#)),
            &format!("role \"users\": \"{key}\" belongs to another form of landscape; use \"translations\" here"),
        );
    }
    check_refused(
        read(r#"[{"role":"users","translations":[]}]"#),
        "service 0: \"translations\" belongs to another form of landscape; use \"messageTranslations\" here",
    );
}

#[test]
fn the_security_adapter_has_its_own_messages_in_every_form_that_declares_roles() {
    let sends = ["message authorized", "message unauthorized", "security request"];
    let adapter = role("security", &["authorize message", "security response"], &sends, Translation::None);
    let pair = json!([{ "public": "a", "internal": "b" }]);
    for (body, form) in [
        (json!({ "security": { "sends": ["a"], "translations": pair } }), Form::Translations),
        (json!([{ "role": "security", "receives": ["a"], "namespace": "b" }]), Form::Namespaces),
        (json!([{ "role": "security", "messageTranslations": pair }]), Form::MessageTranslations),
    ] {
        check_reads(read(&body.to_string()), form, std::slice::from_ref(&adapter));
    }
    let landscape = read(r#"[{"name":"security","port":1,"receives":["a"]}]"#).unwrap();
    assert_eq!(landscape.roles[0].receives[0].as_str(), "a");
}

#[test]
fn lists_are_limited() {
    let names = |count: usize| json!({ "web": { "sends": vec!["a"; count] } }).to_string();
    assert!(read(&names(4_096)).is_ok());
    check_refused(read(&names(4_097)), "role \"web\": \"sends\" must be an array of message names, at most 4096");
    let roles = |count: usize| {
        let list: Vec<_> = (0..count).map(|index| json!({ "role": index.to_string() })).collect();
        Value::from(list).to_string()
    };
    assert!(read(&roles(65_536)).is_ok());
    check_refused(read(&roles(65_537)), "a landscape has at most 65536 roles");
}

fn service_data(roles: &[RoleRoutes]) -> Value {
    let one = |routes: &RoleRoutes| {
        let body = json!({
            "receives": routes.receives, "sends": routes.sends, "translations": routes.translation.pairs(),
        });
        (routes.role.to_string(), body)
    };
    Value::Object(roles.iter().map(one).collect())
}

fn service_routes(roles: &[RoleRoutes]) -> Value {
    let one = |routes: &RoleRoutes| {
        json!({
            "role": routes.role, "receives": routes.receives, "sends": routes.sends,
            "namespace": routes.translation.namespace().unwrap_or_default(),
        })
    };
    roles.iter().map(one).collect()
}

proptest! {
    #[test]
    fn roles_are_read_as_they_were_written(mut roles in any_roles()) {
        for routes in &mut roles {
            if routes.translation.namespace().is_some() {
                routes.translation = Translation::None;
            }
        }
        let landscape = read(&service_data(&roles).to_string()).unwrap();
        prop_assert_eq!(landscape, Landscape { form: Form::Translations, roles });
    }

    #[test]
    fn namespaces_are_read_as_they_were_written(mut roles in any_roles()) {
        for routes in &mut roles {
            if !routes.translation.pairs().is_empty() {
                routes.translation = Translation::None;
            }
        }
        let form = if roles.is_empty() { Form::Http } else { Form::Namespaces };
        let landscape = read(&service_routes(&roles).to_string()).unwrap();
        prop_assert_eq!(landscape, Landscape { form, roles });
    }

    #[test]
    fn garbage_is_refused_on_one_line(body in ".{0,200}") {
        prop_assert!(read(&body).map_err(|error| is_one_line(&error)).err().unwrap_or(true));
    }

    #[test]
    fn garbage_in_every_field_is_refused_on_one_line(
        key in "role|name|port|sends|receives|namespace|messageTranslations|translations",
        value in "null|5|-1|\"\"|\"\\u0000\"|\\[\\]|\\[5\\]|\\{\\}|\\[\\{\\}\\]|true",
    ) {
        for body in [format!("[{{\"{key}\":{value}}}]"), format!("{{\"a\":{{\"{key}\":{value}}}}}")] {
            prop_assert!(read(&body).map_err(|error| is_one_line(&error)).err().unwrap_or(true), "{}", body);
        }
    }
}
