//! The keyspace's hash table: lock-free, open addressing, one shared by all cores.
//!
//! ```text
//! Table ── segments (by the hash's first bits) ── root ──> Array ── slots ──> records
//!                                                            └─ migration ──> next Array
//! ```
//!
//! # Invariants
//! * **No recurrence.** A word that has left a slot never returns to it while anyone who read it is
//!   pinned ([`slot`]).
//! * **Absence is named and unique.** A deleted key's slot holds the dead record itself, or a fresh
//!   record of kind `Absent`. A slot's key never changes until its array is retired.
//! * **Authority.** A key lives in an array unless its own slot there is MOVED, or the EMPTY that
//!   ends its chain is FROZEN; then it lives in the next. A MOVED tag match is nameless: keep
//!   probing.
//! * **MOVED before mutate.** Nobody changes a key in the next array before its slot in this one is
//!   MOVED or its chain's end is FROZEN ([`migrate`]).
//! * **One migration at a time** in a segment: only a root begins one.
//! * **The root is loaded inside the pin**; a stale root is followed by its migration only.
//! * **Freeze before unlink.** An integer record's counter is frozen before the record is replaced
//!   or removed (`record::counter`).
//! * **Ticket before change.** With a journal, every change has its place in the log's order
//!   between the reading of the key and its linearization point ([`journal`]).
//! * **Nothing blocks while pinned.** Every loop below retries only when another thread succeeded.
//!
//! # Linearization points
//! * Insert, replace, remove, revive: the successful compare-and-swap of the slot word
//!   (`Slot::publish`).
//! * In-place INCR: the compare-and-swap of the counter word.
//! * A read that finds the key: the load of its slot word. For an integer, the value is the one at
//!   the load of the counter; the record was in its slot at some time between the two loads with
//!   that value, because its counter is frozen before it leaves.
//! * A read that finds nothing: the load of the EMPTY or dead word that said so, in the array that
//!   was the authority for the key at that moment.
//!
//! # Hash flooding
//! The table trusts that hashes are unpredictable; the store keys them per process.
#![allow(unsafe_code)]

mod access;
mod array;
mod clean;
mod commit;
mod glance;
mod journal;
mod look;
mod migrate;
mod sample;
mod scan;
mod slot;
mod transaction;
mod write;

pub use journal::{BlockJournal, Journal, Part, Silent, Tag, Written};
pub use sample::{SAMPLE_MAX, Sample};
pub use scan::{GRAIN_BITS, Which};
pub use transaction::{Committed, Found, Transaction};
pub use write::Decision;

use crate::memory::{Counted, Kind, Reaping, taken};
use crate::record::{Header, Key, RecordRef};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::epoch::{Collector, Guard};
use crate::sync::plain;
use crate::sync::prefetch_read;
use crate::sync::stripe::Striped;
use array::{Array, LINE, Probe};
use migrate::Moving;
use slot::tag_of;
use std::ptr::null_mut;
use write::Place;

/// Shape of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions {
    /// Number of segments, as a power of two. A segment migrates by itself, so more segments mean
    /// smaller steps and less memory in flight.
    pub segment_bits: u32,
    /// Slots of a segment's first array.
    pub first_slots: usize,
}

impl Default for TableOptions {
    fn default() -> Self {
        // 1,024 segments: at 5 million keys one array is 64 KiB.
        Self { segment_bits: 10, first_slots: 64 }
    }
}

/// How full a table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableUsage {
    /// Slots of its arrays.
    pub slots: u64,
    /// Those that are taken, by keys or by the names of absent ones.
    pub claimed: u64,
    /// Those of absent keys.
    pub dead: u64,
}

