//! Application files.

use proptest::prelude::*;

use super::super::{Application, Form, Landscape, RoleRoutes};
use super::stage::{any_roles, check_reads, check_refused, is_one_line, pairs, role};
use crate::broker::Error;
use crate::broker::wire::Translation;

/// Reads an application whose services share one `service.yml`, except those listed.
fn read(application: &str, services: &[(&str, &str)]) -> Result<Landscape, Error> {
    let parts = Application::from_yaml(application)?.parts;
    let text = |location: &str| services.iter().find(|(known, _)| *known == location).map_or("x: 1", |(_, text)| text);
    Landscape::of_application(parts.iter().map(|part| part.routes(text(&part.location))).collect::<Result<_, _>>()?)
}

#[test]
fn a_current_application_declares_translations_per_service() {
    let application = "
name: Example
services:
  web:
    location: ./web
  tweets:
    location: ./tweets-service
    dependency-data:
      exocom:
        translations:
          - public: tweets create
            internal: text-snippets create
local: { dependencies: { exocom: { image: 'originate/exocom:0.27.0' } } }
";
    let tweets = "
type: text-snippets
dependency-data:
  exocom:
    receives:
      - text-snippets create
    sends: [text-snippets created]
";
    let translation = pairs(&[("tweets create", "text-snippets create")]);
    let expected = [
        role("tweets", &["text-snippets create"], &["text-snippets created"], translation),
        role("web", &[], &[], Translation::None),
    ];
    check_reads(read(application, &[("./tweets-service", tweets)]), Form::Translations, &expected);
}

#[test]
fn an_older_application_has_protection_levels_and_one_translation_table() {
    let application = "
services:
  public:
    web: { location: ./web }
  private:
    users: { location: ./users }
  worker:
message-translation:
  - public: users create
    internal: mongo create
";
    let web = "messages: { sends: [users create] }";
    let users = "messages:\n  receives:\n    - mongo create\n  sends:";
    let translation = || pairs(&[("users create", "mongo create")]);
    let expected =
        [role("users", &["mongo create"], &[], translation()), role("web", &[], &["users create"], translation())];
    check_reads(read(application, &[("./web", web), ("./users", users)]), Form::Translations, &expected);
}

#[test]
fn an_application_of_the_http_era_has_namespaces() {
    let application = "services:\n  users: { location: ./mongo-service }\n  web: { location: ./web }";
    let users = "messages:\n  namespace: mongo\n  receives: [mongo.list]\n  sends: [mongo.listed]";
    let expected = [
        role("users", &["mongo.list"], &["mongo.listed"], Translation::Namespace("mongo".into())),
        role("web", &[], &[], Translation::None),
    ];
    check_reads(read(application, &[("./mongo-service", users)]), Form::Namespaces, &expected);
}

#[test]
fn a_services_own_translations_take_precedence() {
    let application = "
services:
  users:
    location: a
    message-translation: [{ public: one, internal: x }]
message-translation: [{ public: two, internal: x }]
";
    let landscape = read(application, &[]).unwrap();
    assert_eq!(landscape.roles[0].translation, pairs(&[("one", "x"), ("two", "x")]));
}

#[test]
fn an_error_in_the_application_names_section_role_and_field() {
    let services = "\"services\" must be a mapping of roles: this is what an application.yml has";
    let location = "\"location\" must be the folder of its service.yml, such as ./users-service";
    for (text, expected) in [
        ("name: x", services.to_owned()),
        ("services: [web]", services.to_owned()),
        ("5", "it must be a mapping with \"services\"".into()),
        ("", "it must be a mapping with \"services\"".into()),
        ("services: { web: }", "role \"web\": it must be a mapping with \"location\"".into()),
        ("services: { web: { dependency-data: } }", format!("role \"web\": {location}")),
        ("services: { web: { location: 5 } }", "role \"web\": \"location\" must be a string".into()),
        (
            "services: { public: { web: { color: red } } }",
            format!("\"services.public\": role \"web\": {location}"),
        ),
        (
            "services: { web: { location: a, dependency-data: { exocom: { translations: 5 } } } }",
            "role \"web\": \"dependency-data.exocom\": \"translations\" must be an array of {\"public\", \"internal\"} \
             pairs of message names, at most 4096"
                .into(),
        ),
        (
            "services: { public: { a: { location: a } }, private: { a: { location: a } } }",
            "the role \"a\" is declared twice".into(),
        ),
    ] {
        check_refused(read(text, &[]), &expected);
    }
}

