//! kill -9 at random moments under load: what was answered is there, whole, once, and in its order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use uuid::Uuid;

use super::client::Client;
use super::dice::Dice;
use super::server_on;
use super::writer::{SHARED, Writer};
use crate::eventually::{eventually, pause};

/// Set to the number that a failure names, it throws the same dice again.
const SEED: &str = "EXORELAY_SPEC_SEED";

const WRITERS: usize = 6;

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_kills() {
    check_kills("sync", 90).await;
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_kills_with_more_dice() {
    check_kills("sync", 90).await;
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_kills_when_syncs_come_at_intervals() {
    check_kills("interval 10ms", 60).await;
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_by_kills_when_the_system_syncs() {
    check_kills("memory", 60).await;
}

async fn check_kills(durability: &str, kills: usize) {
    let seed = std::env::var(SEED).map_or_else(|_| Uuid::new_v4().as_u64_pair().0, |seed| seed.parse().unwrap());
    println!("{SEED}={seed} throws these dice again");
    let (mut dice, folder) = (Dice::new(seed), TempDir::new().unwrap());
    let mut server = server_on(&folder, &[("EXORELAY__STREAMS__DURABILITY", durability)]).await;
    let (address, answered) = (server.address("streams").to_owned(), Arc::new(AtomicUsize::new(0)));
    let writer = |number| Writer::new(format!("w{number}"), dice.split(), &address, &answered);
    let mut writers: Vec<Writer> = (0..WRITERS).map(writer).collect();
    for kill in 0..kills {
        Client::of(&address).create(SHARED, "text/plain").await;
        let writing: Vec<_> = writers.into_iter().map(write).collect();
        let enough = answered.load(Ordering::Relaxed) + dice.below(100) as usize;
        eventually("answers", || async { (answered.load(Ordering::Relaxed) >= enough).then_some(()) }).await;
        pause(dice.below(50)).await;
        server.kill().await;
        writers = joined(writing).await;
        while dice.below(5) == 0 {
            server.revive_in_vain(dice.below(100)).await;
        }
        server.revive().await;
        println!("after kill {kill}");
        let checking: Vec<_> = writers.into_iter().map(check).collect();
        writers = joined(checking).await;
        let shared = Client::of(&address).read(SHARED, "-1").await.unwrap();
        let lines = String::from_utf8(shared.content).unwrap();
        writers.iter().for_each(|writer| writer.check_shared(&lines));
        assert!(!server.log().contains(r#""level":"ERROR""#), "{}", server.log());
    }
    server.stop().await;
    println!("{kills} kills, {} answers", answered.load(Ordering::Relaxed));
}

fn write(mut writer: Writer) -> tokio::task::JoinHandle<Writer> {
    tokio::spawn(async move {
        writer.write().await;
        writer
    })
}

fn check(mut writer: Writer) -> tokio::task::JoinHandle<Writer> {
    tokio::spawn(async move {
        writer.check().await;
        writer
    })
}

async fn joined(tasks: Vec<tokio::task::JoinHandle<Writer>>) -> Vec<Writer> {
    let mut writers = Vec::new();
    for task in tasks {
        writers.push(task.await.unwrap());
    }
    writers
}
