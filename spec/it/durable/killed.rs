//! Hundreds of SIGKILLs at random moments, with writers that remember every answer.
//!
//! Acknowledged records are present once, complete, in order, at the offsets that were returned. A record in flight is present
//! as a whole or not at all. A producer's retry is not written twice.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;

use super::client::{Caller, Dice, Streams};
use crate::eventually::pause;

const KILLS: u64 = 80;

/// One stream, with what its only writer knows.
struct Writer {
    path: String,
    content_type: &'static str,
    /// The next sequence number, for an idempotent producer.
    seq: Option<u64>,
    /// The acknowledged records with the returned offsets.
    answered: Vec<(Vec<u8>, String)>,
    /// The record in flight.
    open: Option<Vec<u8>>,
    dice: Dice,
}

impl Writer {
    fn new(number: u64, seed: u64) -> Self {
        let content_type = ["application/json", "text/plain", "application/octet-stream"][(number % 3) as usize];
        Self {
            path: format!("writer-{number}"),
            content_type,
            seq: number.is_multiple_of(2).then_some(0),
            answered: Vec::new(),
            open: None,
            dice: Dice::new(seed * 31 + number + 1),
        }
    }

    /// Returns a record that contains its number, mostly short, sometimes longer than a page.
    fn record(&mut self) -> Vec<u8> {
        let length = match self.dice.throw(20) {
            0 => self.dice.throw(100_000),
            1..4 => self.dice.throw(8_000),
            _ => self.dice.throw(100),
        };
        let letter = (b'a' + (self.answered.len() % 26) as u8) as char;
        let text = format!("{}:{}", self.answered.len(), letter.to_string().repeat(length as usize));
        match self.content_type {
            "application/json" => format!("\"{text}\"").into_bytes(),
            _ => format!("{text};").into_bytes(),
        }
    }