/// A set of records by key.
pub struct Table {
    /// Tells the table from those before and after it.
    number: u64,
    segments: Box<[AtomicPtr<Array>]>,
    options: TableOptions,
    /// Present keys.
    live: Striped,
    /// Present keys with a deadline. Boxed: a table is built on the stack, and models have little.
    expiring: Box<Striped>,
    /// Segments between the beginning and the completion of a migration.
    migrating: plain::AtomicUsize,
    /// Migrations completed.
    migrated: plain::AtomicU64,
    /// Where commits over several keys are told, if anywhere.
    journal: Option<Arc<dyn BlockJournal>>,
    /// What its own parts take, arrays apart.
    #[cfg_attr(any(loom, shuttle), expect(dead_code, reason = "models ask for no figures"))]
    counted: Counted,
    /// What it was announced to hold when it went out of use.
    reaping: Reaping,
    /// Freed after everything else: no guard outlives the table's user.
    _collector: Collector,
    /// Model checkers only: a freed table is poisoned and kept, so that touching it is caught.
    #[cfg(any(loom, shuttle))]
    freed: crate::sync::AtomicBool,
}

impl Table {
    /// An empty table whose records are retired to `collector`.
    pub fn new(options: TableOptions, collector: Collector) -> Self {
        Self::numbered(0, options, collector, None)
    }

    /// An empty table with a number, whose commits over several keys are told to `journal`.
    pub fn numbered(
        number: u64,
        options: TableOptions,
        collector: Collector,
        journal: Option<Arc<dyn BlockJournal>>,
    ) -> Self {
        assert!(options.segment_bits <= 20);
        let segments: Box<[AtomicPtr<Array>]> =
            (0..1usize << options.segment_bits).map(|_| AtomicPtr::new(null_mut())).collect();
        let mut counted = Counted::new(Kind::Arrays);
        let parts = [size_of::<Self>(), size_of::<Striped>(), size_of_val(&*segments)];
        counted.set(parts.map(taken).iter().sum());
        Self {
            number,
            segments,
            options,
            live: Striped::new(),
            expiring: Box::default(),
            migrating: plain::AtomicUsize::new(0),
            migrated: plain::AtomicU64::new(0),
            journal,
            counted,
            reaping: Reaping::default(),
            _collector: collector,
            #[cfg(any(loom, shuttle))]
            freed: crate::sync::AtomicBool::new(false),
        }
    }

    /// Frees a table that nobody can reach any more, as a model does: poisoned and kept.
    #[cfg(any(loom, shuttle))]
    pub fn free(mut self: Box<Self>) {
        let freed = self.freed.swap(true, crate::sync::Ordering::SeqCst);
        assert!(!freed, "a table was freed twice");
        self.free_arrays();
        crate::sync::graveyard::born();
        crate::sync::graveyard::bury(move || drop(self));
    }

    fn journal(&self) -> Option<&dyn BlockJournal> {
        self.journal.as_deref()
    }

    /// The number that it was made with.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Gives the table, which nobody else has yet, the number and the journal of one whose place it
    /// takes.
    pub fn take_over(&mut self, number: u64, journal: Option<Arc<dyn BlockJournal>>) {
        self.number = number;
        self.journal = journal;
    }

    /// Number of present keys: exact when nothing changes, else the number at some moment of the
    /// summing give or take the changes meanwhile.
    pub fn len(&self) -> u64 {
        self.live.sum().max(0) as u64
    }

    /// Number of present keys with a deadline; as exact as [`Table::len`].
    pub fn expiring(&self) -> u64 {
        self.expiring.sum().max(0) as u64
    }

    /// Bytes of the arrays that hold its keys now: not of those that are left, nor of those that
    /// are moved into.
    #[cfg(not(any(loom, shuttle)))]
    pub fn array_bytes(&self, _guard: &Guard<'_>) -> u64 {
        let roots = self.segments.iter().map(|root| {
            // Acquire: as in `root`.
            let root = root.load(Ordering::Acquire);
            // SAFETY: as in `root`.
            unsafe { root.as_ref() }.map_or(0, |array| array.memory() as u64)
        });
        roots.sum::<u64>() + self.counted.bytes() as u64
    }

