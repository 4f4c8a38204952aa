//! What the segments hold, put together: commits one after the other, and what is missing between them. Pure.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::scan::{Damage, scan};

/// What was read at the start.
#[derive(Debug, Default)]
pub(in crate::store::disk) struct Replay {
    /// The bodies of the commits that are not settled, in their order.
    pub(in crate::store::disk) bodies: Vec<Body>,
    /// Bodies that are damaged.
    pub(in crate::store::disk) damaged: Vec<Bytes>,
    /// What stands at the end and is no commit: nobody misses it unless it was answered.
    pub(in crate::store::disk) torn: Vec<Torn>,
    /// Whether something is missing in the middle.
    pub(in crate::store::disk) has_gaps: bool,
    /// The number of the next commit.
    pub(in crate::store::disk) next_commit: u64,
}

/// What a commit holds.
#[derive(Debug, Clone)]
pub(in crate::store::disk) struct Body {
    pub(in crate::store::disk) bytes: Bytes,
    /// Whether all of it is sound, or some of its large records are not.
    pub(in crate::store::disk) whole: bool,
}

/// What is left of a commit, as far as that is known.
#[derive(Debug)]
pub(in crate::store::disk) struct Torn {
    /// Its number, if all of it but some large records is left.
    in_parts: Option<u64>,
    body: Bytes,
    /// The file it stands in, and where it begins there.
    pub(super) place: (PathBuf, u64),
}

impl Torn {
    /// Whether it is done again when somebody misses it.
    pub(super) fn is_in_parts(&self) -> bool {
        self.in_parts.is_some()
    }
}

impl Replay {
    /// The commits before `commit` were answered: what is torn is missed.
    pub(in crate::store::disk) fn miss_until(&mut self, commit: u64) {
        if commit <= self.next_commit {
            return;
        }
        let mut commits = commit - self.next_commit;
        for torn in std::mem::take(&mut self.torn) {
            match torn.in_parts.filter(|number| (self.next_commit..commit).contains(number)) {
                Some(number) => {
                    commits -= 1;
                    self.next_commit = number + 1;
                    tracing::error!(number, "the journal is damaged: some large records of this commit are lost");
                    self.bodies.push(Body { bytes: torn.body, whole: false });
                }
                None => self.damaged.push(torn.body),
            }
        }
        if commits > 0 {
            tracing::error!(commits, "the journal is damaged: what these commits held is lost");
        }
        self.has_gaps = true;
        self.next_commit = commit;
    }
}

/// Reads one segment after the other.
pub(super) struct Reading {
    settled: u64,
    pub(super) replay: Replay,
}

impl Reading {
    /// Nothing so far; the commits before `settled` are not wanted.
    pub(super) fn from(settled: u64) -> Self {
        Self { settled, replay: Replay { next_commit: settled, ..Replay::default() } }
    }

    /// Returns how many bytes of it are not settled; `None` if it is not needed any more.
    pub(super) fn segment(&mut self, bytes: &Bytes, salt: u64, path: &Path) -> Option<u64> {
        let scan = scan(bytes, salt);
        let sound = scan.damage.is_empty();
        let mut damage = scan.damage.into_iter().peekable();
        let mut held = 0;
        for (index, found) in scan.found.into_iter().enumerate() {
            while let Some(damage) = damage.next_if(|damage| damage.behind <= index) {
                self.tear(bytes, path, damage);
            }
            if found.commit < self.settled {
                // So is what was damaged before it.
                self.replay.torn.clear();
                continue;
            }
            held += found.body.len() as u64;
            self.commit(found.commit, bytes.slice(found.body));
        }
        damage.for_each(|damage| self.tear(bytes, path, damage));
        (held > 0 || !sound).then_some(held)
    }

    /// Bytes that are no frame: what follows tells whether somebody misses them.
    fn tear(&mut self, bytes: &Bytes, path: &Path, torn: Damage) {
        if torn.commit.is_some_and(|commit| commit < self.settled) {
            return;
        }
        tracing::debug!(file = %path.display(), bytes = ?torn.bytes, "the journal holds something that is no commit");
        let body = torn.body.map_or_else(Bytes::new, |body| bytes.slice(body));
        let place = (path.to_owned(), torn.bytes.start as u64);
        self.replay.torn.push(Torn { in_parts: torn.commit.filter(|_| torn.in_parts), body, place });
    }

    fn commit(&mut self, commit: u64, body: Bytes) {
        self.replay.miss_until(commit);
        self.replay.torn.clear();
        self.replay.bodies.push(Body { bytes: body, whole: true });
        self.replay.next_commit = commit + 1;
    }
}
