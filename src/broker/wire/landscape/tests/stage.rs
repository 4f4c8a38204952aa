//! Fixtures shared by the tests of all forms.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Form, Landscape, RoleRoutes};
use crate::broker::Error;
use crate::broker::wire::{Pair, Translation};
use crate::message::{MessageName, Role};

pub(super) fn name(text: &str) -> MessageName {
    MessageName::parse(text).unwrap()
}

pub(super) fn pairs(list: &[(&str, &str)]) -> Translation {
    let pair = |(public, internal): &(&str, &str)| Pair { public: name(public), internal: name(internal) };
    Translation::Pairs(list.iter().map(pair).collect())
}

/// Builds a role that connects to the broker itself.
pub(super) fn role(role: &str, receives: &[&str], sends: &[&str], translation: Translation) -> RoleRoutes {
    let names = |list: &[&str]| list.iter().map(|text| name(text)).collect();
    let role = Role::parse(role).unwrap();
    RoleRoutes { role, receives: names(receives), sends: names(sends), translation, address: None }
}

pub(super) fn check_reads(read: Result<Landscape, Error>, form: Form, roles: &[RoleRoutes]) {
    let landscape = read.unwrap();
    assert_eq!(landscape.form, form);
    assert_eq!(landscape.roles, roles);
}

pub(super) fn check_refused<T: std::fmt::Debug>(read: Result<T, Error>, expected: &str) {
    assert_eq!(read.unwrap_err().to_string(), expected);
}

/// Returns true if the error text is a single line.
pub(super) fn is_one_line(error: &Error) -> bool {
    let text = error.to_string();
    !text.is_empty() && !text.contains(char::is_control)
}

fn any_name() -> impl Strategy<Value = MessageName> {
    "[a-zö\"'{}:#,= ./-]{1,12}".prop_map(|text| name(&text))
}

fn any_translation() -> impl Strategy<Value = Translation> {
    let pair = (any_name(), any_name()).prop_map(|(public, internal)| Pair { public, internal });
    prop_oneof![
        Just(Translation::None),
        "[a-z-]{1,8}".prop_map(|text| Translation::Namespace(text.into())),
        vec(pair, 1..4).prop_map(|list| Translation::Pairs(list.into())),
    ]
}

/// Generates roles that every form can express, sorted by name as most forms are read.
pub(super) fn any_roles() -> impl Strategy<Value = Vec<RoleRoutes>> {
    let one = ("[a-zö\"': .-]{1,8}", vec(any_name(), 0..4), vec(any_name(), 0..4), any_translation());
    vec(one, 0..6).prop_map(|list| {
        let mut roles: Vec<_> = list
            .into_iter()
            .map(|(text, receives, sends, translation)| {
                let role = Role::parse(&text).unwrap();
                RoleRoutes { role, receives, sends, translation, address: None }
            })
            .collect();
        roles.sort_by(|one, other| one.role.cmp(&other.role));
        roles.dedup_by(|one, other| one.role == other.role);
        roles
    })
}
