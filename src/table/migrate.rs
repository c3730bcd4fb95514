//! Moving a segment's keys to its next array: growing, cleaning at the same size, shrinking.
//!
//! A migration begins when one thread publishes the next array ([`Array::begin`]). From then on
//! every mutation of the segment first *evacuates* its key's chain and moves one chunk; readers go
//! on undisturbed. Anyone may move any slot, also one that another thread is moving; nobody waits.
//!
//! One slot goes through these steps ([`Moving::move_slot`]), each a compare-and-swap that one
//! thread wins:
//! 1. *Freeze* the word. Only a word that is still as it was read is frozen, so nothing is lost.
//! 2. *Copy*, if it is live: insert the same record into the next array, but only if the key has no
//!    slot there. Absence is named in the next array too, so a key that was copied and deleted
//!    there is not brought back by a helper that slept.
//! 3. *Finish*: the word becomes MOVED. Only now may anyone change the key in the next array, and
//!    the mutation that wants to makes sure of it by evacuating the whole chain. So as long as the
//!    word is not MOVED, the record in it is the key's value, and readers may answer from it.
//!
//! A dead word is finished without a copy; the winner retires its record.
//!
//! A copy that meets FROZEN or MOVED in the next array drops itself: the next array can only be
//! migrating if this array's migration is complete, so its key is already there.
//!
//! When all chunks are done, whoever notices makes the next array the segment's root and retires
//! this one. Only a root begins a migration, so there is one at a time.

use super::Table;
use super::array::{Array, CHUNK, Migration};
use super::slot::{Word, tag_of};
use crate::record::{self, RecordRef};
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};
use crate::sync::prefetch_read;

/// An array on its way out, reached under a pin.
pub(super) struct Moving<'g> {
    /// The array as the root had it, with the provenance to free it; null for an array that was not
    /// reached from the root just now, and so cannot be replaced there.
    pub(super) pointer: *mut Array,
    pub(super) array: &'g Array,
    pub(super) migration: &'g Migration,
    /// Hash bits that choose the segment.
    pub(super) shift: u32,
}

