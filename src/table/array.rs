//! One open-addressed array of slots, and what leads from it to the next.
//!
//! * A key's home is the start of a cache line of eight slots; homes follow hash order. Probing
//!   goes slot by slot from there and wraps from the last slot to the first. The wrap costs order
//!   for the few keys that overflow the end; a scan over a range of hashes takes it into account by
//!   walking on to the end of the last chain. In return an array needs no reserved tail, and a copy
//!   never runs out of room.
//! * At most 65 % of the slots are ever claimed ([`Array::limit`]), dead ones included, so chains
//!   stay short: a miss reads 1.2 lines on average.
//! * Claims are counted *before* the slot is claimed (and the count taken back if the slot is
//!   lost), so the counters never say less than the truth and the limit is strict.

use super::slot::{Slot, Word, tag_of};
use crate::memory::{Kind, count, taken};
use crate::record::{Header, Key, RecordRef};
use crate::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::sync::planted::{self, Planted};
use std::ptr::null_mut;

/// Slots of a home: one cache line of words.
#[cfg(not(any(loom, shuttle)))]
pub(super) const LINE: usize = 8;
/// Models use short lines so that chains wrap and arrays fill within a few steps.
#[cfg(loom)]
pub(super) const LINE: usize = 1;
#[cfg(shuttle)]
pub(super) const LINE: usize = 2;

/// Claimed share of the slots (live and dead) that asks for a new array, in percent. At 65 the 99th
/// percentile of a miss reads 4 lines, at 75 it reads 8 (measured).
const LOAD_PERCENT: usize = 65;

/// An array grows by this part of its slots.
#[cfg(not(any(loom, shuttle)))]
const GROWTH_DIVISOR: usize = 3;
/// By half in models, so that the smallest arrays admit an insert while they are moved into.
#[cfg(any(loom, shuttle))]
const GROWTH_DIVISOR: usize = 2;

/// Slots that one step of a migration moves: four cache lines, whose records are fetched together.
#[cfg(not(any(loom, shuttle)))]
pub(super) const CHUNK: usize = 32;
#[cfg(loom)]
pub(super) const CHUNK: usize = 1;
#[cfg(shuttle)]
pub(super) const CHUNK: usize = 2;

/// Mutations that may have passed an array's admission and not yet be counted as claims by a reader
/// of the counters: one a thread, and a server has at most 128 workers.
#[cfg(not(any(loom, shuttle)))]
const IN_FLIGHT: usize = 256;
/// In a model that begins a migration at most one other thread is about to insert.
#[cfg(loom)]
const IN_FLIGHT: usize = 1;
#[cfg(shuttle)]
const IN_FLIGHT: usize = 16;

#[repr(align(64))]
struct Line([Slot; LINE]);

/// Counters of an array. They share the header's line, which a batch fetches ahead: an insert would
/// wait for a line of their own, and readers lose the header's only to inserts into this segment.
#[derive(Default)]
struct Counts {
    /// Slots claimed by inserts.
    inserted: AtomicUsize,
    /// Slots claimed by copies from the array before.
    copied: AtomicUsize,
    /// Claimed slots whose key is absent.
    dead: AtomicUsize,
}

/// An array of slots.
#[repr(align(64))]
pub(super) struct Array {
    lines: Box<[Line]>,
    migration: AtomicPtr<Migration>,
    counts: Counts,
    /// Model checkers only: a freed array is poisoned and kept, so that touching it is caught.
    #[cfg(any(loom, shuttle))]
    freed: crate::sync::AtomicBool,
}
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Array>() == 64, "the header is one line");

/// An array's way out: where its keys go and how far they have gone.
pub(super) struct Migration {
    /// The next array. Not owned: the segment's root, or this pointer, leads to it.
    target: *mut Array,
    /// Next chunk to hand out; beyond the last, helpers look for chunks that are not done.
    cursor: AtomicUsize,
    /// A bit a chunk, set when all its slots are final.
    done: Box<[AtomicU64]>,
}

/// Where a probe for a key ended.
pub(super) enum Probe<'g> {
    /// The slot that carries the key, live or absent, frozen or not.
    Found { index: usize, word: Word, record: RecordRef<'g> },
    /// An unclaimed slot: the key is absent, and an insert would claim this one.
    End { index: usize },
    /// The key, if it exists, is in the next array.
    Onward,
}

