//! A board and its ledger, what they have had written, and short ways to do things.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::streams::rules::{Change, Content, KeySpace, Ledger, Limits};
use crate::streams::subscriptions::rules::{Attempt, Board, Bounds, Outcome, Refusal, Seen, Way, Wish};
use crate::streams::subscriptions::wire::{
    Acknowledgement, Claim, ClaimedView, KeyEntry, LinkEntry, Release, Secret, SubscriptionEntry, SubscriptionId,
    SubscriptionView, link_of, terms_request,
};
use crate::streams::wire::{AppendRequest, ContentType, CreateRequest, StreamPath};

pub(super) const SECRET: Secret = Secret([7; 32]);

pub(super) struct Stage {
    pub(super) board: Board,
    pub(super) ledger: Ledger,
    pub(super) now_ms: u64,
    pub(super) room: usize,
    pub(super) links_max: usize,
    /// What the board has had written: what a crash leaves.
    kept: BTreeMap<(KeySpace, Bytes), Bytes>,
    /// What readers see and the board was not told yet.
    untold: Vec<(StreamPath, Seen)>,
    nonces: u64,
}

pub(super) fn id(text: &str) -> SubscriptionId {
    SubscriptionId::parse(text).unwrap()
}

pub(super) fn path(text: &str) -> StreamPath {
    StreamPath::parse(text).unwrap()
}

pub(super) fn key(created_ms: u64) -> KeyEntry {
    KeyEntry { pkcs8: String::new(), x: "x".into(), created_ms, replaced_ms: None }
}

