//! Operations on the keys of one database.

use super::Session;
use super::append::{Append, ValueTooLong};
use super::entry::{Change, Entry};
use super::generation::Generations;
use super::log::Scribe;
use super::witness::What;
use crate::record::{
    Added, CounterWord, Key, MAX_LENGTH, NewValue, OwnedRecord, RecordRef, Value, parse_canonical,
};
use crate::ring::Entry as RingEntry;
use crate::sync::planted::{self, Planted};
use crate::table::{Decision, Table, TableUsage, Tag};

/// Why a number could not be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CounterError {
    /// The value is not a canonical decimal within 64 bits.
    NotAnInteger,
    /// The sum is not within 64 bits.
    Overflow,
}

/// One database, for as long as the keyspace lives.
#[derive(Clone, Copy)]
pub struct Database<'s> {
    generations: &'s Generations,
    index: usize,
}

impl<'s> Database<'s> {
    #[inline]
    pub(super) fn new(generations: &'s Generations, index: usize) -> Self {
        assert!(index < generations.len());
        Self { generations, index }
    }

    #[inline]
    pub(super) fn current<'g>(&self, session: &'g Session<'_>) -> Option<&'g Table> {
        let table = self.generations.current(self.index, &session.guard);
        self.generations.expose_order(session);
        table
    }

    #[inline]
    pub(super) fn obtain<'g>(&self, session: &'g Session<'_>) -> &'g Table {
        let table = self.generations.obtain(self.index, &session.guard);
        self.generations.expose_order(session);
        table
    }

    /// How often it was exchanged with another.
    pub(super) fn swaps(&self, session: &Session<'_>) -> u64 {
        self.generations.swaps(self.index, &session.guard)
    }

    /// Its number.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Brings near what operations on keys with these hashes will read; some 32 at a time.
    #[inline]
    pub fn prefetch(&self, session: &Session<'_>, hashes: &[u64]) {
        if let Some(table) = self.current(session) {
            table.prefetch(hashes, &session.guard);
        }
    }

