//! Tests of disk stores beyond the contract suite.

mod database_damage;
mod database_failures;
mod journal_damage;
mod large_records;
mod merging;
mod restarts;
