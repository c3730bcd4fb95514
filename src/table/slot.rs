//! The slot: one atomic word that says which record a place of an array holds.
//!
//! ```text
//! bit 63 .. 48   tag: 16 bits of the hash that no home position uses
//! bit 47 .. 4    address of the record (aligned to 16)
//! bit 3 DEAD     the record is the named absence of its key, which was deleted or never there
//! bit 2 HAS_TTL  the record has a deadline, and the key is present
//! bit 1 MOVED    the slot's key is decided in the next array; the tag stays, the address goes
//! bit 0 FROZEN   a migration has fixed the word; only MOVED can follow
//! ```
//!
//! States and transitions (each one compare-and-swap by [`Slot`]):
//!
//! ```text
//! EMPTY ──claim──> live R ──replace──> live R' ──remove──> DEAD R' or absent ──revive──> live R''
//!   │                 │                                      │
//! freeze            freeze                                 freeze
//!   v                 v                                      v
//! FROZEN EMPTY    FROZEN live ──copy, finish──> MOVED    FROZEN dead ──finish──> MOVED
//! ```
//!
//! * A word that has left a slot never returns to it while anyone who read it is pinned: every
//!   record is freshly allocated, a record dies once, EMPTY never comes back. So a compare-and-swap
//!   that succeeds proves that nothing happened in the slot since the word was read.
//! * A slot's key never changes until its array is retired: DEAD and absent records keep the name.
//!
//! The word is an `AtomicPtr` so that a record's pointer keeps its provenance through it.

use crate::record::{Header, Kind, RecordRef};
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::planted::{self, Planted};
use std::ptr::null_mut;

/// A migration has fixed the word.
const FROZEN: usize = 1;
/// The key is decided in the next array.
const MOVED: usize = 1 << 1;
/// The present record has a deadline: the sweeper visits it. An absence does not carry it.
const HAS_TTL: usize = 1 << 2;
/// The record names an absent key.
const DEAD: usize = 1 << 3;
const FLAGS: usize = FROZEN | MOVED | HAS_TTL | DEAD;
const TAG_SHIFT: u32 = 48;
const TAG: usize = 0xffff << TAG_SHIFT;
const _: () = assert!(usize::BITS == 64, "slot words need 64-bit addresses");
const _: () = assert!(align_of::<Header>() > FLAGS, "flags live in the alignment bits");

/// The tag of a hash: its lowest bits. Segment and home come from the highest.
#[inline]
pub(super) const fn tag_of(hash: u64) -> u16 {
    hash as u16
}

/// A value of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word(*mut Header);

impl Word {
    /// Never claimed.
    pub(super) const EMPTY: Self = Self(null_mut());

    /// The word that an intent has kept.
    pub(super) fn kept(word: *mut Header) -> Self {
        Self(word)
    }

    /// The word, for an intent to keep.
    pub(super) fn keep(self) -> *mut Header {
        self.0
    }

    /// The word of a live record.
    #[inline]
    pub(super) fn live(record: *mut Header, tag: u16, has_deadline: bool) -> Self {
        assert_fits(record);
        let flags = if has_deadline { HAS_TTL } else { 0 };
        Self(record.map_addr(|address| address | (tag as usize) << TAG_SHIFT | flags))
    }

    /// The word of a record that names an absent key.
    pub(super) fn absent(record: *mut Header, tag: u16) -> Self {
        Self::live(record, tag, false).dead()
    }

    #[inline]
    fn with(self, flag: usize) -> Self {
        Self(self.0.map_addr(|address| address | flag))
    }

    #[inline]
    fn has(self, flag: usize) -> bool {
        self.0.addr() & flag != 0
    }

    /// The same record, dead.
    pub(super) fn dead(self) -> Self {
        Self(self.0.map_addr(|address| address & !HAS_TTL | DEAD))
    }

    /// Whether the word is a present key's with a deadline.
    #[inline]
    pub(super) fn has_deadline(self) -> bool {
        self.has(HAS_TTL)
    }

    /// The same word, fixed.
    fn frozen(self) -> Self {
        self.with(FROZEN)
    }

    /// The same word as it is in an array that is not migrating.
    pub(super) fn thawed(self) -> Self {
        Self(self.0.map_addr(|address| address & !FROZEN))
    }

    /// What follows a frozen word once its key is decided in the next array.
    fn moved(self) -> Self {
        Self(self.0.map_addr(|address| address & TAG | MOVED))
    }

