//! The state of all databases at one ticket, while changes go on (after Ren, Diamond, Abadi and
//! Thomson, "Low-Overhead Asynchronous Checkpointing in Main-Memory Database Systems", 2016).
//!
//! A record that was born before the ticket V and is replaced after it *is* the key's state at V:
//! nothing needs to be copied, it must only not be freed. So
//! 1. *Arm*, then take V with a mark in the ring. A changer takes its ticket, then looks whether a
//!    snapshot is armed. If its ticket is later than V it finds so: the ring's `tail` orders the
//!    two.
//! 2. *Wait* until all who were pinned have gone: then every change with a ticket before V has
//!    taken place, and from now on no record born before V changes.
//! 3. *Walk* all tables in the order of hashes and report the records born before V.
//!    Meanwhile a changer that unlinks a record born before V hands it over as an *image*
//!    ([`Images::keep`]) instead of retiring it; an addition to a counter born before V goes by
//!    replacement ([`Images::wants`]); a table that is flushed is kept too.
//! 4. *Disarm, wait* again: whoever has seen the snapshot armed has handed over its image by then.
//! 5. Report the images that were left. Only then may another snapshot begin.
//!
//! A changer whose key the walk has passed hands over nothing ([`Images::wants_image`]). It asks
//! before it unlinks the record: so the record was in its slot when the walk came by. Asked
//! afterwards, the walk may have met the record's successor.
//!
//! A key is reported once, or twice with the same value (the walk met its record, and it was
//! replaced afterwards but before the walk was known to have passed it).
//!
//! An image whose change has a ticket before V is not of the snapshot (its changer only did not yet
//! know V); it is retired unseen.

use super::generation::KeptTable;
use super::{Keyspace, Local, Value};
use crate::record::{KeptRecords, RecordRef, Unlinked};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};
use crate::sync::{Mutex, PoisonError};
use crate::table::{Table, Which};

/// Slots of one step of the walk; the thread is pinned as long as it lasts.
#[cfg(not(any(loom, shuttle)))]
const STEP_SLOTS: usize = 256;
#[cfg(any(loom, shuttle))]
const STEP_SLOTS: usize = 2;

/// No snapshot.
const OFF: u64 = 0;
/// A snapshot whose ticket is not yet known.
const ARMING: u64 = 1;
/// No snapshot, but the last one is not yet done with what was handed over.
const ENDING: u64 = 2;
/// Tickets are greater than the numbers above.
pub(super) const FIRST_TICKET: u64 = 3;

/// What changers do for a snapshot.
#[derive(Default)]
pub(super) struct Images {
    /// OFF, ARMING, the snapshot's ticket, ENDING, and OFF again.
    armed: AtomicU64,
    records: KeptRecords,
    /// Tables that were flushed. Taken by FLUSHDB under a snapshot, never by another change.
    tables: Mutex<Vec<KeptTable>>,
    /// How far the walk is: in this table, hashes below are reported. Set in the order hash 0,
    /// table, hash, and read in the order table, hash: the hash is then of the table or of one
    /// walked later.
    walked_table: AtomicU64,
    walked_hash: AtomicU64,
}

impl Images {
    /// Whether there is a snapshot; to be asked after the ticket was taken.
    #[inline]
    pub(super) fn is_armed(&self) -> bool {
        // Relaxed, here and below: ordered by the ring's tail (see the module).
        !matches!(self.armed.load(Ordering::Relaxed), OFF | ENDING)
    }

    /// Whether a snapshot needs a record of this version as it is; to be asked after the ticket was
    /// taken.
    #[inline]
    pub(super) fn wants(&self, version: u64) -> bool {
        match self.armed.load(Ordering::Relaxed) {
            OFF | ENDING => false,
            ARMING => true,
            ticket => version < ticket,
        }
    }

    /// Whether a snapshot needs a record of a table to be handed over; to be asked after the ticket
    /// was taken and before the record is unlinked.
    #[inline]
    pub(super) fn wants_image(&self, table: u64, record: RecordRef<'_>) -> bool {
        self.wants(record.version()) && !self.is_walked(table, record.hash())
    }

    /// Keeps a record of a table that a change with this ticket has unlinked.
    pub(super) fn keep(&self, table: u64, ticket: u64, unlinked: Unlinked) {
        self.records.push(unlinked, table, ticket);
    }

