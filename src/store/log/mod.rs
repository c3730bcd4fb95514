//! What is written of a change into the ring, and read from it by the log.
//!
//! An entry tells the effect on one key, never the command that had it, in a form that a log can
//! replay at any later time: a time is absolute, a key that has expired is one that was removed, an
//! addition is its delta (additions in place commute, sums do not).
//!
//! A key belongs to a *table*, by number: the tables that follow one another in a place of the
//! keyspace, through FLUSHDB, have the numbers `place`, `place + databases`, and so on. The reader
//! learns from [`Logged::Flush`] which tables are gone, so a change of a table that is flushed at
//! the same time may have a later ticket than the flush and still counts as before it; and from
//! [`Logged::Swap`] which database a place belongs to.
//!
//! What happens at one instant is one entry, a [`Block`] if it is more than one thing: a commit
//! over several keys ([`BlockJournal`]), or all that somebody does who is alone with the keyspace
//! (module `capture`).
//!
//! # Exposure
//! Under a strict log a reply waits until the log has what it shows. Each operation notes the
//! position that the log must have reached ([`Session::expose`]): past its own ticket, past the
//! version of the record that it read, and where no record says it (an absent key, a counter that
//! is changed in place, the size of a database) past everything that has a ticket when the
//! positions are asked for ([`Local::take_exposed`]), since what was found may be read until then.
//! A database that was exchanged with another shows that too, by whatever is found in it.
//!
//! [`BlockJournal`]: crate::table::BlockJournal
//! [`Local::take_exposed`]: super::Local::take_exposed

mod block;
mod capture;
mod format;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use block::Block;
pub(super) use capture::Capture;
pub use format::{Effect, Logged};

use super::snapshot::Images;
use super::{Key, Session};
use crate::record::{RecordRef, Unlinked};
use crate::ring::{Entry, Ring};
use crate::sync::Arc;
use crate::sync::plain::{AtomicBool, Ordering};
use crate::sync::planted::{self, Planted};
use crate::table::{Journal, Written};
use bytes::Bytes;
use format::{Code, Start, Told, ToldValue};

/// A position that is past everything that has a ticket when it is looked at.
pub(super) const EVERYTHING: u64 = u64::MAX;

/// The keyspace's end of the ring.
pub struct Log {
    ring: Arc<Ring>,
    /// Whether replies wait for the log.
    strict: AtomicBool,
    pub(super) images: Images,
}

impl Log {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        Self { ring, strict: AtomicBool::new(false), images: Images::default() }
    }

    /// Whether a thread may begin with changes, as many as a window of commands makes; to be asked
    /// while it is not pinned.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.ring.has_room()
    }

    /// Has changes written that were made so far, if the log sleeps. See [`Local::defer_wakes`].
    ///
    /// [`Local::defer_wakes`]: super::Local::defer_wakes
    pub fn wake(&self) {
        self.ring.wake();
    }

    /// The ring.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Whether operations note what their replies expose ([`Local::take_exposed`]).
    ///
    /// [`Local::take_exposed`]: super::Local::take_exposed
    pub fn set_strict(&self, strict: bool) {
        // Relaxed: who turned it on waits for nothing that was under way.
        self.strict.store(strict, Ordering::Relaxed);
    }

    /// Whether replies wait for what they tell of.
    #[inline]
    pub fn is_strict(&self) -> bool {
        self.strict.load(Ordering::Relaxed)
    }

    /// Takes a place for a mark.
    pub(super) fn enter_mark(&self) -> Entry<'_> {
        self.enter_plain(Code::Mark, 0, 0)
    }

    fn enter_plain(&self, code: Code, table: u64, number: u64) -> Entry<'_> {
        self.enter(Start::new(code, table, number), b"", b"")
    }

    /// Takes a place for an entry with a short value.
    #[inline]
    fn enter(&self, mut start: Start, key: &[u8], value: &[u8]) -> Entry<'_> {
        match start.inline(key.len(), value.len()) {
            Some(head) => self.ring.enter(&[head, key, value]),
            None => {
                let boxed = start.boxed(key, Bytes::copy_from_slice(value));
                self.ring.enter_boxed(boxed)
            }
        }
    }

    /// Takes a place for the change of a key.
    #[inline]
    fn enter_written(&self, table: u64, key: &[u8], written: Written<'_>) -> Entry<'_> {
        let Written::Put(record, tag) = written else {
            return self.enter(Start::new(Code::Remove, table, 0), key, b"");
        };
        let mut digits = itoa::Buffer::new();
        let Told { code, number, value } = Told::of(record, tag, &mut digits);
        let start = Start::new(code, table, number);
        match value {
            ToldValue::Bytes(value) => self.enter(start, key, value),
            ToldValue::Large(value) => self.ring.enter_boxed(start.boxed(key, value.to_bytes())),
        }
    }
}

