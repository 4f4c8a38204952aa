//! The rules against a naive model, and attempts to get around them.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::http::access::{Identity, Principal};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(who: &str, allow: &[&str], deny: &[&str]) -> Result<Rule, String> {
    Rule::parse(Written { who, allow: &texts(allow), deny: &texts(deny) })
}

fn rules(rules: &[(&str, &[&str], &[&str])]) -> Rules {
    Rules::new(rules.iter().map(|(who, allow, deny)| rule(who, allow, deny).unwrap()).collect())
}

fn alice() -> Principal {
    subject("alice")
}

fn subject(subject: &str) -> Principal {
    let claims = Map::from_iter([("tenant".to_owned(), json!("acme")), ("admin".to_owned(), json!(true))]);
    Identity { subject: Some(subject.into()), roles: texts(&["web"]), claims, ..Identity::default() }.into()
}

fn name(rules: &Rules, principal: &Principal, verb: Verb, name: &str) -> bool {
    rules.decide(principal, verb, Target::Name(name)).is_allowed
}

#[test]
fn the_first_rule_about_a_call_decides() {
    let rules = rules(&[
        ("sub:mallory", &[], &["**"]),
        ("role:web", &["send:users.*", "request:users.**"], &["send:users.delete"]),
        ("role:web", &["send:**"], &["messages"]),
        ("anyone", &["read:public/**", "metrics"], &[]),
    ]);
    let decide = |verb, name| rules.decide(&alice(), verb, Target::Name(name));
    let decision = |is_allowed, rule| Decision { is_allowed, rule };
    assert_eq!(decide(Verb::Send, "users.create"), decision(true, Some(1)));
    assert_eq!(decide(Verb::Send, "users.delete"), decision(false, Some(1)));
    assert_eq!(decide(Verb::Request, "users.a.b"), decision(true, Some(1)));
    assert_eq!(decide(Verb::Request, "users"), decision(true, Some(1)));
    assert_eq!(decide(Verb::Send, "orders.create"), decision(false, Some(2)), "deny comes first within a rule");
    assert_eq!(decide(Verb::Read, "public/a/b"), decision(true, Some(3)));
    assert_eq!(decide(Verb::Read, "private"), decision(false, None));
    assert_eq!(decide(Verb::Metrics, ""), decision(true, Some(3)));
    assert_eq!(decide(Verb::Drain, ""), decision(false, None));
    assert!(!name(&rules, &subject("mallory"), Verb::Metrics, ""));
}

#[test]
fn rules_are_about_callers_by_what_they_have_proved() {
    let callers: [(&str, Principal); 7] = [
        ("role:we*", alice()),
        ("sub:al*e", alice()),
        ("claim:tenant=acme", alice()),
        ("claim:admin=true", alice()),
        ("token:ops", Identity { token: Some("ops".into()), ..Identity::default() }.into()),
        ("cert:*.internal", Identity { certificate_names: texts(&["a.internal"]), ..Identity::default() }.into()),
        ("unix:1000", Identity { unix_uid: Some(1000), ..Identity::default() }.into()),
    ];
    for (who, caller) in &callers {
        let rules = rules(&[(who, &["drain"], &[])]);
        assert!(name(&rules, caller, Verb::Drain, ""), "{who}");
        assert!(!name(&rules, &Principal::anonymous(), Verb::Drain, ""), "{who}");
        let is_theirs = |other: &&(&str, Principal)| name(&rules, &other.1, Verb::Drain, "");
        let same = callers.iter().filter(is_theirs).all(|(_, other)| other.label() == caller.label());
        assert!(same, "{who} is about others");
    }
    for (_, caller) in &callers {
        assert!(name(&rules(&[("authenticated", &["drain"], &[])]), caller, Verb::Drain, ""));
    }
    let rejected = Identity { rejected: Some("expired".into()), ..Identity::default() }.into();
    assert!(!name(&rules(&[("authenticated", &["drain"], &[])]), &rejected, Verb::Drain, ""));
}

