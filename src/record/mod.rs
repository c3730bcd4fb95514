//! The record: one allocation that holds a key, its value and what the table must know of both.
//!
//! ```text
//! 0        8        16       24       28       32
//! | hash   | version| access | key    | value  | deadline | payload      | key   | value bytes |
//! |        |        |        | length | length | (if any) | (Int, Large) | bytes | (Inline)    |
//! |        |        |        | + kind | + flags|          |              |       |             |
//! ```
//!
//! A record is built by one thread ([`OwnedRecord`]), published by one compare-and-swap of a slot
//! word, and immutable from then on, but for two words made for it: the counter of an integer
//! record ([`CounterWord`]) and the access word. It is reached through [`RecordRef`], which lives
//! no longer than the epoch pin under which its pointer was loaded, and freed by [`retire`] after
//! it has been unlinked.
//!
//! Kinds:
//! * `Inline`: the value's bytes follow the key's.
//! * `Integer`: a canonical decimal within ±2^62, kept as a word that INCR changes in place.
//! * `Large`: a handle to a shared buffer (values that arrived in their own buffer, values that
//!   APPEND grows).
//! * `Absent`: the named absence of a key whose record was too large to keep for its name.
//! * `Intent`: what stands for a key while a commit over several keys is under way.
#![allow(unsafe_code)]

mod append;
mod counter;
mod intent;
mod kept;
mod layout;
mod owned;
mod pool;
mod usage;
mod value;

pub use append::{AppendBuffer, AppendHandle, Claim, ClaimError};
pub use counter::{Added, CounterWord, fits_in_place, parse_canonical};
pub use intent::Intent;
pub use kept::{KeptRecord, KeptRecords, TakenRecords, Unlinked};
pub use layout::{Header, Kind, MAX_LENGTH, RecordRef};
pub use owned::OwnedRecord;
pub use pool::idle_bytes;
pub use usage::Usage;
pub use value::{Large, LargeValue, NewValue, Stored, Value};

use crate::sync::epoch::Guard;
use owned::Remains;

/// What a record is born with, besides its value.
#[derive(Clone, Copy, Debug)]
pub struct Birth<'k> {
    /// The key.
    pub key: Key<'k>,
    /// A number that no other record has.
    pub version: u64,
    /// When the key expires, in milliseconds of Unix time.
    pub deadline: Option<u64>,
    /// How the key has been used.
    pub usage: Usage,
}

/// A key with its hash, computed once for a request.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// The key, any bytes.
    pub bytes: &'k [u8],
    /// Its keyed hash.
    pub hash: u64,
}

impl<'k> Birth<'k> {
    /// A key without a deadline, never used.
    pub fn of(key: Key<'k>, version: u64) -> Self {
        Self { key, version, deadline: None, usage: Usage::default() }
    }

    /// What a record was born with.
    fn again(record: RecordRef<'k>) -> Self {
        Self {
            key: Key { bytes: record.key(), hash: record.hash() },
            version: record.version(),
            deadline: record.deadline(),
            usage: record.usage(),
        }
    }
}

/// Frees a record once nobody who may have seen it is pinned.
///
/// # Safety
/// * `record` was published and has been unlinked by the calling thread: it is in no slot that a
///   later pin can reach.
/// * It is retired once.
pub unsafe fn retire(guard: &Guard<'_>, record: *mut Header) {
    // SAFETY: the record is alive until the deferred free; the caller holds the pin.
    let (bytes, remains) = unsafe {
        let record = RecordRef::from_raw(record);
        (record.taken_size(), Remains::of(record))
    };
    // SAFETY: unreachable for later pins and retired once, as the caller vouches; `release` may run
    // on any thread since a record holds nothing bound to one.
    unsafe {
        guard.defer(bytes, move || {
            let remains = remains;
            remains.release();
        });
    }
}

/// [`retire`] for an intent and the record that it has replaced, in one.
///
/// # Safety
/// As for [`retire`], for both.
pub unsafe fn retire_both(guard: &Guard<'_>, intent: *mut Header, before: *mut Header) {
    // SAFETY: as in `retire`, for both.
    let (bytes, remains) = unsafe {
        let records = [RecordRef::from_raw(intent), RecordRef::from_raw(before)];
        let bytes = records.iter().map(|record| record.taken_size()).sum();
        (bytes, records.map(Remains::of))
    };
    // SAFETY: as in `retire`, for both.
    unsafe {
        guard.defer(bytes, move || {
            let remains = remains;
            remains.into_iter().for_each(|remains| remains.release());
        });
    }
}

/// Frees a record at once.
///
/// # Safety
/// No other thread can reach `record`, and it is freed once.
pub unsafe fn release_now(record: *mut Header) {
    // SAFETY: the caller's promise.
    unsafe { Remains::of(RecordRef::from_raw(record)).release() };
}
