//! One key of a transaction: what was found of it, and what was done to it.

use super::Table;
use super::commit::{Effect, Expected};
use super::journal::Tag;
use super::look::Identity;
use crate::record::{Birth, Header, Key, OwnedRecord, RecordRef};

/// What a transaction has found of a key.
#[derive(Clone, Copy)]
pub(super) enum Seen {
    /// It has not looked.
    Unread,
    /// Nothing, and the version of that absence; whether it must be that very one.
    Absent { since: Option<u64>, strict: bool },
    /// A record, with this value if it is a counter.
    Present { record: *mut Header, number: Option<i64> },
}

/// What it has done to the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Same,
    Put(Tag),
    Removed,
}

/// Whether a record is past its deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    No,
    /// It is, and stays where it is.
    Stays,
    /// It is, and the key becomes absent.
    Goes,
}

/// One key of a transaction.
pub(super) struct Access {
    pub(super) table: *const Table,
    pub(super) hash: u64,
    pub(super) seen: Seen,
    pub(super) identity: Option<Identity>,
    /// Whether the record found is past its deadline, and counts as nothing.
    pub(super) over: Over,
    pub(super) state: State,
    /// What stands for the key here: the copy of a counter, the record put, or an absence. None for
    /// another record that was found and stays.
    pub(super) own: Option<OwnedRecord>,
}

impl Access {
    pub(super) fn table(&self) -> &Table {
        // SAFETY: reached under the pin of the transaction.
        unsafe { &*self.table }
    }

    /// What others see, or an absence.
    pub(super) fn found(&self) -> Option<RecordRef<'_>> {
        match self.seen {
            // SAFETY: found under the pin of the transaction.
            Seen::Present { record, .. } => Some(unsafe { RecordRef::from_raw(record) }),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> Key<'_> {
        let record = self.own.as_ref().map(OwnedRecord::as_ref).or_else(|| self.found());
        let bytes = record.map_or(&b""[..], RecordRef::key);
        Key { bytes, hash: self.hash }
    }

    /// The record of the key for the transaction.
    pub(super) fn current(&self) -> Option<RecordRef<'_>> {
        match self.state {
            State::Removed => None,
            State::Put(_) => self.own.as_ref().map(OwnedRecord::as_ref),
            State::Same if self.over != Over::No => None,
            State::Same => {
                let found = self.found()?;
                Some(self.own.as_ref().map_or(found, OwnedRecord::as_ref))
            }
        }
    }

    /// Whether the key is removed only because its deadline has passed.
    pub(super) fn is_lapse(&self) -> bool {
        self.state == State::Same && self.over == Over::Goes
    }

    pub(super) fn was_absent(&self) -> bool {
        matches!(self.seen, Seen::Absent { .. })
    }

    pub(super) fn is_change(&self) -> bool {
        match self.state {
            State::Same => self.is_lapse(),
            State::Put(_) => true,
            // Also of a key that was absent before: who watches it is to see that it was there.
            State::Removed => true,
        }
    }

    pub(super) fn expected(&self) -> Expected {
        match self.seen {
            Seen::Unread => Expected::Any,
            Seen::Absent { since: Some(since), strict: true } => Expected::AbsentSince(since),
            Seen::Absent { .. } => Expected::Absent,
            Seen::Present { number, .. } => {
                Expected::Present { version: self.found().map_or(0, RecordRef::version), number }
            }
        }
    }

    /// The record that is to stand in the slot, and what that does to the key.
    pub(super) fn outcome(&mut self, number: u64) -> (OwnedRecord, Effect) {
        let effect = match self.state {
            State::Put(tag) => Effect::Put(tag),
            _ if self.is_change() && !self.was_absent() => Effect::Removed,
            _ => Effect::Kept,
        };
        match (effect, self.seen) {
            (Effect::Kept, Seen::Present { number, .. }) => {
                let twin = self.found().map(|found| match number {
                    Some(number) => OwnedRecord::counter_twin(found, number),
                    None => OwnedRecord::twin(found),
                });
                (twin.unwrap_or_else(|| absence(self.key(), 0)), effect)
            }
            (Effect::Kept, Seen::Absent { since, .. }) => {
                let since = since.filter(|_| self.state == State::Same);
                (absence(self.key(), since.unwrap_or(number)), effect)
            }
            _ if self.is_lapse() => (absence(self.key(), number), effect),
            _ => match self.own.take() {
                Some(own) => (own, effect),
                None => (absence(self.key(), number), effect),
            },
        }
    }
}

pub(super) fn absence(key: Key<'_>, version: u64) -> OwnedRecord {
    OwnedRecord::absent(&Birth::of(key, version))
}

/// Whether a key is as expected, now that it is to be changed. A counter is stopped for it.
pub(super) fn is_met(expected: Expected, current: Option<RecordRef<'_>>) -> bool {
    match (expected, current) {
        (Expected::Any, _) => true,
        (Expected::Absent, current) => current.is_none(),
        // A watched absence is of a record that is not at hand here.
        (Expected::AbsentSince(_), _) => false,
        (Expected::Present { .. }, None) => false,
        (Expected::Present { version, number }, Some(record)) => {
            record.version() == version
                && (number.is_none() || record.counter().map(|counter| counter.freeze()) == number)
        }
    }
}
