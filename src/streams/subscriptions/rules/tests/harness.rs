//! Test harness: a subscription set with its ledger and store.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::streams::rules::{Change, Content, KeySpace, Ledger, Limits};
use crate::streams::subscriptions::rules::{
    AckEndpoint, Attempt, NewSubscription, Outcome, Refusal, SubscriptionLimits, SubscriptionSet,
};
use crate::streams::subscriptions::wire::{
    Acknowledgement, Claim, ClaimedView, KeyEntry, LinkEntry, Page, Release, Secret, StreamView, SubscriptionEntry,
    SubscriptionId, SubscriptionView, link_key, link_of, parse_terms,
};
use crate::streams::wire::{AppendRequest, ContentType, CreateRequest, Offset, StreamPath};

pub(super) const SECRET: Secret = Secret([7; 32]);

pub(super) struct Harness {
    pub(super) set: SubscriptionSet,
    pub(super) ledger: Ledger,
    pub(super) now_ms: u64,
    pub(super) capacity: usize,
    pub(super) links_max: usize,
    /// Committed values, which survive a crash.
    stored: BTreeMap<(KeySpace, Bytes), Bytes>,
    nonces: u64,
    /// Links that did not fit into the limits.
    pub(super) left_out: usize,
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

fn new_set(links_max: usize) -> SubscriptionSet {
    SubscriptionSet::new(SubscriptionLimits {
        subscriptions_max: 4,
        links_max,
        bytes_max: 1_000_000,
        wake_streams_max: 3,
        token_ttl_ms: 3_600_000,
        retry_wait_max_ms: 60_000,
        webhook_timeout_ms: 10_000,
        key_rotation_ms: 1_000_000,
        key_overlap_ms: 500_000,
    })
}

impl Harness {
    pub(super) fn new() -> Self {
        Self::with_links_max(100)
    }

    pub(super) fn with_links_max(links_max: usize) -> Self {
        let limits = Limits {
            streams_max: 200,
            content_bytes_max: 1_000_000,
            metadata_bytes_max: u64::MAX / 2,
            producers_max: 10,
            producers_bytes_max: u64::MAX,
            producers_forgotten_max: 1_000,
            producer_idle_ms: 1_000,
            fork_segments_max: 8,
            registry: false,
            registry_gone_ms: u64::MAX,
            registry_gone_bytes_max: u64::MAX,
        };
        let mut harness = Self {
            set: new_set(links_max),
            ledger: Ledger::new(limits, 1, 1),
            now_ms: 1_000_000,
            capacity: 10,
            links_max,
            stored: BTreeMap::new(),
            nonces: 0,
            left_out: 0,
        };
        harness
            .decide(|set, _, now_ms, changes| set.keys.rotate(now_ms, &SECRET, ("ds_1".into(), key(now_ms)), changes));
        harness
    }

    /// Runs `rule` and commits its changes.
    pub(super) fn decide<A>(
        &mut self,
        rule: impl FnOnce(&mut SubscriptionSet, &mut Ledger, u64, &mut Vec<Change>) -> A,
    ) -> A {
        let mut changes = Vec::new();
        self.set.flush(&mut changes);
        let answer = rule(&mut self.set, &mut self.ledger, self.now_ms, &mut changes);
        self.left_out += self.set.observe(&self.ledger, &mut changes).left_out;
        for change in changes {
            match change {
                Change::Value { space, key, value: Some(value) } => drop(self.stored.insert((space, key), value)),
                Change::Value { space, key, value: None } => drop(self.stored.remove(&(space, key))),
                Change::Sweep { space, prefix } => {
                    self.stored.retain(|(stored, key), _| *stored != space || !key.starts_with(&prefix));
                }
                Change::Created { .. }
                | Change::Entry { .. }
                | Change::Record { .. }
                | Change::Removed { .. }
                | Change::Producer { .. }
                | Change::Happened(_) => {}
            }
        }
        answer
    }

