//! What one thread has seen: a histogram of the ages at which keys of each class were used again,
//! and one of those at which it was given up that they ever would be.
//!
//! One thread writes a lane, with plain loads and stores; the learner reads all of them and keeps
//! what it read last, so that nobody ever sets a counter back: it only rises, and wraps.

use super::class::{BUCKETS, CLASSES};
use crate::sync::plain::{AtomicU32, AtomicU64, Ordering};

/// Cells of a histogram.
pub(super) const CELLS: usize = CLASSES * BUCKETS;

/// The place of a class and bucket in a histogram.
#[inline]
pub(super) fn cell(class: usize, bucket: usize) -> usize {
    class * BUCKETS + bucket
}

/// One thread's part in the learning. Only its thread counts on it; two would lose counts, and
/// nothing else.
pub struct Lane {
    /// Accesses not yet added to the clock.
    pending: AtomicU32,
    /// Keys that came back while their ghost was there.
    ghost_hits: AtomicU64,
    /// Keys that left a ghost.
    evictions: AtomicU64,
    /// Uses of keys, by class and age.
    hits: Box<[AtomicU32]>,
    /// Keys that did not come back, by class and age.
    lost: Box<[AtomicU32]>,
}

/// Adds to a counter that only this thread writes.
#[inline]
fn bump(counter: &AtomicU32) {
    // Relaxed: a statistic with one writer, through which nothing is published.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// The same, for figures of INFO.
#[inline]
fn bump_figure(counter: &AtomicU64) {
    // Relaxed: as above.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl Lane {
    /// A lane that has seen nothing.
    pub(super) fn new() -> Self {
        let histogram = || (0..CELLS).map(|_| AtomicU32::new(0)).collect();
        Self {
            pending: AtomicU32::new(0),
            ghost_hits: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            hits: histogram(),
            lost: histogram(),
        }
    }

    /// Counts an access; returns the ticks (of `1 << tick_shift` accesses) that are full now.
    #[inline]
    pub(super) fn count_access(&self, tick_shift: u32) -> u32 {
        // Relaxed: only this thread uses it.
        let pending = self.pending.load(Ordering::Relaxed).wrapping_add(1);
        let ticks = pending >> tick_shift;
        self.pending.store(pending - (ticks << tick_shift), Ordering::Relaxed);
        ticks
    }

    /// A key of the class was used again.
    #[inline]
    pub(super) fn count_hit(&self, class: usize, bucket: usize) {
        bump(&self.hits[cell(class, bucket)]);
    }

    /// A key of the class came back that had been evicted.
    pub(super) fn count_ghost_hit(&self, class: usize, bucket: usize) {
        self.count_hit(class, bucket);
        bump_figure(&self.ghost_hits);
    }

    /// A key of the class never came back.
    pub(super) fn count_lost(&self, class: usize, bucket: usize) {
        bump(&self.lost[cell(class, bucket)]);
    }

    /// A key was evicted.
    pub(super) fn count_eviction(&self) {
        bump_figure(&self.evictions);
    }

    /// Evictions and returns of evicted keys.
    pub(super) fn figures(&self) -> (u64, u64) {
        // Relaxed: statistics.
        (self.evictions.load(Ordering::Relaxed), self.ghost_hits.load(Ordering::Relaxed))
    }

    /// Uses and losses in a cell until now, modulo 2^32.
    #[inline]
    pub(super) fn counts(&self, cell: usize) -> [u32; 2] {
        // Relaxed: a count that is missed now is found the next time.
        [&self.hits, &self.lost].map(|histogram| histogram[cell].load(Ordering::Relaxed))
    }

    /// Memory of a lane in bytes.
    pub(super) const BYTES: u64 = (size_of::<Lane>() + 2 * CELLS * size_of::<u32>()) as u64;
}
