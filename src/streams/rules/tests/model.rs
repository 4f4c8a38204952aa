//! The protocol in its most naive form: every stream holds all its bytes, forks are copies, and the forks of a stream are
//! found by looking at all streams.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::registry::row;
use super::stage::{Command, LIMITS, Outcome, REGISTRY};
use crate::streams::wire::{AppendRequest, ContentType, CreateRequest, Kind, Lifetime, ProducerStamp};

#[derive(Debug, Clone)]
pub(super) struct Naive {
    pub(super) content: Vec<u8>,
    /// The positions where appends begin.
    starts: BTreeSet<usize>,
    inherited: usize,
    /// The lengths of the copies that it consists of, whose number is limited.
    copies: BTreeSet<usize>,
    pub(super) content_type: ContentType,
    pub(super) lifetime: Lifetime,
    lifetime_given: bool,
    pub(super) created_ms: u64,
    used_ms: u64,
    pub(super) closed: bool,
    closed_by: Option<ProducerStamp>,
    last_seq: Option<String>,
    producers: BTreeMap<String, (u64, u64, u64)>,
    /// Epochs of producers that made space for others.
    forgotten: BTreeMap<String, u64>,
    pub(super) forked: Option<(String, usize, u64)>,
    pub(super) deleted: bool,
    followers: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) streams: BTreeMap<String, Naive>,
    /// The messages of the registry, with commas; their order within one command is free.
    pub(super) registry: Vec<String>,
    now_ms: u64,
}

type Refused = u16;

impl Model {
    pub(super) fn new() -> Self {
        Self { streams: BTreeMap::new(), registry: Vec::new(), now_ms: 1_000_000 }
    }

    pub(super) fn run(&mut self, command: &Command) -> Outcome {
        let before = self.clone();
        let outcome = match command {
            Command::Create { path: REGISTRY, .. }
            | Command::Append { path: REGISTRY, .. }
            | Command::Delete { path: REGISTRY } => Err(405),
            Command::Read { path: REGISTRY } | Command::Follow { path: REGISTRY } => match self.registry_bytes() {
                0 => Err(404),
                bytes => Ok((200, Some(bytes as u64))),
            },
            Command::Create { path, request, body } => self.create(path, request, body),
            Command::Append { path, request, body } => self.append(path, request, body),
            Command::Delete { path } => self.live(path).map(|_| (204, None)).inspect(|_| self.end(path, "deleted")),
            Command::Read { path } => self.used(path),
            Command::Follow { path } => self.used(path).inspect(|_| self.stream(path).followers += 1),
            Command::Unfollow { path } => {
                let now_ms = self.now_ms;
                if let Some(stream) = self.streams.get_mut(*path) {
                    stream.followers = stream.followers.saturating_sub(1);
                    stream.used_ms = now_ms;
                }
                Ok((200, None))
            }
            Command::Sweep => {
                self.sweep();
                Ok((200, None))
            }
            Command::Pass { ms } => {
                self.now_ms += ms;
                Ok((200, None))
            }
        };
        outcome.unwrap_or_else(|status| {
            *self = before;
            (status, None)
        })
    }

    fn stream(&mut self, path: &str) -> &mut Naive {
        self.streams.get_mut(path).expect("it was found before")
    }

    pub(super) fn forks_of(&self, path: &str) -> usize {
        self.streams.values().filter(|it| it.forked.as_ref().is_some_and(|(source, ..)| source == path)).count()
    }

    /// All bytes that are not inherited.
    pub(super) fn own_bytes(&self) -> usize {
        self.streams.values().map(|stream| stream.content.len() - stream.inherited).sum()
    }

    /// All bytes of the registry.
    pub(super) fn registry_bytes(&self) -> usize {
        self.registry.iter().map(String::len).sum()
    }

