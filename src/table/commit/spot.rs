//! A slot with an intent: what it stands for, and how it goes.

use super::super::Table;
use super::super::array::Array;
use super::super::journal::BlockJournal;
use super::super::slot::{Word, tag_of};
use super::{Commit, Effect, Status};
use crate::record::{
    Birth, Header, Intent, Key, Kind, OwnedRecord, RecordRef, Unlinked, retire_both,
};
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};

/// Where an intent stands.
pub(super) struct Spot<'g> {
    pub(super) table: &'g Table,
    pub(super) array: &'g Array,
    pub(super) index: usize,
    pub(super) word: Word,
}

impl<'g> Spot<'g> {
    /// Somebody else's intent is in the way of a change: has it decided, and finishes it.
    pub(super) fn settle(&self, guard: &Guard<'_>) {
        let Some(intent) = self.intent() else { return };
        let commit = Commit::of(intent);
        if !commit.await_decision() {
            match commit.status() {
                // Where the log has no room, to help would be to wait for it.
                Status::Ready if commit.one_table && self.has_room() => {
                    let _ = Commit::share(intent).carry_out(guard, false);
                }
                _ => {
                    let _ = commit.fail();
                }
            }
        }
        self.finish(guard);
    }

    fn has_room(&self) -> bool {
        self.table.journal().is_none_or(BlockJournal::has_room)
    }

    fn intent(&self) -> Option<&'g Intent> {
        // SAFETY: loaded under a pin that lasts 'g.
        unsafe { self.word.record::<'g>() }.and_then(RecordRef::intent)
    }

    /// Puts in the place of an intent what its decided commit has come to, unless somebody has.
    pub(super) fn finish(&self, guard: &Guard<'_>) {
        let Some(intent) = self.intent() else { return };
        let commit = Commit::of(intent);
        let entry = &commit.entries[intent.index()];
        let before = Word::kept(intent.before());
        // SAFETY: as in `settle_counter`.
        let old = unsafe { before.record::<'g>() };
        // SAFETY: as above.
        let was_live = unsafe { before.is_live() };
        let (new, ticket, kept) = match commit.status() {
            Status::Open | Status::Ready => return,
            Status::Committed(ticket) => {
                let kept = entry.effect() == Effect::Kept;
                if !kept && ticket != 0 {
                    entry.record().set_version(ticket);
                }
                (entry.record().as_ptr(), ticket, kept)
            }
            Status::Failed => (roll_back(old, was_live, commit, self), 0, true),
        };
        // SAFETY: the commit's, or made just now.
        let record = unsafe { RecordRef::from_raw(new) };
        let is_live = record.kind() != Kind::Absent;
        let word = match is_live {
            true => Word::live(new, tag_of(record.hash()), record.has_deadline()),
            false => Word::absent(new, tag_of(record.hash())),
        };
        let journal = self.table.journal().filter(|_| was_live && !kept);
        let keeper = journal
            .filter(|journal| old.is_some_and(|old| journal.wants(self.table.number(), old)));
        if self.array.slot(self.index).publish(self.word, word).is_err() {
            if matches!(commit.status(), Status::Failed) {
                // SAFETY: made just now, and not published.
                drop(unsafe { OwnedRecord::from_raw(new) });
            }
            return;
        }
        self.count(before, was_live, word, record, guard);
        let intent = self.word.pointer();
        match (old, keeper) {
            // SAFETY: the slot was the only one that led to the intent, which this thread's
            // exchange has unlinked, and the intent the only way to the old record.
            (Some(old), None) => unsafe { retire_both(guard, intent, old.as_ptr()) },
            (old, keeper) => {
                if let (Some(old), Some(keeper)) = (old, keeper) {
                    // SAFETY: as above.
                    let unlinked = unsafe { Unlinked::new(old.as_ptr()) };
                    keeper.keep(self.table.number(), ticket, unlinked);
                }
                // SAFETY: as above.
                unsafe { Unlinked::new(intent) }.retire(guard);
            }
        }
    }

    /// Counts what has become of the key.
    fn count(
        &self,
        before: Word,
        was_live: bool,
        word: Word,
        record: RecordRef<'_>,
        guard: &Guard<'_>,
    ) {
        let (is_live, hash) = (record.kind() != Kind::Absent, record.hash());
        let (table, array) = (self.table, self.array);
        table.count_deadlines(before.has_deadline(), word.has_deadline());
        if was_live != is_live {
            table.live.add(if is_live { 1 } else { -1 });
        }
        match (was_live || before.is_empty(), is_live) {
            (true, false) => {
                array.count_dead();
                if was_live {
                    table.clean(array, hash, guard);
                }
            }
            (false, true) => array.count_revived(),
            _ => {}
        }
    }
}

/// What stands for a key after its commit has failed.
fn roll_back(
    old: Option<RecordRef<'_>>,
    was_live: bool,
    commit: &Commit,
    spot: &Spot<'_>,
) -> *mut Header {
    let record = match old {
        Some(old) if was_live => match old.counter() {
            Some(counter) if planted::is(Planted::RollBackWithoutFreeze) => {
                OwnedRecord::counter_twin(old, counter.get())
            }
            _ => OwnedRecord::twin(old),
        },
        _ => {
            // SAFETY: loaded under the pin of the spot.
            let key = unsafe { spot.word.record() };
            let bytes = key.map_or(&b""[..], RecordRef::key);
            let hash = key.map_or(0, RecordRef::hash);
            // The same absence as before, if it had a name.
            let version = old.map_or(commit.number, RecordRef::version);
            OwnedRecord::absent(&Birth::of(Key { bytes, hash }, version))
        }
    };
    record.into_raw()
}

/// What stands for the key of an intent now: the record, if the key is present.
#[cold]
pub(in crate::table) fn record_now<'g>(intent: &'g Intent) -> Option<RecordRef<'g>> {
    record_by(intent, |_| true)
}

