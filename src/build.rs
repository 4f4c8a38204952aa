//! Puts the functions that our servers run side by side, where the linker can do that.
//!
//! The system maps 64 KiB of a program around each function that is called. Where those are spread over ten megabytes, nearly
//! all of it is in memory; side by side, a fourth of it is. Which they are is in `order.txt`, written by `spec/order`; a name
//! that is not there any more costs nothing but its place.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// What stands in front of a function's name in the name of its section: functions that are called seldom or at the start have
/// their own.
const SECTIONS: [&str; 3] = [".text.", ".text.unlikely.", ".text.startup."];

fn main() {
    println!("cargo:rerun-if-changed=src/order.txt");
    // What is built for tests is linked more often than it is run.
    if variable("PROFILE") != "release" || variable("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let folder = PathBuf::from(variable("OUT_DIR"));
    let order = fs::read_to_string("src/order.txt").expect("src/order.txt is part of the sources");
    let script = folder.join("order.ld");
    fs::write(&script, script_of(&order)).expect("cargo has made the folder for what is built");
    let argument = format!("-Wl,-T,{}", script.display());
    match links_with(&argument, &folder) {
        true => println!("cargo:rustc-link-arg-bins={argument}"),
        false => {
            println!("cargo:warning=the linker takes no order of functions: a server will have 4 MiB more in memory")
        }
    }
}

/// A linker script that says nothing but where these functions are.
fn script_of(order: &str) -> String {
    let names = order.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let patterns = names.map(|name| {
        let sections: Vec<String> = SECTIONS.iter().map(|section| format!("{section}{name}")).collect();
        format!("*({})\n", sections.join(" "))
    });
    format!("SECTIONS\n{{\n.text.served :\n{{\n{}}}\n}}\nINSERT BEFORE .text;\n", patterns.collect::<String>())
}

/// Whether the linker that is used takes it.
fn links_with(argument: &str, folder: &Path) -> bool {
    let program = folder.join("probe.rs");
    fs::write(&program, "fn main() {}").expect("cargo has made the folder for what is built");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.arg(program).args(["--target", &variable("TARGET"), "-C", &format!("link-arg={argument}"), "-o"]);
    rustc.arg(folder.join("probe")).stdout(Stdio::null()).stderr(Stdio::null());
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    rustc.status().is_ok_and(|status| status.success())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo tells build scripts {name}: {error}"))
}