#[test]
fn a_subject_stands_for_one_segment_of_its_own() {
    let rules = rules(&[("authenticated", &["streams:users/{sub}/**", "send:inbox.{sub}"], &[])]);
    let reads = |sub: &str, path: &str| name(&rules, &subject(sub), Verb::Read, path);
    assert!(reads("alice", "users/alice") && reads("alice", "users/alice/a/b"));
    assert!(reads("alice@example.com", "users/alice%40example.com/a"), "an escape is the same letter");
    assert!(reads("alice@example.com", "users/alice@example.com/a"));
    assert!(!reads("alice", "users/bob") && !reads("alice", "users/alice2/a") && !reads("alice", "users"));
    for widening in ["*", "**", "a/b", "..", ".", "", "a/**", "a%2Fb", "a\\b", "%2e%2e", "..;", "a?b", "a\0"] {
        for path in
            ["users/bob/a", "users/a/b", "users/*/a", "users/**", "users/a%2Fb", "users/%2A", "users/..", "users/"]
        {
            assert!(!reads(widening, path), "{widening:?} reads {path}");
        }
    }
    assert!(name(&rules, &alice(), Verb::Send, "inbox.alice"));
    assert!(!name(&rules, &subject("a.b"), Verb::Send, "inbox.a.b"), "a dot separates segments of names");
    assert!(!name(&rules, &Principal::anonymous(), Verb::Read, "users/{sub}"));
    let nobody = Identity { token: Some("ops".into()), ..Identity::default() }.into();
    assert!(!name(&rules, &nobody, Verb::Read, "users/{sub}"), "a caller without a subject");
}

#[test]
fn another_spelling_of_a_path_gets_around_no_rule() {
    let rules = rules(&[("anyone", &["read:**"], &["read:secret/**", "read:a b"])]);
    let anonymous = Principal::anonymous();
    for path in ["secret", "secret/x", "s%65cret/x", "%73%65%63%72%65%74", "a%20b"] {
        assert!(!name(&rules, &anonymous, Verb::Read, path), "{path}");
    }
    assert!(name(&rules, &anonymous, Verb::Read, "secrets"));
}

#[test]
fn all_names_of_a_pattern_have_to_be_allowed() {
    let rules = rules(&[
        ("anyone", &["subscribe:events/**", "receive:**"], &[]),
        ("role:web", &["subscribe:**"], &["subscribe:secret/**"]),
    ]);
    let matching = |caller: &Principal, verb, text| rules.decide(caller, verb, Target::Matching(text)).is_allowed;
    let anonymous = Principal::anonymous();
    for pattern in ["events/a", "events/*", "events/**", "events/*/a/**"] {
        assert!(matching(&anonymous, Verb::Subscribe, pattern), "{pattern}");
    }
    for pattern in ["**", "*", "*/a", "**/a", "event/*"] {
        assert!(!matching(&anonymous, Verb::Subscribe, pattern), "{pattern}");
        assert!(!matching(&alice(), Verb::Subscribe, "**/x"), "it may match secret/x");
    }
    assert!(matching(&alice(), Verb::Subscribe, "orders/**"));
    for pattern in ["**", "*", "secret/a", "*/a", "**/b/*"] {
        assert!(!matching(&alice(), Verb::Subscribe, pattern), "{pattern}");
    }
    assert!(rules.decide(&anonymous, Verb::Receive, Target::ALL).is_allowed);
    assert!(!rules.decide(&anonymous, Verb::Send, Target::ALL).is_allowed);
}

#[test]
fn a_mistake_in_a_rule_is_explained() {
    for (who, allow, expected) in [
        ("anyone", "sned:users.*", "allow: \"sned\" is not known: did you mean send?"),
        ("anyone", "stream:a", "allow: \"stream\" is not known: did you mean streams?"),
        (
            "anyone",
            "send:users.cr*",
            "allow: \"send:users.cr*\": the pattern \"users.cr*\" has * beside other letters in \"cr*\", expected * or ** as a whole segment",
        ),
        ("anyone", "read:/a", "allow: \"read:/a\": the pattern \"/a\" has an empty segment"),
        (
            "anyone",
            "read:{user}/a",
            "allow: \"read:{user}/a\": the pattern \"{user}/a\" has \"{user}\", expected {sub} as the only placeholder",
        ),
        ("anyone", "drain:now", "allow: \"drain:now\": drain has no names, expected drain without \"now\""),
        ("anyon", "drain", "who: \"anyon\" is not known: did you mean anyone?"),
    ] {
        assert_eq!(rule(who, &[allow], &[]).unwrap_err(), expected);
    }
    assert_eq!(rule("anyone", &[], &[]).unwrap_err(), "it has neither allow nor deny, so it does nothing");
}

