//! A writer with streams of its own and one that all writers share; it knows what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use reqwest::{Method, Response};

use super::super::client::{Caller, Dice};
use super::model::{Found, Kind, Model, Step};

/// Stream names, which a writer reuses.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Length above which a stream is deleted soon, to keep checks fast.
const LENGTH_MAX: usize = 256 * 1024;

/// The shared stream.
pub(super) const SHARED: &str = "shared";

/// One writer.
pub(super) struct Writer {
    pub(super) name: String,
    dice: Dice,
    answered: Arc<AtomicUsize>,
    model: Model,
    in_flight: Option<Step>,
    /// Number of acknowledged lines of this writer in the shared stream; one more may be present if one is in flight.
    shared: u64,
    shared_in_flight: bool,
}

impl Writer {
    pub(super) fn new(name: String, dice: Dice, answered: &Arc<AtomicUsize>) -> Self {
        Self {
            name,
            dice,
            answered: Arc::clone(answered),
            model: Model::default(),
            in_flight: None,
            shared: 0,
            shared_in_flight: false,
        }
    }

    /// Writes until a call gets no answer.
    pub(super) async fn write(&mut self, caller: &Caller) {
        loop {
            if self.dice.throw(4) == 0 {
                self.shared_in_flight = true;
                let Some(status) = self.send_shared(caller).await else { return };
                assert_eq!(status, 200, "{} has sent line {} for the first time", self.name, self.shared);
                (self.shared, self.shared_in_flight) = (self.shared + 1, false);
            } else if let Some(step) = self.choose() {
                self.in_flight = Some(step.clone());
                let Some(answer) = self.send(caller, &step).await else { return };
                let expected = match step {
                    Step::Create { .. } | Step::Fork { .. } => 201,
                    Step::Append { stamp: Some(_), .. } => 200,
                    Step::Append { .. } | Step::Close { .. } | Step::Delete { .. } => 204,
                };
                assert_eq!(answer.status(), expected, "{} {step:?}: {answer:?}", self.name);
                self.model = self.model.after(&step);
                self.note_end(&step, &answer);
                self.in_flight = None;
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_end(&mut self, step: &Step, answer: &Response) {
        if let Step::Append { name, .. } | Step::Create { name, .. } = step
            && let Some(last) = self.model.0.get_mut(name).and_then(|stream| stream.records.last_mut())
        {
            last.end = Some(answer.headers()["stream-next-offset"].to_str().unwrap().to_owned());
        }
    }

    async fn send_shared(&mut self, caller: &Caller) -> Option<u16> {
        let (number, line) = (self.shared.to_string(), format!("{}:{}\n", self.name, self.shared));
        let producer = [("producer-id", &*self.name), ("producer-epoch", "0"), ("producer-seq", &number)];
        let headers: Vec<_> = [("content-type", "text/plain")].into_iter().chain(producer).collect();
        Some(caller.call(Method::POST, SHARED, &headers, line.into_bytes()).await.ok()?.status().as_u16())
    }

    async fn send(&self, caller: &Caller, step: &Step) -> Option<Response> {
        let path = |name: &str| format!("{}/{name}", self.name);
        let sent = match step {
            Step::Create { name, kind, record, .. } => {
                let body = if record.is_empty() { Vec::new() } else { kind.body_of(record) };
                caller.call(Method::PUT, &path(name), &[("content-type", kind.content_type())], body).await
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
                caller.call(Method::POST, &path(name), &headers, kind.body_of(record)).await
            }
            Step::Close { name } => {
                caller.call(Method::POST, &path(name), &[("stream-closed", "true")], Vec::new()).await
            }
            Step::Delete { name } => caller.call(Method::DELETE, &path(name), &[], Vec::new()).await,
            Step::Fork { source, name, at } => {
                let from = format!("/v1/stream/{}", path(source));
                let mut headers = vec![("stream-forked-from", &*from)];
                headers.extend(at.as_ref().map(|(_, offset)| ("stream-fork-offset", &**offset)));
                caller.call(Method::PUT, &path(name), &headers, Vec::new()).await
            }
        };
        sent.ok()
    }

    fn choose(&mut self) -> Option<Step> {
        let name = (*pick(&mut self.dice, &NAMES)?).to_owned();
        let (produced, throw) = (self.dice.throw(2) == 0, self.dice.throw(100));
        let Some(stream) = self.model.0.get(&name) else {
            let kind = *pick(&mut self.dice, &[Kind::Text, Kind::Json, Kind::Binary])?;
            let source = NAMES[self.dice.throw(4) as usize];
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

    /// Forks at the end, or after a record whose end is known.
    fn fork(&mut self, source: &str, name: String) -> Step {
        let records = self.model.0[source].records.iter().enumerate();
        let ends: Vec<(usize, String)> =
            records.filter_map(|(number, record)| Some((number + 1, record.end.clone()?))).collect();
        let at = if self.dice.throw(2) == 0 { pick(&mut self.dice, &ends).cloned() } else { None };
        Step::Fork { source: source.to_owned(), name, at }
    }

    fn record(&mut self, kind: Kind) -> Bytes {
        let length = length(&mut self.dice);
        let number = self.dice.throw(1_000_000);
        match kind {
            Kind::Text => letters(number, length).into(),
            Kind::Binary => (0..length as u64).map(|at| ((at * number) >> 5) as u8).collect(),
            Kind::Json => match self.dice.throw(2) {
                0 => format!(r#"{{"number":{number},"text":"{}"}}"#, letters(number, length)).into(),
                _ => format!(r#"{number},["{}"],null"#, letters(number, length)).into(),
            },
        }
    }

    /// Compares the server with the model. The call in flight took effect as a whole, or not at all.
    pub(super) async fn check(&mut self, caller: &Caller) {
        let mut found = Vec::new();
        for name in NAMES {
            found.push(self.find(caller, name).await);
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
            self.send_again(caller, &step, was_written).await;
        }
        for name in NAMES {
            self.check_offset(caller, name).await;
            self.check_duplicate(caller, name).await;
        }
        if std::mem::take(&mut self.shared_in_flight) {
            let status = self.send_shared(caller).await;
            assert!(matches!(status, Some(200 | 204)), "{status:?}");
            self.shared += 1;
        }
    }

    async fn find(&self, caller: &Caller, name: &str) -> (Found, Option<String>) {
        let path = format!("{}/{name}", self.name);
        match caller.read(&path, "-1").await {
            Ok((content, next)) => {
                let head = caller.call(Method::HEAD, &path, &[], Vec::new()).await.unwrap();
                let json = head.headers()["content-type"] == "application/json";
                let closed = head.headers().contains_key("stream-closed");
                (Found::There { content: if json { without_brackets(&content) } else { content }, closed }, Some(next))
            }
            Err((404, _)) => (Found::Nothing, None),
            Err((410, _)) => (Found::Deleted, None),
            Err((status, problem)) => panic!("{path}: {status} {problem}"),
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

    /// Retries the call in flight, which must take effect once.
    async fn send_again(&mut self, caller: &Caller, step: &Step, was_written: bool) {
        let answer = self.send(caller, step).await.unwrap();
        assert_eq!(answer.status(), if was_written { 204 } else { 200 }, "{} {step:?}: {answer:?}", self.name);
        if !was_written {
            self.model = self.model.after(step);
            self.note_end(step, &answer);
        }
    }

    /// Checks that an offset that was returned still refers to the same position.
    async fn check_offset(&mut self, caller: &Caller, name: &str) {
        let Some(stream) = self.model.0.get(name).filter(|stream| !stream.deleted) else { return };
        if stream.records.is_empty() {
            return;
        }
        let place = self.dice.throw(stream.records.len() as u64) as usize;
        let Some(offset) = stream.records[place].end.clone() else { return };
        let expected = stream.content(place + 1);
        let kind = stream.kind;
        let (behind, _) = caller.read(&format!("{}/{name}", self.name), &offset).await.unwrap();
        let behind = if kind == Kind::Json { without_brackets(&behind) } else { behind };
        assert!(behind == expected, "{} {name}: different content after {offset}", self.name);
    }

    /// Checks that a producer's last call is not applied twice.
    async fn check_duplicate(&self, caller: &Caller, name: &str) {
        let stream = self.model.0.get(name).filter(|stream| !stream.deleted);
        let Some(last) = stream.and_then(|stream| stream.last.clone()) else { return };
        if !stream.unwrap().closed || matches!(last, Step::Append { close: true, .. }) {
            let answer = self.send(caller, &last).await.unwrap();
            assert_eq!(answer.status(), 204, "{} {last:?}: {answer:?}", self.name);
        }
    }

    /// Checks that each line of this writer is in the shared stream once, in order.
    pub(super) fn check_shared(&self, content: &str) {
        let prefix = format!("{}:", self.name);
        let numbers = content.lines().filter_map(|line| line.strip_prefix(&prefix));
        let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
        assert!(numbers == (0..self.shared).collect::<Vec<_>>(), "{} of {}: {numbers:?}", self.name, self.shared);
    }
}

/// Returns the length of a record: mostly short, sometimes longer than a page of the store.
fn length(dice: &mut Dice) -> usize {
    let longest = match dice.throw(20) {
        0..=13 => 200,
        14..=17 => 8_000,
        18 => 70_000,
        _ => 100_000,
    };
    1 + dice.throw(longest) as usize
}

fn letters(number: u64, length: usize) -> String {
    let letters = number.to_string();
    letters.repeat(length / letters.len() + 1).split_off(length % letters.len())
}

fn without_brackets(content: &[u8]) -> Vec<u8> {
    content[1..content.len() - 1].to_vec()
}

fn pick<'a, T>(dice: &mut Dice, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() { None } else { from.get(dice.throw(from.len() as u64) as usize) }
}
