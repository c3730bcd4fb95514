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

use super::array::{Array, Probe};
use super::journal::{BlockJournal, Part, Tag, Written};
use super::slot::{Word, tag_of};
use super::{Place, Table};
use crate::record::{Birth, Header, Intent, Key, Kind, OwnedRecord, RecordRef, Unlinked};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};
use crate::sync::{Arc, DataCell, spin_loop};

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
        match self.table().look(self.key(), guard).record {
            Some(record) => OwnedRecord::twin(record),
            None => OwnedRecord::absent(&Birth::of(self.key(), number)),
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
}

// SAFETY: tables are shared; records are bound to no thread; outcomes change hands by the status.
unsafe impl Send for Commit {}
// SAFETY: as above.
unsafe impl Sync for Commit {}

/// Where an intent stands.
struct Spot<'g> {
    table: &'g Table,
    array: &'g Array,
    index: usize,
    word: Word,
}

/// Looks for a decision before somebody else's commit is carried out: some 1 µs and the time that
/// the owner takes for its keys.
const PATIENCE: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 16 };
const PATIENCE_PER_KEY: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 4 };
/// The same before an OPEN commit is aborted, which has commands to run: some 10 µs, and up to 64
/// times as much for one that was aborted again and again.
const PATIENCE_OPEN: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 256 };
const PATIENCE_OPEN_PER_KEY: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 64 };
const PATIENCE_DOUBLINGS: u32 = 6;

impl Commit {
    /// A commit whose outcome is known.
    pub(super) fn ready(entries: Vec<Entry>, number: u64) -> Arc<Self> {
        let patience = PATIENCE + PATIENCE_PER_KEY * entries.len() as u32;
        Self::new(READY, entries, number, patience)
    }

    /// A commit whose outcome its owner computes when all intents stand; it was aborted so many
    /// times.
    pub(super) fn open(entries: Vec<Entry>, number: u64, aborted: u32) -> Arc<Self> {
        let patience = PATIENCE_OPEN + PATIENCE_OPEN_PER_KEY * entries.len() as u32;
        Self::new(OPEN, entries, number, patience << aborted.min(PATIENCE_DOUBLINGS))
    }

    fn new(status: u64, mut entries: Vec<Entry>, number: u64, patience: u32) -> Arc<Self> {
        entries.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
        let one_table = entries.windows(2).all(|pair| pair[0].table == pair[1].table);
        Arc::new(Self {
            status: AtomicU64::new(status),
            entries: entries.into(),
            one_table,
            number,
            patience,
        })
    }