    /// Whether the walk has passed a key.
    fn is_walked(&self, table: u64, hash: u64) -> bool {
        // Acquire, with the releases in `Snapshot::walked`: the walk came by before, and the hash
        // is not one of an earlier table.
        if planted::is(Planted::WalkedHashFirst) {
            let walked = self.walked_hash.load(Ordering::Acquire);
            return self.walked_table.load(Ordering::Acquire) == table && hash < walked;
        }
        self.walked_table.load(Ordering::Acquire) == table
            && hash < self.walked_hash.load(Ordering::Acquire)
    }

    /// Keeps a table that was flushed.
    pub(super) fn keep_table(&self, table: KeptTable) {
        self.lock_tables().push(table);
    }

    fn lock_tables(&self) -> crate::sync::MutexGuard<'_, Vec<KeptTable>> {
        // A panic while it is held leaves a list behind that is whole.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the records that wait to be reported.
    pub(super) fn bytes(&self) -> u64 {
        self.records.bytes()
    }
}

/// Another snapshot is under way, or changes are not logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotBusy;

/// A key as it was at the ticket.
#[derive(Clone, Copy)]
pub struct SnapshotKey<'s> {
    /// The number of its table.
    pub table: u64,
    /// The key.
    pub key: &'s [u8],
    /// Its value.
    pub value: Value<'s>,
    /// When it expires, in milliseconds of Unix time.
    pub deadline: Option<u64>,
}

/// A snapshot under way. Dropped, it is given up.
pub struct Snapshot<'k> {
    keyspace: &'k Keyspace,
    local: &'k Local,
    images: &'k Images,
    ticket: u64,
    /// The tables of the time, by number.
    tables: Vec<u64>,
    /// How many of them, from the first on, have been walked.
    done: usize,
    /// Where the walk of the last one goes on.
    from: u64,
    /// Tables that were flushed since.
    flushed: Vec<KeptTable>,
    /// Whether everything was given back.
    ended: bool,
}

impl Keyspace {
    /// Begins a snapshot and waits until all changes before it have taken place: as long as the
    /// longest that any thread is pinned. `local` is not pinned meanwhile.
    ///
    /// # Errors
    /// [`SnapshotBusy`] if there is one already, or no log.
    pub fn begin_snapshot<'k>(&'k self, local: &'k Local) -> Result<Snapshot<'k>, SnapshotBusy> {
        let log = self.log().ok_or(SnapshotBusy)?;
        let images = &log.images;
        let early = planted::is(Planted::SnapshotArmedLate).then(|| log.enter_mark());
        // Acquire: the last snapshot is done with what was handed over. For the changers it could
        // be Relaxed: see `Images::is_armed`. Of several who begin one wins.
        images
            .armed
            .compare_exchange(OFF, ARMING, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| SnapshotBusy)?;
        // The tables of the time are all that are there once the earlier changes are over.
        let mut snapshot = Snapshot {
            keyspace: self,
            local,
            images,
            ticket: u64::MAX,
            tables: vec![],
            done: 0,
            from: 0,
            flushed: vec![],
            ended: false,
        };
        snapshot.walked(u64::MAX, 0);
        let mark = early.unwrap_or_else(|| log.enter_mark());
        snapshot.ticket = mark.ticket();
        // Relaxed: a changer that still sees ARMING hands over more than is wanted, never less.
        images.armed.store(snapshot.ticket, Ordering::Relaxed);
        mark.commit();
        log.wake();
        if !planted::is(Planted::SnapshotWithoutFirstGrace) {
            local.participant.synchronize();
        }
        Ok(snapshot)
    }

    /// Bytes of records that are kept for a snapshot.
    pub fn image_bytes(&self) -> u64 {
        self.log().map_or(0, |log| log.images.bytes())
    }
}

