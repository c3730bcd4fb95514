//! Transactions of a session: several keys, changed or read at one instant.
//!
//! Between [`Session::begin`] and [`Session::commit`] all operations of the session on keys go to
//! the thread's `table::Transaction`, which nobody else sees; so whatever makes up a command
//! works in a transaction as it does alone. Two things differ: nothing is changed in place, and
//! the session is not renewed until it is over.
//!
//! A key that a transaction finds past its deadline is removed before, by an operation of its own.

use super::witness::What;
use super::{Database, Key, Keyspace, NewValue, Session};
use crate::record::{OwnedRecord, RecordRef};
use crate::table::{Committed, Decision, Table};

/// Marks the versions of absences that no change has left behind, so that none is a ticket.
const NO_TICKET: u64 = 1 << 63;

/// What a key was at a time, to be told from what it is later. Holds nothing of the table, so it
/// may outlive any pin.
#[derive(Debug)]
pub struct Watched {
    database: usize,
    /// The number of its table.
    table: u64,
    /// How often its database was exchanged with another.
    swaps: u64,
    key: Box<[u8]>,
    was: Was,
}

/// What it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Was {
    /// The record of this version, with this value if it is a counter.
    Present { version: u64, number: Option<i64> },
    /// Nothing, since the absence of this version.
    Absent { since: u64 },
}

impl Session<'_> {
    /// Whether a transaction is under way.
    #[inline]
    pub fn in_transaction(&self) -> bool {
        self.transacts
    }

    /// Begins a transaction: from now on the session sees and makes changes in private.
    pub fn begin(&mut self) {
        debug_assert!(!self.transacts);
        let mut transaction = self.local.transaction.borrow_mut();
        transaction.begin(&self.guard, || self.unlogged_version());
        drop(transaction);
        self.local.inserted.borrow_mut().clear();
        self.transacts = true;
    }

    /// [`begin`](Session::begin) for what only reads.
    pub fn begin_reading(&mut self) {
        // An attempt that was lost is followed by an ordinary one.
        if self.attempts {
            return self.begin();
        }
        debug_assert!(!self.transacts);
        self.local.transaction.borrow_mut().begin_reading();
        self.transacts = true;
    }

    /// Makes all changes at one instant, if everything that was read is still so. False: nothing
    /// has happened, and all is to be done again from [`begin`](Session::begin) on, or
    /// [`abandon`](Session::abandon)ed. After some lost attempts the next one is protected.
    #[must_use]
    pub fn commit(&mut self) -> bool {
        let number = self.unlogged_version();
        let mut transaction = self.local.transaction.borrow_mut();
        let lapsed = transaction.lapsed() as u64;
        let committed =
            transaction.commit(&self.guard, number, |table| self.scribe(table.number()));
        drop(transaction);
        self.transacts = false;
        self.attempts = committed == Committed::Lost;
        if committed != Committed::Lost {
            self.local.expired.set(self.local.expired.get() + lapsed);
        }
        if let Committed::Done(Some(ticket)) = committed {
            self.note_block(ticket);
        }
        if !self.attempts {
            for (database, hash) in self.local.inserted.borrow_mut().drain(..) {
                self.note_inserted(database, hash);
            }
        }
        !self.attempts
    }

    /// Forgets a transaction, if there is one, and its attempts.
    pub fn abandon(&mut self) {
        if self.transacts || self.attempts {
            self.local.transaction.borrow_mut().abandon(&self.guard);
            self.transacts = false;
            self.attempts = false;
        }
    }

    /// Whether a watched key is as it was. In a transaction it then counts as read. An absent key
    /// of a database that was flushed or exchanged meanwhile counts as changed: what it was before
    /// that is not known any more.
    pub fn is_unchanged(&self, keyspace: &Keyspace, watched: &Watched) -> bool {
        let (database, key) = (keyspace.database(watched.database), keyspace.key(&watched.key));
        let table = match self.transacts {
            true => database.table_in_transaction(self),
            false => database.obtain(self),
        };
        if table.number() != watched.table || database.swaps(self) != watched.swaps {
            self.expose_all();
            return false;
        }
        let found = database.find(self, key);
        match (watched.was, found) {
            (Was::Present { version, number }, Some(record)) => {
                let now = record.counter().map(|counter| counter.get());
                record.version() == version && now == number
            }
            (Was::Absent { since }, None) if !self.transacts => {
                let version = self.unlogged_version();
                table.name_absence(key, &self.guard, version) == Some(since)
            }
            (Was::Absent { since }, None) => {
                self.local.transaction.borrow_mut().expect_since(table, key, since)
            }
            _ => false,
        }
    }

    /// A version that is no ticket, and that nothing else has.
    fn unlogged_version(&self) -> u64 {
        self.version() | NO_TICKET
    }

    /// Notes that a commit was logged as a block.
    fn note_block(&self, ticket: u64) {
        self.wrote.set(true);
        if self.strict {
            self.expose(ticket + 1);
        }
    }
}

