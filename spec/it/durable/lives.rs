//! SIGKILLs at random moments, some during a start, while streams of all kinds are created, appended to, forked, closed and
//! deleted; a model knows the expected state.

mod model;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinHandle;
use uuid::Uuid;

use self::writer::{SHARED, Writer};
use super::client::{Caller, Dice, Streams};
use crate::eventually::{eventually, pause};

/// Environment variable with a seed, to repeat a failed run.
const SEED: &str = "EXORELAY_SPEC_SEED";

const WRITERS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn streams_match_the_model_over_kills() {
    check_kills("sync", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_match_the_model_over_kills_with_durability_memory() {
    check_kills("memory", 30).await;
}

async fn check_kills(durability: &str, kills: usize) {
    let seed = std::env::var(SEED).map_or_else(|_| Uuid::new_v4().as_u64_pair().0, |seed| seed.parse().unwrap());
    println!("{SEED}={seed} repeats this run");
    let mut dice = Dice::new(seed);
    let mut streams = Streams::start(&[("EXORELAY__STREAMS__DURABILITY", durability)]).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let writer = |number| Writer::new(format!("w{number}"), Dice::new(dice.throw(u64::MAX)), &answered);
    let mut writers: Vec<Writer> = (0..WRITERS).map(writer).collect();
    for kill in 0..kills {
        let status = streams.caller().create(SHARED, "text/plain").await;
        assert_eq!(status, if kill == 0 { 201 } else { 200 });
        let writing: Vec<_> = writers.into_iter().map(|writer| write(writer, streams.caller())).collect();
        let enough = answered.load(Ordering::Relaxed) + dice.throw(100) as usize;
        eventually("answers", || async { (answered.load(Ordering::Relaxed) >= enough).then_some(()) }).await;
        pause(dice.throw(50)).await;
        streams.process.kill().await;
        writers = joined(writing).await;
        while dice.throw(5) == 0 {
            streams.process.restart_and_kill(dice.throw(100)).await;
        }
        streams.kill_and_revive().await;
        println!("after kill {kill}");
        let checking: Vec<_> = writers.into_iter().map(|writer| check(writer, streams.caller())).collect();
        writers = joined(checking).await;
        let (shared, _) = streams.caller().read(SHARED, "-1").await.unwrap();
        let lines = String::from_utf8(shared).unwrap();
        writers.iter().for_each(|writer| writer.check_shared(&lines));
        let log = streams.process.log();
        assert!(!log.contains(r#""level":"ERROR""#), "{log}");
    }
    streams.process.stop().await;
    println!("{kills} kills, {} answers", answered.load(Ordering::Relaxed));
}

fn write(mut writer: Writer, caller: Caller) -> JoinHandle<Writer> {
    tokio::spawn(async move {
        writer.write(&caller).await;
        writer
    })
}

fn check(mut writer: Writer, caller: Caller) -> JoinHandle<Writer> {
    tokio::spawn(async move {
        writer.check(&caller).await;
        writer
    })
}

async fn joined(tasks: Vec<JoinHandle<Writer>>) -> Vec<Writer> {
    let mut writers = Vec::new();
    for task in tasks {
        writers.push(task.await.unwrap());
    }
    writers
}