    /// The record of a present key. One past its deadline is made absent first, so that nobody
    /// whose clock is a little behind sees it after somebody was told that it is gone.
    #[inline]
    pub(super) fn find<'g>(&self, session: &'g Session<'_>, key: Key<'_>) -> Option<RecordRef<'g>> {
        if session.in_transaction() {
            return self.find_in_transaction(session, key);
        }
        let mut record = self.current(session).and_then(|table| table.get(key, &session.guard));
        if record.is_some_and(|record| record.has_deadline() && session.is_over(record)) {
            record = self.find_again(session, key);
        }
        session.expose_record(record);
        record
    }

    #[cold]
    fn find_again<'g>(&self, session: &'g Session<'_>, key: Key<'_>) -> Option<RecordRef<'g>> {
        if !session.may_expire() {
            return None;
        }
        // Each turn follows a change of the key by somebody.
        loop {
            self.expire(session, key);
            let record = self.current(session)?.get(key, &session.guard)?;
            if !session.is_over(record) {
                return Some(record);
            }
        }
    }

    /// Makes a key absent if its deadline has passed. True if it did so.
    pub(super) fn expire(&self, session: &Session<'_>, key: Key<'_>) -> bool {
        self.current(session).is_some_and(|table| self.expire_in(table, session, key))
    }

    /// The same in a table that is or was the database's.
    pub(super) fn expire_in(&self, table: &Table, session: &Session<'_>, key: Key<'_>) -> bool {
        let scribe = session.scribe(table.number());
        let expired =
            table.update_told(key, &session.guard, scribe.as_ref(), |current| match current {
                Some(record)
                    if session.is_over(record) || planted::is(Planted::ExpireWithoutLook) =>
                {
                    session.removal(true)
                }
                _ => Decision::Keep(false),
            });
        session.count_expired(expired);
        if expired && session.is_witness() {
            session.bear_witness(What::Expired, self.index, key, true);
        }
        expired
    }

    /// Reads a key's value. The key counts as used now.
    #[inline]
    pub fn get<T>(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        read: impl FnOnce(Value<'_>) -> T,
    ) -> Option<T> {
        let record = self.find(session, key)?;
        session.note_use(record);
        record.value().map(read)
    }

    /// Looks at a key without using it.
    #[inline]
    pub fn peek<T>(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        read: impl FnOnce(Entry<'_>) -> T,
    ) -> Option<T> {
        self.find(session, key).map(|record| read(Entry::new(record)))
    }

    /// What a key holds, as long as the session is not renewed.
    pub fn entry<'g>(&self, session: &'g Session<'_>, key: Key<'_>) -> Option<Entry<'g>> {
        self.find(session, key).map(Entry::new)
    }

    /// Whether a key is present.
    #[inline]
    pub fn contains(&self, session: &Session<'_>, key: Key<'_>) -> bool {
        self.find(session, key).is_some()
    }

    /// Marks a key as used now, also where uses are not noted. True if it is present.
    pub fn touch(&self, session: &Session<'_>, key: Key<'_>) -> bool {
        self.find(session, key).inspect(|record| session.note_touch(*record)).is_some()
    }

    /// Marks a key as not used for so many seconds.
    pub fn set_idle(&self, session: &Session<'_>, key: Key<'_>, seconds: u64) {
        let used = session.seconds().saturating_sub(seconds);
        if let Some(record) = self.find(session, key) {
            record.set_usage(record.usage().with_seconds(used));
        }
    }

    /// Marks a key as used so often, on the scale of LFU.
    pub fn set_frequency(&self, session: &Session<'_>, key: Key<'_>, frequency: u8) {
        if let Some(record) = self.find(session, key) {
            record.set_usage(record.usage().with_counter(frequency));
        }
    }

    /// Has a key go on with the history of another, as used now.
    pub fn set_history(&self, session: &Session<'_>, key: Key<'_>, other: Entry<'_>) {
        if let Some(record) = self.find(session, key) {
            record.set_usage(session.used(other.usage()));
        }
    }

    /// Number of keys (see [`Table::len`] for what it promises under change). A key past its
    /// deadline counts until it is found. It does not count as exposed: a reply that shows it says
    /// so itself ([`Session::expose_all`]).
    pub fn len(&self, session: &Session<'_>) -> u64 {
        self.current(session).map_or(0, Table::len)
    }

    /// Number of keys with a deadline.
    pub fn expiring(&self, session: &Session<'_>) -> u64 {
        self.current(session).map_or(0, Table::expiring)
    }

    /// Whether the database has no key.
    pub fn is_empty(&self, session: &Session<'_>) -> bool {
        self.len(session) == 0
    }

    /// Sets a key, which has no deadline then.
    #[inline]
    pub fn set(&self, session: &Session<'_>, key: Key<'_>, value: NewValue<'_>) {
        if session.in_transaction() {
            return self.set_in_transaction(session, key, &value);
        }
        self.update(session, key, |_| {
            let record = OwnedRecord::new(&session.birth(key, None), &value);
            Decision::Put(record, Tag::Whole, ())
        });
    }

    /// Sets a key unless it is present. True if it was set.
    pub fn set_if_absent(&self, session: &Session<'_>, key: Key<'_>, value: NewValue<'_>) -> bool {
        self.update(session, key, |current| match current {
            Some(_) => Decision::Keep(false),
            None => {
                let record = OwnedRecord::new(&session.birth(key, None), &value);
                Decision::Put(record, Tag::Whole, true)
            }
        })
    }

    /// Changes a key as `decide` says, given what it holds. `decide` is called again, with what is
    /// there then, whenever another change comes first, so it must have no effect of its own; the
    /// last call counts. What builds on a value takes it from [`Entry::settled`].
    pub fn change<'g, 'v, R>(
        &self,
        session: &'g Session<'_>,
        key: Key<'_>,
        mut decide: impl FnMut(Option<Entry<'g>>) -> Change<'v, R>,
    ) -> R {
        self.update(session, key, |current| match decide(current.map(Entry::new)) {
            Change::Keep(result) => Decision::Keep(result),
            Change::Put { value, deadline, result } => {
                let birth = session.birth(key, deadline);
                Decision::Put(OwnedRecord::new(&birth, &value), Tag::Whole, result)
            }
            Change::Edit { bytes, from, count, deadline, result } => {
                let birth = session.birth(key, deadline);
                let record = OwnedRecord::new(&birth, &NewValue::Edited(bytes));
                Decision::Put(record, Tag::Range(from, count), result)
            }
            Change::Deadline { entry, deadline, result } => {
                let birth = session.birth(key, deadline);
                Decision::Put(OwnedRecord::new(&birth, &entry.same()), Tag::Deadline, result)
            }
            Change::Remove(result) => session.removal(result),
        })
    }

    /// [`Table::update`] with keys past their deadline absent: what `decide` keeps of one that it
    /// saw as absent is removed.
    #[inline]
    fn update<'g, R>(
        &self,
        session: &'g Session<'_>,
        key: Key<'_>,
        mut decide: impl FnMut(Option<RecordRef<'g>>) -> Decision<R>,
    ) -> R {
        self.update_told(session, key, |current, _| decide(current))
    }

    /// [`update`](Database::update) that also tells `decide` who logs the change.
    #[inline]
    fn update_told<'g, R>(
        &self,
        session: &'g Session<'_>,
        key: Key<'_>,
        mut decide: impl FnMut(Option<RecordRef<'g>>, Option<&Scribe<'_>>) -> Decision<R>,
    ) -> R {
        if session.in_transaction() {
            return self.update_in_transaction(session, key, |current| decide(current, None));
        }
        let mut over = false;
        let mut inserts = false;
        session.bring_ghost(self.index, key.hash);
        let table = self.obtain(session);
        let scribe = session.scribe(table.number());
        let scribe = scribe.as_ref();
        let result = table.update_told(key, &session.guard, scribe, |current| {
            over = current.is_some_and(|record| record.has_deadline() && session.is_over(record));
            let present = current.filter(|_| !over);
            inserts = false;
            match decide(present, scribe) {
                Decision::Keep(result) if over => session.removal(result),
                Decision::Keep(result) => {
                    session.expose_record(current);
                    if let Some(record) = current {
                        session.note_use(record);
                    }
                    Decision::Keep(result)
                }
                Decision::Put(record, tag, result) => {
                    inserts = present.is_none();
                    record.as_ref().set_usage(match present {
                        // What replaces another goes on with its history.
                        Some(present) => session.used(present.usage()),
                        None => session.inserted_usage(self.index, key.hash),
                    });
                    // A replayed log still has a key past its deadline: no part of its value may
                    // be built upon.
                    let is_whole = over && !planted::is(Planted::ExpiredBuiltUpon);
                    Decision::Put(record, if is_whole { Tag::Whole } else { tag }, result)
                }
                decision => decision,
            }
        });
        if inserts {
            session.note_inserted(self.index, key.hash);
        }
        session.count_expired(over);
        if session.is_witness() {
            if over {
                session.bear_witness(What::Expired, self.index, key, true);
            }
            if inserts {
                session.bear_witness(What::New, self.index, key, true);
            }
        }
        result
    }

    /// Adds to the integer at a key, an absent key counting as 0, and returns the sum.
    #[inline]
    pub fn add(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        delta: i64,
    ) -> Result<i64, CounterError> {
        let in_place = !session.in_transaction();
        self.update_told(session, key, |current, scribe| {
            add_to(session, key, current, delta, in_place.then_some(scribe))
        })
    }

    /// Appends to the value at a key, an absent key counting as empty, and returns the new length.
    pub fn append(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        tail: &[u8],
    ) -> Result<usize, ValueTooLong> {
        self.append_within(session, key, tail, MAX_LENGTH)
    }

    /// [`append`](Database::append), unless the value would become longer than `limit` bytes.
    pub fn append_within(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        tail: &[u8],
        limit: usize,
    ) -> Result<usize, ValueTooLong> {
        let mut append = Append::new(session, key, tail, limit.min(MAX_LENGTH));
        let result = self.update(session, key, |current| append.decide(current));
        append.done();
        result
    }

    /// Makes a key absent. True if it was present.
    pub fn remove(&self, session: &Session<'_>, key: Key<'_>) -> bool {
        // Most DELs of an absent key need not claim anything.
        if self.find(session, key).is_none() {
            return false;
        }
        self.update(session, key, |current| match current {
            None => Decision::Keep(false),
            Some(_) => session.removal(true),
        })
    }

    /// Makes a key absent for its memory, if this record still stands for it. True if it did so.
    pub(super) fn evict(&self, session: &Session<'_>, record: RecordRef<'_>) -> bool {
        let Some(table) = self.current(session) else {
            return false;
        };
        let scribe = session.scribe(table.number());
        let key = Key { bytes: record.key(), hash: record.hash() };
        let evicted =
            table.update_told(key, &session.guard, scribe.as_ref(), |current| match current {
                Some(current)
                    if current.version() == record.version()
                        || planted::is(Planted::EvictWithoutLook) =>
                {
                    Decision::Discard(session.version(), true)
                }
                _ => Decision::Keep(false),
            });
        if evicted && session.is_witness() {
            session.bear_witness(What::Evicted, self.index, key, true);
        }
        evicted
    }

    /// Makes all keys absent at one instant.
    pub fn flush(&self, session: &Session<'_>) {
        self.generations.flush(self.index, session);
    }

    /// Exchanges this database with another at one instant: everything that begins later finds the
    /// one's keys in the other. (A change that had found its table before may land after it.)
    pub fn swap(&self, session: &Session<'_>, other: usize) {
        self.generations.swap(self.index, other, session);
    }

    /// Cleans some segments of the names of absent keys. Returns how many.
    pub(super) fn clean(&self, session: &Session<'_>) -> usize {
        self.current(session).map_or(0, |table| table.clean_some(CLEANED_AT_ONCE, &session.guard))
    }

    /// Segments that are migrating now, and migrations completed.
    pub fn migrations(&self, session: &Session<'_>) -> (usize, u64) {
        self.current(session).map_or((0, 0), Table::migrations)
    }

    /// How full the table is.
    pub fn table_usage(&self, session: &Session<'_>) -> TableUsage {
        self.current(session).map_or_else(TableUsage::default, |table| table.usage(&session.guard))
    }

    pub(super) fn maintain(&self, session: &Session<'_>, chunks: usize) {
        if let Some(table) = self.current(session) {
            table.maintain(&session.guard, chunks);
        }
    }
}