impl Database<'_> {
    /// What a key is now, to be compared later.
    pub fn watch(&self, session: &Session<'_>, key: Key<'_>) -> Watched {
        let table = self.obtain(session);
        let was = loop {
            if let Some(record) = self.find(session, key) {
                let number = record.counter().map(|counter| counter.get());
                break Was::Present { version: record.version(), number };
            }
            // An absence needs a name to be told from another one.
            if let Some(since) = table.name_absence(key, &session.guard, session.unlogged_version())
            {
                break Was::Absent { since };
            }
            // Past its deadline, and cannot be removed now: no absence has this version.
            if !session.may_expire() {
                break Was::Absent { since: 0 };
            }
        };
        let (database, swaps) = (self.index(), self.swaps(session));
        Watched { database, table: table.number(), swaps, key: key.bytes.into(), was }
    }

    /// The record of a key as the transaction sees it.
    #[cold]
    pub(super) fn find_in_transaction<'g>(
        &self,
        session: &'g Session<'_>,
        key: Key<'_>,
    ) -> Option<RecordRef<'g>> {
        let table = self.table_in_transaction(session);
        // Each further turn follows the removal of the key by somebody.
        loop {
            let mut transaction = session.local.transaction.borrow_mut();
            let found = transaction.find(table, key, &session.guard);
            if !found.is_first {
                let record = found.record?;
                if !session.is_over(record) {
                    return Some(record);
                }
                // The transaction has put a record whose deadline is past.
                if session.may_expire() {
                    transaction.lapse(table, key, session.version());
                    if session.is_witness() {
                        session.bear_witness(What::Expired, self.index(), key, false);
                    }
                }
                return None;
            }
            session.expose_record(found.record);
            if !found.record.is_some_and(|record| session.is_over(record)) {
                return found.record;
            }
            let may_go = session.may_expire();
            // A key that is held still cannot be removed by the way.
            if !may_go || transaction.is_protected() {
                transaction.hide_last(may_go);
                if may_go && session.is_witness() {
                    session.bear_witness(What::Expired, self.index(), key, false);
                }
                return None;
            }
            transaction.forget_last();
            drop(transaction);
            self.expire_in(table, session, key);
        }
    }

    /// The table of the database, the same for the whole transaction: a flush meanwhile is a flush
    /// after it.
    fn table_in_transaction<'g>(&self, session: &'g Session<'_>) -> &'g Table {
        let mut transaction = session.local.transaction.borrow_mut();
        transaction.table(self.index(), &session.guard, || self.obtain(session))
    }

    pub(super) fn set_in_transaction(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        value: &NewValue<'_>,
    ) {
        if session.is_witness() && self.find_in_transaction(session, key).is_none() {
            session.bear_witness(What::New, self.index(), key, false);
        }
        let record = OwnedRecord::new(&session.birth(key, None), value);
        let table = self.table_in_transaction(session);
        // A blind write does not depend on what is there; its history is only looked at.
        let current = match session.keeps_history() {
            true => table.get(key, &session.guard),
            false => None,
        };
        session.note_put(self.index(), current, &record);
        session.local.transaction.borrow_mut().put_blind(table, key, record);
    }

    pub(super) fn update_in_transaction<'g, R>(
        &self,
        session: &'g Session<'_>,
        key: Key<'_>,
        mut decide: impl FnMut(Option<RecordRef<'g>>) -> Decision<R>,
    ) -> R {
        let table = self.table_in_transaction(session);
        let current = self.find_in_transaction(session, key);
        loop {
            match decide(current) {
                // An APPEND looks again for one that is ahead of it, a few times.
                Decision::Again => {}
                Decision::Keep(result) => {
                    if let Some(record) = current {
                        session.note_use(record);
                    }
                    return result;
                }
                Decision::Put(record, tag, result) => {
                    if current.is_none() && session.is_witness() {
                        session.bear_witness(What::New, self.index(), key, false);
                    }
                    session.note_put(self.index(), current, &record);
                    let mut transaction = session.local.transaction.borrow_mut();
                    transaction.put(table, key, record, tag);
                    return result;
                }
                Decision::Remove(version, result) | Decision::Discard(version, result) => {
                    if current.is_some() {
                        let mut transaction = session.local.transaction.borrow_mut();
                        transaction.remove(table, key, version);
                    }
                    return result;
                }
            }
        }
    }
}