    fn expired(&self, stream: &Naive) -> bool {
        match &stream.lifetime {
            Lifetime::Unlimited => false,
            Lifetime::Idle { ttl_s } => stream.followers == 0 && stream.used_ms + ttl_s * 1000 <= self.now_ms,
            Lifetime::Until { at_ms, .. } => *at_ms <= self.now_ms,
        }
    }

    fn live(&self, path: &str) -> Result<Naive, Refused> {
        let stream = self.streams.get(path).ok_or(404_u16)?;
        match (stream.deleted, self.expired(stream)) {
            (true, _) => Err(410),
            (false, true) => Err(404),
            (false, false) => Ok(stream.clone()),
        }
    }

    fn used(&mut self, path: &str) -> Result<Outcome, Refused> {
        self.live(path)?;
        let now_ms = self.now_ms;
        let stream = self.stream(path);
        stream.used_ms = now_ms;
        Ok((200, Some(stream.content.len() as u64)))
    }

    fn end(&mut self, path: &str, reason: &str) {
        let deleted = row(self.now_ms, "delete", path, &self.streams[path], reason);
        self.registry.push(deleted);
        self.stream(path).deleted = true;
        // Removes what is deleted and has no forks, until there is none.
        while let Some(removed) =
            self.streams.keys().find(|path| self.streams[*path].deleted && self.forks_of(path) == 0).cloned()
        {
            self.streams.remove(&removed);
        }
    }

    fn sweep(&mut self) {
        let expired = |path: &&String| !self.streams[*path].deleted && self.expired(&self.streams[*path]);
        let expired: Vec<String> = self.streams.keys().filter(expired).cloned().collect();
        for path in expired {
            if self.streams.contains_key(&path) {
                self.end(&path, "expired");
            }
        }
        let now_ms = self.now_ms;
        self.streams.values_mut().filter(|it| it.followers > 0 && !it.deleted).for_each(|it| it.used_ms = now_ms);
    }

    fn create(&mut self, path: &str, request: &CreateRequest, body: &str) -> Result<Outcome, Refused> {
        if let Some(found) = self.streams.get(path).cloned() {
            let expired = self.expired(&found);
            if found.deleted || (expired && self.forks_of(path) > 0) {
                return Err(409);
            }
            if !expired {
                let same = found.matches(request);
                return if same { Ok((200, Some(found.content.len() as u64))) } else { Err(409) };
            }
        }
        let mut new = match &request.fork {
            None => Naive::empty(request.content_type.clone().unwrap_or_default()),
            Some(fork) if fork.source.as_str() == REGISTRY => return Err(409),
            Some(fork) => {
                let source =
                    self.live(fork.source.as_str()).map_err(|status| if status == 410 { 409_u16 } else { 404 })?;
                if request.content_type.as_ref().is_some_and(|given| *given != source.content_type) {
                    return Err(409);
                }
                let position = fork.offset.map_or(source.content.len(), |at| at.position() as usize);
                let fork = source.forked_at(fork.source.as_str(), position, fork.sub_offset)?;
                Naive { content_type: request.content_type.clone().unwrap_or(source.content_type), ..fork }
            }
        };
        new.lifetime_given = request.lifetime.is_some();
        if let Some(lifetime) = request.lifetime.clone() {
            new.lifetime = lifetime;
        }
        (new.closed, new.created_ms, new.used_ms) = (request.closed, self.now_ms, self.now_ms);
        let bytes = new.bytes_of(body)?;
        if self.own_bytes() + self.registry_bytes() + bytes.len() > LIMITS.content_bytes_max as usize {
            return Err(507);
        }
        if self.streams.len() >= LIMITS.streams_max && !self.streams.contains_key(path) {
            return Err(507);
        }
        new.append(&bytes);
        if self.streams.contains_key(path) {
            self.end(path, "expired");
        }
        let tail = new.content.len() as u64;
        if self.registry.is_empty() {
            let own = Naive { created_ms: self.now_ms, ..Naive::empty(ContentType::json()) };
            self.registry.push(row(self.now_ms, "insert", REGISTRY, &own, ""));
        }
        self.registry.push(row(self.now_ms, "insert", path, &new, ""));
        self.streams.insert(path.to_owned(), new);
        Ok((201, Some(tail)))
    }

