//! What a change of a key sees and decides.

use bytes::Bytes;

use crate::record::{Kind, NewValue, RecordRef, Stored, Usage, Value, parse_canonical};

/// The longest value that Redis keeps beside its header, which OBJECT ENCODING calls `embstr`.
const EMBEDDED_MAX: usize = 44;

/// A present key's record, for as long as the pin lasts. A key past its deadline is not present.
#[derive(Clone, Copy)]
pub struct Entry<'g> {
    record: RecordRef<'g>,
}

/// The form of a value, as OBJECT ENCODING names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// A number.
    Int,
    /// A short string beside its key.
    Embedded,
    /// Any other string.
    Raw,
}

impl<'g> Entry<'g> {
    /// The record, which is live.
    pub(super) fn new(record: RecordRef<'g>) -> Self {
        debug_assert!(record.kind() != Kind::Absent);
        Self { record }
    }

    /// The value as it is now: enough for an answer.
    pub fn value(self) -> Value<'g> {
        self.record.value().unwrap_or(Value::Bytes(b""))
    }

    /// The value to build a new one on: no INCR can change it any more.
    pub fn settled(self) -> Value<'g> {
        self.record.settled_value().unwrap_or(Value::Bytes(b""))
    }

    /// The value once more, for another record; buffers are shared, not copied.
    pub fn same(self) -> NewValue<'g> {
        NewValue::Same(Stored::of(self.record))
    }

    /// When the key expires, in milliseconds of Unix time.
    pub fn deadline(self) -> Option<u64> {
        self.record.deadline()
    }

    /// Changes with every write of the key but an INCR in place.
    pub fn version(self) -> u64 {
        self.record.version()
    }

    /// How it was used.
    pub(super) fn usage(self) -> Usage {
        self.record.usage()
    }

    /// For how many seconds the key was not used, at this Unix time in seconds.
    pub fn idle_seconds(self, now_seconds: u64) -> u64 {
        self.record.usage().idle_seconds(now_seconds)
    }

    /// How often the key was used, on the scale of LFU, at this Unix time in seconds.
    pub fn frequency(self, now_seconds: u64, decay_minutes: u64) -> u8 {
        self.record.usage().decayed_counter(now_seconds, decay_minutes)
    }

    /// Bytes that the allocator takes for the key, its value and the slot that leads to them.
    pub fn allocated_bytes(self) -> usize {
        self.record.taken_size() + size_of::<usize>()
    }

    /// The form of the value.
    pub fn encoding(self) -> Encoding {
        match self.value() {
            Value::Integer(_) => Encoding::Int,
            Value::Large(_) => Encoding::Raw,
            Value::Bytes(_) if self.record.is_edited() => Encoding::Raw,
            Value::Bytes(bytes) if bytes.len() > EMBEDDED_MAX => Encoding::Raw,
            // An integer that does not fit a counter's word is kept as its digits; a shorter one
            // that is kept so was stored as text.
            Value::Bytes(bytes) => match parse_canonical(bytes) {
                Some(number) if !crate::record::fits_in_place(number) => Encoding::Int,
                _ => Encoding::Embedded,
            },
        }
    }
}

/// What becomes of a key.
pub enum Change<'v, R> {
    /// It stays as it is.
    Keep(R),
    /// It gets this value and deadline.
    Put {
        /// The value.
        value: NewValue<'v>,
        /// When the key expires, in milliseconds of Unix time.
        deadline: Option<u64>,
        /// What to return.
        result: R,
    },
    /// Its value becomes these bytes, which are the old ones, with zeros behind them if they were
    /// too few, but for `count` of them from `from` on.
    Edit {
        /// The value.
        bytes: Bytes,
        /// Where the new bytes begin.
        from: usize,
        /// How many they are.
        count: usize,
        /// When the key expires, which is as before.
        deadline: Option<u64>,
        /// What to return.
        result: R,
    },
    /// Its value stays, its deadline becomes this.
    Deadline {
        /// What the key holds.
        entry: Entry<'v>,
        /// When the key expires, in milliseconds of Unix time.
        deadline: Option<u64>,
        /// What to return.
        result: R,
    },
    /// It becomes absent.
    Remove(R),
}
