//! The nearest deadline first.

/// `deadline` in milliseconds of Unix time.
pub(super) fn score(deadline: Option<u64>) -> u64 {
    deadline.map_or(0, |deadline| u64::MAX - deadline)
}