    fn append(&mut self, path: &str, request: &AppendRequest, body: &str) -> Result<Outcome, Refused> {
        let found = self.live(path)?;
        let tail = Some(found.content.len() as u64);
        if body.is_empty() && !request.closed || !body.is_empty() && request.content_type.is_none() {
            return Err(400);
        }
        let held = self.own_bytes() + self.registry_bytes();
        let (space, now_ms) = ((LIMITS.content_bytes_max as usize).saturating_sub(held), self.now_ms);
        let known = request.producer.as_ref().and_then(|stamp| found.producers.get(&*stamp.id).copied());
        if found.closed {
            let again = request.producer.is_some() && request.producer == found.closed_by;
            let fenced = request.producer.as_ref().zip(known).is_some_and(|(stamp, (epoch, ..))| stamp.epoch < epoch);
            return match again || (request.producer.is_none() && body.is_empty()) {
                true => self.used(path).map(|_| (204, tail)),
                false => Err(if fenced { 403 } else { 409 }),
            };
        }
        if !body.is_empty() && request.content_type.as_ref() != Some(&found.content_type) {
            return Err(409);
        }
        if let Some(ProducerStamp { id, epoch, seq }) = &request.producer {
            let (epoch, seq) = (*epoch, *seq);
            match known {
                None if found.forgotten.get(&**id).is_some_and(|known| epoch <= *known) => return Err(403),
                None if found.forgotten.contains_key(&**id) && seq > 0 => return Err(400),
                Some((known, ..)) if epoch < known => return Err(403),
                Some((known, ..)) if epoch > known && seq != 0 => return Err(400),
                Some((known, last, _)) if epoch == known && seq <= last => return self.used(path).map(|_| (204, tail)),
                Some((known, last, _)) if epoch == known && seq > last + 1 => return Err(409),
                None if seq > 0 => return Err(409),
                Some(_) | None => {}
            }
        }
        if request.seq.as_deref().is_some_and(|seq| found.last_seq.as_deref().is_some_and(|last| seq <= last)) {
            return Err(409);
        }
        let bytes = found.bytes_of(body)?;
        if bytes.is_empty() && !body.is_empty() {
            return Err(400);
        }
        if bytes.len() > space {
            return Err(507);
        }
        let stream = self.stream(path);
        stream.used_ms = now_ms;
        stream.append(&bytes);
        stream.apply(request, now_ms);
        let (status, tail) =
            (if request.producer.is_some() && !bytes.is_empty() { 200 } else { 204 }, stream.content.len());
        let closed = stream.closed.then(|| row(now_ms, "update", path, stream, ""));
        self.registry.extend(closed);
        Ok((status, Some(tail as u64)))
    }
}

impl Naive {
    fn empty(content_type: ContentType) -> Self {
        Self {
            content: Vec::new(),
            starts: BTreeSet::new(),
            inherited: 0,
            copies: BTreeSet::new(),
            content_type,
            lifetime: Lifetime::Unlimited,
            lifetime_given: false,
            created_ms: 0,
            used_ms: 0,
            closed: false,
            closed_by: None,
            last_seq: None,
            producers: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            forked: None,
            deleted: false,
            followers: 0,
        }
    }