/// Tells of the changes of one table in one session.
pub(super) struct Scribe<'s> {
    log: &'s Log,
    session: &'s Session<'s>,
    table: u64,
}

impl<'s> Session<'s> {
    /// Who tells of the changes of a table, if they are logged.
    #[inline]
    pub(super) fn scribe(&'s self, table: u64) -> Option<Scribe<'s>> {
        self.log.map(|log| Scribe { log, session: self, table })
    }
}

impl Session<'_> {
    /// Notes that an entry was made, which its thread has to tell the log at the end.
    #[inline]
    pub(super) fn note_entry(&self, entry: &Entry<'_>) {
        self.wrote.set(true);
        if self.strict {
            self.expose(entry.ticket() + 1);
        }
    }

    /// Notes that the reply must not go out before the log has reached a position.
    #[inline]
    pub(super) fn expose(&self, position: u64) {
        self.local.exposed.set(self.local.exposed.get().max(position));
    }

    /// Notes that the reply shows everything that has happened so far.
    #[inline]
    pub fn expose_all(&self) {
        if let Some(log) = self.log.filter(|_| self.strict) {
            match planted::is(Planted::ExposedEarly) {
                true => self.expose(log.ring.tail()),
                false => self.expose(EVERYTHING),
            }
        }
    }

    /// Notes that the reply shows a key's record, or its absence.
    #[inline]
    pub(super) fn expose_record(&self, record: Option<RecordRef<'_>>) {
        if !self.strict {
            return;
        }
        match record {
            Some(record) if record.counter().is_none() => self.expose(record.version() + 1),
            // Additions in place leave the version as it is; an absence may have none.
            _ => self.expose_all(),
        }
    }
}

impl Scribe<'_> {
    /// Takes a place for an addition in place to a record; `None` if it must not be done so,
    /// because a snapshot needs the record as it is.
    #[inline]
    pub(super) fn enter_addition(
        &self,
        key: Key<'_>,
        record: RecordRef<'_>,
        delta: i64,
    ) -> Option<Entry<'_>> {
        let (table, number) = (self.table, delta as u64);
        let entry = match self.session.is_in_block() {
            false => self.log.enter(Start::new(Code::Add, table, number), key.bytes, b""),
            // Additions commute, so they may be in place here as well.
            true => self.session.enter_part(self.log, |block| {
                block.push_plain(Code::Add, table, number, key.bytes, b"");
            }),
        };
        self.session.note_entry(&entry);
        // After the ticket: see the snapshot.
        let wanted = self.log.images.wants(record.version()) && !planted::is(Planted::AddToImage);
        (!wanted).then_some(entry)
    }
}

impl Journal for Scribe<'_> {
    #[inline]
    fn enter(&self, key: Key<'_>, written: Written<'_>) -> Entry<'_> {
        let entry = match self.session.is_in_block() {
            false => self.log.enter_written(self.table, key.bytes, written),
            true => self
                .session
                .enter_part(self.log, |block| block.push(self.table, key.bytes, written)),
        };
        self.session.note_entry(&entry);
        entry
    }

    #[inline]
    fn wants(&self, record: RecordRef<'_>) -> bool {
        self.log.images.wants_image(self.table, record)
    }

    #[cold]
    fn keep(&self, ticket: u64, unlinked: Unlinked) {
        self.log.images.keep(self.table, ticket, unlinked);
    }
}
