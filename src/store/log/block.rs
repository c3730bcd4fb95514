//! Blocks: several things that have happened at one instant, in one entry.
//!
//! ```text
//! slots:  code 1 | length of all 1 | parts
//! box:    code 1 | 0 1             | parts
//! part:   code 1 | table | length of key | length of value | number 8, by code | key | value
//! ```
//!
//! Lengths and tables are in groups of seven bits, the lowest first; the last one has no eighth
//! bit. The code of a part whose value is large has its eighth bit set: it has no length of a
//! value, and its value is the next of the entry's tails. So a large value is not copied, and ten
//! small ones cost one allocation or none.
//!
//! A block of one part is that part's plain entry, where it is known in time (see `capture`).

use super::Log;
use super::format::{Code, Logged, NUMBER_BYTES, Told, ToldValue};
use crate::record::{RecordRef, Unlinked};
use crate::ring::{Boxed, ENTRY_BYTES, Entry, Ring};
use crate::sync::OnceLock;
use crate::table::{BlockJournal, Part, Written};
use bytes::Bytes;

/// Bytes before the parts.
const HEAD_BYTES: usize = 2;

/// In the code of a part: its value is a tail.
const IN_TAIL: u8 = 1 << 7;

/// Several things that have happened at one instant: effects on keys, flushes and swaps, in the
/// order in which they are to be done again. Nothing of it is to be seen without the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block<'e> {
    parts: &'e [u8],
    /// The tails that are left.
    tail: Option<&'e Bytes>,
    more: &'e [Bytes],
}

impl<'e> Block<'e> {
    pub(super) fn in_slots(bytes: &'e [u8]) -> Option<Block<'e>> {
        Some(Block { parts: Self::parts(bytes)?, tail: None, more: &[] })
    }

    pub(super) fn in_box(boxed: &'e Boxed) -> Option<Block<'e>> {
        let parts = Self::parts(&boxed.head)?;
        Some(Block { parts, tail: Some(&boxed.tail), more: &boxed.more })
    }

    fn parts(bytes: &'e [u8]) -> Option<&'e [u8]> {
        match bytes.split_at_checked(HEAD_BYTES)? {
            ([code, _], parts) if *code == Code::Block as u8 => Some(parts),
            _ => None,
        }
    }

    /// The next part, and the buffer that its value is all of, if it is a large one. Bytes that are
    /// no part end the block.
    pub fn next_part(&mut self) -> Option<(Logged<'e>, Option<&'e Bytes>)> {
        let part = self.parse();
        if part.is_none() {
            self.parts = &[];
        }
        part
    }

    fn parse(&mut self) -> Option<(Logged<'e>, Option<&'e Bytes>)> {
        let (first, mut rest) = self.parts.split_first()?;
        let code = Code::of(first & !IN_TAIL)?;
        if matches!(code, Code::Mark | Code::Block) {
            return None;
        }
        let table = take_number(&mut rest)?;
        let key_length = take_length(&mut rest)?;
        let value_length = match first & IN_TAIL {
            0 => take_length(&mut rest)?,
            _ => 0,
        };
        let number = match code.has_number() {
            true => {
                let (number, after) = rest.split_first_chunk::<NUMBER_BYTES>()?;
                rest = after;
                u64::from_le_bytes(*number)
            }
            false => 0,
        };
        let (key, rest) = rest.split_at_checked(key_length)?;
        let (value, rest) = rest.split_at_checked(value_length)?;
        let tail = match first & IN_TAIL {
            0 => None,
            _ => Some(self.take_tail()?),
        };
        self.parts = rest;
        let value = tail.map_or(value, |tail| &tail[..]);
        code.logged(table, number, key, value).map(|logged| (logged, tail))
    }

    fn take_tail(&mut self) -> Option<&'e Bytes> {
        let tail = self.tail.take();
        if tail.is_none() {
            let (tail, more) = self.more.split_first()?;
            self.more = more;
            return Some(tail);
        }
        tail
    }
}

/// Its parts.
impl<'e> Iterator for Block<'e> {
    type Item = Logged<'e>;

    fn next(&mut self) -> Option<Logged<'e>> {
        self.next_part().map(|(logged, _)| logged)
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    take_number(bytes)?.try_into().ok()
}

/// The payload of a block under way.
pub(super) struct Builder {
    /// The start of the payload; all of it unless `long` has something.
    short: [u8; ENTRY_BYTES],
    length: usize,
    /// The payload, once it is too long for slots.
    long: Vec<u8>,
    tails: Vec<Bytes>,
}

/// A place between two parts of a [`Builder`].
#[derive(Clone, Copy)]
pub(super) struct Boundary {
    bytes: usize,
    tails: usize,
}

impl Builder {
    pub(super) fn new() -> Self {
        let mut short = [0; ENTRY_BYTES];
        short[0] = Code::Block as u8;
        Self { short, length: HEAD_BYTES, long: Vec::new(), tails: Vec::new() }
    }

    /// The end of what there is.
    pub(super) fn end(&self) -> Boundary {
        let bytes = if self.long.is_empty() { self.length } else { self.long.len() };
        Boundary { bytes, tails: self.tails.len() }
    }

    /// Takes back what was added behind a boundary.
    pub(super) fn truncate(&mut self, end: Boundary) {
        match self.long.is_empty() {
            true => self.length = end.bytes,
            // The head stays: it goes on here even if it would be short enough again.
            false => self.long.truncate(end.bytes),
        }
        self.tails.truncate(end.tails);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.end().bytes == HEAD_BYTES
    }

    /// Adds the change of a key.
    pub(super) fn push(&mut self, table: u64, key: &[u8], written: Written<'_>) {
        let Written::Put(record, tag) = written else {
            return self.push_plain(Code::Remove, table, 0, key, b"");
        };
        let mut digits = itoa::Buffer::new();
        let Told { code, number, value } = Told::of(record, tag, &mut digits);
        match value {
            ToldValue::Bytes(value) => self.push_plain(code, table, number, key, value),
            ToldValue::Large(value) => {
                self.push_head(code as u8 | IN_TAIL, table, &[key.len()]);
                self.push_rest(code, number, &[key]);
                self.tails.push(value.to_bytes());
            }
        }
    }

    /// Adds a part with a short value.
    pub(super) fn push_plain(
        &mut self,
        code: Code,
        table: u64,
        number: u64,
        key: &[u8],
        value: &[u8],
    ) {
        self.push_head(code as u8, table, &[key.len(), value.len()]);
        self.push_rest(code, number, &[key, value]);
    }

    fn push_head(&mut self, code: u8, table: u64, lengths: &[usize]) {
        self.add(&[code]);
        self.add_number(table);
        for &length in lengths {
            self.add_number(length as u64);
        }
    }

    fn push_rest(&mut self, code: Code, number: u64, parts: &[&[u8]]) {
        if code.has_number() {
            self.add(&number.to_le_bytes());
        }
        for part in parts {
            self.add(part);
        }
    }

    fn add_number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.add(&[number as u8 | 0x80]);
            number >>= 7;
        }
        self.add(&[number as u8]);
    }

