//! Tests of `config show`, `config check`, and invalid settings of the servers.

use super::program::{Finished, Program, exorelay, repository_file};

/// Checks that `program` prints exactly these lines on stderr and exits with 78.
fn check_refused(program: Program, lines: &[&str]) {
    let finished = program.finish();
    finished.check(78, "");
    assert_eq!(finished.stdout, "");
    assert_eq!(finished.stderr.lines().collect::<Vec<_>>(), lines);
}

/// Returns a line of `config show` in `section`, with whitespace collapsed.
fn shown(finished: &Finished, section: &str, name: &str) -> String {
    finished.check(0, "");
    let inside = finished.stdout.lines().skip_while(|line| *line != format!("[{section}]"));
    let line = inside.skip(1).find(|line| line.starts_with(&format!("{name} = "))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_setting_is_shown_with_the_layer_it_came_from() {
    let show = exorelay(&["config", "show"])
        .file("exorelay.toml", "[webhook]\nforward = \"http://127.0.0.1:3000\"\n")
        .env("EXORELAY__BUS__URL", "embedded")
        .env("SERVICE_NAME", "greeter")
        .finish();
    assert_eq!(shown(&show, "webhook", "forward"), "forward = \"http://127.0.0.1:3000\" # exorelay.toml:2");
    assert_eq!(shown(&show, "bus", "url"), "url = \"embedded\" # environment EXORELAY__BUS__URL");
    assert_eq!(shown(&show, "relay", "role"), "role = \"greeter\" # environment SERVICE_NAME");
    assert_eq!(shown(&show, "drain", "grace_ms"), "grace_ms = 10000 # default");
}

#[test]
fn a_file_given_by_flag_replaces_the_one_in_the_folder() {
    let show = exorelay(&["config", "show", "--config", "other.toml"])
        .file("exorelay.toml", "[bus]\nurl = \"embedded\"\n")
        .file("other.toml", "[bus]\n\ntimeout_ms = 7\n")
        .finish();
    assert_eq!(shown(&show, "bus", "url"), "url = \"http://127.0.0.1:3100\" # default");
    assert_eq!(shown(&show, "bus", "timeout_ms"), "timeout_ms = 7 # other.toml:3");
}

#[test]
fn json_output_contains_values_and_origins() {
    let show = exorelay(&["config", "show", "--output", "json"]).env("ROLE", "greeter").finish();
    let json: serde_json::Value = serde_json::from_str(&show.stdout).unwrap();
    assert_eq!(json["relay.role"], serde_json::json!({ "value": "greeter", "origin": "environment ROLE" }));
    assert_eq!(json["relay.waiters_max"]["value"], 16_384);
}

#[test]
fn secrets_are_hidden() {
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    for output in ["text", "json"] {
        let show = exorelay(&["config", "show", "--output", output])
            .env("EXORELAY__WEBHOOK__SECRET", secret)
            .env("EXORELAY__BUS__URL", "https://me:sesame@exocom")
            .finish();
        show.check(0, "https://***@exocom");
        assert!(!show.stdout.contains("MDEyMz") && !show.stdout.contains("sesame"), "{show:?}");
    }
}

#[test]
fn a_valid_configuration_is_ok() {
    exorelay(&["config", "check"]).finish().check(0, "configuration ok\n");
    exorelay(&["config", "check", "mine.toml"]).file("mine.toml", "[relay]\n").finish().check(0, "configuration ok\n");
}

#[test]
fn all_errors_are_reported_at_once() {
    check_refused(
        exorelay(&["config", "check"])
            .file("exorelay.toml", "[webhook]\ntimout_ms = 5\nconcurrent_max = 0\n")
            .env("EXORELAY__BUS__URL", "localhost:3100"),
        &[
            "exorelay: unknown key webhook.timout_ms (exorelay.toml:2): did you mean webhook.timeout_ms?",
            "exorelay: webhook.concurrent_max (exorelay.toml:3) is 0: expected a number from 1 to 4294967295",
            "exorelay: bus.url (environment EXORELAY__BUS__URL) is \"localhost:3100\": \
             expected embedded, or a URL such as http://127.0.0.1:3100 or ws://127.0.0.1:3100 without a query",
        ],
    );
}

#[test]
fn invalid_toml_is_reported_with_file_and_line() {
    let broken = exorelay(&["config", "check"]).file("exorelay.toml", "[bus]\nurl = \n").finish();
    broken.check(78, "exorelay: exorelay.toml:2: ");
}

#[test]
fn a_missing_file_given_by_flag_is_an_error() {
    for arguments in [&["config", "check", "no.toml"][..], &["config", "show", "--config", "no.toml"]] {
        exorelay(arguments).finish().check(78, "cannot read the configuration file no.toml: ");
    }
    for server in ["dev", "run", "broker"] {
        exorelay(&[server, "--config", "no.toml"]).finish().check(78, "no.toml");
    }
}

#[test]
fn invalid_flags_of_servers_are_reported() {
    check_refused(
        exorelay(&["run", "--bus", "tcp://exocom", "--drain-grace", "soon"]),
        &[
            "exorelay: bus.url (flag --bus) is \"tcp://exocom\": \
             expected embedded, or a URL such as http://127.0.0.1:3100 or ws://127.0.0.1:3100 without a query",
            "exorelay: drain.grace_ms (flag --drain-grace) is \"soon\": expected milliseconds, or a duration such as 30s",
            "exorelay: relay.role is not set: give --role NAME, ROLE=NAME in the environment, \
             or role = \"NAME\" under [relay]",
        ],
    );
    check_refused(
        exorelay(&["broker", "--listen", "nowhere", "--log-level", "loud"]),
        &[
            "exorelay: broker.address (flag --listen) is \"nowhere\": \
             expected HOST:PORT such as 127.0.0.1:4000 (port 0 takes a free one)",
            "exorelay: log.level (flag --log-level) is \"loud\": \
             expected off, error, warn, info, debug, trace, or directives such as info,exorelay::bus=debug",
        ],
    );
}

#[test]
fn the_reference_file_and_the_table_match_the_program() {
    let reference = exorelay(&["config", "show", "--format", "reference"]).finish();
    assert_eq!(reference.stdout, repository_file("docker/exorelay.toml"));
    exorelay(&["config", "show", "--format", "markdown"])
        .finish()
        .check(0, "| `relay.role` | `\"\"` | Role of this service");
}