    /// How full the arrays are that hold its keys now.
    pub fn usage(&self, _guard: &Guard<'_>) -> TableUsage {
        let mut sum = TableUsage::default();
        for root in &self.segments {
            // Acquire: as in `root`.
            let root = root.load(Ordering::Acquire);
            // SAFETY: as in `root`.
            if let Some(array) = unsafe { root.as_ref() } {
                let (claimed, dead) = array.usage();
                sum.slots += array.capacity() as u64;
                sum.claimed += claimed as u64;
                sum.dead += dead as u64;
            }
        }
        sum
    }

    /// Says what was announced of it when it went out of use; taken back as it is freed.
    pub fn announced(&mut self, reaping: Reaping) {
        self.reaping = reaping;
    }

    /// Whether no key is present.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Segments that are migrating now, and migrations completed so far.
    pub fn migrations(&self) -> (usize, u64) {
        let now = self.migrating.load(plain::Ordering::Relaxed);
        (now, self.migrated.load(plain::Ordering::Relaxed))
    }

    #[inline]
    fn segment_index(&self, hash: u64) -> usize {
        // Two shifts, so that a single segment (zero bits) does not shift by 64.
        (hash >> 1 >> (63 - self.options.segment_bits)) as usize
    }

    /// Whether two hashes are of one segment.
    pub(crate) fn is_same_segment(&self, one: u64, other: u64) -> bool {
        self.segment_index(one) == self.segment_index(other)
    }

    #[inline]
    fn segment(&self, hash: u64) -> &AtomicPtr<Array> {
        #[cfg(any(loom, shuttle))]
        assert!(
            !self.freed.load(crate::sync::Ordering::SeqCst),
            "use after free: a table was touched after its grace period"
        );
        &self.segments[self.segment_index(hash)]
    }

    /// The hash without the bits that chose the segment.
    #[inline]
    fn local(&self, hash: u64) -> u64 {
        hash << self.options.segment_bits
    }

    /// The root array of a hash's segment, if the segment has one.
    #[inline]
    fn root<'g>(&self, hash: u64, _guard: &'g Guard<'_>) -> Option<&'g Array> {
        // Acquire, with the release of whoever made the array the root.
        let root = self.segment(hash).load(Ordering::Acquire);
        // SAFETY: loaded under the pin, and retired only after it is no longer the root.
        unsafe { root.as_ref() }
    }

    /// Brings near what the next operations on these hashes will read, so that the memory latencies
    /// of different keys overlap. In three rounds, each of which needs what the one before asked
    /// for: the segments' arrays, the home lines in them, the records those promise. (Measured with
    /// 2 million keys: without the first round a third of a batch's time is spent waiting in the
    /// second.)
    pub fn prefetch(&self, hashes: &[u64], guard: &Guard<'_>) {
        for &hash in hashes {
            if let Some(array) = self.root(hash, guard) {
                prefetch_read(array);
            }
        }
        for &hash in hashes {
            if let Some(array) = self.root(hash, guard) {
                prefetch_read(array.home_address(self.local(hash)));
            }
        }
        for &hash in hashes {
            self.prefetch_record(hash, guard);
        }
    }

    /// Asks for the record that a hash's home line promises.
    #[inline]
    fn prefetch_record(&self, hash: u64, guard: &Guard<'_>) {
        let Some(array) = self.root(hash, guard) else {
            return;
        };
        let (home, tag) = (array.home(self.local(hash)), tag_of(hash));
        for index in home..home + LINE {
            let word = array.slot(index).load();
            if word.is_empty() {
                return;
            }
            if word.tag() == tag {
                let record = word.pointer().cast_const().cast::<u8>();
                prefetch_read(record);
                prefetch_read(record.wrapping_add(64));
                return;
            }
        }
    }

