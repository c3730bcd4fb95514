//! Buffers that APPEND grows in amortized linear time.
//!
//! A record of an appendable value is immutable: a handle to a shared buffer and a length.
//! Appending claims the bytes behind that length in the same buffer, fills them, and publishes a
//! new record with the greater length; the bytes before it are not copied.
//!
//! The word `claimed` says how much of the buffer belongs to somebody:
//! * A record of length L is published only after `claimed` has passed L, and bytes below the
//!   length of any published record never change.
//! * [`AppendBuffer::claim`] moves `claimed` from exactly L to L + n by compare-and-swap. The
//!   winner alone may write the bytes L..L+n. A loser has seen somebody ahead of it: it reads the
//!   slot again, or copies to a buffer of its own.
//! * A [`Claim`] whose record could not be published (the slot changed) is given back when it is
//!   dropped, from L + n to L. Nobody can have claimed past L + n in between, for that needs a
//!   published record of length L + n in this buffer, and only this claim could have led to one. (A
//!   record's twins have its length, so several may try to claim from L on; one wins.) In a
//!   transaction, whose records others may publish, a claim is never given back.

use crate::memory::{Kind, count, taken};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::planted::{self, Planted};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// Shared ownership of a buffer.
pub type AppendHandle = Arc<AppendBuffer>;

/// A buffer with room behind its value.
pub struct AppendBuffer {
    claimed: AtomicUsize,
    bytes: Box<[UnsafeCell<MaybeUninit<u8>>]>,
}

// SAFETY: a byte is written only by the holder of the claim that covers it, before any record that
// shows it is published, and only read afterwards.
unsafe impl Sync for AppendBuffer {}
// SAFETY: bytes are bound to no thread.
unsafe impl Send for AppendBuffer {}

impl AppendBuffer {
    /// A buffer that starts with the parts joined, with half as much room again for what follows
    /// (so n appends copy at most 3 bytes for each byte appended).
    pub fn with_parts(parts: &[&[u8]]) -> AppendHandle {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let capacity = length + (length / 2).max(64);
        let mut bytes = Vec::with_capacity(capacity);
        // SAFETY: uninitialised is a valid state of `MaybeUninit`, and the capacity was reserved.
        unsafe { bytes.set_len(capacity) };
        let buffer = Self { claimed: AtomicUsize::new(length), bytes: bytes.into_boxed_slice() };
        count(Kind::Buffers, buffer.memory());
        let mut at = 0;
        for part in parts {
            // SAFETY: nobody else has the buffer yet, and it is at least as long as the parts.
            unsafe { buffer.write(at, part) };
            at += part.len();
        }
        Arc::new(buffer)
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that the allocator takes for it all.
    fn memory(&self) -> i64 {
        // The shared part: two counts and the buffer's own fields.
        let shared = 2 * size_of::<usize>() + size_of::<Self>();
        (taken(self.bytes.len()) + taken(shared)) as i64
    }

    /// # Safety
    /// The caller alone may touch `at..at + source.len()`, which lies inside the buffer.
    unsafe fn write(&self, at: usize, source: &[u8]) {
        debug_assert!(at + source.len() <= self.bytes.len());
        // SAFETY: in bounds and exclusive, by the contract; `UnsafeCell` permits the write.
        unsafe {
            let target = UnsafeCell::raw_get(self.bytes.as_ptr().add(at)).cast::<u8>();
            std::ptr::copy_nonoverlapping(source.as_ptr(), target, source.len());
        }
    }

    /// Claims room for `tail`, which is not empty, behind a value of `length` bytes and fills it.
    /// `Err` if the buffer has no room, or someone has claimed it already.
    pub fn claim(self: &Arc<Self>, length: usize, tail: &[u8]) -> Result<Claim, ClaimError> {
        debug_assert!(!tail.is_empty(), "an empty claim is not exclusive");
        let end = length + tail.len();
        if end > self.bytes.len() {
            return Err(ClaimError::Full);
        }
        // Acquire pairs with the Release of a claim given back: its writes to the same bytes come
        // before ours. Release is not needed: the record's publication carries our writes.
        if planted::is(Planted::ClaimNotExclusive) && self.claimed.load(Ordering::Acquire) == length
        {
            self.claimed.store(end, Ordering::Release);
        } else {
            self.claimed
                .compare_exchange(length, end, Ordering::Acquire, Ordering::Relaxed)
                .map_err(|_| ClaimError::Taken)?;
        }
        // SAFETY: the claim gives this thread alone the bytes length..end.
        unsafe { self.write(length, tail) };
        Ok(Claim { buffer: self.clone(), start: length, end, published: false })
    }

    /// The first `length` bytes.
    ///
    /// # Safety
    /// A published record has this length: the bytes are filled and never change again.
    pub(super) unsafe fn filled(&self, length: usize) -> &[u8] {
        debug_assert!(length <= self.bytes.len());
        // SAFETY: filled and immutable by the contract; the record's publication (Release) and the
        // slot's load (Acquire) order the filling before this read.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast::<u8>(), length) }
    }
}

impl Drop for AppendBuffer {
    fn drop(&mut self) {
        count(Kind::Buffers, -self.memory());
    }
}

/// Why room could not be claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClaimError {
    /// The buffer has no room for the tail.
    Full,
    /// Another append has claimed the bytes behind this length.
    Taken,
}

impl ClaimError {
    /// Whether the claim may succeed after another look at the key.
    pub fn may_pass(self) -> bool {
        self == Self::Taken
    }
}

/// Room behind a value that this thread has filled and not yet published. Dropped, it is given
/// back.
pub struct Claim {
    buffer: AppendHandle,
    start: usize,
    end: usize,
    published: bool,
}

impl Claim {
    /// The buffer, for the record to publish.
    pub fn buffer(&self) -> AppendHandle {
        self.buffer.clone()
    }

    /// The length of the value with the tail.
    pub fn length(&self) -> usize {
        self.end
    }

    /// The record has been published: the room stays taken.
    pub fn keep(mut self) {
        self.published = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.published && !planted::is(Planted::ClaimNotGivenBack) {
            // Release pairs with the Acquire in `claim`. It cannot fail (see the module's prose).
            let back = self.buffer.claimed.compare_exchange(
                self.end,
                self.start,
                Ordering::Release,
                Ordering::Relaxed,
            );
            debug_assert!(back.is_ok() || std::thread::panicking());
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_claim_given_back_can_be_claimed_again() {
        let buffer = AppendBuffer::with_parts(&[b"ab", b"cd"]);
        let claim = buffer.claim(4, b"xx").expect("room");
        assert_eq!(buffer.claim(4, b"yy").err(), Some(ClaimError::Taken));
        drop(claim);
        let claim = buffer.claim(4, b"zz").expect("room again");
        assert_eq!(claim.length(), 6);
        claim.keep();
        // SAFETY: six bytes are filled and no claim is open.
        assert_eq!(unsafe { buffer.filled(6) }, b"abcdzz");
        assert_eq!(buffer.claim(6, &[0; 4096]).err(), Some(ClaimError::Full));
    }
}
