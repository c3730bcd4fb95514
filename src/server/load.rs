//! How many connections each worker has: what the acceptor places new ones by.

use crate::sync::{Arc, AtomicUsize, Ordering};

/// The number of connections that were handed to one worker and are not closed yet. The acceptor
/// adds when it hands one over (before the worker knows of it, so that a burst spreads evenly
/// and `maxclients` holds exactly), the [`Share`] takes away when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Load(Arc<AtomicUsize>);

impl Load {
    /// The number now.
    pub(super) fn get(&self) -> usize {
        // Relaxed: a figure to choose by; nothing is published through it.
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one connection, which counts until the share is dropped.
    pub(super) fn share(&self) -> Share {
        // Relaxed: as in `get`; the read-modify-write alone keeps the count exact.
        self.0.fetch_add(1, Ordering::Relaxed);
        Share(Arc::clone(&self.0))
    }
}

/// One connection's part of a worker's [`Load`].
#[derive(Debug)]
pub(super) struct Share(Arc<AtomicUsize>);

impl Drop for Share {
    fn drop(&mut self) {
        // Relaxed: as in `Load::share`.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_counts_while_it_lives() {
        let load = Load::default();
        let (first, second) = (load.share(), load.share());
        assert_eq!(load.get(), 2);
        drop(first);
        assert_eq!(load.get(), 1);
        drop(second);
        assert_eq!(load.get(), 0);
    }
}
