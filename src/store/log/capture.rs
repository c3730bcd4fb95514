//! One entry for everything that a session does meanwhile.
//!
//! Whoever is alone with the keyspace may make any number of changes, of keys as well as of whole
//! tables, and have them logged as one block ([`Session::begin_block`]). The block takes its place
//! in the ring with its first change, and every change has its ticket. What would be an entry is a
//! part instead, which is added when it would be entered and taken back if its change comes to
//! nothing: a migration by another thread may cost a compare-and-swap, and the next attempt tells
//! of the change again.
//!
//! # Alone
//! The rule that a ticket is taken after the key was read and before it is changed holds for a
//! block only if nobody else changes a key between its beginning and its end: somebody's change
//! that it builds on would have a later ticket and be done again after it. That is also true of
//! those who remove what is past its deadline, so the sweep has to stand still as well. Who only
//! moves records (a migration) or reads (a snapshot's walk) may go on.
//!
//! A snapshot waits until the change of every earlier ticket has taken place, which it knows by the
//! pins. So a session in a block is not renewed.

use super::block::{Boundary, Builder};
use super::format::Code;
use super::{Log, Session};
use crate::ring::{Entry, Held};
use std::cell::{Cell, RefCell};

/// Where a session collects the parts of a block.
#[derive(Default)]
pub(in crate::store) struct Capture {
    /// Whether there is a block.
    is_open: Cell<bool>,
    /// The block's ticket, once it has a part.
    ticket: Cell<u64>,
    /// Whether the part that was added last has taken place.
    happened: Cell<bool>,
    collected: RefCell<Option<Box<Collected>>>,
}

struct Collected {
    entry: Held,
    builder: Builder,
    /// The beginning of the last part.
    last: Boundary,
}

impl Collected {
    /// Takes the last part back if it has not taken place.
    fn settle(&mut self, happened: bool) {
        if !happened {
            self.builder.truncate(self.last);
        }
    }
}

impl Session<'_> {
    /// From now on all changes of this session, flushes and exchanges of databases included, become
    /// one block of the log, at this place of it. Nobody else changes keys before
    /// [`end_block`](Session::end_block), and the sweep stands still. Meanwhile
    /// [`renew`](Session::renew) does nothing. Does nothing without a log.
    ///
    /// # Panics
    /// If there is a block already.
    pub fn begin_block(&self) {
        assert!(!self.is_in_block(), "a block inside a block");
        self.capture.is_open.set(self.log.is_some());
    }

    /// The block is complete. A session that is dropped in a block, as by a panic, ends it too:
    /// what is in it has happened.
    pub fn end_block(&self) {
        self.capture.is_open.set(false);
        let Some(mut collected) = self.capture.collected.take() else { return };
        collected.settle(self.capture.happened.get());
        let Collected { entry, builder, .. } = *collected;
        // Else it is void.
        if !builder.is_empty() {
            entry.commit(builder.boxed());
        }
    }

    /// Whether changes become parts of a block.
    #[inline]
    pub(in crate::store) fn is_in_block(&self) -> bool {
        self.capture.is_open.get()
    }

    /// Adds a part to the block, which counts if the entry is committed.
    #[cold]
    pub(super) fn enter_part<'a>(
        &'a self,
        log: &'a Log,
        add: impl FnOnce(&mut Builder),
    ) -> Entry<'a> {
        let Capture { ticket, happened, collected, .. } = &self.capture;
        {
            let mut collected = collected.borrow_mut();
            let collected = collected.get_or_insert_with(|| {
                // Only now: who changes nothing needs no room. Nobody else makes changes, so the
                // place is as good as one at the beginning.
                let entry = log.ring.hold();
                let builder = Builder::new();
                let last = builder.end();
                ticket.set(entry.ticket());
                happened.set(true);
                Box::new(Collected { entry, builder, last })
            });
            collected.settle(happened.get());
            collected.last = collected.builder.end();
            add(&mut collected.builder);
        }
        happened.set(false);
        log.ring.enter_part(ticket.get(), happened)
    }

    /// Takes a place for the flush of a table.
    pub(in crate::store) fn enter_flush(&self, table: u64) -> Option<Entry<'_>> {
        self.enter_plain(Code::Flush, table, 0)
    }

    /// Takes a place for the exchange of two databases.
    pub(in crate::store) fn enter_swap(&self, one: usize, other: usize) -> Option<Entry<'_>> {
        self.enter_plain(Code::Swap, one as u64, other as u64)
    }

    fn enter_plain(&self, code: Code, table: u64, number: u64) -> Option<Entry<'_>> {
        let log = self.log?;
        let entry = match self.is_in_block() {
            false => log.enter_plain(code, table, number),
            true => self.enter_part(log, |block| block.push_plain(code, table, number, b"", b"")),
        };
        self.note_entry(&entry);
        Some(entry)
    }
}
