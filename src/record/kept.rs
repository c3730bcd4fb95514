//! Records that are unlinked and not yet retired, because somebody still wants them as they are.

use super::{Header, RecordRef, release_now, retire};
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::plain;
use crate::sync::planted::{self, Planted};
use std::ptr::null_mut;

/// A record that a change has unlinked. Whoever has it retires it, or keeps it.
#[must_use]
pub struct Unlinked(*mut Header);

// SAFETY: a record is bound to no thread, and this is the only handle that may retire it.
unsafe impl Send for Unlinked {}

impl Unlinked {
    /// # Safety
    /// As for [`retire`]: the calling thread has unlinked the record, and retires it in no other
    /// way.
    #[inline]
    pub unsafe fn new(record: *mut Header) -> Self {
        debug_assert!(!record.is_null());
        Self(record)
    }

    /// The record.
    #[inline]
    pub fn record(&self) -> RecordRef<'_> {
        // SAFETY: not retired while `self` lives.
        unsafe { RecordRef::from_raw(self.0) }
    }

    /// Frees the record once nobody who may have seen it is pinned.
    #[inline]
    pub fn retire(self, guard: &Guard<'_>) {
        // SAFETY: unlinked, and `self` is the one right to retire it.
        unsafe { retire(guard, self.0) };
    }
}

/// A kept record.
pub struct KeptRecord {
    /// The record.
    pub unlinked: Unlinked,
    /// The number of the table that it was in.
    pub table: u64,
    /// The ticket of the change that unlinked it.
    pub ticket: u64,
    /// Bytes that are kept with it, as they were counted.
    pub bytes: u64,
}

/// A pile of kept records: any thread adds one, by one compare-and-swap; any thread takes them all,
/// by one swap. A pile that is taken whole has no ABA: nobody follows a link of one that is shared.
#[derive(Default)]
pub struct KeptRecords {
    top: AtomicPtr<Node>,
    /// Bytes of the records in it.
    bytes: plain::AtomicU64,
}

struct Node {
    kept: KeptRecord,
    below: *mut Node,
    /// Loom only: fails if the node is taken without having been released.
    #[cfg(loom)]
    made: crate::sync::WatchedCell<()>,
}

impl Node {
    fn boxed(kept: KeptRecord) -> *mut Self {
        Box::into_raw(Box::new(Self {
            kept,
            below: null_mut(),
            #[cfg(loom)]
            made: {
                let made = crate::sync::WatchedCell::new(());
                made.with_mut(|_| ());
                made
            },
        }))
    }
}

impl KeptRecords {
    /// Adds a record.
    pub fn push(&self, unlinked: Unlinked, table: u64, ticket: u64) {
        let bytes = unlinked.record().taken_size() as u64;
        let kept = KeptRecord { unlinked, table, ticket, bytes };
        // Relaxed: a count.
        self.bytes.fetch_add(bytes, plain::Ordering::Relaxed);
        let node = Node::boxed(kept);
        // Relaxed: the link is not followed before the swap in `take`.
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // SAFETY: the node is this thread's until the exchange succeeds.
            unsafe { (*node).below = top };
            // Release: the node is whole for whoever takes it. (The node below was released by
            // whoever pushed it, and an exchange goes on with that release.)
            let release = planted::ordering(Ordering::Release, Planted::RelaxedKeep);
            match self.top.compare_exchange(top, node, release, Ordering::Relaxed) {
                Ok(_) => return,
                // Another thread has added or taken.
                Err(now) => top = now,
            }
        }
    }

    /// Takes all of them, the last first.
    pub fn take(&self) -> TakenRecords {
        // Acquire, with the Release of `push`.
        TakenRecords(self.top.swap(null_mut(), Ordering::Acquire))
    }

    /// Notes that so many bytes of records that were taken are gone.
    pub fn forget_bytes(&self, bytes: u64) {
        // Relaxed: a count.
        self.bytes.fetch_sub(bytes, plain::Ordering::Relaxed);
    }

    /// Bytes of the kept records, those included that were taken and are not yet forgotten.
    pub fn bytes(&self) -> u64 {
        // Relaxed: a statistic.
        self.bytes.load(plain::Ordering::Relaxed)
    }
}

impl Drop for KeptRecords {
    fn drop(&mut self) {
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() {
            return;
        }
        for kept in self.take() {
            // SAFETY: the pile goes with its keyspace: nobody can reach the record any more.
            unsafe { release_now(kept.unlinked.0) };
        }
    }
}

/// Records that were taken from a pile.
pub struct TakenRecords(*mut Node);

// SAFETY: the nodes are this value's alone, and what they hold is Send.
unsafe impl Send for TakenRecords {}

impl Iterator for TakenRecords {
    type Item = KeptRecord;

    fn next(&mut self) -> Option<KeptRecord> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: made by `Box::into_raw`, taken from the pile, and taken here once.
        let node = unsafe { Box::from_raw(self.0) };
        #[cfg(loom)]
        node.made.with(|_| ());
        self.0 = node.below;
        Some(node.kept)
    }
}

impl Drop for TakenRecords {
    fn drop(&mut self) {
        // What is not retired is leaked: better than freed under a reader. Nobody drops it early.
        debug_assert!(self.0.is_null() || std::thread::panicking());
    }
}
