//! The header of a record, and how its parts are found.

use super::{CounterWord, Large, LargeValue, Value};
use crate::sync::plain;
use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The longest key or value, in bytes: 512 MiB, Redis's `proto-max-bulk-len`.
pub const MAX_LENGTH: usize = 512 << 20;

/// Low bits of the key word that hold the length; the top two hold the kind.
const LENGTH_BITS: u32 = 30;
const LENGTH_MASK: u32 = (1 << LENGTH_BITS) - 1;
const _: () = assert!(MAX_LENGTH <= LENGTH_MASK as usize);

/// What a record holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// The value's bytes, after the key's.
    Inline = 0,
    /// A [`CounterWord`].
    Integer = 1,
    /// A [`Large`] handle.
    Large = 2,
    /// No value: the key is known to be absent.
    Absent = 3,
}

/// The fixed part of a record. Aligned to 16 so that a pointer to it leaves four low bits for the
/// flags of a slot word.
#[repr(C, align(16))]
pub struct Header {
    pub(super) hash: u64,
    pub(super) version: u64,
    /// Reserved for the eviction clocks (approximate LRU, LFU): the one word besides a counter that
    /// may change after publication.
    pub(super) access: plain::AtomicU64,
    pub(super) key_word: u32,
    pub(super) value_length: u32,
    /// Model checkers only: a freed record is poisoned and kept, so that touching it is caught.
    #[cfg(any(loom, shuttle))]
    pub(super) freed: plain::AtomicBool,
    /// Loom only: fails if the record is found without having been published.
    #[cfg(loom)]
    made: crate::sync::WatchedCell<()>,
}

#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Header>() == 32);

impl Header {
    pub(super) fn new(hash: u64, version: u64, kind: Kind, key: usize, value: usize) -> Self {
        // The last line of defence: a longer key would overflow into the kind.
        assert!(key <= MAX_LENGTH && value <= MAX_LENGTH, "a key or value over 512 MiB");
        #[cfg(any(loom, shuttle))]
        crate::sync::graveyard::born();
        Self {
            hash,
            version,
            access: plain::AtomicU64::new(0),
            key_word: key as u32 | (kind as u32) << LENGTH_BITS,
            value_length: value as u32,
            #[cfg(any(loom, shuttle))]
            freed: plain::AtomicBool::new(false),
            #[cfg(loom)]
            made: {
                let made = crate::sync::WatchedCell::new(());
                made.with_mut(|_| ());
                made
            },
        }
    }

    fn kind(&self) -> Kind {
        match self.key_word >> LENGTH_BITS {
            0 => Kind::Inline,
            1 => Kind::Integer,
            2 => Kind::Large,
            _ => Kind::Absent,
        }
    }

    fn key_length(&self) -> usize {
        (self.key_word & LENGTH_MASK) as usize
    }
}

/// Offset of the payload of `Integer` and `Large` records, and of the key in the others.
pub(super) const PAYLOAD: usize = size_of::<Header>();

/// Offset of the key's bytes.
#[inline]
pub(super) const fn key_offset(kind: Kind) -> usize {
    match kind {
        Kind::Inline | Kind::Absent => PAYLOAD,
        Kind::Integer => PAYLOAD + size_of::<CounterWord>(),
        Kind::Large => PAYLOAD + size_of::<Large>(),
    }
}
const _: () = assert!(PAYLOAD.is_multiple_of(align_of::<CounterWord>()));
const _: () = assert!(PAYLOAD.is_multiple_of(align_of::<Large>()));

/// Bytes of a record of this shape; `inline` is the value's length for `Inline`, else 0.
#[inline]
pub(super) const fn size_of_record(kind: Kind, key: usize, inline: usize) -> usize {
    key_offset(kind) + key + inline
}

/// The layout to allocate it with.
pub(super) fn layout_for(size: usize) -> Layout {
    match Layout::from_size_align(size, align_of::<Header>()) {
        Ok(layout) => layout,
        Err(_) => unreachable!("a record is at most 1 GiB and its alignment a power of two"),
    }
}

/// A published record, for as long as the pin `'g` lasts.
#[derive(Clone, Copy)]
pub struct RecordRef<'g> {
    pointer: NonNull<Header>,
    pin: PhantomData<&'g Header>,
}

