//! Somebody who writes to streams of their own and to one of all, and knows what was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::client::{Answer, Client};
use super::dice::Dice;
use super::model::{Found, Kind, Model, Step};

/// Names that a writer uses again and again.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A stream that is longer ends soon, so that a check takes no time.
const LENGTH_MAX: usize = 256 * 1024;

/// The stream of all.
pub(super) const SHARED: &str = "shared";

/// One writer.
pub(super) struct Writer {
    pub(super) name: String,
    dice: Dice,
    client: Client,
    answered: Arc<AtomicUsize>,
    model: Model,
    in_flight: Option<Step>,
    /// How many lines of this writer's are in the stream of all, and whether one more may be.
    shared: u64,
    shared_in_flight: bool,
}

impl Writer {
    pub(super) fn new(name: String, dice: Dice, address: &str, answered: &Arc<AtomicUsize>) -> Self {
        Self {
            name,
            dice,
            client: Client::of(address),
            answered: Arc::clone(answered),
            model: Model::default(),
            in_flight: None,
            shared: 0,
            shared_in_flight: false,
        }
    }

    /// Writes until there is no answer any more.
    pub(super) async fn write(&mut self) {
        loop {
            if self.dice.below(4) == 0 {
                self.shared_in_flight = true;
                let Some(status) = self.send_shared().await else { return };
                assert_eq!(status, 200, "{} has sent line {} for the first time", self.name, self.shared);
                (self.shared, self.shared_in_flight) = (self.shared + 1, false);
            } else if let Some(step) = self.choose() {
                self.in_flight = Some(step.clone());
                let Some(answer) = self.send(&step).await else { return };
                let expected = match step {
                    Step::Create { .. } | Step::Fork { .. } => 201,
                    Step::Append { stamp: Some(_), .. } => 200,
                    Step::Append { .. } | Step::Close { .. } | Step::Delete { .. } => 204,
                };
                assert_eq!(answer.status, expected, "{} {step:?}: {answer:?}", self.name);
                self.model = self.model.after(&step);
                self.note_end(&step, &answer);
                self.in_flight = None;
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_end(&mut self, step: &Step, answer: &Answer) {
        if let Step::Append { name, .. } | Step::Create { name, .. } = step
            && let Some(last) = self.model.0.get_mut(name).and_then(|stream| stream.records.last_mut())
        {
            last.end = Some(answer.next_offset().to_owned());
        }
    }

    async fn send_shared(&mut self) -> Option<u16> {
        let (number, line) = (self.shared.to_string(), format!("{}:{}\n", self.name, self.shared));
        let producer = [("producer-id", &*self.name), ("producer-epoch", "0"), ("producer-seq", &number)];
        let headers: Vec<_> = [("content-type", "text/plain")].into_iter().chain(producer).collect();
        Some(self.client.try_call("POST", SHARED, &headers, line.as_bytes()).await?.status)
    }

    async fn send(&mut self, step: &Step) -> Option<Answer> {
        let path = |name: &str| format!("{}/{name}", self.name);
        match step {
            Step::Create { name, kind, record, .. } => {
                let body = if record.is_empty() { Vec::new() } else { kind.body_of(record) };
                self.client.try_call("PUT", &path(name), &[("content-type", kind.content_type())], &body).await
            }
            Step::Append { name, record, close, stamp } => {
                let kind = self.model.0[name].kind;
                let (epoch, number) = stamp.unwrap_or_default();
                let (epoch, number) = (epoch.to_string(), number.to_string());
                let mut headers = vec![("content-type", kind.content_type())];
                headers.extend(close.then_some(("stream-closed", "true")));
                if stamp.is_some() {
                    headers.extend([("producer-id", "p"), ("producer-epoch", &epoch), ("producer-seq", &number)]);
                }
                self.client.try_call("POST", &path(name), &headers, &kind.body_of(record)).await
            }
            Step::Close { name } => self.client.try_call("POST", &path(name), &[("stream-closed", "true")], b"").await,
            Step::Delete { name } => self.client.try_call("DELETE", &path(name), &[], b"").await,
            Step::Fork { source, name, at } => {
                let from = format!("/v1/stream/{}", path(source));
                let mut headers = vec![("stream-forked-from", &*from)];
                headers.extend(at.as_ref().map(|(_, offset)| ("stream-fork-offset", &**offset)));
                self.client.try_call("PUT", &path(name), &headers, b"").await
            }
        }
    }

    fn choose(&mut self) -> Option<Step> {
        let name = (*self.dice.pick(&NAMES)?).to_owned();
        let (produced, throw) = (self.dice.below(2) == 0, self.dice.below(100));
        let Some(stream) = self.model.0.get(&name) else {
            let kind = *self.dice.pick(&[Kind::Text, Kind::Json, Kind::Binary])?;
            let source = NAMES[self.dice.below(4) as usize];
            if throw < 40 && self.model.0.get(source).is_some_and(|source| !source.deleted) {
                return Some(self.fork(source, name));
            }
            let record = if throw % 2 == 0 { Bytes::new() } else { self.record(kind) };
            return Some(Step::Create { name, kind, produced, record });
        };
        let (kind, deleted, closed, produced) = (stream.kind, stream.deleted, stream.closed, stream.produced);
        let (long, (epoch, number)) = (stream.length() > LENGTH_MAX, stream.next_stamp);
        if deleted {
            return None;
        }
        if closed || long {
            return (throw < 30).then_some(Step::Delete { name });
        }
        match throw {
            0..3 => Some(Step::Delete { name }),
            3..5 => Some(Step::Close { name }),
            _ => {
                let stamp = if throw == 5 { (epoch + 1, 0) } else { (epoch, number) };
                let (record, close) = (self.record(kind), throw < 8);
                Some(Step::Append { name, record, close, stamp: produced.then_some(stamp) })
            }
        }
    }

    /// At the end, or behind a record whose end is known.
    fn fork(&mut self, source: &str, name: String) -> Step {
        let records = self.model.0[source].records.iter().enumerate();
        let ends: Vec<(usize, String)> =
            records.filter_map(|(number, record)| Some((number + 1, record.end.clone()?))).collect();
        let at = if self.dice.below(2) == 0 { self.dice.pick(&ends).cloned() } else { None };
        Step::Fork { source: source.to_owned(), name, at }
    }

    fn record(&mut self, kind: Kind) -> Bytes {
        let length = self.dice.length();
        match kind {
            Kind::Text => self.dice.letters(length).into(),
            Kind::Binary => self.dice.bytes(length).into(),
            Kind::Json => {
                let letters = String::from_utf8(self.dice.letters(length)).unwrap();
                let number = self.dice.below(1_000_000);
                match self.dice.below(2) {
                    0 => format!(r#"{{"number":{number},"text":"{letters}"}}"#).into(),
                    _ => format!(r#"{number},["{letters}"],null"#).into(),
                }
            }
        }
    }

    /// Compares the server with what it has answered. What had no answer may be there as a whole, or not at all.
    pub(super) async fn check(&mut self) {
        let mut found = Vec::new();
        for name in NAMES {
            found.push(self.find(name).await);
        }
        let fits = |model: &Model| NAMES.iter().zip(&found).all(|(name, (found, _))| model.found(name) == *found);
        let step = self.in_flight.take();
        let written = step.as_ref().map(|step| self.model.after(step)).filter(|after| fits(after));
        let was_written = written.is_some();
        match written {
            Some(after) => self.model = after,
            None => assert!(fits(&self.model), "{}: {step:?}: {}", self.name, self.differences(&found)),
        }
        for (name, (_, next)) in NAMES.iter().zip(found) {
            let last = self.model.0.get_mut(*name).and_then(|stream| stream.records.last_mut());
            if let (Some(last), Some(next)) = (last, next) {
                assert_eq!(last.end.get_or_insert(next.clone()), &next, "{} {name}", self.name);
            }
        }
        if let Some(step @ Step::Append { stamp: Some(_), .. }) = step {
            self.send_again(&step, was_written).await;
        }
        for name in NAMES {
            self.check_offset(name).await;
            self.check_duplicate(name).await;
        }
        if std::mem::take(&mut self.shared_in_flight) {
            let status = self.send_shared().await;
            assert!(matches!(status, Some(200 | 204)), "{status:?}");
            self.shared += 1;
        }
    }

    async fn find(&mut self, name: &str) -> (Found, Option<String>) {
        match self.client.read(&format!("{}/{name}", self.name), "-1").await {
            Ok(whole) => (Found::There { content: whole.content, closed: whole.closed }, Some(whole.next)),
            Err(answer) if answer.status == 404 => (Found::Nothing, None),
            Err(answer) if answer.status == 410 => (Found::Deleted, None),
            Err(answer) => panic!("{} {name}: {answer:?}", self.name),
        }
    }

    fn differences(&self, found: &[(Found, Option<String>)]) -> String {
        let mut text = String::new();
        for (name, (found, _)) in NAMES.iter().zip(found) {
            let expected = self.model.found(name);
            if expected != *found {
                text += &format!("{name} is {found:?}, not {expected:?}; ");
            }
        }
        text
    }

    /// What had no answer is sent again: it counts once.
    async fn send_again(&mut self, step: &Step, was_written: bool) {
        let answer = self.send(step).await.unwrap();
        assert_eq!(answer.status, if was_written { 204 } else { 200 }, "{} {step:?}: {answer:?}", self.name);
        if !was_written {
            self.model = self.model.after(step);
            self.note_end(step, &answer);
        }
    }

    /// An offset that was told once still is where it was.
    async fn check_offset(&mut self, name: &str) {
        let Some(stream) = self.model.0.get(name).filter(|stream| !stream.deleted) else { return };
        if stream.records.is_empty() {
            return;
        }
        let place = self.dice.below(stream.records.len() as u64) as usize;
        let Some(offset) = stream.records[place].end.clone() else { return };
        let expected = stream.content(place + 1);
        let behind = self.client.read(&format!("{}/{name}", self.name), &offset).await.unwrap();
        assert!(behind.content == expected, "{} {name}: other content behind {offset}", self.name);
    }

    /// What a producer has sent last is not taken twice.
    async fn check_duplicate(&mut self, name: &str) {
        let stream = self.model.0.get(name).filter(|stream| !stream.deleted);
        let Some(last) = stream.and_then(|stream| stream.last.clone()) else { return };
        if !stream.unwrap().closed || matches!(last, Step::Append { close: true, .. }) {
            let answer = self.send(&last).await.unwrap();
            assert_eq!(answer.status, 204, "{} {last:?}: {answer:?}", self.name);
        }
    }

    /// The lines of this writer's in the stream of all are there once, in their order.
    pub(super) fn check_shared(&self, content: &str) {
        let prefix = format!("{}:", self.name);
        let numbers = content.lines().filter_map(|line| line.strip_prefix(&prefix));
        let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
        assert!(numbers == (0..self.shared).collect::<Vec<_>>(), "{} of {}: {numbers:?}", self.name, self.shared);
    }
}
