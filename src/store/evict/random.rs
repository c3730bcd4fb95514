//! Any key.
//!
//! A random place favours keys behind gaps. One of a few adjacent keys, each as likely as the
//! others, evens that out.

pub(super) fn score(random: &mut fastrand::Rng) -> u64 {
    random.u64(..)
}