    /// Appends to a stream, and creates it if it does not exist.
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
        let new = NewSubscription {
            terms: parse_terms(body.as_bytes())?,
            mount: "/v1/stream".into(),
            nonce: format!("n{}", self.nonces).into(),
        };
        self.decide(|set, ledger, now_ms, changes| set.create((now_ms, ledger), &id(name), new, changes))
    }

    pub(super) fn unsubscribe(&mut self, name: &str) {
        self.decide(|set, ledger, _, changes| set.delete(ledger, &id(name), changes));
    }

    pub(super) fn add(&mut self, name: &str, streams: &[&str]) -> Result<(), Refusal> {
        let paths: BTreeSet<StreamPath> = streams.iter().map(|name| path(name)).collect();
        self.decide(|set, ledger, _, changes| set.add_links(ledger, &id(name), paths, changes))
    }

    pub(super) fn remove(&mut self, name: &str, stream: &str) -> Result<(), Refusal> {
        self.decide(|set, ledger, _, changes| set.remove_link(ledger, &id(name), &path(stream), changes))
    }

    /// Runs everything that is due now.
    pub(super) fn run_due(&mut self) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        loop {
            let capacity = self.capacity - attempts.len();
            if self.set.due_ms(capacity).is_none_or(|at_ms| at_ms > self.now_ms) {
                return attempts;
            }
            attempts.extend(
                self.decide(|set, ledger, now_ms, changes| set.run_due(ledger, (now_ms, 0.5, capacity), changes)),
            );
        }
    }

    pub(super) fn record_outcome(&mut self, attempt: &Attempt, outcome: &Outcome) {
        self.decide(|set, ledger, now_ms, changes| {
            set.record_outcome(ledger, attempt, outcome, (now_ms, 0.5), changes)
        });
    }

    pub(super) fn failed(&mut self, attempt: &Attempt) {
        self.record_outcome(attempt, &Outcome::Failed { cause: "no answer".into() });
    }

    pub(super) fn claim(&mut self, name: &str, worker: &str) -> Result<ClaimedView, Refusal> {
        let claim = Claim { worker: worker.into() };
        self.decide(|set, ledger, now_ms, changes| set.claim((now_ms, ledger), &id(name), claim, changes))
    }

    /// Acknowledges everything the wake announced, and ends it.
    pub(super) fn finish(&mut self, name: &str, endpoint: AckEndpoint, claimed: &ClaimedView) -> Result<bool, Refusal> {
        let acks = claimed.streams.iter().map(|view| (view.path.clone(), Some(view.tail.position()))).collect();
        self.acknowledge(name, endpoint, claimed, acks, true)
    }

    pub(super) fn acknowledge(
        &mut self,
        name: &str,
        endpoint: AckEndpoint,
        claimed: &ClaimedView,
        acks: Vec<(StreamPath, Option<u64>)>,
        done: bool,
    ) -> Result<bool, Refusal> {
        let offset = |path: &StreamPath, position| {
            let stream = self.ledger.stream(path);
            stream.map_or(Offset::START, |stream| stream.layout().offset_at(position))
        };
        let acks = acks.into_iter().map(|(path, acked)| (path.clone(), acked.map(|at| offset(&path, at)))).collect();
        self.acknowledge_offsets(name, endpoint, claimed, acks, done)
    }

    pub(super) fn acknowledge_offsets(
        &mut self,
        name: &str,
        endpoint: AckEndpoint,
        claimed: &ClaimedView,
        acks: Vec<(StreamPath, Option<Offset>)>,
        done: bool,
    ) -> Result<bool, Refusal> {
        let (wake_id, generation) = (claimed.wake_id.clone(), claimed.generation);
        let request = Acknowledgement { wake_id, generation, acks, done };
        let (id, token) = (id(name), claimed.token.clone());
        let caller = (&id, endpoint, Some(token.as_str()));
        self.decide(|set, ledger, now_ms, changes| set.acknowledge((now_ms, ledger), caller, &request, changes))
    }

    pub(super) fn release(&mut self, name: &str, claimed: &ClaimedView) -> Result<(), Refusal> {
        let request = Release { wake_id: claimed.wake_id.clone(), generation: claimed.generation };
        let (id, token) = (id(name), claimed.token.clone());
        self.decide(|set, _, now_ms, changes| set.release(now_ms, (&id, Some(&token)), &request, changes))
    }

    /// Returns the number of links in the store.
    pub(super) fn stored_links(&self) -> usize {
        self.stored.keys().filter(|(space, _)| *space == KeySpace::SubscriptionLinks).count()
    }

    /// Makes the store look as an earlier version left it: each matching stream has a link, or counts as unread if it is newer.
    pub(super) fn store_as_before(&mut self, name: &str, links: &[(&str, u64, Option<u64>)]) {
        for (space, key) in self.stored.keys().cloned().collect::<Vec<_>>() {
            if space == KeySpace::Subscriptions && key == name.as_bytes() {
                let (id, entry) = SubscriptionEntry::read(&key, &self.stored[&(space, key.clone())]).unwrap();
                let entry = SubscriptionEntry { lazy_links: false, ..entry };
                self.stored.insert((space, id.as_str().to_owned().into()), entry.to_bytes());
            } else if space == KeySpace::SubscriptionLinks {
                self.stored.remove(&(space, key));
            }
        }
        for (stream, log, acked) in links {
            let acked = acked.map(|at| self.ledger.stream(&path(stream)).unwrap().layout().offset_at(at));
            let entry = LinkEntry::new(Some(*log), acked, false).to_bytes();
            self.stored.insert((KeySpace::SubscriptionLinks, link_key(&id(name), &path(stream))), entry);
        }
    }

    pub(super) fn log(&self, name: &str) -> u64 {
        self.ledger.stream(&path(name)).map_or(0, |stream| stream.entry.log)
    }

    /// Restarts: restores a new set from the committed values.
    pub(super) fn reopen(&mut self) {
        let mut set = new_set(self.links_max);
        set.keys.restore_secret(SECRET);
        set.keys.restore_key("ds_1".into(), key(self.now_ms));
        let of = |space: KeySpace| self.stored.iter().filter(move |((stored, _), _)| *stored == space);
        for ((_, key), value) in of(KeySpace::Subscriptions) {
            let (id, entry) = SubscriptionEntry::read(key, value).unwrap();
            set.restore((self.now_ms, &self.ledger), id, entry);
        }
        for ((_, key), value) in of(KeySpace::SubscriptionLinks) {
            let (id, path) = link_of(key).unwrap();
            let entry = LinkEntry::read(&path, value).unwrap();
            set.restore_link(&id, path, entry);
        }
        set.catch_up(&self.ledger);
        self.set = set;
    }

    /// Returns path, link by name, and acknowledged position of each link.
    pub(super) fn links(&self, name: &str) -> Vec<(String, bool, Option<u64>)> {
        let view = self.set.view((self.now_ms, &self.ledger), &id(name), &Page::default()).unwrap();
        let explicit = crate::streams::subscriptions::wire::LinkType::Explicit;
        let acked = |view: &StreamView| view.acked.map(Offset::position);
        view.streams.iter().map(|view| (view.path.to_string(), view.link_type == explicit, acked(view))).collect()
    }
}

/// Returns what a receiver needs of a call to acknowledge it.
pub(super) fn called(attempt: &Attempt) -> ClaimedView {
    let wake = attempt.wake.clone();
    let (wake_id, generation, token, streams) = (wake.wake_id, wake.generation, wake.token, wake.streams);
    ClaimedView { wake_id, generation, token, streams, lease_ttl_ms: 10_000 }
}
