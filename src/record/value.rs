//! Values as they come from and go to clients.

use super::RecordRef;
use super::append::AppendHandle;
use crate::memory::{Kind, count, taken};
use crate::sync::Arc;
use bytes::Bytes;

/// A value to store. The form decides what OBJECT ENCODING says, as in Redis.
#[derive(Clone)]
pub enum NewValue<'v> {
    /// Bytes in somebody's buffer: copied into the record, as an integer if they are one.
    Copy(&'v [u8]),
    /// Bytes in a buffer of their own: the record shares it.
    Shared(Bytes),
    /// Bytes copied into the record, never as an integer: what INCRBYFLOAT stores.
    Text(Bytes),
    /// Bytes made by editing another value (SETRANGE, SETBIT): never an integer, `raw`.
    Edited(Bytes),
    /// The value of another record, in its form; buffers are shared.
    Same(Stored<'v>),
}

/// A record's value, to be stored once more.
#[derive(Clone, Copy)]
pub struct Stored<'v>(pub(super) RecordRef<'v>);

impl<'v> Stored<'v> {
    /// The value of `record`, which is not an absence.
    pub fn of(record: RecordRef<'v>) -> Self {
        Self(record)
    }
}

/// Edited values of at least this length keep a buffer of their own instead of being copied.
pub(super) const LARGE_BYTES: usize = 1 << 10;

/// A stored value.
#[derive(Clone, Copy)]
pub enum Value<'v> {
    /// A canonical decimal.
    Integer(i64),
    /// Bytes short enough to copy.
    Bytes(&'v [u8]),
    /// Bytes to send without copying.
    Large(LargeValue<'v>),
}

impl Value<'_> {
    /// Its length as a string, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a value is asked for its length by STRLEN")]
    pub fn len(&self) -> usize {
        match self {
            Self::Integer(number) => itoa::Buffer::new().format(*number).len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Large(large) => large.as_slice().len(),
        }
    }

    /// A copy of its bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Integer(number) => itoa::Buffer::new().format(*number).into(),
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Large(large) => large.as_slice().to_vec(),
        }
    }
}

/// Values of at least this length are sent from where they are; below it a copy is cheaper than the
/// shared count and the extra vector of the write.
const SHARE_BYTES: usize = 16 << 10;

/// The payload of a large record.
pub enum Large {
    /// A whole buffer, as it arrived.
    Shared(Bytes),
    /// The start of a buffer that APPEND grows.
    Appendable(AppendHandle),
}

impl Large {
    /// Bytes of the whole buffer.
    pub(super) fn full_length(&self) -> usize {
        match self {
            Self::Shared(bytes) => bytes.len(),
            Self::Appendable(buffer) => buffer.capacity(),
        }
    }

    /// A payload that shares `bytes`, which count as the keyspace's memory: once more for each
    /// record that has them, as long as the older ones wait for their grace period.
    pub(super) fn shared(bytes: Bytes) -> Self {
        count(Kind::Buffers, taken(bytes.len()) as i64);
        Self::Shared(bytes)
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if let Self::Shared(bytes) = self {
            count(Kind::Buffers, -(taken(bytes.len()) as i64));
        }
    }
}

/// A large value, readable for as long as its record is.
#[derive(Clone, Copy)]
pub struct LargeValue<'v> {
    large: &'v Large,
    length: usize,
}

impl<'v> LargeValue<'v> {
    pub(super) fn new(large: &'v Large, length: usize) -> Self {
        Self { large, length }
    }

    /// The bytes.
    pub fn as_slice(self) -> &'v [u8] {
        match self.large {
            Large::Shared(bytes) => bytes,
            // SAFETY: `length` is the published record's.
            Large::Appendable(buffer) => unsafe { buffer.filled(self.length) },
        }
    }

    /// The bytes with a share in their buffer: no copy.
    pub fn to_bytes(self) -> Bytes {
        match self.large {
            Large::Shared(bytes) => bytes.clone(),
            Large::Appendable(buffer) => {
                Bytes::from_owner(Prefix { buffer: buffer.clone(), length: self.length })
            }
        }
    }

    /// Another handle of the same buffer, and the value's length in it.
    pub(super) fn handle(self) -> (Large, usize) {
        let large = match self.large {
            Large::Shared(bytes) => Large::shared(bytes.clone()),
            Large::Appendable(buffer) => Large::Appendable(buffer.clone()),
        };
        (large, self.length)
    }

    /// The buffer to append to, and the value's length in it.
    pub fn appendable(self) -> Option<(&'v AppendHandle, usize)> {
        match self.large {
            Large::Shared(_) => None,
            Large::Appendable(buffer) => Some((buffer, self.length)),
        }
    }

    /// Bytes that go when the record goes. A buffer that the record of a later append has too
    /// stays.
    pub(super) fn buffer_size(self) -> usize {
        match self.large {
            Large::Shared(bytes) => bytes.len(),
            Large::Appendable(buffer) if Arc::strong_count(buffer) > 1 => 0,
            Large::Appendable(buffer) => buffer.capacity(),
        }
    }

    pub(super) fn into_value(self) -> Value<'v> {
        if self.length < SHARE_BYTES { Value::Bytes(self.as_slice()) } else { Value::Large(self) }
    }
}

/// The owner of a reply's bytes that point into an append buffer.
struct Prefix {
    buffer: AppendHandle,
    length: usize,
}

impl AsRef<[u8]> for Prefix {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `length` was a published record's.
        unsafe { self.buffer.filled(self.length) }
    }
}
