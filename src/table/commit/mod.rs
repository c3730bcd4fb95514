//! Commits over several keys: one instant for all of them, without a lock. A multi-word
//! compare-and-swap after Guerraoui, Kogan, Marathe and Zablotchi, "Efficient Multi-word Compare
//! and Swap" (2020).
//!
//! A [`Commit`] lists its keys in order, each with what it expects there and the record that is to
//! come. It is *installed* key by key: an *intent* (`record::Intent`) takes the place of the slot's
//! word and keeps that word. When all stand, one compare-and-swap of the commit's status decides
//! for all keys at once: this is the linearization point. Then each intent is *finished*: the new
//! record takes its place, or, of a commit that failed, a twin of the old one.
//!
//! ```text
//! OPEN ──the owner knows the outcome──> READY ──all intents stand──> COMMITTED | ticket
//!   │                                     │
//!   └─────────── aborted ──────> FAILED <─┘  not as expected, or in the way of a migration
//! ```
//!
//! # Who does what
//! * The *owner* makes the commit READY, or, when it has lost too often, OPEN: it installs first,
//!   computes on values that stand still, and makes it READY then.
//! * *Readers* never wait: while a commit is not decided, the word that the intent keeps counts.
//! * A *writer* that meets an intent waits a moment and then carries a READY commit out itself, all
//!   of it. An OPEN one it cannot carry out: after some patience it aborts it. Nor can it one over
//!   several tables, since it holds by its own pin only the table that it has come through.
//! * A *migration* aborts an undecided commit that is in its way. Helping could go round in a
//!   circle here, as chains follow no order of keys; and what it moves, it moves once.
//!
//! Keys are installed in the order of (table, hash, key), so whoever helps somebody who helps
//! somebody else meets ever greater keys, and does not come back to itself.
//!
//! # Invariants
//! * **Undecided intents stay**: an intent is neither frozen nor copied; its word changes by
//!   finishing only, and only after the decision.
//! * **Fresh words**: each attempt to install makes a new intent, and a commit that fails is rolled
//!   back to a twin of the old record, never to the old word. So no word returns to a slot.
//! * **Word, status, exchange**: an intent is installed by loading the slot's word, finding the
//!   commit undecided *afterwards*, and exchanging that word. If the commit was committed between
//!   the last two, an intent of it stood in the slot at that time, and the exchange fails. If it
//!   failed, the intent comes late; whoever has installed it finishes it again.
//! * **Ownership**: an intent shares the commit, so one that comes late finds it alive. The new
//!   records belong to the commit until they are published, each once.
//! * **Freeze before the decision**: whoever has seen an intent of the commit in a slot freezes the
//!   counter that it replaces, and compares its value with the expected one, before it goes on. So
//!   no addition in place succeeds after the decision.
//! * **Ticket before the decision**: the block's place in the log is taken when all intents stand
//!   and before the status changes. What changes one of the keys later has read the decision, and
//!   so takes a later ticket. Of several who carry the commit out, the winner's entry counts.
//!
//! A record's successor in its slot takes the place of the intent, but the record was replaced at
//! the decision. So a walk for a snapshot asks an intent for its key's state *at the ticket*
//! ([`record_at`]), and who finishes an intent may ask afterwards whether the walk has passed.

mod install;
mod spot;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub(super) use spot::{absence_now, record_at, record_now, release_kept};

use super::Table;
use super::journal::{Part, Tag, Written};
use super::slot::Word;
use crate::record::{Birth, Header, Intent, Key, OwnedRecord, RecordRef};
use crate::sync::atomic::{self, AtomicU64};
use crate::sync::epoch::Guard;
use crate::sync::{Arc, DataCell};
use std::cmp::Ordering;

const OPEN: u64 = 0;
const READY: u64 = 1;
const FAILED: u64 = 2;
const COMMITTED: u64 = 3;
const TICKET_SHIFT: u32 = 2;

/// How far a commit has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Its owner is still computing.
    Open,
    /// Anybody may carry it out.
    Ready,
    /// Nothing has happened.
    Failed,
    /// It has taken place, with this ticket; 0 if nothing was logged.
    Committed(u64),
}

impl Status {
    fn is_decided(self) -> bool {
        matches!(self, Status::Failed | Status::Committed(_))
    }
}

/// What a key must hold for the commit to take place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    /// Anything.
    Any,
    /// Nothing.
    Absent,
    /// Nothing since the absence of this version.
    AbsentSince(u64),
    /// The record of this version, with this value if it is a counter.
    Present { version: u64, number: Option<i64> },
}