fn board(links_max: usize) -> Board {
    Board::new(Bounds {
        subscriptions_max: 4,
        links_max,
        wake_streams_max: 3,
        token_ttl_ms: 3_600_000,
        retry_wait_max_ms: 60_000,
        key_rotation_ms: 1_000_000,
        key_overlap_ms: 500_000,
    })
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with_links_max(100)
    }

    pub(super) fn with_links_max(links_max: usize) -> Self {
        let limits = Limits {
            streams_max: 100,
            content_bytes_max: 1_000_000,
            producers_max: 10,
            producer_idle_ms: 1_000,
            fork_segments_max: 8,
            registry: false,
        };
        let mut stage = Self {
            board: board(links_max),
            ledger: Ledger::new(limits, 1),
            now_ms: 1_000_000,
            room: 10,
            links_max,
            kept: BTreeMap::new(),
            untold: Vec::new(),
            nonces: 0,
        };
        stage.decide(|board, _, now_ms, changes| {
            board.renew_keys(now_ms, &SECRET, ("ds_1".into(), key(now_ms)), changes)
        });
        stage
    }

    /// Decides and writes.
    pub(super) fn decide<A>(&mut self, rule: impl FnOnce(&mut Board, &mut Ledger, u64, &mut Vec<Change>) -> A) -> A {
        let mut changes = Vec::new();
        self.board.flush(&mut changes);
        let answer = rule(&mut self.board, &mut self.ledger, self.now_ms, &mut changes);
        for change in changes {
            match change {
                Change::Value { space, key, value: Some(value) } => drop(self.kept.insert((space, key), value)),
                Change::Value { space, key, value: None } => drop(self.kept.remove(&(space, key))),
                Change::Created { path } | Change::Entry { path } | Change::Record { path, .. } => {
                    let stream = self.ledger.stream(&path);
                    self.untold.extend(stream.map(|stream| {
                        let (log, tail) = (stream.entry.log, stream.tail);
                        (path, if stream.entry.deleted { Seen::Gone { log } } else { Seen::There { log, tail } })
                    }));
                }
                Change::Removed { path, log } => self.untold.push((path, Seen::Gone { log })),
                Change::Producer { .. } | Change::Happened(_) => {}
            }
        }
        answer
    }

    /// Creates a stream, or appends to it.
    pub(super) fn append(&mut self, name: &str) {
        self.create(name, "text/plain");
        let request =
            AppendRequest { content_type: ContentType::parse("text/plain"), closed: false, seq: None, producer: None };
        self.decide(|_, ledger, now_ms, changes| {
            ledger.append(now_ms, &path(name), &request, Content::new("x".into()), changes).map(drop).ok()
        });
    }

    pub(super) fn create(&mut self, name: &str, content_type: &str) {
        let request =
            CreateRequest { content_type: ContentType::parse(content_type), lifetime: None, closed: false, fork: None };
        self.decide(|_, ledger, now_ms, changes| {
            ledger.create(now_ms, &path(name), &request, (Content::default(), None), changes).map(drop).ok()
        });
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.decide(|_, ledger, now_ms, changes| ledger.delete(now_ms, &path(name), changes).ok());
    }

    pub(super) fn tail(&self, name: &str) -> u64 {
        self.ledger.stream(&path(name)).map_or(0, |stream| stream.tail)
    }

    /// Tells the board everything that readers see.
    pub(super) fn tell(&mut self) -> usize {
        std::mem::take(&mut self.untold).into_iter().map(|(path, seen)| self.board.observe(&path, seen)).sum()
    }

    pub(super) fn webhook(&mut self, name: &str, links: &str) -> Result<(SubscriptionView, bool), Refusal> {
        self.subscribe(
            name,
            &format!(r#"{{"type":"webhook","webhook":{{"url":"https://a"}},"lease_ttl_ms":10000,{links}}}"#),
        )
    }

    pub(super) fn pull(&mut self, name: &str, wake: &str, links: &str) -> Result<(SubscriptionView, bool), Refusal> {
        self.subscribe(name, &format!(r#"{{"type":"pull-wake","wake_stream":"{wake}","lease_ttl_ms":10000,{links}}}"#))
    }

    fn subscribe(&mut self, name: &str, body: &str) -> Result<(SubscriptionView, bool), Refusal> {
        self.nonces += 1;
        let wish = Wish {
            terms: terms_request(body.as_bytes())?,
            base: "http://base".into(),
            nonce: format!("n{}", self.nonces).into(),
        };
        self.decide(|board, ledger, now_ms, changes| board.create((now_ms, ledger), &id(name), wish, changes))
    }

    pub(super) fn unsubscribe(&mut self, name: &str) {
        self.decide(|board, _, _, changes| board.delete(&id(name), changes));
    }

    pub(super) fn add(&mut self, name: &str, streams: &[&str]) -> Result<(), Refusal> {
        let paths: BTreeSet<StreamPath> = streams.iter().map(|name| path(name)).collect();
        self.decide(|board, ledger, _, changes| board.add_links(ledger, &id(name), paths, changes))
    }

    pub(super) fn remove(&mut self, name: &str, stream: &str) -> Result<(), Refusal> {
        self.decide(|board, _, _, changes| board.remove_link(&id(name), &path(stream), changes))
    }

    /// Tells everything, and does everything that is due now.
    pub(super) fn turn(&mut self) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        loop {
            self.tell();
            let room = self.room - attempts.len();
            if self.board.due_ms(room).is_none_or(|at_ms| at_ms > self.now_ms) {
                return attempts;
            }
            attempts
                .extend(self.decide(|board, ledger, now_ms, changes| board.turn(ledger, (now_ms, 0.5, room), changes)));
        }
    }

    pub(super) fn delivered(&mut self, attempt: &Attempt, outcome: &Outcome) {
        self.decide(|board, _, now_ms, changes| board.delivered(attempt, outcome, (now_ms, 0.5), changes));
    }

    pub(super) fn failed(&mut self, attempt: &Attempt) {
        self.delivered(attempt, &Outcome::Failed { cause: "no answer".into() });
    }

    pub(super) fn claim(&mut self, name: &str, worker: &str) -> Result<ClaimedView, Refusal> {
        self.tell();
        let claim = Claim { worker: worker.into() };
        self.decide(|board, _, now_ms, changes| board.claim(now_ms, &id(name), claim, changes))
    }

    /// Acknowledges everything that was told of.
    pub(super) fn finish(&mut self, name: &str, way: Way, claimed: &ClaimedView) -> Result<bool, Refusal> {
        let acks = claimed.streams.iter().map(|view| (view.path.clone(), Some(view.tail))).collect();
        self.acknowledge(name, way, claimed, acks, true)
    }

    pub(super) fn acknowledge(
        &mut self,
        name: &str,
        way: Way,
        claimed: &ClaimedView,
        acks: Vec<(StreamPath, Option<u64>)>,
        done: bool,
    ) -> Result<bool, Refusal> {
        self.tell();
        let (wake_id, generation) = (claimed.wake_id.clone(), claimed.generation);
        let request = Acknowledgement { wake_id, generation, acks, done };
        let (id, token) = (id(name), claimed.token.clone());
        let caller = (&id, way, Some(token.as_str()));
        self.decide(|board, _, now_ms, changes| board.acknowledge(now_ms, caller, &request, changes))
    }

    pub(super) fn release(&mut self, name: &str, claimed: &ClaimedView) -> Result<(), Refusal> {
        let request = Release { wake_id: claimed.wake_id.clone(), generation: claimed.generation };
        let (id, token) = (id(name), claimed.token.clone());
        self.decide(|board, _, now_ms, changes| board.release(now_ms, (&id, Some(&token)), &request, changes))
    }

    /// A new process finds what was written, and nothing else.
    pub(super) fn reopen(&mut self) {
        let mut board = board(self.links_max);
        board.restore_secret(SECRET);
        board.restore_key("ds_1".into(), key(self.now_ms));
        let of = |space: KeySpace| self.kept.iter().filter(move |((kept, _), _)| *kept == space);
        for ((_, key), value) in of(KeySpace::Subscriptions) {
            let (id, entry) = SubscriptionEntry::read(key, value).unwrap();
            board.restore(self.now_ms, id, entry);
        }
        for ((_, key), value) in of(KeySpace::SubscriptionLinks) {
            let (id, path) = link_of(key).unwrap();
            let entry = LinkEntry::read(&path, value).unwrap();
            board.restore_link(&id, path, entry);
        }
        board.catch_up(&self.ledger);
        self.board = board;
        self.untold.clear();
    }

    /// Path, whether somebody named it, and how far it was acknowledged.
    pub(super) fn links(&self, name: &str) -> Vec<(String, bool, Option<u64>)> {
        let view = self.board.view(&id(name)).unwrap();
        let explicit = crate::streams::subscriptions::wire::LinkType::Explicit;
        view.streams.iter().map(|view| (view.path.to_string(), view.link_type == explicit, view.acked)).collect()
    }
}

/// What a receiver holds of a call, to call back with.
pub(super) fn called(attempt: &Attempt) -> ClaimedView {
    let wake = attempt.wake.clone();
    let (wake_id, generation, token, streams) = (wake.wake_id, wake.generation, wake.token, wake.streams);
    ClaimedView { wake_id, generation, token, streams, lease_ttl_ms: 10_000 }
}
