//! Operations on the keys of one database.

use super::generation::Generations;
use super::{Local, Session};
use crate::record::{
    Added, AppendBuffer, Claim, Key, MAX_LENGTH, NewValue, OwnedRecord, RecordRef, Value,
    parse_canonical,
};
use crate::sync::spin_loop;
use crate::table::{Decision, Table};

/// Values that APPEND makes are copied into the record up to this length; longer ones get a buffer
/// that further appends grow.
const INLINE_APPEND_BYTES: usize = 128;

/// How often an APPEND looks again for the publication of another append that is ahead of it before
/// it copies the value to a buffer of its own.
const APPEND_RETRIES: u32 = 64;

/// Why a number could not be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CounterError {
    /// The value is not a canonical decimal within 64 bits.
    NotAnInteger,
    /// The sum is not within 64 bits.
    Overflow,
}

/// A value would pass 512 MiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueTooLong;

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
    fn current<'g>(&self, session: &'g Session<'_>) -> Option<&'g Table> {
        self.generations.current(self.index, &session.guard)
    }

    #[inline]
    fn obtain<'g>(&self, session: &'g Session<'_>) -> &'g Table {
        self.generations.obtain(self.index, &session.guard)
    }

    /// Brings near what operations on keys with these hashes will read; some 32 at a time.
    #[inline]
    pub fn prefetch(&self, session: &Session<'_>, hashes: &[u64]) {
        if let Some(table) = self.current(session) {
            table.prefetch(hashes, &session.guard);
        }
    }

    /// Reads a key's value.
    #[inline]
    pub fn get<T>(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        read: impl FnOnce(Value<'_>) -> T,
    ) -> Option<T> {
        let record = self.current(session)?.get(key, &session.guard)?;
        record.value().map(read)
    }

    /// Whether a key is present.
    #[inline]
    pub fn contains(&self, session: &Session<'_>, key: Key<'_>) -> bool {
        self.current(session).is_some_and(|table| table.get(key, &session.guard).is_some())
    }

    /// Number of keys (see [`Table::len`] for what it promises under change).
    pub fn len(&self, session: &Session<'_>) -> u64 {
        self.current(session).map_or(0, Table::len)
    }

    /// Whether the database has no key.
    pub fn is_empty(&self, session: &Session<'_>) -> bool {
        self.len(session) == 0
    }

    /// Sets a key.
    #[inline]
    pub fn set(&self, session: &Session<'_>, key: Key<'_>, value: NewValue<'_>) {
        let local = session.local;
        self.obtain(session).update(key, &session.guard, |_| {
            Decision::Put(OwnedRecord::new(key, local.next_version(), &value), ())
        });
    }

    /// Sets a key unless it is present. True if it was set.
    pub fn set_if_absent(&self, session: &Session<'_>, key: Key<'_>, value: NewValue<'_>) -> bool {
        let local = session.local;
        self.obtain(session).update(key, &session.guard, |current| match current {
            Some(_) => Decision::Keep(false),
            None => Decision::Put(OwnedRecord::new(key, local.next_version(), &value), true),
        })
    }

    /// Adds to the integer at a key, an absent key counting as 0, and returns the sum.
    #[inline]
    pub fn add(
        &self,
        session: &Session<'_>,
        key: Key<'_>,
        delta: i64,
    ) -> Result<i64, CounterError> {
        let local = session.local;
        self.obtain(session)
            .update(key, &session.guard, |current| add_to(local, key, current, delta))
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
        let limit = limit.min(MAX_LENGTH);
        let local = session.local;
        let mut append = Append { local, key, tail, limit, claim: None, retries: 0 };
        let result =
            self.obtain(session).update(key, &session.guard, |current| append.decide(current));
        if let Some(claim) = append.claim {
            claim.keep();
        }
        result
    }

    /// Makes a key absent. True if it was present.
    pub fn remove(&self, session: &Session<'_>, key: Key<'_>) -> bool {
        let local = session.local;
        let Some(table) = self.current(session) else {
            return false;
        };
        // Most DELs of an absent key need not claim anything.
        if table.get(key, &session.guard).is_none() {
            return false;
        }
        table.update(key, &session.guard, |current| match current {
            None => Decision::Keep(false),
            Some(_) => Decision::Remove(local.next_version(), true),
        })
    }

    /// Makes all keys absent at one instant.
    pub fn flush(&self, session: &Session<'_>) {
        self.generations.flush(self.index, &session.guard);
    }

    /// Segments that are migrating now, and migrations completed.
    pub fn migrations(&self, session: &Session<'_>) -> (usize, u64) {
        self.current(session).map_or((0, 0), Table::migrations)
    }

    pub(super) fn maintain(&self, session: &Session<'_>, chunks: usize) {
        if let Some(table) = self.current(session) {
            table.maintain(&session.guard, chunks);
        }
    }
}

