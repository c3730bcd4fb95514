//! Mutations: one loop that finds a key's authoritative slot, asks what to do, and publishes it.

use super::Table;
use super::array::{Array, CHUNK, Probe};
use super::journal::{Journal, Silent, Tag, Written};
use super::migrate::Moving;
use super::slot::{Word, tag_of};
use crate::record::{Birth, Key, OwnedRecord, RecordRef, Unlinked};
use crate::ring::Entry;
use crate::sync::atomic::Ordering;
use crate::sync::epoch::Guard;
use crate::sync::plain;
use crate::sync::planted::{self, Planted};
use std::ptr::null_mut;

/// A removed record of at most this size stays in its slot as its key's named absence; of a larger
/// one only the key is kept, so that a deleted value's memory really goes.
const KEEP_DEAD_BYTES: usize = 128;

/// What a name may take more than it needs, rather than be made anew.
const NAME_EXCESS_BYTES: usize = 16;

/// Chunks that a mutation of a migrating segment moves. With 2 a migration ends after inserts into
/// 1/64 of the array's slots, long before the next one can begin, and the old array's memory goes
/// soon; 50 inserts that all meet one take some 0.2 ms.
#[cfg(not(any(loom, shuttle)))]
const PACE: usize = 2;
#[cfg(any(loom, shuttle))]
const PACE: usize = 1;

/// What to do with a key, given what it holds.
pub enum Decision<R> {
    /// Leave it as it is.
    Keep(R),
    /// Publish this record as its value.
    Put(OwnedRecord, Tag, R),
    /// Make it absent. The number is the version of the absence, if a record must be made for it
    /// and there is no journal to give it one.
    Remove(u64, R),
    /// The same, for its memory: as little as possible is left of it.
    Discard(u64, R),
    /// Look again: what was seen is about to change.
    Again,
}

/// What a removal leaves in the slot to name the absent key, until the slots are cleaned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// The dead record, unless it is large: the cheapest.
    Dead,
    /// Little more than the name: the key goes for its memory.
    Name,
}

impl Leave {
    /// The largest record that stays as it is.
    fn kept_bytes(self, key: Key<'_>) -> usize {
        match self {
            Self::Dead => KEEP_DEAD_BYTES,
            Self::Name => OwnedRecord::absent_size(key) + NAME_EXCESS_BYTES,
        }
    }

    /// Whether so much of the claimed slots is dead that they are to be cleaned. Where keys
    /// go for their memory, the dead that remain cost others their places: at 33 a removal pays for
    /// moving two words, and the dead are a sixth on average.
    pub(super) fn is_too_much(self, array: &Array) -> bool {
        match self {
            Self::Dead => array.is_dead_by(50, CHUNK / 2),
            // The same number; one in models.
            Self::Name => array.is_dead_by(33, CHUNK.div_ceil(2)),
        }
    }
}

/// Where a mutation takes place.
#[derive(Clone, Copy)]
pub(super) struct Place<'g> {
    pub(super) array: &'g Array,
    /// The array that may still be moving into this one.
    pub(super) before: Option<&'g Array>,
}

/// The slot of a key that is not frozen, or the unclaimed one that the key would take.
pub(super) struct Seat<'g> {
    pub(super) place: Place<'g>,
    pub(super) index: usize,
    pub(super) word: Word,
    /// The record in it: live, dead or an intent.
    pub(super) record: Option<RecordRef<'g>>,
}

/// A slot, what it holds, and the tag of its key.
struct Target<'g> {
    place: Place<'g>,
    index: usize,
    word: Word,
    /// The present record, `None` for an absent key.
    current: Option<RecordRef<'g>>,
}

impl Table {
    /// Changes one key. `decide` is told the present record and says what to do; it is called
    /// again, with what is there then, whenever another thread's change comes first, so it must
    /// have no effect of its own that a later call does not undo.
    ///
    /// A decision that builds on an integer's value takes it from `RecordRef::settled_value`.
    pub fn update<'g, R>(
        &self,
        key: Key<'_>,
        guard: &'g Guard<'_>,
        decide: impl FnMut(Option<RecordRef<'g>>) -> Decision<R>,
    ) -> R {
        self.update_told(key, guard, None::<&Silent>, decide)
    }