impl Expected {
    /// Whether a slot without an intent has it. A counter's value is compared once it is frozen.
    fn is_met(self, word: Word, record: Option<RecordRef<'_>>) -> bool {
        // SAFETY: `record` is the word's, loaded under the caller's pin.
        let live = unsafe { word.is_live() };
        let version = record.map(RecordRef::version);
        match self {
            Expected::Any => true,
            Expected::Absent => !live,
            Expected::AbsentSince(since) => !live && version == Some(since),
            Expected::Present { version: expected, .. } => live && version == Some(expected),
        }
    }
}

/// What a commit does to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// It stays as it is.
    Kept,
    /// It gets the record, of which this is new.
    Put(Tag),
    /// It becomes absent.
    Removed,
}

/// What is to stand in a key's slot: never null, and always of the key.
pub(super) struct Outcome {
    pub(super) record: *mut Header,
    pub(super) effect: Effect,
}

/// One key of a commit.
pub(super) struct Entry {
    table: *const Table,
    hash: u64,
    expected: Expected,
    /// Written by the owner while the commit is OPEN; read by others once it is not.
    outcome: DataCell<Outcome>,
}

impl Entry {
    /// The record becomes the commit's.
    pub(super) fn new(
        table: &Table,
        expected: Expected,
        record: OwnedRecord,
        effect: Effect,
    ) -> Self {
        let hash = record.as_ref().hash();
        let outcome = DataCell::new(Outcome { record: record.into_raw(), effect });
        Self { table, hash, expected, outcome }
    }

    /// The order of keys, as [`Entry::order`] says it.
    fn compare(&self, other: &Self) -> Ordering {
        let tables = match std::ptr::eq(self.table, other.table) {
            true => Ordering::Equal,
            false => self.table().number().cmp(&other.table().number()),
        };
        tables
            .then(self.hash.cmp(&other.hash))
            .then_with(|| self.key().bytes.cmp(other.key().bytes))
    }

    /// The key and the order of keys.
    pub(super) fn order(&self) -> (u64, u64, &[u8]) {
        (self.table().number(), self.hash, self.key().bytes)
    }

    pub(super) fn table(&self) -> &Table {
        // SAFETY: the owner holds the table by its pin. Others look at entries of the table only
        // that they have come through, which they hold by theirs.
        unsafe { &*self.table }
    }

    /// The record that is to come. Not for others while the commit is OPEN.
    fn record(&self) -> RecordRef<'_> {
        // SAFETY: alive: it is the commit's, or was published after the caller had pinned.
        self.outcome.with(|outcome| unsafe { RecordRef::from_raw((*outcome).record) })
    }

    /// What the key holds now, once more: for the owner of a commit whose intents stand.
    pub(super) fn twin_of_now(&self, number: u64, guard: &Guard<'_>) -> OwnedRecord {
        let look = self.table().look(self.key(), guard);
        match look.record {
            Some(record) => OwnedRecord::twin(record),
            None => {
                let version = look.since.unwrap_or(number);
                OwnedRecord::absent(&Birth::of(self.key(), version))
            }
        }
    }

    fn effect(&self) -> Effect {
        // SAFETY: nobody writes any more, as for `record`.
        self.outcome.with(|outcome| unsafe { (*outcome).effect })
    }

    fn key(&self) -> Key<'_> {
        Key { bytes: self.record().key(), hash: self.hash }
    }
}

/// A commit over several keys.
pub(super) struct Commit {
    status: AtomicU64,
    /// In the order of [`Entry::order`], each key once.
    entries: Box<[Entry]>,
    /// Whether all keys are of one table.
    one_table: bool,
    /// A number that nothing else has, for absences that it leaves behind.
    number: u64,
    /// How often others look for a decision before they act.
    patience: u32,
    /// Whether its intents stood before it was READY.
    was_open: bool,
}

// SAFETY: tables are shared; records are bound to no thread; outcomes change hands by the status.
unsafe impl Send for Commit {}
// SAFETY: as above.
unsafe impl Sync for Commit {}

/// Looks for a decision before somebody else's commit is carried out: some 1 µs and the time that
/// the owner takes for its keys.
const PATIENCE: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 16 };
const PATIENCE_PER_KEY: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 4 };
/// The same before an OPEN commit is aborted, which has commands to run: some 10 µs, and up to 64
/// times as much for one that was aborted again and again.
const PATIENCE_OPEN: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 256 };
const PATIENCE_OPEN_PER_KEY: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 64 };
const PATIENCE_DOUBLINGS: u32 = 6;
/// The most looks: some 20 ms, several time slices.
const PATIENCE_MAX: u32 = 1 << 19;
/// Looks between which the processor is offered to others: the owner may wait for it.
const LOOKS_PER_YIELD: u32 = 256;

impl Commit {
    /// A commit whose outcome is known.
    pub(super) fn ready(entries: Vec<Entry>, number: u64) -> Arc<Self> {
        let patience = u64::from(PATIENCE_PER_KEY) * entries.len() as u64;
        let patience = (patience + u64::from(PATIENCE)).min(PATIENCE_MAX.into());
        Self::new(READY, entries, number, patience as u32)
    }

