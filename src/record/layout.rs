//! The header of a record, and how its parts are found.

use super::{Birth, CounterWord, Intent, Large, LargeValue, Usage, Value, pool};
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

/// Bit of the value word: a deadline stands before the payload.
const HAS_DEADLINE: u32 = 1 << 31;
/// Bit of the value word: the value was made by editing another (OBJECT ENCODING says `raw`). Of an
/// integer: in place it only falls. Of an absence: it is an intent.
const EDITED: u32 = 1 << 30;
const _: () = assert!((HAS_DEADLINE | EDITED) & LENGTH_MASK == 0);

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
    /// An [`Intent`]: no value of its own.
    Intent = 4,
}

impl Kind {
    /// What the key word says of it. An intent is told from an absence by `EDITED`.
    const fn code(self) -> u32 {
        match self {
            Kind::Intent => Kind::Absent as u32,
            kind => kind as u32,
        }
    }
}

/// The fixed part of a record. Aligned to 16 so that a pointer to it leaves four low bits for the
/// flags of a slot word.
#[repr(C, align(16))]
pub struct Header {
    pub(super) hash: u64,
    /// Atomic because an intent's successors are given theirs by whoever comes first.
    pub(super) version: plain::AtomicU64,
    /// How the key has been used ([`Usage`]): the one word besides a counter that may change after
    /// publication.
    pub(super) access: plain::AtomicU64,
    pub(super) key_word: u32,
    /// Length of the value, and its flags.
    pub(super) value_word: u32,
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
    pub(super) fn new(birth: &Birth<'_>, shape: Shape) -> Self {
        let Shape { kind, key, value, deadline, edited } = shape;
        // The last line of defence: a longer key would overflow into the kind.
        assert!(key <= MAX_LENGTH && value <= MAX_LENGTH, "a key or value over 512 MiB");
        let flags = if deadline { HAS_DEADLINE } else { 0 } | if edited { EDITED } else { 0 };
        #[cfg(any(loom, shuttle))]
        crate::sync::graveyard::born();
        Self {
            hash: birth.key.hash,
            version: plain::AtomicU64::new(birth.version),
            access: plain::AtomicU64::new(birth.usage.bits()),
            key_word: key as u32 | kind.code() << LENGTH_BITS,
            value_word: value as u32 | flags,
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
            _ if self.value_word & EDITED != 0 => Kind::Intent,
            _ => Kind::Absent,
        }
    }

    fn key_length(&self) -> usize {
        (self.key_word & LENGTH_MASK) as usize
    }

    fn value_length(&self) -> usize {
        (self.value_word & LENGTH_MASK) as usize
    }

    /// What the record's parts are.
    #[inline]
    fn shape(&self) -> Shape {
        Shape {
            kind: self.kind(),
            key: self.key_length(),
            value: self.value_length(),
            deadline: self.value_word & HAS_DEADLINE != 0,
            edited: self.value_word & EDITED != 0,
        }
    }
}

/// Offset of the deadline of a record that has one, else of what comes next.
pub(super) const DEADLINE: usize = size_of::<Header>();

/// Which parts a record has, and how long they are.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// Bytes of the key.
    pub(super) key: usize,
    /// Bytes of the value; 0 for an integer.
    pub(super) value: usize,
    pub(super) deadline: bool,
    pub(super) edited: bool,
}

impl Shape {
    /// Offset of the payload of `Integer` and `Large` records, and of the key in the others.
    #[inline]
    pub(super) const fn payload_offset(self) -> usize {
        DEADLINE + if self.deadline { size_of::<u64>() } else { 0 }
    }

    /// Offset of the key's bytes.
    #[inline]
    pub(super) const fn key_offset(self) -> usize {
        let payload = match self.kind {
            Kind::Inline | Kind::Absent => 0,
            Kind::Integer => size_of::<CounterWord>(),
            Kind::Large => size_of::<Large>(),
            Kind::Intent => size_of::<Intent>(),
        };
        self.payload_offset() + payload
    }

    /// Offset of an inline value's bytes.
    #[inline]
    pub(super) const fn value_offset(self) -> usize {
        self.key_offset() + self.key
    }

