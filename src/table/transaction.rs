//! Transactions: what a thread reads and writes of several keys in private, to make it true at one
//! instant.
//!
//! Everything read of the tables is noted with its *identity*: the record, and the value of its
//! counter. Everything written is kept here, and read back from here. At the end
//! * a transaction that has only read looks at all its keys again: if each is as it was, all were
//!   so at the moment between the two looks (one that is known to only read does so by `glance`,
//!   for its first attempt);
//! * one that has met a single key is an ordinary change of it, if the key is as it was;
//! * any other becomes a [`Commit`], also of the keys that it only read. (Were those only looked
//!   at, two transactions could each read what the other writes, and both succeed.)
//!
//! A transaction that has lost to others [`PROTECT_AFTER`] times *installs first*, every other
//! time: the intents of an OPEN commit over the keys of its last attempt hold these keys still
//! while it computes. Whoever wants to change one of them waits a little, longer each time, before
//! it aborts the commit.
//!
//! A counter that is read is seen through a private copy, since additions in place go on. That it
//! is unchanged is known by its value, for in one record it goes one way (`record::falls`).
//!
//! # Contract
//! From [`begin`](Transaction::begin) to [`commit`](Transaction::commit) the thread stays pinned by
//! one guard, under which all tables that are named were reached. Records that were found through
//! the transaction are not used after its end. The store's session sees to both.

use super::access::{Access, Over, Seen, State, absence, is_met};
use super::commit::{Commit, Effect, Entry, Expected, Status};
use super::glance::Glances;
use super::journal::{Journal, Tag};
use super::{Decision, Table};
use crate::record::{Key, OwnedRecord, RecordRef};
use crate::sync::Arc;
use crate::sync::epoch::Guard;
use crate::sync::planted::{self, Planted};

/// Lost attempts after which the next one installs first.
const PROTECT_AFTER: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 4 };

/// Attempts to install first, of which each was aborted, before an attempt without.
const PROTECT_ATTEMPTS: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 4 };

/// Room for keys that is kept from one transaction to the next.
pub(super) const KEPT: usize = 1024;

/// Accesses up to which they are looked through one by one.
const LINEAR_MAX: usize = 16;

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Committed {
    /// It has taken place, with this ticket if it was logged as a block.
    Done(Option<u64>),
    /// Others came first; nothing has happened.
    Lost,
}

/// A key as a transaction sees it.
pub struct Found<'g> {
    /// Its record.
    pub record: Option<RecordRef<'g>>,
    /// Whether this was the first look at it: the record is one of the table, or stands for one.
    pub is_first: bool,
}

/// A key that an attempt has met.
struct Wanted {
    table: *const Table,
    hash: u64,
    key: Box<[u8]>,
}

/// What one thread does to several keys in private. Used again and again.
#[derive(Default)]
pub struct Transaction {
    accesses: Vec<Access>,
    /// The hashes of their keys.
    hashes: Vec<u64>,
    /// The tables of the databases met, by number.
    tables: Vec<(usize, *const Table)>,
    /// Places in `accesses` plus one, by hash; empty while there are few.
    index: Vec<u32>,
    /// Records that were put and replaced again, which may still be looked at.
    shadows: Vec<OwnedRecord>,
    /// What was read, when nothing else is done.
    glances: Glances,
    only_reads: bool,
    /// Records that were put and removed again because their deadlines had passed.
    lapses: usize,
    /// The commit that was installed first.
    open: Option<Arc<Commit>>,
    /// Attempts lost so far.
    lost: u32,
    /// The keys of the last attempt, once the next one is to be protected.
    wanted: Vec<Wanted>,
}

/// What of a record is new after two changes, one upon the other.
fn merged(first: Tag, second: Tag) -> Tag {
    match (first, second) {
        (Tag::Added(one), Tag::Added(two)) => one.checked_add(two).map_or(Tag::Whole, Tag::Added),
        (Tag::Tail(one), Tag::Tail(two)) => Tag::Tail(one + two),
        (Tag::Deadline, Tag::Deadline) => Tag::Deadline,
        _ => Tag::Whole,
    }
}