    /// Whether the word ends a probe chain: never claimed, frozen or not.
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0.addr() & !FROZEN == 0
    }

    #[inline]
    pub(super) fn is_frozen(self) -> bool {
        self.has(FROZEN)
    }

    #[inline]
    pub(super) fn is_moved(self) -> bool {
        self.has(MOVED)
    }

    #[inline]
    pub(super) fn is_dead(self) -> bool {
        self.has(DEAD)
    }

    /// Whether nothing can change the word any more.
    pub(super) fn is_final(self) -> bool {
        self.is_moved() || (self.is_frozen() && self.is_empty())
    }

    #[inline]
    pub(super) fn tag(self) -> u16 {
        (self.0.addr() >> TAG_SHIFT) as u16
    }

    /// The record's pointer, null for EMPTY and MOVED.
    #[inline]
    pub(super) fn pointer(self) -> *mut Header {
        self.0.map_addr(|address| address & !(TAG | FLAGS))
    }

    /// The record, unless EMPTY or MOVED.
    ///
    /// # Safety
    /// The word was loaded from a slot of an array reached under a pin that lasts `'g`.
    #[inline]
    pub(super) unsafe fn record<'g>(self) -> Option<RecordRef<'g>> {
        let pointer = self.pointer();
        if pointer.is_null() {
            return None;
        }
        // SAFETY: a pointer in a slot is a published record; it is retired only after it has left
        // all slots, and the pin was held when it was loaded from one.
        Some(unsafe { RecordRef::from_raw(pointer) })
    }

    /// Whether the word stands for a present key. An intent's does not: what it stands for has to
    /// be asked of its commit.
    ///
    /// # Safety
    /// As [`Word::record`].
    pub(super) unsafe fn is_live(self) -> bool {
        // SAFETY: the caller's promise.
        let record = unsafe { self.record() };
        !self.is_dead()
            && record.is_some_and(|record| !matches!(record.kind(), Kind::Absent | Kind::Intent))
    }
}

/// Address bits above 48 would be taken for a tag. User addresses have 47 bits on the systems we
/// run on; a kernel with five-level paging gives wider ones only to programs that ask for them.
#[inline]
fn assert_fits(record: *mut Header) {
    assert!(record.addr() & (TAG | FLAGS) == 0, "a record's address does not fit a slot word");
}

/// One place of an array.
pub(super) struct Slot(AtomicPtr<Header>);

impl Slot {
    pub(super) fn empty() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    #[inline]
    pub(super) fn load(&self) -> Word {
        // Acquire, with the release of `swap`: a record is read only after it was written, a MOVED
        // or frozen word is seen only after the migration it follows was published.
        Word(self.0.load(Ordering::Acquire))
    }

    #[inline]
    fn swap(&self, expected: Word, new: Word) -> Result<(), Word> {
        // Release publishes the record (or the copy in the next array that MOVED points at).
        // Acquire on both outcomes: the word found is acted upon as if loaded.
        let success = planted::ordering(Ordering::AcqRel, Planted::RelaxedPublish);
        self.0
            .compare_exchange(expected.0, new.0, success, Ordering::Acquire)
            .map(|_| ())
            .map_err(Word)
    }

    /// Claims an EMPTY slot, replaces or removes: the linearization point of a mutation. `expected`
    /// is not frozen.
    #[inline]
    pub(super) fn publish(&self, expected: Word, new: Word) -> Result<(), Word> {
        debug_assert!(!expected.is_frozen() && !expected.is_moved());
        self.swap(expected, new)
    }

    /// Fixes a word for migration.
    pub(super) fn freeze(&self, expected: Word) -> Result<Word, Word> {
        self.swap(expected, expected.frozen()).map(|()| expected.frozen())
    }

    /// Marks a frozen word's key as decided in the next array. True for the one caller that did it.
    pub(super) fn finish(&self, frozen: Word) -> bool {
        debug_assert!(frozen.is_frozen() && !frozen.is_empty());
        self.swap(frozen, frozen.moved()).is_ok()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn flags_tag_and_address_do_not_touch_each_other() {
        let address = std::ptr::without_provenance_mut::<Header>(0x7fff_ffff_fff0);
        let word = Word::live(address, 0xffff, true);
        assert_eq!((word.pointer(), word.tag()), (address, 0xffff));
        assert!(!word.is_empty() && !word.is_dead() && !word.is_frozen() && !word.is_moved());
        assert!(word.has_deadline() && !word.dead().has_deadline());
        let word = word.dead().frozen();
        assert!(word.is_dead() && word.is_frozen() && word.pointer() == address);
        assert_eq!(word.thawed(), Word::live(address, 0xffff, false).dead());
        let word = word.moved();
        assert!(word.is_moved() && word.is_final() && !word.is_empty());
        assert!(word.pointer().is_null() && word.tag() == 0xffff);
        assert!(
            !Word::live(address, 0, false).moved().is_empty(),
            "a tag of zero is still occupied"
        );
    }

    #[test]
    fn a_frozen_empty_slot_is_final_and_still_ends_a_chain() {
        let slot = Slot::empty();
        let frozen = slot.freeze(Word::EMPTY).expect("empty");
        assert!(frozen.is_final() && frozen.is_empty());
        assert_eq!(slot.freeze(Word::EMPTY), Err(frozen));
    }
}