    /// [`update`](Table::update) that tells a journal of the change.
    #[inline]
    pub fn update_told<'g, R>(
        &self,
        key: Key<'_>,
        guard: &'g Guard<'_>,
        journal: Option<&impl Journal>,
        mut decide: impl FnMut(Option<RecordRef<'g>>) -> Decision<R>,
    ) -> R {
        let mut helped = false;
        loop {
            let Seat { place, index, word, record } = self.seek(key, guard, &mut helped);
            if record.is_some_and(RecordRef::is_intent) {
                self.settle(place.array, index, word, guard);
                continue;
            }
            // SAFETY: loaded under the pin.
            let current = record.filter(|_| unsafe { word.is_live() });
            let target = Target { place, index, word, current };
            match decide(target.current) {
                Decision::Again => {}
                Decision::Keep(result) => return result,
                Decision::Put(record, tag, result) => {
                    if self.put(&target, record, tag, key, guard, journal) {
                        return result;
                    }
                }
                Decision::Remove(version, result) => {
                    if self.remove(&target, version, Leave::Dead, key, guard, journal) {
                        return result;
                    }
                }
                Decision::Discard(version, result) => {
                    if self.remove(&target, version, Leave::Name, key, guard, journal) {
                        return result;
                    }
                }
            }
        }
    }