impl Transaction {
    /// Begins, or begins again. `number` gives one that nothing else has.
    pub fn begin(&mut self, guard: &Guard<'_>, mut number: impl FnMut() -> u64) {
        debug_assert!(self.accesses.is_empty() && self.open.is_none());
        let Some(protected) = self.lost.checked_sub(PROTECT_AFTER) else { return };
        // Every other attempt: one that installs first may be aborted by others that come to
        // nothing themselves, one that does not is lost only to a change that has taken place.
        if self.wanted.is_empty() || protected % 2 != 0 {
            return;
        }
        for attempt in 0..PROTECT_ATTEMPTS {
            let number = number();
            let entries = self.wanted.iter().map(|wanted| {
                let key = Key { bytes: &wanted.key, hash: wanted.hash };
                // SAFETY: reached under the pin of the transaction, which lasts.
                let table = unsafe { &*wanted.table };
                Entry::new(table, Expected::Any, absence(key, number), Effect::Kept)
            });
            let aborted = protected + attempt;
            let commit = Commit::open(entries.collect(), number, aborted);
            if commit.install_all(guard) {
                self.open = Some(commit);
                return;
            }
            commit.finish_all(guard);
        }
    }

    /// Begins for the first time, and only reads.
    pub fn begin_reading(&mut self) {
        debug_assert!(self.accesses.is_empty() && self.lost == 0);
        self.only_reads = true;
    }

