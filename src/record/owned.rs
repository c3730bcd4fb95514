//! Building and freeing records.

use super::append::AppendHandle;
use super::counter::{CounterWord, fits_in_place, parse_canonical};
use super::layout::{Header, Kind, PAYLOAD, RecordRef, key_offset, size_of_record};
use super::value::{Large, NewValue};
use super::{Key, pool};
use bytes::Bytes;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A record that nobody else has seen: published by [`OwnedRecord::into_raw`] and a slot's
/// compare-and-swap, or freed when dropped.
pub struct OwnedRecord {
    pointer: NonNull<Header>,
}

// SAFETY: a record holds bytes, atomics, `Bytes` and `Arc`s, none of which is bound to a thread.
unsafe impl Send for OwnedRecord {}

impl OwnedRecord {
    /// A record of `kind` with everything but payload and inline value filled in.
    fn allocate(key: Key<'_>, version: u64, kind: Kind, value_length: usize) -> Self {
        let inline = if kind == Kind::Inline { value_length } else { 0 };
        let size = size_of_record(kind, key.bytes.len(), inline);
        let pointer = pool::allocate(size).cast::<Header>();
        let header = Header::new(key.hash, version, kind, key.bytes.len(), value_length);
        // SAFETY: the block has `size` bytes and the header's alignment; the key fits behind its
        // offset, and nobody else has the block.
        unsafe {
            pointer.write(header);
            let target = pointer.as_ptr().cast::<u8>().add(key_offset(kind));
            std::ptr::copy_nonoverlapping(key.bytes.as_ptr(), target, key.bytes.len());
        }
        Self { pointer }
    }

    /// A record for a value from a client: an integer if it is a canonical decimal that fits,
    /// shared if it came in its own buffer, else a copy.
    #[inline]
    pub fn new(key: Key<'_>, version: u64, value: &NewValue<'_>) -> Self {
        match value {
            NewValue::Copy(bytes) => match parse_canonical(bytes) {
                Some(number) if fits_in_place(number) => Self::integer(key, version, number),
                _ => Self::inline(key, version, &[bytes]),
            },
            NewValue::Shared(bytes) => Self::shared(key, version, bytes.clone()),
        }
    }

    /// A record whose value is the parts joined.
    pub fn inline(key: Key<'_>, version: u64, parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum();
        let record = Self::allocate(key, version, Kind::Inline, length);
        let mut offset = key_offset(Kind::Inline) + key.bytes.len();
        for part in parts {
            // SAFETY: the record was allocated for the key and the parts' total length; the
            // source is another allocation.
            unsafe {
                let target = record.pointer.as_ptr().cast::<u8>().add(offset);
                std::ptr::copy_nonoverlapping(part.as_ptr(), target, part.len());
            }
            offset += part.len();
        }
        record
    }

    /// An integer: in place if it fits the word, else its decimal digits.
    pub fn integer(key: Key<'_>, version: u64, number: i64) -> Self {
        if !fits_in_place(number) {
            return Self::inline(key, version, &[itoa::Buffer::new().format(number).as_bytes()]);
        }
        let record = Self::allocate(key, version, Kind::Integer, 0);
        // SAFETY: an Integer record has room for an aligned CounterWord at PAYLOAD.
        unsafe { record.payload::<CounterWord>().write(CounterWord::new(number)) };
        record
    }

    /// A record that holds a whole buffer.
    pub fn shared(key: Key<'_>, version: u64, bytes: Bytes) -> Self {
        let length = bytes.len();
        Self::large(key, version, Large::shared(bytes), length)
    }

    /// A record that holds the first `length` bytes of a buffer that APPEND grows.
    pub fn appendable(key: Key<'_>, version: u64, buffer: AppendHandle, length: usize) -> Self {
        Self::large(key, version, Large::Appendable(buffer), length)
    }

    fn large(key: Key<'_>, version: u64, large: Large, length: usize) -> Self {
        let record = Self::allocate(key, version, Kind::Large, length);
        // SAFETY: a Large record has room for an aligned handle at PAYLOAD.
        unsafe { record.payload::<Large>().write(large) };
        record
    }

    /// The named absence of a key.
    pub fn absent(key: Key<'_>, version: u64) -> Self {
        Self::allocate(key, version, Kind::Absent, 0)
    }

    /// # Safety
    /// The record's kind has a payload of type `T`.
    unsafe fn payload<T>(&self) -> *mut T {
        // SAFETY: the allocation reaches beyond PAYLOAD for kinds with a payload.
        unsafe { self.pointer.as_ptr().cast::<u8>().add(PAYLOAD).cast() }
    }

    /// Looks at the record before it is published.
    pub fn as_ref(&self) -> RecordRef<'_> {
        // SAFETY: built completely by the constructors; alive while `self` is.
        unsafe { RecordRef::from_raw(self.pointer.as_ptr()) }
    }

    /// The pointer to publish. Whoever takes it frees the record.
    pub fn into_raw(self) -> *mut Header {
        ManuallyDrop::new(self).pointer.as_ptr()
    }

    /// Takes back a record that could not be published.
    ///
    /// # Safety
    /// `pointer` came from [`OwnedRecord::into_raw`] and no other thread has seen it.
    pub unsafe fn from_raw(pointer: *mut Header) -> Self {
        // SAFETY: `into_raw` never gives null.
        let pointer = unsafe { NonNull::new_unchecked(pointer) };
        Self { pointer }
    }
}

impl Drop for OwnedRecord {
    fn drop(&mut self) {
        let remains = Remains::of(self.as_ref());
        // SAFETY: never published, so nobody else has it.
        unsafe { remains.release() };
    }
}

/// What it takes to free a record, read while the record is at hand: when the grace period ends its
/// lines have left the cache, and freeing an inline record then touches none of them.
pub(super) struct Remains {
    pointer: *mut Header,
    kind: Kind,
    /// Size of the record's own block, in bytes; at most 1 GiB.
    size: u32,
}

impl Remains {
    pub(super) fn of(record: RecordRef<'_>) -> Self {
        let size = record.record_size() as u32;
        Self { pointer: record.as_ptr(), kind: record.kind(), size }
    }

    /// Drops the payload and gives the memory back.
    ///
    /// # Safety
    /// No thread can reach the record any more, and it is released once.
    pub(super) unsafe fn release(self) {
        #[cfg(any(loom, shuttle))]
        {
            // SAFETY: the header is alive; models keep freed records so that a late touch is seen.
            let freed = unsafe { &(*self.pointer).freed };
            assert!(!freed.swap(true, crate::sync::Ordering::SeqCst), "a record was freed twice");
            // SAFETY: buried once, since a second release has failed just above.
            crate::sync::graveyard::bury(move || unsafe { self.dispose() });
        }
        #[cfg(not(any(loom, shuttle)))]
        // SAFETY: the caller's promise.
        unsafe {
            self.dispose();
        }
    }

    /// # Safety
    /// As [`Remains::release`].
    unsafe fn dispose(self) {
        // SAFETY: the payload is initialised for its kind and dropped once; the block was
        // allocated with this size.
        unsafe {
            let payload = self.pointer.cast::<u8>().add(PAYLOAD);
            match self.kind {
                Kind::Integer => payload.cast::<CounterWord>().drop_in_place(),
                Kind::Large => payload.cast::<Large>().drop_in_place(),
                Kind::Inline | Kind::Absent => {}
            }
            pool::free(NonNull::new_unchecked(self.pointer.cast()), self.size as usize);
        }
    }
}