/// What stood for the key of an intent at a ticket, for a walk that began after it: a commit with
/// a later ticket has not taken place.
#[cold]
pub(in crate::table) fn record_at<'g>(intent: &'g Intent, ticket: u64) -> Option<RecordRef<'g>> {
    record_by(intent, |committed| committed < ticket)
}

/// The version of the absence that the key of an intent has now, if it has one.
#[cold]
pub(in crate::table) fn absence_now(intent: &Intent) -> Option<u64> {
    let commit = Commit::of(intent);
    match commit.status() {
        Status::Committed(_) => match record_by(intent, |_| true) {
            Some(_) => None,
            None => Some(commit.entries[intent.index()].record().version()),
        },
        _ => {
            let before = Word::kept(intent.before());
            // SAFETY: as in `record_by`.
            let (live, record) = unsafe { (before.is_live(), before.record()) };
            record.filter(|_| !live).map(RecordRef::version)
        }
    }
}

fn record_by<'g>(
    intent: &'g Intent,
    has_happened: impl FnOnce(u64) -> bool,
) -> Option<RecordRef<'g>> {
    let commit = Commit::of(intent);
    match commit.status() {
        Status::Committed(ticket) if has_happened(ticket) => {
            let entry = &commit.entries[intent.index()];
            if entry.effect() != Effect::Kept && ticket != 0 {
                entry.record().set_version(ticket);
            }
            let pointer = entry.record().as_ptr();
            // SAFETY: the intent stands, or stood under the pin 'g, so its successor is retired
            // only after this pin.
            let record = unsafe { RecordRef::from_raw(pointer) };
            (record.kind() != Kind::Absent).then_some(record)
        }
        _ => {
            let before = Word::kept(intent.before());
            // SAFETY: retired only after the intent is unlinked, and that was under the pin 'g.
            unsafe { before.is_live() }.then(|| unsafe { before.record() }).flatten()
        }
    }
}

/// Frees what an intent keeps, if the record is one: the record before it, and the one after it
/// that was not put in its place.
///
/// # Safety
/// Nobody else can reach the record, and it is freed after this.
pub(in crate::table) unsafe fn release_kept(record: *mut Header) {
    // SAFETY: the caller's promise.
    let record = unsafe { RecordRef::from_raw(record) };
    let Some(intent) = record.intent() else { return };
    let commit = Commit::of(intent);
    let before = Word::kept(intent.before()).pointer();
    let after = match commit.status() {
        Status::Committed(_) => commit.entries[intent.index()].record().as_ptr(),
        _ => std::ptr::null_mut(),
    };
    for kept in [before, after] {
        if !kept.is_null() {
            // SAFETY: the intent was the only one that led to it.
            unsafe { crate::record::release_now(kept) };
        }
    }
}

impl Table {
    /// An intent is in the way of a change of its key: has it decided and finished.
    #[cold]
    pub(in crate::table) fn settle(
        &self,
        array: &Array,
        index: usize,
        word: Word,
        guard: &Guard<'_>,
    ) {
        Spot { table: self, array, index, word }.settle(guard);
    }

    /// An intent is in the way of a migration: aborts it if need be, and finishes it.
    #[cold]
    pub(in crate::table) fn clear(
        &self,
        array: &Array,
        index: usize,
        word: Word,
        guard: &Guard<'_>,
    ) {
        let spot = Spot { table: self, array, index, word };
        if let Some(intent) = spot.intent() {
            let _ = Commit::of(intent).fail();
        }
        spot.finish(guard);
    }
}