impl Snapshot<'_> {
    /// Its ticket, which is that of its mark in the ring.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Says which tables there were at the ticket, by number: who reads the ring knows when it gets
    /// to the mark.
    pub fn set_tables(&mut self, tables: &[u64]) {
        self.tables = tables.to_vec();
    }

    /// Reports some keys. False when all have been reported.
    pub fn step(&mut self, report: &mut dyn FnMut(SnapshotKey<'_>)) -> bool {
        self.report_images(report);
        let Some(&number) = self.tables.get(self.done) else {
            return false;
        };
        let next = self.walk(number, report);
        match next {
            Some(next) => {
                self.from = next;
                self.walked(number, next);
            }
            None => {
                self.done += 1;
                self.from = 0;
                let table = self.tables.get(self.done).copied().unwrap_or(u64::MAX);
                self.walked(table, 0);
            }
        }
        true
    }

    /// Says how far the walk is.
    fn walked(&self, table: u64, hash: u64) {
        let images = self.images;
        // Relaxed: only snapshots write it.
        if images.walked_table.load(Ordering::Relaxed) != table {
            images.walked_hash.store(0, Ordering::Relaxed);
            // Release, here and below, with the Acquire of `Images::is_walked`.
            images.walked_table.store(table, Ordering::Release);
        }
        images.walked_hash.store(hash, Ordering::Release);
    }

    /// Reports a range of a table; returns where the next one begins.
    fn walk(&mut self, number: u64, report: &mut dyn FnMut(SnapshotKey<'_>)) -> Option<u64> {
        let session = self.local.pin();
        // Without a table in its place there was none at the ticket.
        let table = self.keyspace.generations.in_place_of(number, &session.guard)?;
        if table.number() == number {
            return self.walk_table(table, &session.guard, report);
        }
        // Locked no longer than that: a FLUSHDB may wait for it.
        self.flushed.append(&mut self.images.lock_tables());
        match self.flushed.iter().map(KeptTable::table).find(|table| table.number() == number) {
            Some(kept) => self.walk_table(kept, &session.guard, report),
            // Flushed at this moment: it is about to be kept.
            None => Some(self.from),
        }
    }

    fn walk_table(
        &self,
        table: &Table,
        guard: &Guard<'_>,
        report: &mut dyn FnMut(SnapshotKey<'_>),
    ) -> Option<u64> {
        let until = table.range_end(self.from, STEP_SLOTS, guard);
        let mut records = Vec::new();
        table.collect(self.from, until, Which::At(self.ticket), guard, &mut records);
        for record in records.into_iter().filter(|record| record.version() < self.ticket) {
            tell(table.number(), record, report);
        }
        until
    }

    /// Reports what was handed over so far.
    fn report_images(&self, report: &mut dyn FnMut(SnapshotKey<'_>)) {
        let session = self.local.pin();
        for kept in self.images.records.take() {
            let record = kept.unlinked.record();
            // A table that was flushed before the ticket may still see changes.
            let of_the_time = self.tables.contains(&kept.table);
            if record.version() < self.ticket && kept.ticket > self.ticket && of_the_time {
                tell(kept.table, record, report);
            }
            self.images.records.forget_bytes(kept.bytes);
            kept.unlinked.retire(&session.guard);
        }
    }

    /// Ends the snapshot and reports what is left, of the images of the last moment. To be called
    /// once [`step`](Snapshot::step) has said that there is no more.
    pub fn finish(mut self, report: &mut dyn FnMut(SnapshotKey<'_>)) {
        self.end(report);
    }

    fn end(&mut self, report: &mut dyn FnMut(SnapshotKey<'_>)) {
        // No more images. Relaxed: the grace period orders it.
        self.images.armed.store(ENDING, Ordering::Relaxed);
        // All that were on their way arrive.
        if !planted::is(Planted::SnapshotWithoutSecondGrace) {
            self.local.participant.synchronize();
        }
        self.report_images(report);
        self.flushed.append(&mut self.images.lock_tables());
        let session = self.local.pin();
        for table in self.flushed.drain(..) {
            table.retire(&session.guard);
        }
        // Release, with the Acquire of `Keyspace::begin_snapshot`.
        self.images.armed.store(OFF, Ordering::Release);
        self.ended = true;
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() {
            return;
        }
        if !self.ended {
            self.end(&mut |_| {});
        }
    }
}

fn tell(table: u64, record: RecordRef<'_>, report: &mut dyn FnMut(SnapshotKey<'_>)) {
    if let Some(value) = record.value() {
        let (key, deadline) = (record.key(), record.deadline());
        report(SnapshotKey { table, key, value, deadline });
    }
}