impl<'g> RecordRef<'g> {
    /// Wraps a pointer that was loaded from a slot.
    ///
    /// # Safety
    /// * `pointer` is a published record's, not null, and keeps the provenance of its allocation.
    /// * The record is not freed during `'g`: it was loaded from a slot under a pin that lasts
    ///   `'g`.
    #[inline]
    pub unsafe fn from_raw(pointer: *mut Header) -> Self {
        debug_assert!(!pointer.is_null());
        // SAFETY: not null, by the contract.
        let pointer = unsafe { NonNull::new_unchecked(pointer) };
        let record = Self { pointer, pin: PhantomData };
        #[cfg(any(loom, shuttle))]
        let _ = record.header();
        record
    }

    #[inline]
    fn header(self) -> &'g Header {
        // SAFETY: alive during 'g by the contract of `from_raw`, and never written but through the
        // atomics inside.
        let header = unsafe { self.pointer.as_ref() };
        #[cfg(any(loom, shuttle))]
        assert!(
            !header.freed.load(plain::Ordering::SeqCst),
            "use after free: a record was touched after its grace period"
        );
        #[cfg(loom)]
        header.made.with(|_| ());
        header
    }

    /// The pointer, for comparing and retiring.
    #[inline]
    pub fn as_ptr(self) -> *mut Header {
        self.pointer.as_ptr()
    }

    /// The key's hash.
    #[inline]
    pub fn hash(self) -> u64 {
        self.header().hash
    }

    /// Unique among all records of the process: tells a key that was deleted and made anew, or
    /// replaced, from one that stayed.
    #[inline]
    pub fn version(self) -> u64 {
        self.header().version
    }

    /// The word of the eviction clocks.
    #[inline]
    pub fn access(self) -> &'g plain::AtomicU64 {
        &self.header().access
    }

    /// What the record holds.
    #[inline]
    pub fn kind(self) -> Kind {
        self.header().kind()
    }

    #[inline]
    fn bytes_at(self, offset: usize, length: usize) -> &'g [u8] {
        // SAFETY: `offset..offset + length` lies inside this record's allocation (all callers pass
        // the offsets it was built with), was initialised before publication and never changes;
        // the pointer carries the provenance of the whole allocation.
        unsafe {
            std::slice::from_raw_parts(self.pointer.as_ptr().cast::<u8>().add(offset), length)
        }
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'g [u8] {
        let header = self.header();
        self.bytes_at(key_offset(header.kind()), header.key_length())
    }

    /// The in-place counter, if the record is an integer.
    #[inline]
    pub fn counter(self) -> Option<&'g CounterWord> {
        if self.kind() != Kind::Integer {
            return None;
        }
        // SAFETY: an Integer record has an initialised, aligned CounterWord at PAYLOAD, shared from
        // publication on and changed only through its atomics.
        Some(unsafe { &*self.pointer.as_ptr().cast::<u8>().add(PAYLOAD).cast::<CounterWord>() })
    }

    /// The handle of a large value.
    #[inline]
    pub fn large(self) -> Option<LargeValue<'g>> {
        if self.kind() != Kind::Large {
            return None;
        }
        // SAFETY: a Large record has an initialised, aligned handle at PAYLOAD that stays as it is
        // until the record is freed.
        let large = unsafe { &*self.pointer.as_ptr().cast::<u8>().add(PAYLOAD).cast::<Large>() };
        Some(LargeValue::new(large, self.header().value_length as usize))
    }

    /// The value, or `None` for a named absence. An integer's value is what its word says now.
    #[inline]
    pub fn value(self) -> Option<Value<'g>> {
        let header = self.header();
        match header.kind() {
            Kind::Inline => {
                let offset = key_offset(Kind::Inline) + header.key_length();
                Some(Value::Bytes(self.bytes_at(offset, header.value_length as usize)))
            }
            Kind::Integer => self.counter().map(|word| Value::Integer(word.get())),
            Kind::Large => self.large().map(LargeValue::into_value),
            Kind::Absent => None,
        }
    }

    /// The value as no later INCR can change it: an integer is frozen first, so that a record made
    /// from this value may replace it.
    pub fn settled_value(self) -> Option<Value<'g>> {
        match self.counter() {
            Some(word) => Some(Value::Integer(word.freeze())),
            None => self.value(),
        }
    }

    /// Bytes of the record's own allocation and of the buffer it holds.
    pub fn allocated_size(self) -> usize {
        self.record_size() + self.large().map_or(0, |large| large.buffer_size())
    }

    /// Bytes of the record's own allocation, as asked for.
    #[inline]
    pub(crate) fn record_size(self) -> usize {
        let header = self.header();
        let kind = header.kind();
        let inline = if kind == Kind::Inline { header.value_length as usize } else { 0 };
        size_of_record(kind, header.key_length(), inline)
    }
}