/// INCR: in place if the record is an open integer, else by a new record.
#[inline]
fn add_to(
    local: &Local,
    key: Key<'_>,
    current: Option<RecordRef<'_>>,
    delta: i64,
) -> Decision<Result<i64, CounterError>> {
    let value = match current {
        None => 0,
        Some(record) => match record.counter() {
            Some(counter) => match counter.add(delta) {
                Added::Done(sum) => return Decision::Keep(Ok(sum)),
                Added::Overflow => return Decision::Keep(Err(CounterError::Overflow)),
                Added::Frozen(value) => value,
                Added::TooLarge => counter.freeze(),
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
        Some(sum) => Decision::Put(OwnedRecord::integer(key, local.next_version(), sum), Ok(sum)),
    }
}

/// One APPEND, over as many looks at the key as it takes.
struct Append<'a> {
    local: &'a Local,
    key: Key<'a>,
    tail: &'a [u8],
    /// The longest value that may come of it.
    limit: usize,
    /// Room taken in the value's buffer at the last look, for a record not yet published.
    claim: Option<Claim>,
    retries: u32,
}

impl Append<'_> {
    fn decide(&mut self, current: Option<RecordRef<'_>>) -> Decision<Result<usize, ValueTooLong>> {
        // The last look came to nothing: give its room back before anything else.
        self.claim = None;
        let Some(record) = current else {
            return self.put_joined(&[]);
        };
        if self.tail.is_empty() {
            // Nothing to claim: an empty claim would not be exclusive.
            return Decision::Keep(Ok(record.value().map_or(0, |value| value.len())));
        }
        if let Some((buffer, length)) = record.large().and_then(|large| large.appendable()) {
            if length + self.tail.len() > self.limit {
                return Decision::Keep(Err(ValueTooLong));
            }
            match buffer.claim(length, self.tail) {
                Ok(claim) => return self.put_claimed(claim),
                Err(error) if error.may_pass() && self.retries < APPEND_RETRIES => {
                    self.retries += 1;
                    spin_loop();
                    return Decision::Again;
                }
                Err(_) => {}
            }
        }
        match record.settled_value() {
            None => self.put_joined(&[]),
            Some(Value::Integer(number)) => {
                self.put_joined(itoa::Buffer::new().format(number).as_bytes())
            }
            Some(Value::Bytes(bytes)) => self.put_joined(bytes),
            Some(Value::Large(large)) => self.put_joined(large.as_slice()),
        }
    }

    fn put_claimed(&mut self, claim: Claim) -> Decision<Result<usize, ValueTooLong>> {
        let (length, version) = (claim.length(), self.local.next_version());
        let record = OwnedRecord::appendable(self.key, version, claim.buffer(), length);
        self.claim = Some(claim);
        Decision::Put(record, Ok(length))
    }

    fn put_joined(&mut self, head: &[u8]) -> Decision<Result<usize, ValueTooLong>> {
        let length = head.len() + self.tail.len();
        if length > self.limit {
            return Decision::Keep(Err(ValueTooLong));
        }
        let (parts, version) = ([head, self.tail], self.local.next_version());
        let record = if length <= INLINE_APPEND_BYTES {
            OwnedRecord::inline(self.key, version, &parts)
        } else {
            OwnedRecord::appendable(self.key, version, AppendBuffer::with_parts(&parts), length)
        };
        Decision::Put(record, Ok(length))
    }
}