    /// The record of a key, if the key is present.
    #[inline]
    pub fn get<'g>(&self, key: Key<'_>, guard: &'g Guard<'_>) -> Option<RecordRef<'g>> {
        let mut array = self.root(key.hash, guard)?;
        let local = self.local(key.hash);
        loop {
            // SAFETY: the array was reached under the pin 'g.
            match unsafe { array.probe(key, local) } {
                Probe::Found { word, record, .. } => {
                    // SAFETY: the word was loaded under the pin.
                    return match unsafe { word.is_live() } {
                        true => Some(record),
                        false => record.intent().and_then(commit::record_now),
                    };
                }
                Probe::End { .. } => return None,
                Probe::Onward => {
                    // SAFETY: as above, and the target is reached under the same pin.
                    array = unsafe { array.migration()?.target() };
                }
            }
        }
    }

    /// Helps unfinished migrations along, at most `steps` chunks: for idle moments, since a segment
    /// that nobody writes to does not finish by itself.
    pub fn maintain(&self, guard: &Guard<'_>, steps: usize) {
        if self.migrations().0 == 0 {
            return;
        }
        let mut steps = steps;
        for root in &self.segments {
            while let Some(moving) = self.moving(root, guard) {
                if steps == 0 {
                    return;
                }
                steps -= 1;
                let _ = self.step(root, &moving, guard);
            }
        }
    }

    /// A segment's migration, if it has one.
    #[inline]
    fn moving<'g>(&self, root: &AtomicPtr<Array>, _guard: &'g Guard<'_>) -> Option<Moving<'g>> {
        // Acquire: as in `root`.
        let pointer = root.load(Ordering::Acquire);
        // SAFETY: loaded under the pin.
        let array = unsafe { pointer.as_ref::<'g>() }?;
        // SAFETY: reached under the pin.
        let migration = unsafe { array.migration() }?;
        Some(Moving { pointer, array, migration, shift: self.options.segment_bits })
    }

    /// One step of a migration; true when it is complete.
    fn step<'g>(&self, root: &AtomicPtr<Array>, moving: &Moving<'g>, guard: &'g Guard<'_>) -> bool {
        let complete = moving.help(self, root, guard);
        if complete.promoted {
            self.migrating.fetch_sub(1, plain::Ordering::Relaxed);
            self.migrated.fetch_add(1, plain::Ordering::Relaxed);
        }
        complete.done
    }
}

impl Table {
    /// Frees all records and arrays. Only for a caller that has the table alone.
    fn free_arrays(&mut self) {
        for (left, root) in (1..=self.segments.len() as u64).rev().zip(&self.segments) {
            // Relaxed: nobody else is left.
            let mut pointer = root.load(Ordering::Relaxed);
            while !pointer.is_null() {
                // SAFETY: the caller has the table alone: each array is owned by the root or by the
                // migration of the array before it, and freed once here.
                unsafe {
                    let next = free_records(&*pointer, self.options.segment_bits);
                    Array::free(pointer);
                    pointer = next;
                }
            }
            // Hashes are spread evenly, so the segments are about equal.
            self.reaping.free_part(left);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() || self.freed.load(crate::sync::Ordering::SeqCst) {
            return;
        }
        self.free_arrays();
    }
}

/// Frees the records that only `array` holds and returns the next array, if there is one.
fn free_records(array: &Array, shift: u32) -> *mut Array {
    // SAFETY: the caller has the table alone.
    let migration = unsafe { array.migration() };
    let next = migration.map_or(null_mut(), |migration| migration.target_pointer());
    for index in 0..array.capacity() {
        let pointer: *mut Header = array.slot(index).load().pointer();
        if pointer.is_null() {
            continue;
        }
        // SAFETY: as above; the record is alive.
        unsafe { commit::release_kept(pointer) };
        // A record that was copied and whose slot is not yet MOVED stands in both arrays: the next
        // one frees it. Nobody can have replaced it there before MOVED.
        // SAFETY: `next` is alive (freed after this array) and the record too.
        let copied = unsafe { next.as_ref().is_some_and(|next| next.holds(pointer, shift)) };
        if !copied {
            // SAFETY: nobody else is left, and no other slot holds the record.
            unsafe { crate::record::release_now(pointer) };
        }
    }
    next
}
