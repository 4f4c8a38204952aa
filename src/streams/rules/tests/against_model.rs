//! Ledger and model agree after any sequence of commands.

use proptest::prelude::*;

use super::model::Model;
use super::registry;
use super::stage::{Command, Stage, command, name};

fn check(commands: &[Command]) {
    let (mut stage, mut model, mut rows_seen) = (Stage::new(), Model::new(), 0);
    for (index, command) in commands.iter().enumerate() {
        let (outcome, expected) = (stage.run(command), model.run(command));
        assert_eq!(outcome, expected, "command {index}: {command:?}");
        agree(&stage, &model);
        registry::agree(&stage, &model, &mut rows_seen);
    }
}

fn agree(stage: &Stage, model: &Model) {
    assert_eq!(stage.ledger.streams_count(), model.streams.len());
    assert_eq!(stage.ledger.content_bytes(), (model.own_bytes() + model.registry_bytes()) as u64);
    for (path, naive) in &model.streams {
        let stream = stage.ledger.stream(&name(path)).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!((stream.is_closed(), stream.entry.deleted), (naive.closed, naive.deleted), "{path}");
        assert_eq!(stream.entry.forks, model.forks_of(path) as u64, "the forks of {path}");
        assert_eq!(stage.content(path), naive.content, "the content of {path}");
        let due = stream.expires_at_ms().filter(|_| !naive.deleted);
        let planned = stage.ledger.next_sweep_ms();
        assert!(due.is_none_or(|due| planned.is_some_and(|planned| planned <= due)), "{path} is never swept");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]
    #[test]
    fn ledger_and_model_agree_after_any_commands(commands in prop::collection::vec(command(), 1..60)) {
        check(&commands);
    }
}
