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
//! ```text
//! slots:  code 1 | length of all 1 | length of key 1 | table 5 | number 8, by code | key | value
//! box:    code 1 | 0 1             | 0 1             | table 5 | number 8, by code | key
//!         and the value as the tail
//! ```
//!
//! # Exposure
//! Under a strict log a reply waits until the log has what it shows. Each operation notes the
//! position that the log must have reached ([`Session::expose`]): past its own ticket, past the
//! version of the record that it read, and where no record says it (an absent key, a counter that
//! is changed in place, the size of a database) past everything that has a ticket when the
//! positions are asked for ([`Local::take_exposed`]), since what was found may be read until then.
//! A database that was exchanged with another shows that too, by whatever is found in it.
//!
//! [`Local::take_exposed`]: super::Local::take_exposed

use super::snapshot::Images;
use super::{Key, Session, Value};
use crate::record::{RecordRef, Unlinked};
use crate::ring::{Boxed, ENTRY_BYTES, Entry, Read, Ring};
use crate::sync::Arc;
use crate::sync::plain::{AtomicBool, Ordering};
use crate::sync::planted::{self, Planted};
use crate::table::{Journal, Tag, Written};
use bytes::Bytes;

/// A position that is past everything that has a ticket when it is looked at.
pub(super) const EVERYTHING: u64 = u64::MAX;

/// The effect of a change, as the log reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logged<'e> {
    /// A key of a table has changed.
    Key {
        /// The number of the table.
        table: u64,
        /// The key.
        key: &'e [u8],
        /// What has become of it.
        effect: Effect<'e>,
    },
    /// All keys of the table of this number are gone, and so is the table.
    Flush(u64),
    /// Two databases have exchanged their places.
    Swap(u64, u64),
    /// A mark that somebody waits for.
    Mark,
}

/// What has become of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect<'e> {
    /// It has this value, and this deadline in milliseconds of Unix time or none.
    Set(&'e [u8], Option<u64>),
    /// This was appended to its value; the deadline stays.
    Append(&'e [u8]),
    /// From this offset on its value has these bytes; the deadline stays.
    Range(u64, &'e [u8]),
    /// This was added to its number, 0 if it was absent; the deadline stays.
    Add(i64),
    /// It expires at this time, in milliseconds of Unix time.
    Expire(u64),
    /// It has no deadline any more.
    Persist,
    /// It is absent.
    Remove,
}

/// The first byte of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Code {
    Set = 1,
    SetWithDeadline,
    Append,
    Range,
    Add,
    Expire,
    Persist,
    Remove,
    Flush,
    Swap,
    Mark,
}

impl Code {
    #[inline]
    fn of(byte: u8) -> Option<Code> {
        Some(match byte {
            1 => Code::Set,
            2 => Code::SetWithDeadline,
            3 => Code::Append,
            4 => Code::Range,
            5 => Code::Add,
            6 => Code::Expire,
            7 => Code::Persist,
            8 => Code::Remove,
            9 => Code::Flush,
            10 => Code::Swap,
            11 => Code::Mark,
            _ => return None,
        })
    }

    /// Whether a number follows the table.
    const fn has_number(self) -> bool {
        matches!(self, Code::SetWithDeadline | Code::Range | Code::Add | Code::Expire | Code::Swap)
    }
}

/// Bytes before the number or the key.
const START_BYTES: usize = 8;
const NUMBER_BYTES: usize = 8;
/// Bytes of a table's number: flushing 10 million times a second uses them up in a day.
const TABLE_BYTES: usize = 5;
const _: () = assert!(ENTRY_BYTES <= u8::MAX as usize, "lengths in slots are bytes");

impl<'e> Logged<'e> {
    /// What an entry says; `None` if it is void.
    pub fn decode(read: &'e Read<'_>) -> Option<Logged<'e>> {
        match read {
            Read::Void => None,
            Read::Inline(bytes) => {
                let (length, key_length) = (bytes[1].into(), bytes[2].into());
                Self::parse(bytes.get(..length)?, Some(key_length), &[])
            }
            Read::Boxed(boxed) => Self::parse(&boxed.head, None, &boxed.tail),
        }
    }

    /// Takes the parts apart. In a box the key is all that is left of the head.
    fn parse(head: &'e [u8], key_length: Option<usize>, tail: &'e [u8]) -> Option<Logged<'e>> {
        let code = Code::of(*head.first()?)?;
        let mut table = [0; NUMBER_BYTES];
        table[..TABLE_BYTES].copy_from_slice(head.get(START_BYTES - TABLE_BYTES..START_BYTES)?);
        let table = u64::from_le_bytes(table);
        let (number, rest) = match code.has_number() {
            true => {
                let (number, rest) = head[START_BYTES..].split_first_chunk()?;
                (u64::from_le_bytes(*number), rest)
            }
            false => (0, &head[START_BYTES..]),
        };
        let (key, value) = match key_length {
            Some(length) => rest.split_at_checked(length)?,
            None => (rest, tail),
        };
        let effect = match code {
            Code::Flush => return Some(Logged::Flush(table)),
            Code::Swap => return Some(Logged::Swap(table, number)),
            Code::Mark => return Some(Logged::Mark),
            Code::Set => Effect::Set(value, None),
            Code::SetWithDeadline => Effect::Set(value, Some(number)),
            Code::Append => Effect::Append(value),
            Code::Range => Effect::Range(number, value),
            Code::Add => Effect::Add(number as i64),
            Code::Expire => Effect::Expire(number),
            Code::Persist => Effect::Persist,
            Code::Remove => Effect::Remove,
        };
        Some(Logged::Key { table, key, effect })
    }
}

