//! What a table tells of its changes, for a log of them in their order.
//!
//! A mutation asks its journal for a place in the order of all changes after it has read the key
//! and before the compare-and-swap that changes it. So of two changes that build on one another the
//! first has the earlier place: the later one has read what the first published, and the first had
//! its place by then. The new record is born with that place as its version.

use crate::record::{Key, RecordRef, Unlinked};
use crate::ring::Entry;

/// What is about to be published.
#[derive(Clone, Copy)]
pub enum Written<'r> {
    /// This record, and what of it is new.
    Put(RecordRef<'r>, Tag),
    /// The key's absence.
    Removed,
}

/// What of a record is new, compared with the one that it replaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// The value and the deadline.
    Whole,
    /// The deadline.
    Deadline,
    /// The last bytes of the value, so many.
    Tail(usize),
    /// The bytes of the value from an offset on, so many; zeros come before them if it was shorter.
    Range(usize, usize),
    /// The value, which is a number, by an addition.
    Added(i64),
}

/// Where the changes of a table are told.
pub trait Journal {
    /// Takes a place for a change. The entry is committed once the change has taken place.
    fn enter(&self, key: Key<'_>, written: Written<'_>) -> Entry<'_>;

    /// Whether a record is to be handed over once it is unlinked. To be asked after
    /// [`enter`](Journal::enter), and before the change: what is not wanted while the record is in
    /// its slot is not wanted afterwards, but what was wanted may have come to be past.
    fn wants(&self, record: RecordRef<'_>) -> bool;

    /// Takes over a wanted record that the change of this ticket has unlinked.
    fn keep(&self, ticket: u64, unlinked: Unlinked);
}

/// One key's part of a commit over several keys.
#[derive(Clone, Copy)]
pub struct Part<'p> {
    /// The number of its table.
    pub table: u64,
    /// The key.
    pub key: Key<'p>,
    /// What is about to be published.
    pub written: Written<'p>,
}

/// Where commits over several keys are told. As with [`Journal`], the place is taken after all keys
/// were read and before the commit is decided.
pub trait BlockJournal: Send + Sync {
    /// Takes one place for all parts; `None` without a log or without a part. The entry is
    /// committed once the commit is decided.
    fn enter_block(&self, parts: &mut dyn Iterator<Item = Part<'_>>) -> Option<Entry<'_>>;

    /// Whether a record of a table is to be handed over once it is unlinked: as
    /// [`Journal::wants`].
    fn wants(&self, table: u64, record: RecordRef<'_>) -> bool;

    /// Takes over a wanted record of a table that the commit of this ticket has unlinked.
    fn keep(&self, table: u64, ticket: u64, unlinked: Unlinked);

    /// Whether there is room for a commit of somebody else.
    fn has_room(&self) -> bool;

    /// Tells the log that there is something for it.
    fn wake(&self);
}

/// No journal: changes are not told.
#[derive(Clone, Copy, Debug)]
pub enum Silent {}

impl BlockJournal for Silent {
    fn enter_block(&self, _: &mut dyn Iterator<Item = Part<'_>>) -> Option<Entry<'_>> {
        match *self {}
    }

    fn wants(&self, _: u64, _: RecordRef<'_>) -> bool {
        match *self {}
    }

    fn keep(&self, _: u64, _: u64, _: Unlinked) {
        match *self {}
    }

    fn has_room(&self) -> bool {
        match *self {}
    }

    fn wake(&self) {
        match *self {}
    }
}

impl Journal for Silent {
    fn enter(&self, _: Key<'_>, _: Written<'_>) -> Entry<'_> {
        match *self {}
    }

    fn wants(&self, _: RecordRef<'_>) -> bool {
        match *self {}
    }

    fn keep(&self, _: u64, _: Unlinked) {
        match *self {}
    }
}