#[test]
fn every_verb_can_be_granted() {
    for verb in Verb::ALL {
        let rules = rules(&[("anyone", &[verb.word()], &[])]);
        for other in Verb::ALL {
            assert_eq!(name(&rules, &Principal::anonymous(), other, "a"), verb == other, "{verb:?} {other:?}");
            assert_eq!(rules.may_ever(&Principal::anonymous(), other), verb == other);
        }
    }
}

/// The naive model: a list of segments against a list of segments.
fn matches(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => (0..=path.len()).any(|taken| matches(rest, &path[taken..])),
        (Some((first, rest)), Some((name, names))) => {
            let first = if first == "{sub}" { "b" } else { first };
            (first == "*" || first == name) && matches(rest, names)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

fn pattern() -> impl Strategy<Value = Vec<String>> {
    let segment = prop::sample::select(vec!["a", "b", "*", "**", "{sub}"]);
    prop::collection::vec(segment.prop_map(str::to_owned), 1..5)
}

/// All paths of up to three segments.
fn universe() -> Vec<Vec<String>> {
    let mut paths: Vec<Vec<String>> = vec![Vec::new()];
    let mut all = Vec::new();
    for _ in 0..3 {
        paths = paths
            .iter()
            .flat_map(|path| ["a", "b", "c"].map(|name| [path.as_slice(), &texts(&[name])].concat()))
            .collect();
        all.extend(paths.iter().cloned());
    }
    all
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_naive_model(
        table in prop::collection::vec((pattern(), any::<bool>(), any::<bool>()), 0..5),
        asked in pattern(),
    ) {
        let caller = subject("b");
        let parsed = table.iter().map(|(pattern, allows, is_theirs)| {
            let grant = [format!("read:{}", pattern.join("/"))];
            let who = if *is_theirs { "sub:b" } else { "sub:other" };
            let (allow, deny): (&[String], &[String]) = if *allows { (&grant, &[]) } else { (&[], &grant) };
            Rule::parse(Written { who, allow, deny }).unwrap()
        });
        let rules = Rules::new(parsed.collect());
        let expected = |path: &[String]| {
            let first = table.iter().find(|(pattern, _, is_theirs)| *is_theirs && matches(pattern, path));
            first.is_some_and(|(_, allows, _)| *allows)
        };
        for path in universe() {
            prop_assert_eq!(name(&rules, &caller, Verb::Read, &path.join("/")), expected(&path), "{:?}", path);
            prop_assert!(!name(&rules, &caller, Verb::Append, &path.join("/")));
        }
        // A pattern is allowed only if all its names are.
        let asked: Vec<String> = asked.into_iter().map(|part| if part == "{sub}" { "b".into() } else { part }).collect();
        if rules.decide(&caller, Verb::Read, Target::Matching(&asked.join("/"))).is_allowed {
            for path in universe().into_iter().filter(|path| matches(&asked, path)) {
                prop_assert!(expected(&path), "{:?} of {:?}", path, asked);
            }
        }
    }

    #[test]
    fn garbage_is_an_error_and_never_panics(who in ".{0,20}", grant in ".{0,30}", path in ".{0,30}", sub in ".{0,10}") {
        drop(rule(&who, &[&grant], &[]));
        if let Ok(rule) = rule("anyone", &[&format!("read:{grant}")], &[]) {
            let rules = Rules::new(vec![rule]);
            rules.decide(&subject(&sub), Verb::Read, Target::Name(&path));
            rules.decide(&subject(&sub), Verb::Read, Target::Matching(&path));
        }
    }
}