/// The start of an entry under way.
struct Start {
    bytes: [u8; START_BYTES + NUMBER_BYTES],
    length: usize,
}

impl Start {
    #[inline]
    fn new(code: Code, table: u64, number: u64) -> Self {
        assert!(table >> (8 * TABLE_BYTES) == 0, "a table's number is out of range");
        let mut bytes = [0; START_BYTES + NUMBER_BYTES];
        bytes[0] = code as u8;
        bytes[START_BYTES - TABLE_BYTES..START_BYTES]
            .copy_from_slice(&table.to_le_bytes()[..TABLE_BYTES]);
        let mut length = START_BYTES;
        if code.has_number() {
            bytes[START_BYTES..].copy_from_slice(&number.to_le_bytes());
            length += NUMBER_BYTES;
        }
        Self { bytes, length }
    }

    /// The bytes of an entry in slots, if it fits them.
    #[inline]
    fn inline(&mut self, key: usize, value: usize) -> Option<&[u8]> {
        let length = self.length + key + value;
        if length > ENTRY_BYTES {
            return None;
        }
        self.bytes[1] = length as u8;
        self.bytes[2] = key as u8;
        Some(&self.bytes[..self.length])
    }

    #[cold]
    fn boxed(&self, key: &[u8], value: Bytes) -> Box<Boxed> {
        Box::new(Boxed {
            head: [&self.bytes[..self.length], key].concat(),
            tail: value,
            more: vec![],
        })
    }
}

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

    #[inline]
    pub(super) fn is_strict(&self) -> bool {
        self.strict.load(Ordering::Relaxed)
    }

    /// Takes a place for a mark.
    pub(super) fn enter_mark(&self) -> Entry<'_> {
        self.enter_plain(Code::Mark, 0, 0)
    }

    /// Takes a place for the flush of a table.
    pub(super) fn enter_flush(&self, table: u64) -> Entry<'_> {
        self.enter_plain(Code::Flush, table, 0)
    }

    /// Takes a place for the exchange of two databases.
    pub(super) fn enter_swap(&self, one: usize, other: usize) -> Entry<'_> {
        self.enter_plain(Code::Swap, one as u64, other as u64)
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

    #[inline]
    fn enter_put(&self, table: u64, key: &[u8], record: RecordRef<'_>, tag: Tag) -> Entry<'_> {
        let deadline = record.deadline();
        let (code, number) = match (tag, deadline) {
            (Tag::Added(delta), _) => (Code::Add, delta as u64),
            (Tag::Deadline, Some(deadline)) => (Code::Expire, deadline),
            (Tag::Deadline, None) => (Code::Persist, 0),
            (Tag::Tail(_), _) => (Code::Append, 0),
            (Tag::Range(offset, _), _) => (Code::Range, offset as u64),
            (Tag::Whole, Some(deadline)) => (Code::SetWithDeadline, deadline),
            (Tag::Whole, None) => (Code::Set, 0),
        };
        let start = Start::new(code, table, number);
        if matches!(tag, Tag::Added(_) | Tag::Deadline) {
            return self.enter(start, key, b"");
        }
        match record.value() {
            None => self.enter(start, key, b""),
            Some(Value::Integer(number)) => {
                let mut digits = itoa::Buffer::new();
                self.enter(start, key, part(digits.format(number).as_bytes(), tag))
            }
            Some(Value::Bytes(bytes)) => self.enter(start, key, part(bytes, tag)),
            Some(Value::Large(large)) if tag == Tag::Whole => {
                self.ring.enter_boxed(start.boxed(key, large.to_bytes()))
            }
            Some(Value::Large(large)) => self.enter(start, key, part(large.as_slice(), tag)),
        }
    }
}

