//! A look at a key that can be compared with a later one.

use super::Table;
use super::array::Probe;
use super::commit::{absence_now, record_now};
use super::slot::{Word, tag_of};
use super::write::Seat;
use crate::record::{Birth, Key, OwnedRecord, RecordRef};
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};

/// What a key was found to be. Under one pin it is the same twice only if it was so all the time in
/// between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    /// The record or, for an absent key, what says so, told apart by the low bits.
    address: usize,
    /// The value of a counter.
    pub(super) number: Option<i64>,
}

/// Low bits of the address of an absence: a dead or absent record, an intent, or an array without
/// the key.
const BY_RECORD: usize = 1;
const BY_INTENT: usize = 2;
const BY_ARRAY: usize = 3;

/// A look at a key.
pub(super) struct Look<'g> {
    pub(super) record: Option<RecordRef<'g>>,
    pub(super) identity: Identity,
    /// The version of the absence, if it has a name.
    pub(super) since: Option<u64>,
}

/// The address of an absence, or none for a planted fault.
fn nameless(address: usize) -> usize {
    if planted::is(Planted::AbsenceWithoutName) { address & BY_ARRAY } else { address }
}

impl Table {
    /// Whether a key has no slot, so that to change it takes one.
    pub(super) fn has_no_slot(&self, key: Key<'_>, guard: &Guard<'_>) -> bool {
        self.look(key, guard).identity.address & BY_ARRAY == BY_ARRAY
    }

    /// A key as it is now; see [`Identity`].
    pub(super) fn look<'g>(&self, key: Key<'_>, guard: &'g Guard<'_>) -> Look<'g> {
        let nothing = |address, since| Look {
            record: None,
            identity: Identity { address: nameless(address), number: None },
            since,
        };
        let Some(mut array) = self.root(key.hash, guard) else {
            return nothing(BY_ARRAY, None);
        };
        loop {
            // SAFETY: the array was reached under the pin 'g.
            let (word, record) = match unsafe { array.probe(key, self.local(key.hash)) } {
                Probe::Found { word, record, .. } => (word, record),
                Probe::End { .. } => {
                    return nothing(std::ptr::from_ref(array).addr() | BY_ARRAY, None);
                }
                Probe::Onward => {
                    // SAFETY: as above, and the target is reached under the same pin.
                    match unsafe { array.migration() } {
                        // SAFETY: as above.
                        Some(migration) => array = unsafe { migration.target() },
                        None => return nothing(BY_ARRAY, None),
                    }
                    continue;
                }
            };
            let address = record.as_ptr().addr();
            // SAFETY: the word was loaded under the pin.
            let live = unsafe { word.is_live() };
            let found = match record.intent() {
                _ if live => record,
                None => return nothing(address | BY_RECORD, Some(record.version())),
                Some(intent) => match record_now(intent) {
                    Some(record) => record,
                    None => return nothing(address | BY_INTENT, absence_now(intent)),
                },
            };
            let number = found.counter().map(|counter| counter.get());
            let identity = Identity { address: found.as_ptr().addr(), number };
            return Look { record: Some(found), identity, since: None };
        }
    }
}

impl Table {
    /// The version by which the absence of a key can be told from a later one, which is given
    /// `version` if it has none; `None` if the key is present.
    pub fn name_absence(&self, key: Key<'_>, guard: &Guard<'_>, version: u64) -> Option<u64> {
        let mut helped = false;
        // Each turn follows a step of another thread, or of a migration.
        loop {
            let Seat { place, index, word, record } = self.seek(key, guard, &mut helped);
            match record {
                Some(record) if record.is_intent() => {
                    self.settle(place.array, index, word, guard);
                    continue;
                }
                Some(record) => {
                    // SAFETY: loaded under the guard.
                    return (!unsafe { word.is_live() }).then(|| record.version());
                }
                None => {}
            }
            if !place.array.admit(place.before) {
                self.make_room(key.hash, place, guard);
                continue;
            }
            let pointer = OwnedRecord::absent(&Birth::of(key, version)).into_raw();
            let word = Word::absent(pointer, tag_of(key.hash));
            if place.array.slot(index).publish(Word::EMPTY, word).is_ok() {
                place.array.count_dead();
                return Some(version);
            }
            place.array.retract();
            // SAFETY: not published: still ours alone.
            drop(unsafe { OwnedRecord::from_raw(pointer) });
        }
    }
}