    /// The slot where a key may be changed.
    #[inline]
    pub(super) fn seek<'g>(
        &self,
        key: Key<'_>,
        guard: &'g Guard<'_>,
        helped: &mut bool,
    ) -> Seat<'g> {
        // Each turn follows the beginning of a migration.
        loop {
            let place = self.place(key.hash, guard, helped);
            // SAFETY: the array was reached under the pin 'g.
            match unsafe { place.array.probe(key, self.local(key.hash)) } {
                // A migration has begun since: `place` will follow it.
                Probe::Onward => {}
                Probe::Found { word, .. } if word.is_frozen() => {}
                Probe::Found { index, word, record } => {
                    return Seat { place, index, word, record: Some(record) };
                }
                Probe::End { index } => {
                    return Seat { place, index, word: Word::EMPTY, record: None };
                }
            }
        }
    }

    /// The array where a key may be changed: the key's chain in every array before it is decided.
    pub(super) fn place<'g>(
        &self,
        hash: u64,
        guard: &'g Guard<'_>,
        helped: &mut bool,
    ) -> Place<'g> {
        let root = self.segment(hash);
        let mut moving = loop {
            let Some(array) = self.root(hash, guard) else {
                self.create_root(hash);
                continue;
            };
            // SAFETY: reached under the pin 'g.
            if unsafe { array.migration() }.is_none() {
                return Place { array, before: None };
            }
            // None if it was completed in this very moment: the root is a new array.
            if let Some(moving) = self.moving(root, guard) {
                break moving;
            }
        };
        if !*helped {
            *helped = true;
            for _ in 0..PACE {
                if self.step(root, &moving, guard) {
                    break;
                }
            }
        }
        loop {
            moving.evacuate(self, guard, self.local(hash));
            // SAFETY: reached under the pin 'g.
            let target = unsafe { moving.migration.target() };
            // SAFETY: as above.
            let Some(migration) = (unsafe { target.migration() }) else {
                return Place { array: target, before: Some(moving.array) };
            };
            // The root we loaded is stale: its migration is complete and the next one has begun.
            moving = Moving { pointer: null_mut(), array: target, migration, ..moving };
        }
    }

    /// Gives a segment its first array.
    #[cold]
    fn create_root(&self, hash: u64) {
        let index = self.segment_index(hash);
        // First sizes differ between segments, by up to a third, so that segments filled at the
        // same rate do not all grow at the same moment.
        let slots = self.options.first_slots;
        let slots = slots + slots / 8 * (index % 3);
        let array = Box::into_raw(Array::boxed(slots));
        // Release: whoever loads the root sees the array whole.
        let won = self.segments[index].compare_exchange(
            null_mut(),
            array,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if won.is_err() {
            // SAFETY: made here and never shared.
            unsafe { Array::free(array) };
        }
    }

    /// Publishes `record` in the target slot. False if another thread changed the slot first, or
    /// the array takes no more keys.
    fn put(
        &self,
        target: &Target<'_>,
        mut record: OwnedRecord,
        tag: Tag,
        key: Key<'_>,
        guard: &Guard<'_>,
        journal: Option<&impl Journal>,
    ) -> bool {
        let array = target.place.array;
        let claims = target.word.is_empty();
        if claims && !array.admit(target.place.before) {
            self.make_room(key.hash, target.place, guard);
            return false;
        }
        freeze_counter(target.current);
        let mut entry =
            journal.filter(|_| !planted::is(Planted::TicketAfterChange)).map(|journal| {
                let entry = journal.enter(key, Written::Put(record.as_ref(), tag));
                record.set_version(entry.ticket());
                entry
            });
        let mut keeper = keeper(target, journal);
        let seen_late = planted::is(Planted::TicketBeforeRead).then(|| {
            // Loom tries others here only if there is something that they have in common.
            drop(journal.map(|journal| journal.enter(key, Written::Removed)));
            look_again(target)
        });
        let target = seen_late.as_ref().unwrap_or(target);
        let has_deadline = record.as_ref().has_deadline();
        let pointer = record.into_raw();
        let new = Word::live(pointer, tag_of(key.hash), has_deadline);
        if planted::is(Planted::RetireBeforeUnlink) {
            dispose(target, 0, None::<&Silent>, guard);
        }
        if array.slot(target.index).publish(target.word, new).is_err()
            && !(claims && planted::is(Planted::LostClaimIgnored))
        {
            if claims {
                array.retract();
            }
            // SAFETY: the record was not published: it is still ours alone.
            drop(unsafe { OwnedRecord::from_raw(pointer) });
            return false;
        }
        if planted::is(Planted::ImageJudgedLate) {
            keeper = self::keeper(target, journal);
        }
        if planted::is(Planted::TicketAfterChange) {
            // SAFETY: published under the guard.
            let record = unsafe { RecordRef::from_raw(pointer) };
            entry = journal.map(|journal| journal.enter(key, Written::Put(record, tag)));
        }
        let ticket = commit(entry);
        self.count_deadlines(target.word.has_deadline(), has_deadline);
        if target.current.is_none() {
            self.live.add(1);
            if !claims {
                array.count_revived();
            }
        }
        if !planted::is(Planted::RetireBeforeUnlink) {
            dispose(target, ticket, keeper, guard);
        }
        true
    }

    /// Makes the target's key absent. False if another thread changed the slot first.
    fn remove(
        &self,
        target: &Target<'_>,
        version: u64,
        leave: Leave,
        key: Key<'_>,
        guard: &Guard<'_>,
        journal: Option<&impl Journal>,
    ) -> bool {
        // An absent key stays as it is.
        let Some(current) = target.current else {
            return true;
        };
        let array = target.place.array;
        let slot = array.slot(target.index);
        freeze_counter(target.current);
        let enter = || journal.map(|journal| journal.enter(key, Written::Removed));
        let is_late = planted::is(Planted::RemovalTicketLate);
        let entry = if is_late { None } else { enter() };
        let version = entry.as_ref().map_or(version, |entry| entry.ticket());
        let keeper = keeper(target, journal);
        let keep = current.large().is_none()
            && current.record_size() <= leave.kept_bytes(key)
            && keeper.is_none();
        if keep {
            if slot.publish(target.word, target.word.dead()).is_err() {
                return false;
            }
            commit(if is_late { enter() } else { entry });
        } else {
            let absent = OwnedRecord::absent(&Birth::of(key, version)).into_raw();
            let word = Word::absent(absent, tag_of(key.hash));
            if slot.publish(target.word, word).is_err() {
                // SAFETY: not published: still ours alone.
                drop(unsafe { OwnedRecord::from_raw(absent) });
                return false;
            }
            let entry = if is_late { enter() } else { entry };
            dispose(target, commit(entry), keeper, guard);
        }
        self.live.add(-1);
        self.count_deadlines(target.word.has_deadline(), false);
        array.count_dead();
        if target.place.before.is_none() && leave.is_too_much(array) {
            match leave {
                Leave::Dead => self.begin_migration(array),
                // Who wants memory does not wait for others to move what is left: until then there
                // would be two arrays.
                Leave::Name => self.clean_segment(self.segment(key.hash), array, guard),
            }
        }
        true
    }

    /// Counts a key's change in having a deadline.
    #[inline]
    pub(super) fn count_deadlines(&self, before: bool, after: bool) {
        if before != after {
            self.expiring.add(if after { 1 } else { -1 });
        }
    }

    /// An array takes no more keys: completes the migration into it, or begins one out of it.
    #[cold]
    pub(super) fn make_room<'g>(&self, hash: u64, place: Place<'g>, guard: &'g Guard<'_>) {
        match place.before {
            None => self.begin_migration(place.array),
            Some(before) => {
                let root = self.segment(hash);
                // Bounded by the chunks of `before`; each turn moves one or finds all done.
                while let Some(moving) = self.moving(root, guard) {
                    if !std::ptr::eq(moving.array, before) || self.step(root, &moving, guard) {
                        return;
                    }
                }
            }
        }
    }

    /// Makes room for so many new keys in the segment of a hash, while nobody else takes it.
    pub(super) fn make_room_for(&self, hash: u64, keys: usize, guard: &Guard<'_>) {
        let root = self.segment(hash);
        // Each turn completes a migration, of which one is large enough.
        while let Some(array) = self.root(hash, guard) {
            if let Some(moving) = self.moving(root, guard) {
                while !self.step(root, &moving, guard) {}
                continue;
            }
            let (claimed, dead) = array.usage();
            if claimed + keys <= array.limit() {
                return;
            }
            let slots = array.successor_slots(self.options.first_slots);
            self.begin_migration_to(
                array,
                slots.max(Array::slots_for(claimed.saturating_sub(dead) + keys)),
            );
        }
    }

    /// Publishes a successor for a root array, unless it has one.
    #[cold]
    pub(super) fn begin_migration(&self, array: &Array) {
        self.begin_migration_to(array, array.successor_slots(self.options.first_slots));
    }

    #[cold]
    fn begin_migration_to(&self, array: &Array, slots: usize) {
        // Counted first: whoever completes it counts down.
        self.migrating.fetch_add(1, plain::Ordering::Relaxed);
        if !array.begin(Array::boxed(slots)) {
            self.migrating.fetch_sub(1, plain::Ordering::Relaxed);
        }
    }
}

