//! Cleaning segments of the names of absent keys: by a migration like any other.

use super::Table;
use super::array::Array;
use super::write::Leave;
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::Guard;

impl Table {
    /// Begins to clean an array if most of it is dead and it is a root that does not migrate yet.
    pub(super) fn clean(&self, array: &Array, hash: u64, guard: &Guard<'_>) {
        let is_root = self.root(hash, guard).is_some_and(|root| std::ptr::eq(root, array));
        let is_worth_it = Leave::Dead.is_too_much(array);
        // SAFETY: the caller has reached the array under the guard.
        if is_root && is_worth_it && unsafe { array.migration() }.is_none() {
            self.begin_migration(array);
        }
    }

    /// Cleans up to so many segments whose arrays name absent keys, for their memory. Returns how
    /// many it has cleaned.
    pub fn clean_some(&self, most: usize, guard: &Guard<'_>) -> usize {
        let mut cleaned = 0;
        for root in &self.segments {
            if cleaned == most {
                break;
            }
            // Acquire: as in `root`.
            let pointer = root.load(Ordering::Acquire);
            // SAFETY: loaded under the guard.
            let Some(array) = (unsafe { pointer.as_ref() }) else { continue };
            if array.usage().1 > 0 {
                self.clean_segment(root, array, guard);
                cleaned += 1;
            }
        }
        cleaned
    }

    /// How much of the claimed slots of a hash's segment is dead, in percent.
    pub fn dead_percent(&self, hash: u64, guard: &Guard<'_>) -> u64 {
        let (claimed, dead) = self.root(hash, guard).map_or((0, 0), Array::usage);
        (dead as u64 * 100).checked_div(claimed as u64).unwrap_or(0)
    }

    /// Cleans the segment of a hash of the names of absent keys.
    pub fn clean_at(&self, hash: u64, guard: &Guard<'_>) {
        if let Some(array) = self.root(hash, guard) {
            self.clean_segment(self.segment(hash), array, guard);
        }
    }

    pub(super) fn clean_segment(&self, root: &AtomicPtr<Array>, array: &Array, guard: &Guard<'_>) {
        // SAFETY: the caller has reached the array under the guard.
        if unsafe { array.migration() }.is_none() {
            self.begin_migration(array);
        }
        // Bounded by the chunks of the array, and of one more if another thread has been faster.
        while let Some(moving) = self.moving(root, guard) {
            if self.step(root, &moving, guard) {
                break;
            }
        }
    }
}
