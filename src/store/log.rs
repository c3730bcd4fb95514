//! What is written of a change into the ring, and read from it by the log.
//!
//! An entry tells the effect on one key, never the command that had it, in a form that a log can
//! replay at any later time: a time is absolute, a key that has expired is one that was removed, an
//! addition in place is its delta (additions commute, sums do not).
//!
//! A key belongs to a *table*, by number: the tables that follow one another in a place of a
//! database, through FLUSHDB, have numbers `place`, `place + databases`, and so on. The reader
//! learns from [`Logged::Flush`] which tables are gone, so an addition to a table that is flushed
//! at the same time can have a later ticket than the flush and still counts as before it; and from
//! [`Logged::Swap`] which database a place belongs to.

use crate::ring::{ENTRY_BYTES, Read};
use bytes::Bytes;

/// The effect of a change, as the log reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logged<'e> {
    /// A key of a table has changed.
    Key {
        /// The number of the table.
        table: u32,
        /// The key.
        key: &'e [u8],
        /// What has become of it.
        effect: Effect<'e>,
    },
    /// All keys of the table of this number are gone, and so is the table.
    Flush(u32),
    /// Two databases have exchanged their places.
    Swap(u32, u32),
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

/// The fixed start of an entry: what, length of the key, table, a number.
const START_BYTES: usize = 1 + 4 + 4 + 8 + 4;

/// The first byte of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    Set,
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
    const ALL: [Code; 11] = [
        Code::Set,
        Code::SetWithDeadline,
        Code::Append,
        Code::Range,
        Code::Add,
        Code::Expire,
        Code::Persist,
        Code::Remove,
        Code::Flush,
        Code::Swap,
        Code::Mark,
    ];
}
