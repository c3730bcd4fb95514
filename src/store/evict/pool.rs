//! The best candidates of the samples so far.
//!
//! As in Redis: each sample is compared with the best of those before it, so a few keys a sample
//! come near to having compared all. While an evictor is pinned candidates are records; between
//! rounds they are kept by hash and version, and looked up again.

use crate::record::RecordRef;

/// Candidates at most (Redis's `EVPOOL_SIZE`).
pub(super) const POOL_MAX: usize = 16;

/// A key that may go.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'g> {
    /// How much it was to go when it was looked at.
    pub(super) score: u64,
    pub(super) database: usize,
    /// It may have been replaced since.
    pub(super) record: RecordRef<'g>,
}

/// A candidate that is kept without a pin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) database: usize,
    pub(super) hash: u64,
    /// Of its record.
    pub(super) version: u64,
}

/// Candidates, the best last.
#[derive(Default)]
pub(super) struct Pool<'g> {
    candidates: Vec<Candidate<'g>>,
}

impl<'g> Pool<'g> {
    pub(super) fn new() -> Self {
        Self { candidates: Vec::with_capacity(POOL_MAX) }
    }

    /// Takes a candidate in, if it is among the best and not there yet.
    pub(super) fn offer(&mut self, candidate: Candidate<'g>) {
        let candidates = &mut self.candidates;
        let is_full = candidates.len() == POOL_MAX;
        if is_full && candidate.score <= candidates[0].score {
            return;
        }
        let record = candidate.record.as_ptr();
        if candidates.iter().any(|known| known.record.as_ptr() == record) {
            return;
        }
        if is_full {
            // The worst makes way.
            candidates.remove(0);
        }
        let place = candidates.partition_point(|known| known.score < candidate.score);
        candidates.insert(place, candidate);
    }

    /// Takes the best one out.
    pub(super) fn pop(&mut self) -> Option<Candidate<'g>> {
        self.candidates.pop()
    }

    /// The score of the best one.
    pub(super) fn best_score(&self) -> Option<u64> {
        self.candidates.last().map(|best| best.score)
    }

    /// Gives all of them new scores.
    pub(super) fn score_again(&mut self, score: impl Fn(RecordRef<'g>) -> u64) {
        for candidate in &mut self.candidates {
            candidate.score = score(candidate.record);
        }
        self.candidates.sort_unstable_by_key(|candidate| candidate.score);
    }

    /// Keeps no more than so many of the best.
    pub(super) fn keep(&mut self, most: usize) {
        let surplus = self.candidates.len().saturating_sub(most);
        self.candidates.drain(..surplus);
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.candidates.clear();
    }

    /// All of them, to be kept without a pin.
    pub(super) fn kept(&self) -> impl Iterator<Item = Kept> {
        self.candidates.iter().map(|candidate| Kept {
            database: candidate.database,
            hash: candidate.record.hash(),
            version: candidate.record.version(),
        })
    }
}