/// The part of a value that a tag says is new.
#[inline]
fn part(value: &[u8], tag: Tag) -> &[u8] {
    let (from, until) = match tag {
        Tag::Tail(count) => (value.len().saturating_sub(count), value.len()),
        Tag::Range(offset, count) => (offset, offset + count),
        Tag::Whole | Tag::Deadline | Tag::Added(_) => (0, value.len()),
    };
    value.get(from..until).unwrap_or(value)
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
        let start = Start::new(Code::Add, self.table, delta as u64);
        let entry = self.log.enter(start, key.bytes, b"");
        self.session.note_entry(&entry);
        // After the ticket: see the snapshot.
        let wanted = self.log.images.wants(record.version()) && !planted::is(Planted::AddToImage);
        (!wanted).then_some(entry)
    }
}

impl Journal for Scribe<'_> {
    #[inline]
    fn enter(&self, key: Key<'_>, written: Written<'_>) -> Entry<'_> {
        let entry = match written {
            Written::Put(record, tag) => self.log.enter_put(self.table, key.bytes, record, tag),
            Written::Removed => {
                self.log.enter(Start::new(Code::Remove, self.table, 0), key.bytes, b"")
            }
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

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ring::Consumer;

    /// What each entry says, as text.
    fn told(consumer: &mut Consumer) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(read) = consumer.next() {
            told.push(format!("{:?}", Logged::decode(&read)));
        }
        consumer.release();
        told
    }

    fn log() -> (Log, Consumer) {
        let (ring, consumer) = Ring::new(64, 1);
        (Log::new(ring), consumer)
    }

    #[test]
    fn entries_of_every_kind_and_length_are_read_as_they_were_written() {
        let (log, mut consumer) = log();
        for key in [0, 1, 40, 48, 49, 200, 224, 225, 300, 70_000] {
            for value in [0, 1, 40, 48, 208, 224, 225, 5000] {
                let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
                let table = (1 << 40) - 1;
                log.enter(Start::new(Code::SetWithDeadline, table, u64::MAX), &key, &value)
                    .commit();
                log.enter(Start::new(Code::Append, 7, 0), &key, &value).commit();
                let read = consumer.next().unwrap();
                let effect = Effect::Set(&value, Some(u64::MAX));
                assert_eq!(Logged::decode(&read), Some(Logged::Key { table, key: &key, effect }));
                let read = consumer.next().unwrap();
                let effect = Effect::Append(&value);
                assert_eq!(
                    Logged::decode(&read),
                    Some(Logged::Key { table: 7, key: &key, effect })
                );
                consumer.release();
            }
        }
    }

    #[test]
    fn flushes_swaps_and_marks_are_read_as_they_were_written() {
        let (log, mut consumer) = log();
        log.enter_flush(35).commit();
        log.enter_swap(3, 9).commit();
        drop(log.enter_mark());
        log.enter_mark().commit();
        assert_eq!(
            told(&mut consumer),
            ["Some(Flush(35))", "Some(Swap(3, 9))", "None", "Some(Mark)"]
        );
    }
}