impl<'g> Moving<'g> {
    fn target(&self) -> &'g Array {
        // SAFETY: reached under the pin 'g.
        unsafe { self.migration.target() }
    }

    fn chunks(&self) -> usize {
        self.array.capacity().div_ceil(CHUNK)
    }

    /// Decides a key's chain: afterwards every word from the home to the end of the chain is final,
    /// and the key is to be looked for in the next array only.
    pub(super) fn evacuate(&self, table: &Table, guard: &'g Guard<'_>, local_hash: u64) {
        for index in self.array.chain(local_hash) {
            let mut word = self.array.slot(index).load();
            if !word.is_final() {
                self.target().count_copies(1);
                let (moved, copied) = self.move_slot(table, guard, index);
                if !copied {
                    self.target().retract_copies(1);
                }
                word = moved;
            }
            if word.is_empty() {
                return;
            }
        }
    }

    /// Moves one chunk, and completes the migration if it was the last.
    pub(super) fn help(
        &self,
        table: &Table,
        root: &AtomicPtr<Array>,
        guard: &'g Guard<'_>,
    ) -> Progress {
        let chunks = self.chunks();
        if let Some(chunk) = self.migration.next_chunk(chunks) {
            if planted::is(Planted::DoneBeforeMoved) {
                self.migration.mark_done(chunk);
            }
            let first = chunk * CHUNK;
            let slots = first..(first + CHUNK).min(self.array.capacity());
            for index in slots.clone() {
                // The copy needs the record's hash: fetch the lines of all before the first use.
                prefetch_read(self.array.slot(index).load().pointer().cast_const());
            }
            let counted = slots.len();
            self.target().count_copies(counted);
            let copied = slots.filter(|&index| self.move_slot(table, guard, index).1).count();
            self.target().retract_copies(counted - copied);
            self.migration.mark_done(chunk);
        }
        let done = self.migration.is_done(chunks);
        Progress { done, promoted: done && self.promote(root, guard) }
    }

    /// Makes one slot's word final. Returns it, and whether this call has claimed a slot of the
    /// next array, which the caller has counted.
    fn move_slot(&self, table: &Table, guard: &'g Guard<'_>, index: usize) -> (Word, bool) {
        let slot = self.array.slot(index);
        let mut copied = false;
        // Each retry follows another thread's success on this word, which has few steps to go.
        loop {
            let mut word = slot.load();
            if word.is_final() || word.is_empty() && planted::is(Planted::EmptyNotFrozen) {
                return (word, copied);
            }
            // SAFETY: loaded under the pin 'g.
            let record = unsafe { word.record::<'g>() };
            if record.is_some_and(RecordRef::is_intent) && !planted::is(Planted::IntentFrozen) {
                table.clear(self.array, index, word, guard);
                continue;
            }
            if !word.is_frozen() {
                match slot.freeze(word) {
                    Ok(frozen) => word = frozen,
                    Err(_) => continue,
                }
                if word.is_final() {
                    return (word, copied);
                }
            }
            let Some(record) = record else {
                continue;
            };
            // SAFETY: as above.
            let live = unsafe { word.is_live() };
            if live && planted::is(Planted::FinishBeforeCopy) {
                let _ = slot.finish(word);
            }
            if live {
                copied |= self.copy(word, record);
            }
            if live && planted::is(Planted::MutateBeforeMoved) {
                return (word, copied);
            }
            if slot.finish(word) && !live {
                // SAFETY: the absence was linked in this slot alone (dead words are not copied),
                // and we unlinked it.
                unsafe { record::retire(guard, record.as_ptr()) };
            }
        }
    }

    /// Inserts a live record into the next array unless its key has a slot there. True if it did.
    fn copy(&self, word: Word, record: RecordRef<'g>) -> bool {
        let target = self.target();
        let tag = tag_of(record.hash());
        for index in target.chain(record.hash() << self.shift) {
            let slot = target.slot(index);
            let mut found = slot.load();
            if found == Word::EMPTY {
                match slot.publish(Word::EMPTY, word.thawed()) {
                    Ok(()) => return true,
                    Err(now) => found = now,
                }
            }
            if found.is_frozen() || found.is_moved() {
                if planted::is(Planted::CopyPastFrozen) {
                    continue;
                }
                return false;
            }
            if found.tag() == tag && self.is_same_key(found, record) {
                return false;
            }
        }
        // `Array::admit` keeps room for every copy. Were it wrong, the word must not become MOVED:
        // the panic costs one connection, the key stays readable where it is.
        assert!(planted::is(Planted::CopyPastFrozen), "the next array has no room for a copy");
        false
    }

    fn is_same_key(&self, found: Word, record: RecordRef<'g>) -> bool {
        // SAFETY: `found` was loaded under the pin 'g.
        let Some(other) = (unsafe { found.record::<'g>() }) else {
            return false;
        };
        if found.is_dead() && planted::is(Planted::NamelessAbsence) {
            return false;
        }
        other.as_ptr() == record.as_ptr()
            || (other.hash() == record.hash() && other.key() == record.key())
    }

    /// Makes the next array the root. True for the one caller that did.
    fn promote(&self, root: &AtomicPtr<Array>, guard: &Guard<'_>) -> bool {
        let target = self.migration.target_pointer();
        if planted::is(Planted::RetireArrayBeforeSwap) {
            self.retire_array(guard);
        }
        // AcqRel: release to those who load the root (the copies of all helpers happened before us,
        // see `Migration::is_done`).
        let success = planted::ordering(Ordering::AcqRel, Planted::RelaxedPromote);
        let swap = root.compare_exchange(self.pointer, target, success, Ordering::Relaxed);
        let promoted = swap.is_ok();
        if promoted && !planted::is(Planted::RetireArrayBeforeSwap) {
            self.retire_array(guard);
        }
        promoted
    }

    /// Retires the array after it has been replaced as the root.
    fn retire_array(&self, guard: &Guard<'_>) {
        let retired = SendArray(self.pointer);
        let bytes = self.array.memory();
        // SAFETY: the array is out of the root, which was its only way in for later pins (the
        // array before it is gone: one migration at a time); the caller has won the swap, so it is
        // retired once. Its records belong to the next array now.
        unsafe {
            guard.defer(bytes, move || {
                let retired = retired;
                Array::free(retired.0);
            });
        }
    }
}

/// What a step of a migration came to.
#[must_use]
#[derive(Clone, Copy)]
pub(super) struct Progress {
    /// Every slot is final and the next array is the root.
    pub(super) done: bool,
    /// This step made it the root.
    pub(super) promoted: bool,
}

/// An array's pointer on its way to the thread that frees it.
struct SendArray(*mut Array);
