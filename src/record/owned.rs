//! Building and freeing records.

use super::append::AppendHandle;
use super::counter::{CounterWord, fits_in_place, parse_canonical};
use super::layout::{DEADLINE, Header, Kind, RecordRef, Shape};
use super::value::{LARGE_BYTES, Large, LargeValue, NewValue, Stored, Value};
use super::{Birth, Intent, Key, pool};
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
    #[inline]
    fn allocate(birth: &Birth<'_>, kind: Kind, value: usize, edited: bool) -> Self {
        let key = birth.key.bytes;
        let deadline = birth.deadline.is_some();
        let shape = Shape { kind, key: key.len(), value, deadline, edited };
        let pointer = pool::allocate(shape.size()).cast::<Header>();
        let header = Header::new(birth, shape);
        // SAFETY: the block has the shape's size and the header's alignment; deadline and key fit
        // at their offsets, and nobody else has the block.
        unsafe {
            pointer.write(header);
            let block = pointer.as_ptr().cast::<u8>();
            if let Some(deadline) = birth.deadline {
                block.add(DEADLINE).cast::<u64>().write(deadline);
            }
            let target = block.add(shape.key_offset());
            std::ptr::copy_nonoverlapping(key.as_ptr(), target, key.len());
        }
        Self { pointer }
    }

    /// A record for a value to store; see [`NewValue`] for the forms it takes.
    #[inline]
    pub fn new(birth: &Birth<'_>, value: &NewValue<'_>) -> Self {
        match value {
            NewValue::Copy(bytes) => match parse_canonical(bytes) {
                Some(number) if fits_in_place(number) => Self::integer(birth, number),
                _ => Self::build_inline(birth, &[bytes], false),
            },
            NewValue::Shared(bytes) => Self::large(birth, Large::shared(bytes.clone())),
            NewValue::Text(bytes) => Self::build_inline(birth, &[bytes], false),
            NewValue::Edited(bytes) if bytes.len() < LARGE_BYTES => Self::inline(birth, &[bytes]),
            NewValue::Edited(bytes) => Self::large(birth, Large::shared(bytes.clone())),
            NewValue::Same(stored) => Self::same(birth, *stored),
        }
    }

    /// A record with the value of another, in the same form: buffers are shared.
    fn same(birth: &Birth<'_>, stored: Stored<'_>) -> Self {
        let record = stored.0;
        match record.kind() {
            Kind::Large => match record.large().map(LargeValue::handle) {
                Some((large, length)) => Self::build_large(birth, large, length, true),
                None => Self::absent(birth),
            },
            _ => match record.settled_value() {
                Some(Value::Integer(number)) => Self::integer(birth, number),
                Some(Value::Bytes(bytes)) => {
                    Self::build_inline(birth, &[bytes], record.is_edited())
                }
                Some(Value::Large(_)) | None => Self::absent(birth),
            },
        }
    }

    /// A record whose value, made by editing, is the parts joined.
    pub fn inline(birth: &Birth<'_>, parts: &[&[u8]]) -> Self {
        Self::build_inline(birth, parts, true)
    }

    #[inline]
    fn build_inline(birth: &Birth<'_>, parts: &[&[u8]], edited: bool) -> Self {
        let length = parts.iter().map(|part| part.len()).sum();
        let record = Self::allocate(birth, Kind::Inline, length, edited);
        let mut offset = record.as_ref().shape().value_offset();
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
    #[inline]
    pub fn integer(birth: &Birth<'_>, number: i64) -> Self {
        Self::counter(birth, number, false)
    }

    /// An integer that is to be changed in one direction only (see [`RecordRef::falls`]).
    #[inline]
    pub fn counter(birth: &Birth<'_>, number: i64, falls: bool) -> Self {
        if !fits_in_place(number) {
            let mut digits = itoa::Buffer::new();
            return Self::build_inline(birth, &[digits.format(number).as_bytes()], false);
        }
        let record = Self::allocate(birth, Kind::Integer, 0, falls);
        // SAFETY: an Integer record has room for an aligned CounterWord as its payload.
        unsafe { record.payload::<CounterWord>().write(CounterWord::new(number)) };
        record
    }

    /// A record that holds the first `length` bytes of a buffer that APPEND grows.
    pub(crate) fn appendable(birth: &Birth<'_>, buffer: AppendHandle, length: usize) -> Self {
        Self::build_large(birth, Large::Appendable(buffer), length, true)
    }

    fn large(birth: &Birth<'_>, large: Large) -> Self {
        let length = large.full_length();
        Self::build_large(birth, large, length, true)
    }

    fn build_large(birth: &Birth<'_>, large: Large, length: usize, edited: bool) -> Self {
        let record = Self::allocate(birth, Kind::Large, length, edited);
        // SAFETY: a Large record has room for an aligned handle as its payload.
        unsafe { record.payload::<Large>().write(large) };
        record
    }

    /// The named absence of a key.
    pub fn absent(birth: &Birth<'_>) -> Self {
        let birth = Birth { deadline: None, ..*birth };
        Self::allocate(&birth, Kind::Absent, 0, false)
    }

    /// Bytes of a named absence of `key`.
    pub fn absent_size(key: Key<'_>) -> usize {
        DEADLINE + key.bytes.len()
    }

    /// What stands for a key while a commit is under way.
    pub fn intent(key: Key<'_>, intent: Intent) -> Self {
        let record = Self::allocate(&Birth::of(key, 0), Kind::Intent, 0, true);
        // SAFETY: an Intent record has room for an aligned intent as its payload.
        unsafe { record.payload::<Intent>().write(intent) };
        record
    }

    /// The same key, value, deadline and version once more, in a record of its own; an absence for
    /// an absence. An integer is settled by it.
    pub fn twin(record: RecordRef<'_>) -> Self {
        match record.settled_value() {
            Some(Value::Integer(number)) => Self::counter_twin(record, number),
            None => Self::absent(&Birth::again(record)),
            Some(_) => Self::same(&Birth::again(record), Stored(record)),
        }
    }

    /// The twin of an integer's record at this value; the record itself is left as it is.
    pub fn counter_twin(record: RecordRef<'_>, number: i64) -> Self {
        Self::counter(&Birth::again(record), number, record.falls())
    }

    /// # Safety
    /// The record's kind has a payload of type `T`.
    unsafe fn payload<T>(&self) -> *mut T {
        let offset = self.as_ref().shape().payload_offset();
        // SAFETY: the allocation reaches beyond this offset for kinds with a payload.
        unsafe { self.pointer.as_ptr().cast::<u8>().add(offset).cast() }
    }

    /// Gives it another version than it was born with.
    #[inline]
    pub fn set_version(&mut self, version: u64) {
        self.as_ref().set_version(version);
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
    /// Whether a deadline stands before the payload.
    deadline: bool,
    /// Size of the record's own block, in bytes; little over 1 GiB at most.
    size: u32,
}

impl Remains {
    pub(super) fn of(record: RecordRef<'_>) -> Self {
        let shape = record.shape();
        let size = shape.size() as u32;
        Self { pointer: record.as_ptr(), kind: shape.kind, deadline: shape.deadline, size }
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
            let payload = DEADLINE + if self.deadline { size_of::<u64>() } else { 0 };
            let payload = self.pointer.cast::<u8>().add(payload);
            match self.kind {
                Kind::Integer => payload.cast::<CounterWord>().drop_in_place(),
                Kind::Large => payload.cast::<Large>().drop_in_place(),
                Kind::Intent => payload.cast::<Intent>().drop_in_place(),
                Kind::Inline | Kind::Absent => {}
            }
            pool::free(NonNull::new_unchecked(self.pointer.cast()), self.size as usize);
        }
    }
}