/// Segments that are cleaned in one go: with millions of keys some 30 µs each.
const CLEANED_AT_ONCE: usize = 8;

/// INCR: in place if the record is an open integer, else by a new record.
#[inline]
fn add_to(
    session: &Session<'_>,
    key: Key<'_>,
    current: Option<RecordRef<'_>>,
    delta: i64,
    in_place: Option<Option<&Scribe<'_>>>,
) -> Decision<Result<i64, CounterError>> {
    let value = match current {
        None => 0,
        Some(record) => match record.counter() {
            Some(counter) => match add_in_place(key, record, counter, delta, in_place) {
                Added::Done(sum) => return Decision::Keep(Ok(sum)),
                Added::Overflow => return Decision::Keep(Err(CounterError::Overflow)),
                Added::Frozen(value) => value,
                Added::TooLarge | Added::Refused => counter.freeze(),
            },
            None => match record.value() {
                Some(Value::Bytes(bytes)) => match parse_canonical(bytes) {
                    Some(value) => value,
                    None => return Decision::Keep(Err(CounterError::NotAnInteger)),
                },
                _ => return Decision::Keep(Err(CounterError::NotAnInteger)),
            },
        },
    };
    match value.checked_add(delta) {
        None => Decision::Keep(Err(CounterError::Overflow)),
        Some(sum) => {
            let birth = session.birth(key, current.and_then(RecordRef::deadline));
            let record = OwnedRecord::counter(&birth, sum, delta < 0);
            Decision::Put(record, Tag::Added(delta), Ok(sum))
        }
    }
}

/// Adds in place, if that may be done: `in_place` says who logs it then. A counter goes one way in
/// a record. Were it to return to a value, who reads several keys could not tell by the values that
/// nothing has changed, and a slow addition with an early ticket could succeed after others that
/// have later ones: the log would tell of sums that never were.
#[inline]
fn add_in_place(
    key: Key<'_>,
    record: RecordRef<'_>,
    counter: &CounterWord,
    delta: i64,
    in_place: Option<Option<&Scribe<'_>>>,
) -> Added {
    let Some(scribe) = in_place else {
        return Added::Refused;
    };
    // An addition of nothing is a read: no compare-and-swap could tell that it came in between.
    if delta == 0 {
        return Added::Done(counter.get());
    }
    if record.falls() != (delta < 0) && !planted::is(Planted::CounterTurns) {
        return Added::Refused;
    }
    let Some(scribe) = scribe else {
        return counter.add(delta);
    };
    counter.add_noted(delta, || scribe.enter_addition(key, record, delta), RingEntry::commit)
}