    /// Bytes of the record.
    #[inline]
    pub(super) const fn size(self) -> usize {
        match self.kind {
            Kind::Inline => self.value_offset() + self.value,
            Kind::Integer | Kind::Large | Kind::Absent | Kind::Intent => self.value_offset(),
        }
    }
}
const _: () = assert!(DEADLINE.is_multiple_of(align_of::<u64>()));
const _: () = assert!(align_of::<CounterWord>() <= align_of::<u64>());
const _: () = assert!(align_of::<Large>() <= align_of::<u64>());
const _: () = assert!(align_of::<Intent>() <= align_of::<u64>());

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
        // Relaxed, here and below: written before the record is published, or by each of those who
        // may publish it, with the same number.
        self.header().version.load(plain::Ordering::Relaxed)
    }

    /// Gives a record that is about to replace an intent the version that its commit has come to.
    #[inline]
    pub fn set_version(self, version: u64) {
        self.header().version.store(version, plain::Ordering::Relaxed);
    }

    /// How the key has been used.
    #[inline]
    pub fn usage(self) -> Usage {
        // Relaxed here and in `set_usage`: a statistic.
        Usage::from_bits(self.header().access.load(plain::Ordering::Relaxed))
    }

    /// Notes how the key has been used. Only to be called with another usage than there was, so
    /// that the line of a hot key stays shared by all readers.
    #[inline]
    pub fn set_usage(self, usage: Usage) {
        self.header().access.store(usage.bits(), plain::Ordering::Relaxed);
    }

    /// What the record holds.
    #[inline]
    pub fn kind(self) -> Kind {
        self.header().kind()
    }

    /// Which parts the record has.
    #[inline]
    pub(super) fn shape(self) -> Shape {
        self.header().shape()
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
        let shape = self.header().shape();
        self.bytes_at(shape.key_offset(), shape.key)
    }

    /// Whether the key has a deadline.
    #[inline]
    pub fn has_deadline(self) -> bool {
        self.header().value_word & HAS_DEADLINE != 0
    }

    /// When the key expires, in milliseconds of Unix time; `None` for a key that stays.
    #[inline]
    pub fn deadline(self) -> Option<u64> {
        if !self.has_deadline() {
            return None;
        }
        // SAFETY: a record with HAS_DEADLINE has an initialised, aligned u64 at DEADLINE, which
        // never changes.
        Some(unsafe { *self.pointer.as_ptr().cast::<u8>().add(DEADLINE).cast::<u64>() })
    }

    /// Whether the value was made by editing another one (APPEND, SETRANGE, SETBIT).
    pub fn is_edited(self) -> bool {
        self.header().value_word & EDITED != 0 && self.kind() != Kind::Integer
    }

    /// Which way a counter goes while its changes are logged: only down, or (false) only up. Then
    /// its word never returns to a value that it had, so that a compare-and-swap from a value
    /// proves that nothing happened since it was read.
    #[inline]
    pub fn falls(self) -> bool {
        self.header().value_word & EDITED != 0
    }

    /// # Safety
    /// The record's kind has a payload of type `T`.
    #[inline]
    unsafe fn payload<T>(self) -> &'g T {
        let offset = self.header().shape().payload_offset();
        // SAFETY: initialised and aligned by the builder, alive during 'g.
        unsafe { &*self.pointer.as_ptr().cast::<u8>().add(offset).cast::<T>() }
    }

    /// The in-place counter, if the record is an integer.
    #[inline]
    pub fn counter(self) -> Option<&'g CounterWord> {
        if self.kind() != Kind::Integer {
            return None;
        }
        // SAFETY: an Integer record's payload is a CounterWord, shared from publication on and
        // changed only through its atomics.
        Some(unsafe { self.payload::<CounterWord>() })
    }

    /// Whether the record is a present key's.
    #[inline]
    pub fn has_value(self) -> bool {
        !matches!(self.kind(), Kind::Absent | Kind::Intent)
    }

    /// Whether the record is an intent.
    #[inline]
    pub fn is_intent(self) -> bool {
        self.kind() == Kind::Intent
    }

    /// The intent, if the record is one.
    #[inline]
    pub fn intent(self) -> Option<&'g Intent> {
        if self.kind() != Kind::Intent {
            return None;
        }
        // SAFETY: an Intent record's payload is an intent, which never changes.
        Some(unsafe { self.payload::<Intent>() })
    }

    /// The handle of a large value.
    #[inline]
    pub fn large(self) -> Option<LargeValue<'g>> {
        if self.kind() != Kind::Large {
            return None;
        }
        // SAFETY: a Large record's payload is a handle that stays as it is until the record is
        // freed.
        let large = unsafe { self.payload::<Large>() };
        Some(LargeValue::new(large, self.header().value_length()))
    }

    /// The value, or `None` for a named absence. An integer's value is what its word says now.
    #[inline]
    pub fn value(self) -> Option<Value<'g>> {
        let shape = self.header().shape();
        match shape.kind {
            Kind::Inline => Some(Value::Bytes(self.bytes_at(shape.value_offset(), shape.value))),
            Kind::Integer => self.counter().map(|word| Value::Integer(word.get())),
            Kind::Large => self.large().map(LargeValue::into_value),
            Kind::Absent | Kind::Intent => None,
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

    /// Bytes that the allocator takes for the record and for the buffer it holds.
    pub fn taken_size(self) -> usize {
        let buffer = self.large().map_or(0, |large| pool::taken(large.buffer_size()));
        pool::taken(pool::class_size(self.record_size())) + buffer
    }

    /// Bytes of the record's own allocation, as asked for.
    #[inline]
    pub(crate) fn record_size(self) -> usize {
        self.header().shape().size()
    }
}