/// The FREEZE rule: whoever is about to unlink an integer stops its counter first.
fn freeze_counter(current: Option<RecordRef<'_>>) {
    if let Some(counter) = current.and_then(RecordRef::counter) {
        let _ = counter.freeze();
    }
}

/// The change has taken place; returns its ticket, 0 without a journal.
#[inline]
fn commit(entry: Option<Entry<'_>>) -> u64 {
    entry.map_or(0, |entry| {
        let ticket = entry.ticket();
        entry.commit();
        ticket
    })
}

/// The journal, if it wants the target's record: only a present one is of use there.
#[inline]
fn keeper<'j, J: Journal>(target: &Target<'_>, journal: Option<&'j J>) -> Option<&'j J> {
    journal.filter(|journal| target.current.is_some_and(|record| journal.wants(record)))
}

/// The target as it is now, for a planted fault: if its key is still present and may be changed.
fn look_again<'g>(target: &Target<'g>) -> Target<'g> {
    let word = target.place.array.slot(target.index).load();
    // SAFETY: loaded under the pin of the target.
    let (live, record) = unsafe { (word.is_live(), word.record::<'g>()) };
    match target.current.is_some() && live && !word.is_frozen() {
        true => Target { word, current: record, ..*target },
        false => Target { ..*target },
    }
}

/// Retires what a successful publication has unlinked, or hands it to who keeps it.
#[inline]
fn dispose(target: &Target<'_>, ticket: u64, keeper: Option<&impl Journal>, guard: &Guard<'_>) {
    let pointer = target.word.pointer();
    if pointer.is_null() {
        return;
    }
    // SAFETY: unlinked by this thread's successful compare-and-swap of the only slot that held it:
    // a record stands in two arrays only while its old slot is not MOVED, and then nobody changes
    // the new one.
    let unlinked = unsafe { Unlinked::new(pointer) };
    match keeper {
        Some(keeper) => keeper.keep(ticket, unlinked),
        None => unlinked.retire(guard),
    }
}