    fn matches(&self, request: &CreateRequest) -> bool {
        let forked = self.forked.is_some();
        let origin = match (&request.fork, &self.forked) {
            (None, None) => true,
            (Some(fork), Some((source, position, sub_offset))) => {
                fork.source.as_str() == source
                    && fork.offset.is_none_or(|offset| offset.position() as usize == *position)
                    && fork.sub_offset == *sub_offset
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        let content_type = match &request.content_type {
            None => forked || self.content_type == ContentType::default(),
            Some(given) => *given == self.content_type,
        };
        let lifetime = match &request.lifetime {
            None => !self.lifetime_given,
            Some(lifetime) => *lifetime == self.lifetime,
        };
        origin && content_type && lifetime && request.closed == self.closed
    }

    fn forked_at(&self, path: &str, position: usize, sub_offset: u64) -> Result<Self, Refused> {
        let tail = self.content.len();
        if position > tail {
            return Err(400);
        }
        let begin = self.starts.range(..=position).next_back().copied().filter(|_| position < tail).unwrap_or(position);
        let following = self.starts.range(position + 1..).next().copied().unwrap_or(tail);
        let whole = |end: &usize| messages(&self.content[begin..*end]).is_some();
        let from = match self.content_type.kind() {
            Kind::Json => (begin..=position).rev().find(whole).unwrap_or(begin),
            Kind::Text | Kind::Binary => position,
        };
        let base = match (sub_offset, self.content_type.kind()) {
            (0, _) => from,
            (sub_offset, Kind::Json) => (from..=following)
                .find(|end| messages(&self.content[from..*end]).is_some_and(|count| count as u64 == sub_offset))
                .ok_or(400_u16)?,
            (sub_offset, Kind::Text | Kind::Binary) => {
                Some(position + sub_offset as usize).filter(|base| *base <= following).ok_or(400_u16)?
            }
        };
        let mut copies: BTreeSet<usize> = self.copies.iter().copied().chain([tail]).map(|end| end.min(base)).collect();
        copies.remove(&0);
        // A copy that ends where the previous one ends adds nothing; the source counts only for what is beyond its copies.
        if self.copies.iter().any(|end| *end >= base) {
            copies.retain(|end| *end <= base);
        }
        if copies.len() >= LIMITS.fork_segments_max {
            return Err(409);
        }
        Ok(Self {
            content: self.content[..base].to_vec(),
            starts: self.starts.range(..base).copied().collect(),
            inherited: base,
            copies,
            lifetime: self.lifetime.clone(),
            forked: Some((path.to_owned(), position, sub_offset)),
            ..Self::empty(self.content_type.clone())
        })
    }

    fn bytes_of(&self, body: &str) -> Result<Vec<u8>, Refused> {
        if self.content_type.kind() != Kind::Json || body.is_empty() {
            return Ok(body.as_bytes().to_vec());
        }
        serde_json::from_str::<Box<RawValue>>(body).map_err(|_| 400_u16)?;
        let inner = body.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(body);
        Ok(if inner.is_empty() { Vec::new() } else { format!("{inner},").into_bytes() })
    }

    fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.starts.insert(self.content.len());
            self.content.extend_from_slice(bytes);
        }
    }

    fn apply(&mut self, request: &AppendRequest, now_ms: u64) {
        if let Some(ProducerStamp { id, epoch, seq }) = &request.producer {
            if !self.producers.contains_key(&**id) && self.producers.len() >= LIMITS.producers_max {
                let age = |(id, (_, seq, used_ms)): &(&String, &(u64, u64, u64))| {
                    (used_ms + if *seq == 0 { 0 } else { 3_600_000 }, (*id).clone())
                };
                let oldest = self.producers.iter().min_by_key(age).map(|(id, _)| id.clone()).expect("it is full");
                let (epoch, _, used_ms) = self.producers.remove(&oldest).expect("it was just found");
                if used_ms + LIMITS.producer_idle_ms > now_ms {
                    self.forgotten.insert(oldest, epoch);
                }
            }
            self.forgotten.remove(&**id);
            self.producers.insert(id.to_string(), (*epoch, *seq, now_ms));
        }
        if let Some(seq) = &request.seq {
            self.last_seq = Some(seq.to_string());
        }
        if request.closed {
            (self.closed, self.closed_by) = (true, request.producer.clone());
        }
    }
}

/// The number of messages in these bytes of a JSON stream; `None` if they end inside a message.
fn messages(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix(',')?;
    serde_json::from_str::<Vec<&RawValue>>(&format!("[{text}]")).ok().map(|messages| messages.len())
}
