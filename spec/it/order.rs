//! The list of functions that are linked side by side: kept up with what there is.

use std::process::Command;

/// When fewer than so many of a hundred names are still there, it is worth writing the list anew.
const KNOWN_MIN: usize = 80;

#[test]
fn most_names_in_the_order_of_functions_are_those_of_functions() {
    let order = include_str!("../../src/order.txt");
    // Those that differ from build to build in their last letters only.
    let names: Vec<&str> = order.lines().filter_map(|line| line.strip_suffix("17h*")).collect();
    let listed = Command::new("nm").args(["--defined-only", env!("CARGO_BIN_EXE_exorelay")]).output();
    let listed = String::from_utf8(listed.expect("nm comes with every linker").stdout).unwrap();
    let mut functions: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    functions.sort_unstable();
    let is_known = |name: &&&str| {
        let at = functions.partition_point(|function| function < *name);
        functions.get(at).is_some_and(|function| function.starts_with(**name))
    };
    let known = names.iter().filter(is_known).count();
    assert!(names.len() > 1000 && known * 100 >= names.len() * KNOWN_MIN, "{known} of {}: run spec/order", names.len());
}
