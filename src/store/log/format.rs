//! The bytes of an entry.
//!
//! ```text
//! slots:  code 1 | length of all 1 | length of key 1 | table 5 | number 8, by code | key | value
//! box:    code 1 | 0 1             | 0 1             | table 5 | number 8, by code | key
//!         and the value as the tail
//! ```
//!
//! A block (module `block`) has the first two bytes and then parts of a form of their own.

use super::block::Block;
use crate::record::{LargeValue, RecordRef, Value};
use crate::ring::{Boxed, ENTRY_BYTES, Read};
use crate::table::Tag;
use bytes::Bytes;

/// What has happened, as the log reads it.
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
    /// Several of the first three have happened at one instant.
    Block(Block<'e>),
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

/// The first byte of an entry, and of a part of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Code {
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
    Block,
}

impl Code {
    #[inline]
    pub(super) fn of(byte: u8) -> Option<Code> {
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
            12 => Code::Block,
            _ => return None,
        })
    }

    /// Whether a number follows the table.
    pub(super) const fn has_number(self) -> bool {
        matches!(self, Code::SetWithDeadline | Code::Range | Code::Add | Code::Expire | Code::Swap)
    }

    /// What an entry with these contents says. A block has others.
    #[inline]
    pub(super) fn logged<'e>(
        self,
        table: u64,
        number: u64,
        key: &'e [u8],
        value: &'e [u8],
    ) -> Option<Logged<'e>> {
        let effect = match self {
            Code::Flush => return Some(Logged::Flush(table)),
            Code::Swap => return Some(Logged::Swap(table, number)),
            Code::Mark => return Some(Logged::Mark),
            Code::Block => return None,
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

/// Bytes before the number or the key.
const START_BYTES: usize = 8;
pub(super) const NUMBER_BYTES: usize = 8;
/// Bytes of a table's number: flushing 10 million times a second uses them up in a day.
const TABLE_BYTES: usize = 5;
const _: () = assert!(ENTRY_BYTES <= u8::MAX as usize, "lengths in slots are bytes");

impl<'e> Logged<'e> {
    /// What an entry says; `None` if it is void.
    pub fn decode(read: &'e Read<'_>) -> Option<Logged<'e>> {
        match read {
            Read::Void => None,
            Read::Inline(bytes) => {
                let bytes: &[u8] = bytes;
                let [_, length, key_length, ..] = *bytes else { return None };
                let bytes = bytes.get(..length.into())?;
                Self::parse(bytes, Some(key_length.into()), &[])
                    .or_else(|| Block::in_slots(bytes).map(Logged::Block))
            }
            Read::Boxed(boxed) => Self::parse(&boxed.head, None, &boxed.tail)
                .or_else(|| Block::in_box(boxed).map(Logged::Block)),
        }
    }

    /// Takes the parts apart. In a box the key is all that is left of the head.
    fn parse(head: &'e [u8], key_length: Option<usize>, tail: &'e [u8]) -> Option<Logged<'e>> {
        let code = Code::of(*head.first()?).filter(|code| *code != Code::Block)?;
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
        code.logged(table, number, key, value)
    }
}

/// The start of an entry under way.
pub(super) struct Start {
    bytes: [u8; START_BYTES + NUMBER_BYTES],
    length: usize,
}

impl Start {
    #[inline]
    pub(super) fn new(code: Code, table: u64, number: u64) -> Self {
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
    pub(super) fn inline(&mut self, key: usize, value: usize) -> Option<&[u8]> {
        let length = self.length + key + value;
        if length > ENTRY_BYTES {
            return None;
        }
        self.bytes[1] = length as u8;
        self.bytes[2] = key as u8;
        Some(&self.bytes[..self.length])
    }

    #[cold]
    pub(super) fn boxed(&self, key: &[u8], tail: Bytes) -> Box<Boxed> {
        let head = [&self.bytes[..self.length], key].concat();
        Box::new(Boxed { head, tail, ..Boxed::default() })
    }
}

/// What is told of a record, its key apart.
pub(super) struct Told<'r> {
    pub(super) code: Code,
    pub(super) number: u64,
    pub(super) value: ToldValue<'r>,
}

/// What is told of a value.
pub(super) enum ToldValue<'r> {
    Bytes(&'r [u8]),
    /// All of a value that has a buffer of its own.
    Large(LargeValue<'r>),
}

impl<'r> Told<'r> {
    /// What is new of a record. `digits` is room for an integer.
    #[inline]
    pub(super) fn of(record: RecordRef<'r>, tag: Tag, digits: &'r mut itoa::Buffer) -> Self {
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
        let value = match record.value() {
            _ if matches!(tag, Tag::Added(_) | Tag::Deadline) => ToldValue::Bytes(b""),
            None => ToldValue::Bytes(b""),
            Some(Value::Integer(number)) => {
                ToldValue::Bytes(part(digits.format(number).as_bytes(), tag))
            }
            Some(Value::Bytes(bytes)) => ToldValue::Bytes(part(bytes, tag)),
            Some(Value::Large(large)) if tag == Tag::Whole => ToldValue::Large(large),
            Some(Value::Large(large)) => ToldValue::Bytes(part(large.as_slice(), tag)),
        };
        Self { code, number, value }
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