#[test]
fn an_error_in_a_service_names_role_and_field() {
    let application = "services: { users: { location: a, message-translation: [{ public: b, internal: c }] } }";
    for (service, expected) in [
        ("5", "role \"users\": it must be a mapping with \"dependency-data\", or with \"messages\""),
        (
            "messages: { sends: a }",
            "role \"users\": \"messages\": \"sends\" must be an array of message names, at most 4096",
        ),
        (
            "dependency-data: { exocom: { receives: [5] } }",
            "role \"users\": \"dependency-data.exocom\": \"receives\" must be an array of message names, at most 4096",
        ),
        ("dependency-data: 5", "role \"users\": \"dependency-data\": it must be a mapping"),
        (
            "{ messages: {}, dependency-data: { exocom: {} } }",
            "role \"users\": \"messages\" and \"dependency-data.exocom\" cannot be used together; keep one of them",
        ),
        (
            "messages: { namespace: mongo }",
            "role \"users\": \"messages\": \"namespace\" and \"translations of application.yml\" cannot be used together: a role has one or the other",
        ),
    ] {
        check_refused(read(application, &[("a", service)]), expected);
    }
}

#[test]
fn invalid_yaml_is_refused_with_its_line() {
    let text = read("services:\n  web: [", &[]).unwrap_err().to_string();
    assert!(text.starts_with("not YAML: ") && text.contains("line 2"), "{text}");
}

#[test]
fn a_duplicate_key_is_refused() {
    let text = read("services:\n  web: { location: a }\n  web: { location: b }", &[]).unwrap_err().to_string();
    assert!(text.starts_with("not YAML: ") && text.contains("web"), "{text}");
}

#[test]
fn recursive_aliases_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
    }
    assert!(read(&text, &[]).is_err());
}

#[test]
fn keys_of_other_programs_are_ignored() {
    let application = "
defaults: &defaults { retries: 0x10, when: 2017-01-01, 5: five, ratio: .inf }
services:
  web: { location: ./web, <<: *defaults }
secret: !vault abc
";
    check_reads(read(application, &[]), Form::Translations, &[role("web", &[], &[], Translation::None)]);
}

#[test]
fn a_message_may_have_any_word_as_name() {
    let landscape = read("services: { web: { location: a } }", &[("a", "messages: { sends: [on, no, y] }")]).unwrap();
    assert_eq!(landscape.roles, [role("web", &[], &["on", "no", "y"], Translation::None)]);
}

/// Writes the roles as JSON, which is also YAML.
fn files(roles: &[RoleRoutes]) -> (String, Vec<(String, String)>) {
    let mut services = serde_json::Map::new();
    let mut files = Vec::new();
    for (index, routes) in roles.iter().enumerate() {
        let location = format!("./{index}");
        let exocom = serde_json::json!({ "exocom": { "translations": routes.translation.pairs() } });
        let service = serde_json::json!({ "location": location, "dependency-data": exocom });
        services.insert(routes.role.to_string(), service);
        let mut messages = serde_json::json!({ "receives": routes.receives, "sends": routes.sends });
        if let Some(namespace) = routes.translation.namespace() {
            messages["namespace"] = namespace.into();
        }
        files.push((location, serde_json::json!({ "messages": messages }).to_string()));
    }
    (serde_json::json!({ "services": services }).to_string(), files)
}

proptest! {
    #[test]
    fn roles_are_read_as_they_were_written(roles in any_roles()) {
        let (application, files) = files(&roles);
        let files: Vec<_> = files.iter().map(|(location, text)| (location.as_str(), text.as_str())).collect();
        prop_assert_eq!(read(&application, &files).unwrap().roles, roles);
    }

    #[test]
    fn garbage_is_refused_on_one_line(text in "(.|\n){0,200}") {
        let application = Application::from_yaml(&text);
        prop_assert!(application.map_err(|error| is_one_line(&error)).err().unwrap_or(true));
        let service = read("services: { a: { location: b } }", &[("b", &text)]);
        prop_assert!(service.map_err(|error| is_one_line(&error)).err().unwrap_or(true));
    }
}