    /// The commit of an intent.
    fn of<'g>(intent: &'g Intent) -> &'g Commit {
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
        let word = self.status.load(Ordering::Acquire);
        match word & 0b11 {
            OPEN => Status::Open,
            READY => Status::Ready,
            FAILED => Status::Failed,
            _ => Status::Committed(word >> TICKET_SHIFT),
        }
    }

    /// AcqRel: see `status`. True for the one that did it.
    fn change(&self, from: u64, to: u64) -> bool {
        self.status.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
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

    /// Waits a little for the decision.
    fn await_decision(&self) -> bool {
        for _ in 0..self.patience {
            if self.status().is_decided() {
                return true;
            }
            spin_loop();
        }
        self.status().is_decided()
    }

    /// Installs all intents and leaves the commit undecided. False if it was decided meanwhile.
    pub(super) fn install_all(self: &Arc<Self>, guard: &Guard<'_>) -> bool {
        (0..self.entries.len()).all(|index| self.install(index, guard).is_some())
    }

    /// [`carry_out`](Commit::carry_out) by the owner, who leaves no intent behind.
    pub(super) fn carry_out_own(self: &Arc<Self>, guard: &Guard<'_>) {
        if !self.carry_out(guard) {
            self.finish_all(guard);
        }
    }

    /// Carries the commit out, or finds it decided; then finishes what it has met of it. True if it
    /// has met all of it.
    fn carry_out(self: &Arc<Self>, guard: &Guard<'_>) -> bool {
        let mut spots = Vec::with_capacity(self.entries.len());
        for index in 0..self.entries.len() {
            match self.install(index, guard) {
                Some(spot) => spots.push(spot),
                None => break,
            }
        }
        let complete = spots.len() == self.entries.len();
        if complete {
            self.decide();
        }
        for spot in &spots {
            // Else somebody has finished it: nothing but that changes an intent's word.
            if spot.array.slot(spot.index).load() == spot.word {
                spot.finish(guard);
            }
        }
        complete
    }

    /// All intents stand: takes the ticket and decides, if nobody else does.
    fn decide(&self) {
        let journal = self.entries.first().and_then(|entry| entry.table().journal());
        let mut parts = self.entries.iter().filter_map(Entry::part).peekable();
        if planted::is(Planted::TicketAfterDecision) {
            let committed = self.change(READY, COMMITTED | 1 << TICKET_SHIFT);
            let entry = journal.and_then(|journal| journal.enter_block(&mut parts));
            entry.into_iter().filter(|_| committed).for_each(crate::ring::Entry::commit);
            return;
        }
        let entry = match parts.peek() {
            Some(_) => journal.and_then(|journal| journal.enter_block(&mut parts)),
            None => None,
        };
        let ticket = entry.as_ref().map_or(0, crate::ring::Entry::ticket);
        let committed = self.change(READY, COMMITTED | ticket << TICKET_SHIFT);
        match entry {
            Some(entry) if committed => {
                entry.commit();
                journal.into_iter().for_each(BlockJournal::wake);
            }
            // Void.
            _ => {}
        }
    }

    /// Makes sure that an intent of the commit stands in the slot of key number `index`; `None` if
    /// the commit is decided.
    fn install<'g>(self: &Arc<Self>, index: usize, guard: &'g Guard<'_>) -> Option<Spot<'g>> {
        let entry = &self.entries[index];
        // SAFETY: held during 'g, as for `Entry::table`.
        let table: &'g Table = unsafe { &*entry.table };
        let key = entry.key();
        let mut helped = false;
        // Each turn follows a step of another thread, or of a migration.
        loop {
            let early = planted::is(Planted::StatusBeforeWord).then(|| self.status());
            let place = table.place(key.hash, guard, &mut helped);
            // SAFETY: the array was reached under the pin 'g.
            let (at, word, record) = match unsafe { place.array.probe(key, table.local(key.hash)) }
            {
                Probe::Onward => continue,
                Probe::Found { word, .. } if word.is_frozen() => continue,
                Probe::Found { index, word, record } => (index, word, Some(record)),
                Probe::End { index } => (index, Word::EMPTY, None),
            };
            if let Some(intent) = record.and_then(RecordRef::intent) {
                let spot = Spot { table, array: place.array, index: at, word };
                if !std::ptr::eq(Commit::of(intent), &raw const **self) {
                    spot.settle(guard);
                    continue;
                }
                return self.settle_counter(entry, Word::kept(intent.before())).then_some(spot);
            }
            if !entry.expected.is_met(word, record) {
                let _ = self.fail();
            }
            // After the word was loaded: see "Word, status, exchange".
            if early.unwrap_or_else(|| self.status()).is_decided() {
                return None;
            }
            if let Some(spot) = self.exchange(index, key, table, place, at, word, guard) {
                let stands = self.settle_counter(entry, word);
                // Late, or found wanting.
                if self.status().is_decided() {
                    spot.finish(guard);
                    return None;
                }
                return stands.then_some(spot);
            }
        }
    }

    /// Puts a new intent in the place of a slot's word.
    #[expect(clippy::too_many_arguments, reason = "the parts of one place")]
    fn exchange<'g>(
        self: &Arc<Self>,
        index: usize,
        key: Key<'_>,
        table: &'g Table,
        place: Place<'g>,
        at: usize,
        word: Word,
        guard: &'g Guard<'_>,
    ) -> Option<Spot<'g>> {
        let claims = word.is_empty();
        if claims && !place.array.admit(place.before) {
            table.make_room(key.hash, place, guard);
            return None;
        }
        let pointer = self.intent(index, word).into_raw();
        let intent = Word::live(pointer, tag_of(key.hash), false);
        if place.array.slot(at).publish(word, intent).is_err() {
            if claims {
                place.array.retract();
            }
            // SAFETY: not published: still ours alone.
            drop(unsafe { OwnedRecord::from_raw(pointer) });
            return None;
        }
        Some(Spot { table, array: place.array, index: at, word: intent })
    }

    /// Stops the counter that an intent has replaced, and fails the commit if it is not as
    /// expected. False if it failed.
    fn settle_counter(&self, entry: &Entry, before: Word) -> bool {
        // SAFETY: a word that an intent keeps holds a record that is retired after the intent is.
        let record = unsafe { before.record() };
        let Some(counter) = record.and_then(RecordRef::counter) else {
            return true;
        };
        let number = match planted::is(Planted::CommitWithoutFreeze) {
            true => counter.get(),
            false => counter.freeze(),
        };
        match entry.expected {
            Expected::Present { number: Some(expected), .. } if expected != number => {
                let _ = self.fail();
                false
            }
            _ => true,
        }
    }

    /// Finishes the intents of a decided commit that are still there.
    pub(super) fn finish_all(&self, guard: &Guard<'_>) {
        for entry in &self.entries {
            // SAFETY: as in `install`.
            let table = unsafe { &*entry.table };
            let mut helped = true;
            let place = table.place(entry.hash, guard, &mut helped);
            let key = entry.key();
            // SAFETY: the array was reached under the guard.
            let probe = unsafe { place.array.probe(key, table.local(key.hash)) };
            if let Probe::Found { index, word, record } = probe
                && record.intent().is_some_and(|intent| std::ptr::eq(Commit::of(intent), self))
            {
                Spot { table, array: place.array, index, word }.finish(guard);
            }
        }
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

impl<'g> Spot<'g> {
    /// Somebody else's intent is in the way of a change: has it decided, and finishes it.
    fn settle(&self, guard: &Guard<'_>) {
        let Some(intent) = self.intent() else { return };
        let commit = Commit::of(intent);
        if !commit.await_decision() {
            match commit.status() {
                Status::Ready if commit.one_table => {
                    let _ = Commit::share(intent).carry_out(guard);
                }
                _ => {
                    let _ = commit.fail();
                }
            }
        }
        self.finish(guard);
    }

    fn intent(&self) -> Option<&'g Intent> {
        // SAFETY: loaded under a pin that lasts 'g.
        unsafe { self.word.record::<'g>() }.and_then(RecordRef::intent)
    }

    /// Puts in the place of an intent what its decided commit has come to, unless somebody has.
    fn finish(&self, guard: &Guard<'_>) {
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
            Status::Failed if planted::is(Planted::RollBackToOldWord) && old.is_some() => {
                let _ = self.array.slot(self.index).publish(self.word, before);
                return;
            }
            Status::Failed => (roll_back(old, was_live, commit, self), 0, true),
        };
        // SAFETY: the commit's, or made just now.
        let record = unsafe { RecordRef::from_raw(new) };
        let is_live = record.kind() != Kind::Absent;
        let word = Word::live(new, tag_of(record.hash()), is_live && record.has_deadline());
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
        if let Some(old) = old {
            // SAFETY: the slot was the only one that led to it, by the intent that this thread has
            // unlinked.
            let unlinked = unsafe { Unlinked::new(old.as_ptr()) };
            match keeper {
                Some(keeper) => keeper.keep(self.table.number(), ticket, unlinked),
                None => unlinked.retire(guard),
            }
        }
        // SAFETY: unlinked by this thread's exchange.
        unsafe { Unlinked::new(self.word.pointer()) }.retire(guard);
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
                table.clean(array, hash, guard);
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
        Some(old) if was_live => OwnedRecord::twin(old),
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
pub(super) fn record_now<'g>(intent: &'g Intent) -> Option<RecordRef<'g>> {
    record_by(intent, |_| true)
}

/// What stood for the key of an intent at a ticket, for a walk that began after it: a commit with
/// a later ticket has not taken place.
#[cold]
pub(super) fn record_at<'g>(intent: &'g Intent, ticket: u64) -> Option<RecordRef<'g>> {
    record_by(intent, |committed| committed < ticket)
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
pub(super) unsafe fn release_kept(record: *mut Header) {
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
    pub(super) fn settle(&self, array: &Array, index: usize, word: Word, guard: &Guard<'_>) {
        Spot { table: self, array, index, word }.settle(guard);
    }

    /// An intent is in the way of a migration: aborts it if need be, and finishes it.
    #[cold]
    pub(super) fn clear(&self, array: &Array, index: usize, word: Word, guard: &Guard<'_>) {
        let spot = Spot { table: self, array, index, word };
        if let Some(intent) = spot.intent() {
            let _ = Commit::of(intent).fail();
        }
        spot.finish(guard);
    }
}