    /// A commit whose outcome its owner computes when all intents stand; it was aborted so many
    /// times.
    pub(super) fn open(entries: Vec<Entry>, number: u64, aborted: u32) -> Arc<Self> {
        let patience = u64::from(PATIENCE_OPEN_PER_KEY) * entries.len() as u64;
        let patience = (patience + u64::from(PATIENCE_OPEN)) << aborted.min(PATIENCE_DOUBLINGS);
        Self::new(OPEN, entries, number, patience.min(PATIENCE_MAX.into()) as u32)
    }

    fn new(status: u64, mut entries: Vec<Entry>, number: u64, patience: u32) -> Arc<Self> {
        entries.sort_unstable_by(Entry::compare);
        let one_table = entries.windows(2).all(|pair| pair[0].table == pair[1].table);
        Arc::new(Self {
            status: AtomicU64::new(status),
            entries: entries.into(),
            one_table,
            number,
            patience,
            was_open: status == OPEN,
        })
    }

    /// The commit of an intent.
    fn of(intent: &Intent) -> &Commit {
        // SAFETY: `Commit::intent` has put it there, and the intent shares it.
        unsafe { &*intent.commit().cast::<Commit>() }
    }

    /// The commit of an intent, shared.
    fn share(intent: &Intent) -> Arc<Commit> {
        let commit = intent.commit().cast::<Commit>();
        // SAFETY: made by `Arc::into_raw` in `Commit::intent`; the intent's share keeps it alive.
        unsafe {
            Arc::increment_strong_count(commit);
            Arc::from_raw(commit)
        }
    }

    /// A new intent for key number `index` in the place of `before`.
    fn intent(self: &Arc<Self>, index: usize, before: Word) -> OwnedRecord {
        unsafe fn release(commit: *const ()) {
            // SAFETY: the share that the intent was given, given back once.
            drop(unsafe { Arc::from_raw(commit.cast::<Commit>()) });
        }
        let share = Arc::into_raw(self.clone()).cast::<()>();
        // SAFETY: `release` gives back what `into_raw` took; a commit may go on any thread.
        let intent = unsafe { Intent::new(share, release, before.keep(), index as u32) };
        OwnedRecord::intent(self.entries[index].key(), intent)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Acquire, with the release of each change: who sees READY or COMMITTED sees the outcome, who
    /// sees a decision sees what led to it.
    pub(super) fn status(&self) -> Status {
        let word = self.status.load(atomic::Ordering::Acquire);
        match word & 0b11 {
            OPEN => Status::Open,
            READY => Status::Ready,
            FAILED => Status::Failed,
            _ => Status::Committed(word >> TICKET_SHIFT),
        }
    }

    /// AcqRel: see `status`. True for the one that did it.
    fn change(&self, from: u64, to: u64) -> bool {
        self.status
            .compare_exchange(from, to, atomic::Ordering::AcqRel, atomic::Ordering::Acquire)
            .is_ok()
    }

    /// Fails the commit unless it is decided. True for the one that did it.
    pub(super) fn fail(&self) -> bool {
        self.change(READY, FAILED) || self.change(OPEN, FAILED) || self.change(READY, FAILED)
    }

    /// Says what becomes of key number `index`, which takes over the record. Only for the owner
    /// while the commit is OPEN, or was and has failed.
    pub(super) fn set_outcome(&self, index: usize, record: OwnedRecord, effect: Effect) {
        self.entries[index].outcome.with_mut(|outcome| {
            // SAFETY: others look at it only after the owner has made the commit READY.
            let outcome = unsafe { &mut *outcome };
            // SAFETY: never published while the commit was OPEN.
            drop(unsafe { OwnedRecord::from_raw(outcome.record) });
            *outcome = Outcome { record: record.into_raw(), effect };
        });
    }

    /// The owner has said what becomes of all keys. False if the commit was aborted.
    pub(super) fn make_ready(&self) -> bool {
        self.change(OPEN, READY)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() {
            return;
        }
        if matches!(self.status(), Status::Committed(_)) {
            return;
        }
        for entry in &self.entries {
            // SAFETY: of a commit that was not committed no record was published, and nobody else
            // has the commit any more.
            entry.outcome.with(|outcome| drop(unsafe { OwnedRecord::from_raw((*outcome).record) }));
        }
    }
}

impl Entry {
    /// What the log is told of it.
    fn part(&self) -> Option<Part<'_>> {
        let written = match self.effect() {
            Effect::Kept => return None,
            Effect::Put(tag) => Written::Put(self.record(), tag),
            Effect::Removed => Written::Removed,
        };
        Some(Part { table: self.table().number(), key: self.key(), written })
    }
}
