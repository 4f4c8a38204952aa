//! Differences between landscapes.

use super::super::{Changes, Form, Landscape, RoleRoutes};
use super::stage::role;
use crate::broker::wire::Translation;
use crate::message::Role;

fn roles(list: &[(&str, &str)]) -> Vec<RoleRoutes> {
    list.iter().map(|(name, sends)| role(name, &[], &[sends], Translation::None)).collect()
}

fn check(earlier: (Form, &[(&str, &str)]), later: (Form, &[(&str, &str)]), expected: [&[&str]; 3]) {
    let landscape = |(form, list)| Landscape { form, roles: roles(list) };
    let [added, removed, changed] =
        expected.map(|names| names.iter().map(|name| Role::parse(name).unwrap()).collect::<Vec<_>>());
    assert_eq!(landscape(later).changes_in(&landscape(earlier)), Changes { added, removed, changed });
}

#[test]
fn added_removed_and_changed_roles_are_listed() {
    let earlier = [("stays", "a"), ("goes", "a"), ("changes", "a")];
    let later = [("changes", "b"), ("comes", "a"), ("stays", "a")];
    let form = Form::Translations;
    check((form, &earlier), (form, &later), [&["comes"], &["goes"], &["changes"]]);
}

#[test]
fn the_order_of_roles_does_not_matter() {
    let form = Form::Translations;
    check((form, &[("a", "x"), ("b", "x")]), (form, &[("b", "x"), ("a", "x")]), [&[], &[], &[]]);
}

#[test]
fn another_form_changes_every_remaining_role() {
    check((Form::Namespaces, &[("a", "x")]), (Form::Translations, &[("a", "x")]), [&[], &[], &["a"]]);
}
