//! What the segments hold, put together: commits one after the other, and what is missing between them. Pure.

use std::path::Path;

use bytes::Bytes;

use super::scan::{Damage, scan};

/// What was read at the start.
#[derive(Debug, Default)]
pub(in crate::store::disk) struct Replay {
    /// The bodies of the commits that are not settled, in their order.
    pub(in crate::store::disk) bodies: Vec<Bytes>,
    /// Bodies that are damaged.
    pub(in crate::store::disk) damaged: Vec<Bytes>,
    /// The same for those at the end: nobody misses them unless they were answered.
    pub(in crate::store::disk) torn: Vec<Bytes>,
    /// Whether commits are missing in the middle.
    pub(in crate::store::disk) has_gaps: bool,
    /// The number of the next commit.
    pub(in crate::store::disk) next_commit: u64,
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
        self.replay.torn.push(torn.body.map_or_else(Bytes::new, |body| bytes.slice(body)));
    }

    fn commit(&mut self, commit: u64, body: Bytes) {
        let torn = std::mem::take(&mut self.replay.torn);
        if commit > self.replay.next_commit {
            let commits = commit - self.replay.next_commit;
            tracing::error!(commits, "the journal is damaged: what these commits held is lost");
            self.replay.damaged.extend(torn);
            self.replay.has_gaps = true;
        }
        self.replay.bodies.push(body);
        self.replay.next_commit = commit + 1;
    }
}
