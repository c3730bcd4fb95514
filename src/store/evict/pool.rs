//! The best candidates that earlier samples have left: a thread's own.
//!
//! As in Redis: each sample is compared with the best of those before it, so a few keys a sample
//! come near to having compared all. A candidate is kept by hash and version, not by pointer: it
//! is looked up again, and may have gone or been used since.

/// Candidates kept at most (Redis's `EVPOOL_SIZE`).
pub(super) const POOL_MAX: usize = 16;

/// A key that may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// How much it was to go when it was looked at.
    pub(super) score: u64,
    pub(super) database: usize,
    pub(super) hash: u64,
    /// Of its record.
    pub(super) version: u64,
}

/// Candidates, the best last.
#[derive(Debug, Default)]
pub(super) struct Pool {
    candidates: Vec<Candidate>,
}

impl Pool {
    /// Takes a candidate in, if it is among the best and not there yet.
    pub(super) fn offer(&mut self, candidate: Candidate) {
        let candidates = &mut self.candidates;
        if candidates.iter().any(|known| known.version == candidate.version) {
            return;
        }
        let place = candidates.partition_point(|known| known.score < candidate.score);
        if candidates.len() < POOL_MAX {
            candidates.insert(place, candidate);
        } else if place > 0 {
            // The worst makes way.
            candidates[..place].rotate_left(1);
            candidates[place - 1] = candidate;
        }
    }

    /// Takes the best one out.
    pub(super) fn pop(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }

    /// The score of the best one.
    pub(super) fn best_score(&self) -> Option<u64> {
        self.candidates.last().map(|best| best.score)
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Keeps no more than so many of the best.
    pub(super) fn keep(&mut self, most: usize) {
        let surplus = self.candidates.len().saturating_sub(most);
        self.candidates.drain(..surplus);
    }

    pub(super) fn clear(&mut self) {
        self.candidates.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(score: u64) -> Candidate {
        Candidate { score, database: 0, hash: score, version: score }
    }

    #[test]
    fn the_best_are_kept_and_the_best_of_all_comes_first() {
        let mut pool = Pool::default();
        for score in (0..100).map(|step| step * 37 % 100) {
            pool.offer(candidate(score));
        }
        assert_eq!(pool.all().len(), POOL_MAX);
        pool.offer(candidate(99));
        let best: Vec<u64> = std::iter::from_fn(|| pool.pop()).map(|best| best.score).collect();
        assert_eq!(best, (84..100).rev().collect::<Vec<_>>());
    }
}