    fn position(&self, table: &Table, key: Key<'_>) -> Option<usize> {
        let is = |access: &Access| {
            access.hash == key.hash
                && std::ptr::eq(access.table, table)
                && access.key().bytes == key.bytes
        };
        if self.index.is_empty() {
            let mut hashes = self.hashes.iter().enumerate();
            return hashes
                .find(|&(at, &hash)| hash == key.hash && is(&self.accesses[at]))
                .map(|(at, _)| at);
        }
        let mask = self.index.len() - 1;
        let mut at = key.hash as usize & mask;
        // Ends: at most half of the index is taken.
        while self.index[at] != 0 {
            let position = self.index[at] as usize - 1;
            if is(&self.accesses[position]) {
                return Some(position);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn push(&mut self, access: Access) -> usize {
        self.hashes.push(access.hash);
        self.accesses.push(access);
        let count = self.accesses.len();
        if count > LINEAR_MAX && count * 2 > self.index.len() {
            self.index.clear();
            self.index.resize((count * 4).next_power_of_two(), 0);
            (0..count).for_each(|position| self.enter(position));
        } else if !self.index.is_empty() {
            self.enter(count - 1);
        }
        count - 1
    }

    fn enter(&mut self, position: usize) {
        let mask = self.index.len() - 1;
        let mut at = self.accesses[position].hash as usize & mask;
        while self.index[at] != 0 {
            at = (at + 1) & mask;
        }
        self.index[at] = position as u32 + 1;
    }

    /// The record of a key as the transaction sees it.
    pub fn find<'g>(&mut self, table: &'g Table, key: Key<'_>, guard: &'g Guard<'_>) -> Found<'g> {
        if self.only_reads {
            return Found { record: self.glances.look(table, key, guard), is_first: true };
        }
        let known = self.position(table, key);
        let position = known.unwrap_or_else(|| self.read(table, key, guard));
        let current = self.accesses[position].current();
        // SAFETY: a record of the table, found under the pin 'g, or one of the transaction, which
        // keeps it until its end.
        let record = current.map(|record| unsafe { RecordRef::from_raw(record.as_ptr()) });
        Found { record, is_first: known.is_none() }
    }

    /// Looks at a key for the first time.
    fn read(&mut self, table: &Table, key: Key<'_>, guard: &Guard<'_>) -> usize {
        let look = table.look(key, guard);
        let number = look.identity.number;
        let (seen, own) = match look.record {
            None => {
                let own = absence(key, look.since.unwrap_or(0));
                (Seen::Absent { since: look.since, strict: false }, Some(own))
            }
            Some(record) => {
                let own = number.map(|number| OwnedRecord::counter_twin(record, number));
                (Seen::Present { record: record.as_ptr(), number }, own)
            }
        };
        self.push(Access {
            table,
            hash: key.hash,
            seen,
            identity: Some(look.identity),
            over: Over::No,
            state: State::Same,
            own,
        })
    }

    /// The key that was found last is to be looked at anew.
    pub fn forget_last(&mut self) {
        if self.only_reads {
            return self.glances.forget_last();
        }
        debug_assert!(self.accesses.last().is_some_and(|access| access.state == State::Same));
        let Some(mut access) = self.accesses.pop() else { return };
        self.hashes.pop();
        self.shadows.extend(access.own.take());
        if !self.index.is_empty() {
            let mask = self.index.len() - 1;
            let mut at = access.hash as usize & mask;
            while self.index[at] as usize != self.accesses.len() + 1 {
                at = (at + 1) & mask;
            }
            // It was entered last, so no other is behind it.
            self.index[at] = 0;
        }
    }

    /// The key that was found last is past its deadline, and counts as nothing; whether it is to be
    /// removed in the end.
    pub fn hide_last(&mut self, remove: bool) {
        if let Some(access) = self.accesses.last_mut() {
            access.over = if remove { Over::Goes } else { Over::Stays };
        }
    }

    /// Whether the keys are held still meanwhile.
    pub fn is_protected(&self) -> bool {
        self.open.is_some()
    }

    /// The table of a database, the same for the whole attempt.
    pub fn table<'g>(
        &mut self,
        database: usize,
        _guard: &'g Guard<'_>,
        obtain: impl FnOnce() -> &'g Table,
    ) -> &'g Table {
        match self.tables.iter().find(|known| known.0 == database) {
            // SAFETY: reached under the pin of the transaction, which is 'g or longer.
            Some(&(_, table)) => unsafe { &*table },
            None => {
                let table = obtain();
                self.tables.push((database, table));
                table
            }
        }
    }

    /// Puts a record, of which `tag` is new, compared with what [`find`](Transaction::find) says.
    pub fn put(&mut self, table: &Table, key: Key<'_>, record: OwnedRecord, tag: Tag) {
        let Some(position) = self.position(table, key) else {
            return self.put_blind(table, key, record);
        };
        let access = &mut self.accesses[position];
        let tag = match access.state {
            State::Same if access.over != Over::No => Tag::Whole,
            State::Same => tag,
            State::Put(before) => merged(before, tag),
            State::Removed => Tag::Whole,
        };
        access.state = State::Put(tag);
        self.shadows.extend(access.own.replace(record));
    }

    /// Puts a record, whatever was there.
    pub fn put_blind(&mut self, table: &Table, key: Key<'_>, record: OwnedRecord) {
        if self.position(table, key).is_some() {
            return self.put(table, key, record, Tag::Whole);
        }
        self.push(Access {
            table,
            hash: key.hash,
            seen: Seen::Unread,
            identity: None,
            over: Over::No,
            state: State::Put(Tag::Whole),
            own: Some(record),
        });
    }

    /// Makes a key absent that [`find`](Transaction::find) has met. The version is that of the
    /// absence, if nothing else gives it one.
    pub fn remove(&mut self, table: &Table, key: Key<'_>, version: u64) {
        if let Some(position) = self.position(table, key) {
            let access = &mut self.accesses[position];
            access.state = State::Removed;
            self.shadows.extend(access.own.replace(absence(key, version)));
        }
    }

    /// [`remove`](Transaction::remove) of a record that was put past its deadline.
    pub fn lapse(&mut self, table: &Table, key: Key<'_>, version: u64) {
        self.remove(table, key, version);
        self.lapses += 1;
    }

    /// How many keys the attempt removes because their deadlines have passed.
    pub fn lapsed(&self) -> usize {
        self.lapses + self.accesses.iter().filter(|access| access.is_lapse()).count()
    }

    /// From now on a key that was found absent must be so since the absence of this version. False
    /// if it is not.
    pub fn expect_since(&mut self, table: &Table, key: Key<'_>, version: u64) -> bool {
        let Some(position) = self.position(table, key) else { return false };
        match &mut self.accesses[position].seen {
            Seen::Absent { since, strict } => {
                *strict = true;
                *since == Some(version)
            }
            _ => false,
        }
    }

    /// Makes everything true at one instant. `journal` gives the journal of a table, for a change
    /// of a single key.
    pub fn commit<J: Journal>(
        &mut self,
        guard: &Guard<'_>,
        number: u64,
        journal: impl FnOnce(&Table) -> Option<J>,
    ) -> Committed {
        let changes = self.accesses.iter().any(Access::is_change);
        let keys = if self.lost + 1 >= PROTECT_AFTER { self.keys() } else { vec![] };
        let committed = match (self.open.take(), changes) {
            _ if self.only_reads => match self.glances.hold() {
                true => Committed::Done(None),
                false => Committed::Lost,
            },
            (Some(open), _) => self.commit_open(&open, changes, guard, number),
            (None, false) => self.compare(guard),
            (None, true) if self.is_single() => self.commit_single(guard, number, journal),
            (None, true) => self.commit_all(guard, number),
        };
        self.lost = if committed == Committed::Lost { self.lost + 1 } else { 0 };
        self.wanted = if self.lost >= PROTECT_AFTER { keys } else { vec![] };
        self.clear();
        committed
    }

    /// The keys met, for the next attempt.
    fn keys(&self) -> Vec<Wanted> {
        let wanted = |access: &Access| Wanted {
            table: access.table,
            hash: access.hash,
            key: access.key().bytes.into(),
        };
        self.accesses.iter().map(wanted).collect()
    }

    /// Whether there is one key, and what is expected and becomes of it can be told by a record.
    fn is_single(&self) -> bool {
        match &self.accesses[..] {
            [access] => {
                let comes_and_goes = access.state == State::Removed && access.found().is_none();
                !comes_and_goes && !matches!(access.expected(), Expected::AbsentSince(_))
            }
            _ => false,
        }
    }

    /// Forgets the attempt, and those before it.
    pub fn abandon(&mut self, guard: &Guard<'_>) {
        if let Some(open) = self.open.take() {
            let _ = open.fail();
            open.finish_all(guard);
        }
        self.lost = 0;
        self.wanted.clear();
        self.clear();
    }

    fn clear(&mut self) {
        self.only_reads = false;
        self.lapses = 0;
        self.glances.clear();
        self.accesses.clear();
        self.hashes.clear();
        self.tables.clear();
        self.index.clear();
        self.shadows.clear();
        if self.accesses.capacity() > KEPT || self.shadows.capacity() > KEPT {
            self.accesses.shrink_to(KEPT);
            self.hashes.shrink_to(KEPT);
            self.index.shrink_to(KEPT);
            self.shadows.shrink_to(KEPT);
        }
    }

    /// Nothing was changed: looks whether all is as it was found.
    fn compare(&self, guard: &Guard<'_>) -> Committed {
        // A single key was so when it was found.
        let same = self.accesses.len() <= 1
            || self.accesses.iter().all(|access| {
                let now = access.table().look(access.key(), guard).identity;
                access.identity == Some(now)
            });
        if same { Committed::Done(None) } else { Committed::Lost }
    }

    /// Changes the only key, if it is as it was found.
    fn commit_single<J: Journal>(
        &mut self,
        guard: &Guard<'_>,
        number: u64,
        journal: impl FnOnce(&Table) -> Option<J>,
    ) -> Committed {
        let access = &mut self.accesses[0];
        let (table, expected) = (access.table, access.expected());
        // SAFETY: as for `Access::table`.
        let table = unsafe { &*table };
        let bytes = access.key().bytes.to_vec();
        let key = Key { bytes: &bytes, hash: access.hash };
        let mut outcome = Some(access.outcome(number));
        let journal = journal(table);
        let done = table.update_told(key, guard, journal.as_ref(), |current| {
            if !is_met(expected, current) {
                return Decision::Keep(false);
            }
            match outcome.take() {
                Some((record, Effect::Put(tag))) => Decision::Put(record, tag, true),
                Some((_, Effect::Removed)) => Decision::Remove(number, true),
                // Another change came between the look and the exchange.
                _ => Decision::Keep(false),
            }
        });
        if done { Committed::Done(None) } else { Committed::Lost }
    }

    fn commit_all(&mut self, guard: &Guard<'_>, number: u64) -> Committed {
        if planted::is(Planted::ReadsNotInstalled) && self.compare_read(guard) == Committed::Lost {
            return Committed::Lost;
        }
        let mut entries = Vec::with_capacity(self.accesses.len());
        for access in &mut self.accesses {
            if planted::is(Planted::ReadsNotInstalled) && !access.is_change() {
                continue;
            }
            let expected = access.expected();
            let (record, effect) = access.outcome(number);
            // SAFETY: as for `Access::table`; borrowed anew, since the access is borrowed.
            let table = unsafe { &*access.table };
            entries.push(Entry::new(table, expected, record, effect));
        }
        let commit = Commit::ready(entries, number);
        commit.carry_out_own(guard);
        end(&commit)
    }

    /// For a planted fault: what was only read is compared and not installed.
    fn compare_read(&self, guard: &Guard<'_>) -> Committed {
        let same = self.accesses.iter().filter(|access| !access.is_change()).all(|access| {
            access.identity == Some(access.table().look(access.key(), guard).identity)
        });
        if same { Committed::Done(None) } else { Committed::Lost }
    }

    /// The keys were held still: says what becomes of them.
    fn commit_open(
        &mut self,
        open: &Arc<Commit>,
        changes: bool,
        guard: &Guard<'_>,
        number: u64,
    ) -> Committed {
        if !self.is_within(open) {
            let _ = open.fail();
            open.finish_all(guard);
            return Committed::Lost;
        }
        if !changes {
            // If it was not aborted, all that was read stood still until this moment.
            let held = open.fail();
            open.finish_all(guard);
            return if held { Committed::Done(None) } else { Committed::Lost };
        }
        for (index, entry) in open.entries().iter().enumerate() {
            let (record, effect) = match self.access_of(entry) {
                Some(access) => access.outcome(number),
                None => (entry.twin_of_now(number, guard), Effect::Kept),
            };
            open.set_outcome(index, record, effect);
        }
        if open.make_ready() {
            open.carry_out_own(guard);
        } else {
            open.finish_all(guard);
        }
        end(open)
    }

    /// The access to the key of a commit's entry.
    fn access_of(&mut self, entry: &Entry) -> Option<&mut Access> {
        let (_, hash, key) = entry.order();
        let position = self.position(entry.table(), Key { bytes: key, hash })?;
        self.accesses.get_mut(position)
    }

    /// Whether a commit has all keys of the transaction.
    fn is_within(&self, open: &Commit) -> bool {
        self.accesses.iter().all(|access| {
            let order = (access.table().number(), access.hash, access.key().bytes);
            open.entries().binary_search_by(|entry| entry.order().cmp(&order)).is_ok()
        })
    }
}

fn end(commit: &Commit) -> Committed {
    match commit.status() {
        Status::Committed(0) => Committed::Done(None),
        Status::Committed(ticket) => Committed::Done(Some(ticket)),
        _ => Committed::Lost,
    }
}