    #[inline]
    fn add(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if self.long.is_empty() && end <= ENTRY_BYTES {
            self.short[self.length..end].copy_from_slice(bytes);
            self.length = end;
        } else {
            self.add_long(bytes);
        }
    }

    fn add_long(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            self.long.reserve(2 * ENTRY_BYTES + bytes.len());
            self.long.extend_from_slice(&self.short[..self.length]);
        }
        self.long.extend_from_slice(bytes);
    }

    /// Takes a place for it.
    fn enter(mut self, ring: &Ring) -> Entry<'_> {
        if !self.long.is_empty() || !self.tails.is_empty() {
            return ring.enter_boxed(self.boxed());
        }
        self.short[1] = self.length as u8;
        ring.enter(&[&self.short[..self.length]])
    }

    /// The payload in a box.
    pub(super) fn boxed(self) -> Box<Boxed> {
        let head =
            if self.long.is_empty() { self.short[..self.length].to_vec() } else { self.long };
        let mut tails = self.tails.into_iter();
        let tail = tails.next().unwrap_or_default();
        Box::new(Boxed { head, tail, more: tails.collect() })
    }
}

/// No log is no journal.
impl BlockJournal for OnceLock<Log> {
    fn enter_block(&self, parts: &mut dyn Iterator<Item = Part<'_>>) -> Option<Entry<'_>> {
        let log = self.get()?;
        let first = parts.next()?;
        let Some(second) = parts.next() else {
            return Some(log.enter_written(first.table, first.key.bytes, first.written));
        };
        let mut builder = Builder::new();
        for part in [first, second].into_iter().chain(parts) {
            builder.push(part.table, part.key.bytes, part.written);
        }
        Some(builder.enter(&log.ring))
    }

    fn wants(&self, table: u64, record: RecordRef<'_>) -> bool {
        self.get().is_some_and(|log| log.images.wants_image(table, record))
    }

    fn keep(&self, table: u64, ticket: u64, unlinked: Unlinked) {
        match self.get() {
            Some(log) => log.images.keep(table, ticket, unlinked),
            // Nobody has said that it wants it.
            None => debug_assert!(false, "a record was handed to no log"),
        }
    }

    fn has_room(&self) -> bool {
        self.get().is_none_or(Log::has_room)
    }

    fn wake(&self) {
        if let Some(log) = self.get() {
            log.wake();
        }
    }
}