impl Array {
    /// An array of at least `slots` slots, all EMPTY.
    pub(super) fn boxed(slots: usize) -> Box<Self> {
        let lines = slots.div_ceil(LINE).max(1);
        let lines: Box<[Line]> =
            (0..lines).map(|_| Line(std::array::from_fn(|_| Slot::empty()))).collect();
        let array = Self {
            lines,
            migration: AtomicPtr::new(null_mut()),
            counts: Counts::default(),
            #[cfg(any(loom, shuttle))]
            freed: crate::sync::AtomicBool::new(false),
        };
        count(Kind::Arrays, array.memory() as i64);
        #[cfg(any(loom, shuttle))]
        crate::sync::graveyard::born();
        Box::new(array)
    }

    /// Frees an array. A model only poisons it.
    ///
    /// # Safety
    /// It was made by [`Array::boxed`], nobody can reach it any more, and it is freed once.
    pub(super) unsafe fn free(array: *mut Self) {
        // SAFETY: the caller's promise.
        let array = unsafe { Box::from_raw(array) };
        #[cfg(any(loom, shuttle))]
        {
            let freed = array.freed.swap(true, crate::sync::Ordering::SeqCst);
            assert!(!freed, "an array was freed twice");
            crate::sync::graveyard::bury(move || drop(array));
        }
        #[cfg(not(any(loom, shuttle)))]
        drop(array);
    }

    #[cfg(any(loom, shuttle))]
    fn assert_alive(&self) {
        let freed = self.freed.load(crate::sync::Ordering::SeqCst);
        assert!(!freed, "use after free: an array was touched after its grace period");
    }

    /// Bytes that the allocator takes for it.
    pub(super) fn memory(&self) -> usize {
        taken(size_of::<Self>()) + taken(self.lines.len() * size_of::<Line>())
    }

    pub(super) fn capacity(&self) -> usize {
        self.lines.len() * LINE
    }

    /// Claims the array takes before it asks for a successor.
    pub(super) fn limit(&self) -> usize {
        (self.capacity() * LOAD_PERCENT / 100).max(1)
    }

    #[inline]
    #[cfg_attr(loom, expect(clippy::modulo_one, reason = "a line is one slot in loom's models"))]
    pub(super) fn slot(&self, index: usize) -> &Slot {
        #[cfg(any(loom, shuttle))]
        self.assert_alive();
        &self.lines[index / LINE].0[index % LINE]
    }

    /// The first slot of the home line of a hash (with the segment's bits shifted out).
    #[inline]
    pub(super) fn home(&self, local_hash: u64) -> usize {
        ((u128::from(local_hash) * self.lines.len() as u128) >> 64) as usize * LINE
    }

    /// The address of the home line, to prefetch.
    #[inline]
    pub(super) fn home_address(&self, local_hash: u64) -> *const u8 {
        (&raw const self.lines[self.home(local_hash) / LINE]).cast()
    }

    /// Slot indices from a home on, each once.
    #[inline]
    pub(super) fn chain(&self, local_hash: u64) -> impl Iterator<Item = usize> {
        let (home, capacity) = (self.home(local_hash), self.capacity());
        (home..capacity).chain(0..home)
    }