    /// Appends until the server is killed, or about to be, as the next one may start at once. A producer first retries the
    /// record that was in flight.
    async fn write(mut self, caller: Caller, answers: Arc<AtomicUsize>, over: Arc<AtomicBool>) -> Self {
        while !over.load(Ordering::Relaxed) {
            let record = match self.open.take() {
                Some(open) => open,
                None => self.record(),
            };
            self.open = Some(record.clone());
            let seq = self.seq.map(|seq| seq.to_string());
            let mut headers = vec![("content-type", self.content_type)];
            if let Some(seq) = &seq {
                headers.extend([("producer-id", "p"), ("producer-epoch", "0"), ("producer-seq", seq)]);
            }
            let Ok(answer) = caller.call(Method::POST, &self.path, &headers, record).await else { return self };
            let status = answer.status().as_u16();
            assert!(matches!(status, 200 | 204), "{status} for {}: {:?}", self.path, answer.text().await);
            let offset = answer.headers()["stream-next-offset"].to_str().unwrap().to_owned();
            self.answered.extend(self.open.take().map(|record| (record, offset)));
            self.seq = self.seq.map(|seq| seq + 1);
            answers.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    fn content(&self, records: &[&[u8]]) -> Vec<u8> {
        match self.content_type {
            "application/json" => [b"[".as_slice(), &records.join(&b","[..]), b"]"].concat(),
            _ => records.concat(),
        }
    }

    /// Checks the whole content, and the content after one of the offsets; decides if the record in flight was written.
    async fn check(&mut self, caller: &Caller, what: &str) {
        let (content, end) = caller.read(&self.path, "-1").await.unwrap();
        let mut records: Vec<&[u8]> = self.answered.iter().map(|(record, _)| record.as_slice()).collect();
        let without = self.content(&records);
        let is_there = content != without;
        if is_there {
            let open = self.open.as_deref().unwrap_or_else(|| panic!("{what}: {} has different content", self.path));
            records.push(open);
            assert!(content == self.content(&records), "{what}: {} lost, doubled or tore a record", self.path);
        } else if let Some((_, returned)) = self.answered.last() {
            assert_eq!(&end, returned, "{what}: {}", self.path);
        }
        if !self.answered.is_empty() {
            let place = self.dice.throw(self.answered.len() as u64) as usize;
            let (from, _) = caller.read(&self.path, &self.answered[place].1).await.unwrap();
            assert!(from == self.content(&records[place + 1..]), "{what}: {} behind {place}", self.path);
        }
        // A producer retries in any case, which must change nothing if the record is present. Others would write it twice.
        if is_there && self.seq.is_none() {
            self.answered.extend(self.open.take().map(|record| (record, end)));
        }
        if self.seq.is_none() {
            self.open = None;
        }
    }
}

/// Streams that are created and end while the server is killed.
struct Restless {
    rounds: u64,
}

impl Restless {
    /// Creates, appends, closes or deletes until the server is killed; returns the streams whose last call was acknowledged.
    async fn live(self, caller: Caller, round: u64, over: Arc<AtomicBool>) -> (Self, Vec<(String, &'static str)>) {
        let mut fates = Vec::new();
        for number in (0..).take_while(|_| !over.load(Ordering::Relaxed)) {
            let path = format!("restless-{round}-{number}");
            let text = [("content-type", "text/plain")];
            let closing = [("content-type", "text/plain"), ("stream-closed", "true")];
            let created = caller.call(Method::PUT, &path, &text, b"first;".to_vec()).await;
            if !created.is_ok_and(|answer| answer.status() == 201) {
                break;
            }
            let fate = match number % 3 {
                0 => ("closed", caller.call(Method::POST, &path, &closing, b"last;".to_vec()).await),
                1 => ("deleted", caller.call(Method::DELETE, &path, &[], Vec::new()).await),
                _ => ("open", caller.call(Method::POST, &path, &text, b"more;".to_vec()).await),
            };
            if !fate.1.is_ok_and(|answer| answer.status() == 204) {
                break;
            }
            fates.push((path, fate.0));
        }
        (Self { rounds: self.rounds + 1 }, fates)
    }

    async fn check(caller: &Caller, fates: &[(String, &'static str)], what: &str) {
        for (path, fate) in fates {
            let read = caller.read(path, "-1").await;
            let head = caller.call(Method::HEAD, path, &[], Vec::new()).await.unwrap();
            let closed = head.headers().contains_key("stream-closed");
            let text = read.map(|(content, _)| String::from_utf8(content).unwrap()).map_err(|(status, _)| status);
            let expected = match *fate {
                "closed" => (Ok("first;last;".to_owned()), true),
                "deleted" => (Err(404), false),
                _ => (Ok("first;more;".to_owned()), false),
            };
            assert_eq!((text, closed), expected, "{what}: {path}");
        }
    }
}

/// Kills the server again and again while writers append; with more than one, other streams are created and deleted, too.
async fn check_kills(durability: &str, seed: u64, writers: Range<u64>) {
    let mut streams = Streams::start(&[("EXORELAY__STREAMS__DURABILITY", durability)]).await;
    let mut dice = Dice::new(seed);
    let mut writers: Vec<Writer> = writers.map(|number| Writer::new(number, seed)).collect();
    for writer in &writers {
        assert_eq!(streams.caller().create(&writer.path, writer.content_type).await, 201);
    }
    let mut restless = (writers.len() > 1).then_some(Restless { rounds: 0 });
    for kill in 0..KILLS {
        let what = format!("seed {seed}, kill {kill}, {durability}");
        let (answers, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let writing: Vec<_> = std::mem::take(&mut writers)
            .into_iter()
            .map(|writer| tokio::spawn(writer.write(streams.caller(), answers.clone(), over.clone())))
            .collect();
        let living = restless.take().map(|restless| tokio::spawn(restless.live(streams.caller(), kill, over.clone())));
        let enough = dice.throw(120) as usize;
        while answers.load(Ordering::Relaxed) < enough {
            assert!(!writing.iter().any(tokio::task::JoinHandle::is_finished), "{what}: a writer ended early");
            pause(dice.throw(3)).await;
        }
        over.store(true, Ordering::Relaxed);
        streams.kill_and_revive().await;
        let caller = streams.caller();
        for writer in writing {
            let mut writer = writer.await.unwrap();
            writer.check(&caller, &what).await;
            writers.push(writer);
        }
        if let Some(living) = living {
            let (alive, fates) = living.await.unwrap();
            Restless::check(&caller, &fates, &what).await;
            restless = Some(alive);
        }
        let log = streams.process.log();
        assert!(!log.contains("damaged") && !log.contains("missing"), "{what}: {log}");
    }
    assert!(restless.is_none_or(|restless| restless.rounds == KILLS));
    streams.process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_record_is_lost_over_many_kills() {
    check_kills("sync", u64::from(std::process::id()), 0..6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_writer_loses_nothing() {
    check_kills("sync", u64::from(std::process::id()) + 3, 2..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_costs_nothing_with_durability_interval() {
    check_kills("interval 10ms", u64::from(std::process::id()) + 1, 0..6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_costs_nothing_with_durability_memory() {
    check_kills("memory", u64::from(std::process::id()) + 2, 0..6).await;
}
