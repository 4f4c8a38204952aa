//! Commits of all segments in order, and the gaps between them. Pure.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::scan::{Damage, scan};

/// The commits that were read at the start.
#[derive(Debug, Default)]
pub(in crate::store::disk) struct Replay {
    /// The bodies of the commits that are not flushed, in order.
    pub(in crate::store::disk) bodies: Vec<Body>,
    /// Damaged bodies.
    pub(in crate::store::disk) damaged: Vec<Bytes>,
    /// Incomplete commits at the end, which are lost only if they were acknowledged.
    pub(in crate::store::disk) torn: Vec<Torn>,
    /// True if commits are missing.
    pub(in crate::store::disk) has_gaps: bool,
    /// True if not even a damaged body is left of some missing commits.
    pub(in crate::store::disk) has_lost_unknown: bool,
    /// The number of the next commit.
    pub(in crate::store::disk) next_commit: u64,
}

/// The content of a commit.
#[derive(Debug, Clone)]
pub(in crate::store::disk) struct Body {
    pub(in crate::store::disk) bytes: Bytes,
    /// False if some of its large records are damaged.
    pub(in crate::store::disk) whole: bool,
}

/// The remains of a commit.
#[derive(Debug)]
pub(in crate::store::disk) struct Torn {
    /// Its number, if it is intact except for large records.
    in_parts: Option<u64>,
    body: Bytes,
    /// Its file.
    pub(super) path: PathBuf,
    /// Its offset in the file.
    pub(super) offset: u64,
}

impl Torn {
    /// Returns true if the commit is intact except for large records.
    pub(super) fn is_in_parts(&self) -> bool {
        self.in_parts.is_some()
    }
}

impl Replay {
    /// Notes that the commits before `commit` existed: those that are not present are lost.
    pub(in crate::store::disk) fn expect_until(&mut self, commit: u64) {
        if commit <= self.next_commit {
            return;
        }
        let (mut commits, mut bodies) = (commit - self.next_commit, 0);
        for torn in std::mem::take(&mut self.torn) {
            match torn.in_parts.filter(|number| (self.next_commit..commit).contains(number)) {
                Some(number) => {
                    commits -= 1;
                    self.next_commit = number + 1;
                    let file = torn.path.display();
                    tracing::error!(number, %file, "the journal is damaged: some large records of this commit are lost");
                    self.bodies.push(Body { bytes: torn.body, whole: false });
                }
                None => {
                    bodies += u64::from(!torn.body.is_empty());
                    self.damaged.push(torn.body);
                }
            }
        }
        self.has_lost_unknown |= bodies < commits;
        if commits > 0 {
            tracing::error!(commits, "the journal is damaged: these commits are lost");
        }
        self.has_gaps = true;
        self.next_commit = commit;
    }
}

/// Reads segments in order.
pub(super) struct Reader {
    flushed: u64,
    pub(super) replay: Replay,
}

impl Reader {
    /// Creates a reader that skips commits before `flushed`.
    pub(super) fn from(flushed: u64) -> Self {
        Self { flushed, replay: Replay { next_commit: flushed, ..Replay::default() } }
    }

    /// Reads a segment. Returns the number of bytes that are not flushed; `None` if the segment is not needed any more.
    pub(super) fn read(&mut self, bytes: &Bytes, salt: u64, path: &Path) -> Option<u64> {
        let scan = scan(bytes, salt);
        let intact = scan.damage.is_empty();
        let mut damage = scan.damage.into_iter().peekable();
        let mut needed = 0;
        for (index, found) in scan.found.into_iter().enumerate() {
            while let Some(damage) = damage.next_if(|damage| damage.behind <= index) {
                self.tear(bytes, path, damage);
            }
            if found.commit < self.flushed {
                // So is what was damaged before it.
                self.replay.torn.clear();
                continue;
            }
            needed += found.body.len() as u64;
            self.commit(found.commit, bytes.slice(found.body));
        }
        damage.for_each(|damage| self.tear(bytes, path, damage));
        (needed > 0 || !intact).then_some(needed)
    }

    /// Notes damage. The commits that follow show if something was lost.
    fn tear(&mut self, bytes: &Bytes, path: &Path, torn: Damage) {
        if torn.commit.is_some_and(|commit| commit < self.flushed) {
            return;
        }
        tracing::debug!(file = %path.display(), bytes = ?torn.bytes, "the journal has bytes that are not a commit");
        let body = torn.body.map_or_else(Bytes::new, |body| bytes.slice(body));
        self.replay.torn.push(Torn {
            in_parts: torn.commit.filter(|_| torn.in_parts),
            body,
            path: path.to_owned(),
            offset: torn.bytes.start as u64,
        });
    }

    fn commit(&mut self, commit: u64, body: Bytes) {
        self.replay.expect_until(commit);
        self.replay.torn.clear();
        self.replay.bodies.push(Body { bytes: body, whole: true });
        self.replay.next_commit = commit + 1;
    }
}