    /// Looks for a key from its home to the end of its chain.
    ///
    /// A MOVED word has no name: if its tag matches it may have been ours, so the probe goes on
    /// through the rest of the chain (ours may follow, not moved yet) and only then onward.
    ///
    /// # Safety
    /// The array was reached under a pin that lasts `'g`.
    #[inline]
    pub(super) unsafe fn probe<'g>(&self, key: Key<'_>, local_hash: u64) -> Probe<'g> {
        let tag = tag_of(key.hash);
        let mut onward = false;
        for index in self.chain(local_hash) {
            let word = self.slot(index).load();
            if word.is_empty() {
                return if onward || word.is_frozen() {
                    Probe::Onward
                } else {
                    Probe::End { index }
                };
            }
            if word.tag() != tag {
                continue;
            }
            // SAFETY: loaded just now under the pin.
            match unsafe { word.record::<'g>() } {
                None if planted::is(Planted::StopAtMovedTag) => return Probe::Onward,
                None => onward = true,
                Some(record) if record.hash() == key.hash && record.key() == key.bytes => {
                    return Probe::Found { index, word, record };
                }
                Some(_) => {}
            }
        }
        // No EMPTY in the whole array: claims are limited, so this cannot be; if it were, the key
        // is not here.
        Probe::Onward
    }

    /// The migration out of this array, once it has begun.
    ///
    /// # Safety
    /// The array was reached under a pin that lasts `'g`.
    #[inline]
    pub(super) unsafe fn migration<'g>(&self) -> Option<&'g Migration> {
        #[cfg(any(loom, shuttle))]
        self.assert_alive();
        // Acquire, with the release in `begin`: the migration and its target are whole.
        let migration = self.migration.load(Ordering::Acquire);
        // SAFETY: published once, owned by this array, freed with it after a grace period.
        unsafe { migration.as_ref() }
    }

    /// Whether a slot holds this very record. Only for a caller that has the table alone.
    ///
    /// # Safety
    /// `record` is alive.
    pub(super) unsafe fn holds(&self, record: *mut Header, shift: u32) -> bool {
        // SAFETY: the caller's promise.
        let hash = unsafe { RecordRef::from_raw(record) }.hash();
        self.chain(hash << shift)
            .map(|index| self.slot(index).load())
            .take_while(|word| !word.is_empty())
            .any(|word| word.pointer() == record)
    }

    /// Publishes the way to `target`. False, and the target is gone, if someone else was first.
    pub(super) fn begin(&self, target: Box<Array>) -> bool {
        let chunks = self.capacity().div_ceil(CHUNK);
        let target = Box::into_raw(target);
        let migration = Box::into_raw(Box::new(Migration {
            target,
            cursor: AtomicUsize::new(0),
            done: (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
        }));
        // Release: whoever sees the migration sees it whole. Acquire on failure is not needed: the
        // loser loads it again.
        let won = self.migration.compare_exchange(
            null_mut(),
            migration,
            planted::ordering(Ordering::Release, Planted::RelaxedBegin),
            Ordering::Relaxed,
        );
        if won.is_ok() {
            // SAFETY: the array is reached under a pin, and what it owns goes with it.
            count(Kind::Arrays, unsafe { &*migration }.memory() as i64);
        } else {
            // SAFETY: both were just made and nobody else has seen them.
            unsafe {
                drop(Box::from_raw(migration));
                Array::free(target);
            }
        }
        won.is_ok()
    }

    /// Slots claimed and claims of absent keys. Never less claims than there are.
    pub(super) fn usage(&self) -> (usize, usize) {
        // Relaxed here and below: counts decide when to migrate, and are exact per word; no memory
        // is published through them.
        let claimed = self.counts.inserted.load(Ordering::Relaxed)
            + self.counts.copied.load(Ordering::Relaxed);
        // Below zero for a moment if a revival is counted before the removal that it follows.
        let dead = self.counts.dead.load(Ordering::Relaxed).cast_signed().max(0);
        (claimed, dead.cast_unsigned())
    }

    /// Counts a claim that an insert is about to make. False, and nothing counted, if the array
    /// takes no more. While `before` is still moving in, room is kept for all that may come from
    /// it.
    pub(super) fn admit(&self, before: Option<&Array>) -> bool {
        let inserted = self.counts.inserted.fetch_add(1, Ordering::Relaxed);
        let copied = self.counts.copied.load(Ordering::Relaxed);
        let room = match before {
            None => inserted + copied < self.limit(),
            Some(before) => {
                let reserved = before.usage().0 + IN_FLIGHT;
                let reserved = reserved.min(before.capacity()) + 1;
                inserted < self.limit().min(self.capacity().saturating_sub(reserved))
            }
        };
        if !room {
            self.retract();
        }
        room
    }

    /// Takes back what `admit` counted: the slot went to someone else.
    pub(super) fn retract(&self) {
        self.counts.inserted.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_dead(&self) {
        self.counts.dead.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_revived(&self) {
        self.counts.dead.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts claims that copies may be about to make.
    pub(super) fn count_copies(&self, slots: usize) {
        self.counts.copied.fetch_add(slots, Ordering::Relaxed);
    }

    /// Takes back the counted claims that were not made.
    pub(super) fn retract_copies(&self, slots: usize) {
        self.counts.copied.fetch_sub(slots, Ordering::Relaxed);
    }

    /// How large the successor should be: the same size if mostly the dead fill this one (smaller
    /// if nearly all are dead), else larger by a third. It always has more slots than this one can
    /// come to have claimed, so every copy finds room.
    pub(super) fn successor_slots(&self, smallest: usize) -> usize {
        let (claimed, dead) = self.usage();
        let live = claimed.saturating_sub(dead);
        let capacity = self.capacity();
        if live * 100 > capacity * 45 {
            // Growing by a third, not doubling: load stays between 49 and 65 %, and slots cost 14
            // bytes a key on average instead of 18; a key is copied three times in its life instead
            // of once.
            return capacity + (capacity / GROWTH_DIVISOR).max(LINE);
        }
        let smaller = (capacity * 7 / 10).next_multiple_of(LINE);
        let most = self.limit().max(claimed) + IN_FLIGHT;
        if live * 8 <= capacity && smaller >= smallest && smaller > most {
            return smaller;
        }
        capacity
    }

    /// Slots for so many keys, of which little more than half are taken then.
    pub(super) fn slots_for(keys: usize) -> usize {
        keys * 100 / (LOAD_PERCENT - 10) + LINE
    }

    /// Whether a key may be present in it.
    pub(super) fn has_live(&self) -> bool {
        let (claimed, dead) = self.usage();
        claimed > dead
    }

    /// Whether so much of the claimed slots is dead, in percent, and enough of them for cleaning to
    /// pay.
    pub(super) fn is_dead_by(&self, percent: usize, least: usize) -> bool {
        let (claimed, dead) = self.usage();
        dead > least && dead * 100 > claimed * percent
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        count(Kind::Arrays, -(self.memory() as i64));
        // Relaxed: dropped after a grace period or by its only owner.
        let migration = self.migration.load(Ordering::Relaxed);
        if !migration.is_null() {
            // SAFETY: made by Box::into_raw in `begin`, owned by this array. Its target is not
            // owned and stays.
            let migration = unsafe { Box::from_raw(migration) };
            count(Kind::Arrays, -(migration.memory() as i64));
        }
    }
}

impl Migration {
    /// Bytes that the allocator takes for it.
    fn memory(&self) -> usize {
        taken(size_of::<Self>()) + taken(size_of_val(&*self.done))
    }

    /// The next array.
    pub(super) fn target_pointer(&self) -> *mut Array {
        self.target
    }

    /// The next array.
    ///
    /// # Safety
    /// The migration was reached under a pin that lasts `'g`.
    #[inline]
    pub(super) unsafe fn target<'g>(&self) -> &'g Array {
        // SAFETY: the target outlives this array: it is retired only after it has become the root
        // and been replaced, which comes after this array's own retirement.
        unsafe { &*self.target }
    }

    /// A chunk to move: the next in order, or the first that is not done. `None` when all are.
    pub(super) fn next_chunk(&self, chunks: usize) -> Option<usize> {
        // Relaxed: handing out chunks only spreads the work; moving one twice is harmless.
        let next = self.cursor.fetch_add(1, Ordering::Relaxed);
        if next < chunks { Some(next) } else { self.first_undone(chunks) }
    }

    fn first_undone(&self, chunks: usize) -> Option<usize> {
        self.done.iter().enumerate().find_map(|(index, word)| {
            // Acquire, with the release of `mark_done`: all done means that all copies have
            // happened before us, so a root published by us shows them.
            let bit = (!word.load(Ordering::Acquire)).trailing_zeros() as usize;
            let chunk = index * 64 + bit;
            (bit < 64 && chunk < chunks).then_some(chunk)
        })
    }

    /// Says that every slot of a chunk is final.
    pub(super) fn mark_done(&self, chunk: usize) {
        // AcqRel: release our copies; acquire keeps the chain of earlier bits' releases for those
        // who read the word after us.
        let ordering = planted::ordering(Ordering::AcqRel, Planted::RelaxedDone);
        self.done[chunk / 64].fetch_or(1 << (chunk % 64), ordering);
    }

    /// Whether every slot of the array is final.
    pub(super) fn is_done(&self, chunks: usize) -> bool {
        // Relaxed hint first: before the last chunk was handed out nobody can be done.
        self.cursor.load(Ordering::Relaxed) >= chunks && self.first_undone(chunks).is_none()
    }
}
