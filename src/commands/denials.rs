//! Who was turned away, and how often: ACL LOG.
//!
//! The same attempt by whomever within a minute is one entry that counts, so that a guesser does
//! not push everything else out. There is a lock, for entries are made by failed attempts only.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sync::plain::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The most entries: Redis's `acllog-max-len`.
const ENTRIES_MAX: usize = 128;

/// The newest entries that a new attempt is compared with, as in Redis.
const COMPARED_MAX: usize = 10;

/// How long an entry goes on counting after its last attempt, as in Redis.
const SAME_FOR: Duration = Duration::from_mins(1);

/// The most bytes of what a client sent that an entry keeps: a name can be as long as an argument.
const KEPT_MAX_BYTES: usize = 1024;

/// An attempt to come in that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Where it was made: `toplevel`, or `multi` in a transaction.
    pub(super) context: &'static str,
    /// The command's name, as it was sent.
    pub(super) command: Vec<u8>,
    /// The name of the user.
    pub(super) user: Vec<u8>,
}

/// An entry of the log.
#[derive(Clone, Debug)]
pub(super) struct Denial {
    /// What failed.
    pub(super) attempt: Attempt,
    /// How often.
    pub(super) count: u64,
    /// The client that made the last attempt, as CLIENT LIST shows it.
    pub(super) client: String,
    last: Instant,
}

impl Denial {
    /// Seconds since the last attempt, to the millisecond.
    pub(super) fn age_seconds(&self) -> f64 {
        self.last.elapsed().as_millis() as f64 / 1000.0
    }
}

/// The log, newest first.
#[derive(Debug, Default)]
pub(super) struct Denials {
    entries: Mutex<VecDeque<Denial>>,
    /// All attempts, also those that are forgotten.
    count: AtomicU64,
}

impl Denials {
    /// Notes an attempt of a client.
    pub(super) fn note(&self, mut attempt: Attempt, client: String) {
        // Relaxed: a figure to be shown.
        self.count.fetch_add(1, Ordering::Relaxed);
        attempt.command.truncate(KEPT_MAX_BYTES);
        attempt.user.truncate(KEPT_MAX_BYTES);
        let last = Instant::now();
        let mut entries = self.entries();
        let known = entries.iter().take(COMPARED_MAX).position(|entry| {
            entry.attempt == attempt && last.duration_since(entry.last) <= SAME_FOR
        });
        let count = known.and_then(|at| entries.remove(at)).map_or(0, |entry| entry.count);
        entries.push_front(Denial { attempt, count: count + 1, client, last });
        entries.truncate(ENTRIES_MAX);
    }

    /// The newest entries.
    pub(super) fn newest(&self, count: usize) -> Vec<Denial> {
        self.entries().iter().take(count).cloned().collect()
    }

    /// How many attempts have failed since the start.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Forgets all entries.
    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Denial>> {
        // A panic in between leaves whole entries behind.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(denials: &Denials, user: &str) {
        let attempt = Attempt { context: "toplevel", command: b"AUTH".into(), user: user.into() };
        denials.note(attempt, "id=1".to_owned());
    }

    #[test]
    fn the_same_attempt_is_one_entry_that_comes_to_the_front() {
        let denials = Denials::default();
        for user in ["default", "nobody", "default"] {
            note(&denials, user);
        }
        let shown: Vec<_> = (denials.newest(10).into_iter())
            .map(|denial| (denial.attempt.user, denial.count))
            .collect();
        assert_eq!(shown, [(b"default".to_vec(), 2), (b"nobody".to_vec(), 1)]);
        assert_eq!(denials.newest(1).len(), 1);
        denials.clear();
        assert!(denials.newest(10).is_empty());
    }

    #[test]
    fn the_log_is_bounded_in_entries_and_bytes() {
        let denials = Denials::default();
        for number in 0..1000 {
            note(&denials, &number.to_string());
        }
        note(&denials, &"x".repeat(1 << 20));
        let entries = denials.newest(usize::MAX);
        assert_eq!(entries.len(), ENTRIES_MAX);
        assert_eq!(entries[0].attempt.user.len(), KEPT_MAX_BYTES);
        assert_eq!(entries[1].attempt.user, b"999");
    }
}
