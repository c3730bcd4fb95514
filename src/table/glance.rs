//! Reading several keys at one instant, at the price of reading them one by one.
//!
//! Each look notes the slot and the word that it found there; in the end the same slots must have
//! the same words. A word that has left a slot does not come back, so a slot that has the same word
//! twice had it all the time in between, and all keys were as they were read at the moment between
//! the last look and the first comparison:
//! * a record, live or dead, frozen or not: nobody changes the key while its word stands. Of a
//!   counter the value is noted too. In one record it goes one way, so a value that is there twice
//!   was there all the time;
//! * EMPTY: who inserts the key takes the first EMPTY of its chain, which is this slot;
//! * a segment without an array: it gets one before it gets a key, and keeps it.
//!
//! An intent says nothing by its word, since its commit may be decided meanwhile. A key that has
//! one is read, but the comparison fails.
//!
//! As for a transaction, all is done under one pin.

use super::Table;
use super::array::{Array, Probe};
use super::commit::record_now;
use super::slot::{Slot, Word};
use super::transaction::KEPT;
use crate::record::{Header, Key, RecordRef};
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};

/// What was found at a place.
enum Glance {
    /// This word in a slot.
    Slot(*const Slot, Word),
    /// The same, of a counter with this value.
    Counter(*const Slot, Word, *mut Header, i64),
    /// No array in a segment.
    Nothing(*const AtomicPtr<Array>),
    /// Something that cannot be compared.
    Unclear,
}

/// What was found of several keys.
#[derive(Default)]
pub(super) struct Glances(Vec<Glance>);

impl Glances {
    /// The record of a key, if it is present.
    pub(super) fn look<'g>(
        &mut self,
        table: &'g Table,
        key: Key<'_>,
        guard: &'g Guard<'_>,
    ) -> Option<RecordRef<'g>> {
        let Some(mut array) = table.root(key.hash, guard) else {
            self.0.push(Glance::Nothing(table.segment(key.hash)));
            return None;
        };
        let (index, word, record) = loop {
            // SAFETY: the array was reached under the pin 'g.
            match unsafe { array.probe(key, table.local(key.hash)) } {
                Probe::Found { index, word, record } => break (index, word, record),
                Probe::End { index } => {
                    self.0.push(Glance::Slot(array.slot(index), Word::EMPTY));
                    return None;
                }
                Probe::Onward => {
                    // SAFETY: as above, and the target is reached under the same pin.
                    match unsafe { array.migration() } {
                        // SAFETY: as above.
                        Some(migration) => array = unsafe { migration.target() },
                        None => {
                            self.0.push(Glance::Unclear);
                            return None;
                        }
                    }
                }
            }
        };
        let slot: *const Slot = array.slot(index);
        if let Some(intent) = record.intent() {
            self.0.push(match planted::is(Planted::IntentCompared) {
                true => Glance::Slot(slot, word),
                false => Glance::Unclear,
            });
            return record_now(intent);
        }
        self.0.push(match record.counter() {
            Some(counter) => Glance::Counter(slot, word, record.as_ptr(), counter.get()),
            None => Glance::Slot(slot, word),
        });
        // SAFETY: the word was loaded under the pin.
        unsafe { word.is_live() }.then_some(record)
    }

    /// Takes the last look back.
    pub(super) fn forget_last(&mut self) {
        self.0.pop();
    }

    /// Whether everything is as it was found.
    pub(super) fn hold(&self) -> bool {
        // A single look is one instant by itself.
        self.0.len() <= 1
            || planted::is(Planted::LooksNotCompared)
            || self.0.iter().all(Glance::holds)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT);
    }
}

impl Glance {
    fn holds(&self) -> bool {
        match *self {
            // SAFETY: reached under the pin of the transaction, which lasts, here and below.
            Glance::Slot(slot, word) => unsafe { &*slot }.load() == word,
            Glance::Counter(slot, word, record, number) => {
                // SAFETY: as above.
                let (slot, record) = unsafe { (&*slot, RecordRef::from_raw(record)) };
                let same = record.counter().is_some_and(|counter| counter.get() == number);
                same && slot.load() == word
            }
            // Acquire: as for the slots, what comes after is not looked at before.
            // SAFETY: as above.
            Glance::Nothing(root) => unsafe { &*root }.load(Ordering::Acquire).is_null(),
            Glance::Unclear => false,
        }
    }
}
