//! Our own TOML form.

use std::fmt::Write;

use proptest::prelude::*;

use super::super::{Form, Landscape, RoleRoutes};
use super::stage::{any_roles, check_reads, check_refused, is_one_line, name, pairs, role};
use crate::broker::wire::Translation;
use crate::message::MessageName;

const EXAMPLE: &str = r#"
[services.tweets]
receives = ["text-snippets create"]
sends = ["text-snippets created"]
translations = [{ public = "tweets create", internal = "text-snippets create" }]

[services.users]
receives = ["mongo.create"]
namespace = "mongo"
address = "localhost:5002"

[services.log]
"#;

#[test]
fn it_declares_routes_translations_and_address_of_each_role() {
    let landscape = Landscape::from_toml(EXAMPLE).unwrap();
    assert_eq!(landscape.form, Form::Translations);
    let [log, tweets, users] = landscape.roles.as_slice() else { panic!("{landscape:?}") };
    assert_eq!(*log, role("log", &[], &[], Translation::None));
    let translation = pairs(&[("tweets create", "text-snippets create")]);
    assert_eq!(*tweets, role("tweets", &["text-snippets create"], &["text-snippets created"], translation));
    assert_eq!(users.receives, [name("mongo.create")]);
    assert_eq!(users.translation, Translation::Namespace("mongo".into()));
    assert_eq!(users.address.as_ref().unwrap().to_string(), "localhost:5002");
}

#[test]
fn an_application_may_have_no_services() {
    check_reads(Landscape::from_toml("[services]"), Form::Translations, &[]);
    check_refused(Landscape::from_toml(""), "\"services\" must be there, with a table for each role: [services.users]");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    for (text, expected) in [
        ("[service.users]", "unknown key \"service\": did you mean services?"),
        (
            "[services.users]\nrecieves = []",
            "role \"users\": unknown key \"services.users.recieves\": did you mean receives?",
        ),
        (
            "[services.users]\ncolour = 1",
            "role \"users\": unknown key \"services.users.colour\": there is receives, sends, namespace, \
             translations, address",
        ),
    ] {
        check_refused(Landscape::from_toml(text), expected);
    }
}

#[test]
fn an_invalid_value_is_named_with_role_and_field() {
    let address = "role \"users\": \"address\" must be HOST:PORT, such as localhost:5002";
    for (line, expected) in [
        ("receives = \"a\"", "role \"users\": \"receives\" must be an array of message names, at most 4096"),
        ("sends = [1]", "role \"users\": \"sends\" must be an array of message names, at most 4096"),
        ("namespace = 1", "role \"users\": \"namespace\" must be a string"),
        (
            "translations = [{ public = \"a\" }]",
            "role \"users\": \"translations\" must be an array of {\"public\", \"internal\"} pairs of message names, \
             at most 4096",
        ),
        (
            "namespace = \"a\"\ntranslations = [{ public = \"a\", internal = \"b\" }]",
            "role \"users\": \"namespace\" and \"translations\" cannot be used together: a role has one or the other",
        ),
        ("address = \"localhost\"", address),
        ("address = \"localhost:0\"", address),
        ("address = \":80\"", address),
        ("address = \"a/b:80\"", address),
        ("receives = [", "not TOML: line 2: unclosed array, expected `]`"),
        ("sends = []\nsends = []", "not TOML: line 3: duplicate key"),
    ] {
        check_refused(Landscape::from_toml(&format!("[services.users]\n{line}")), expected);
    }
    check_refused(
        Landscape::from_toml("services.users = 5"),
        "role \"users\": it must be a table, with receives and sends",
    );
}

fn toml_of(roles: &[RoleRoutes]) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    let names = |names: &[MessageName]| -> String {
        let names: Vec<_> = names.iter().map(|name| text(name.as_str())).collect();
        format!("[{}]", names.join(", "))
    };
    let mut file = "[services]\n".to_owned();
    for routes in roles {
        writeln!(file, "[services.{}]", serde_json::json!(routes.role)).unwrap();
        writeln!(file, "receives = {}\nsends = {}", names(&routes.receives), names(&routes.sends)).unwrap();
        if let Some(namespace) = routes.translation.namespace() {
            writeln!(file, "namespace = {}", text(namespace)).unwrap();
        }
        for pair in routes.translation.pairs() {
            let (public, internal) = (text(pair.public.as_str()), text(pair.internal.as_str()));
            let role = serde_json::json!(routes.role);
            writeln!(file, "[[services.{role}.translations]]\npublic = {public}\ninternal = {internal}").unwrap();
        }
    }
    file
}

proptest! {
    #[test]
    fn roles_are_read_as_they_were_written(roles in any_roles()) {
        let landscape = Landscape::from_toml(&toml_of(&roles)).unwrap();
        prop_assert_eq!(landscape, Landscape { form: Form::Translations, roles });
    }

    #[test]
    fn garbage_is_refused_on_one_line(text in "(.|\n){0,200}") {
        let read = Landscape::from_toml(&text);
        prop_assert!(read.map_err(|error| is_one_line(&error)).err().unwrap_or(true));
    }
}
