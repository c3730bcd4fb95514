//! A slot: the state word that says whose entry begins here, and a piece of payload.

use super::Boxed;
use crate::sync::DataCell;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::planted::{self, Planted};

/// Payload of a slot, in bytes: a cache line less the state word.
pub const SLOT_BYTES: usize = 56;

/// Slots of the longest entry.
pub(super) const SLOTS_MAX: usize = 4;

/// The longest payload that is copied into slots. A box costs an allocation, some 50 ns; so many
/// bytes are copied, in and out, in less.
pub const ENTRY_BYTES: usize = SLOTS_MAX * SLOT_BYTES;

/// Slots for a payload of so many bytes.
#[inline]
pub(super) fn slots_for(length: usize) -> usize {
    assert!(length <= ENTRY_BYTES, "a payload for the slots is too long");
    length.div_ceil(SLOT_BYTES).max(1)
}

/// What a published entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Nothing: the change did not take place.
    Void = 1,
    /// Its payload is in the slots.
    Inline = 2,
    /// Its payload is in a box.
    Boxed = 3,
}

const KIND_MASK: u64 = 0b11;
const SLOTS_SHIFT: u32 = 2;
const TICKET_SHIFT: u32 = 8;
const _: () = assert!(SLOTS_MAX < 1 << (TICKET_SHIFT - SLOTS_SHIFT));

/// The state word of a published entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(u64);

impl State {
    #[inline]
    pub(super) fn new(ticket: u64, slots: usize, kind: Kind) -> Self {
        Self(ticket << TICKET_SHIFT | (slots as u64) << SLOTS_SHIFT | kind as u64)
    }

    #[inline]
    pub(super) fn kind(self) -> Kind {
        match self.0 & KIND_MASK {
            1 => Kind::Void,
            2 => Kind::Inline,
            _ => Kind::Boxed,
        }
    }

    #[inline]
    pub(super) fn slots(self) -> usize {
        (self.0 >> SLOTS_SHIFT) as usize & ((1 << (TICKET_SHIFT - SLOTS_SHIFT)) - 1)
    }
}

/// One cache line of the ring.
#[repr(C, align(64))]
pub(super) struct Slot {
    state: AtomicU64,
    payload: DataCell<[u8; SLOT_BYTES]>,
}
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Slot>() == 64);

// SAFETY: the payload is written by the producer that has the ticket and read by the consumer, and
// the protocol of the ring keeps the two apart; a box in it is Send.
unsafe impl Sync for Slot {}
// SAFETY: nothing in it is bound to a thread.
unsafe impl Send for Slot {}

impl Slot {
    pub(super) fn new() -> Self {
        // No ticket is 0, so this is the word of none.
        Self { state: AtomicU64::new(0), payload: DataCell::new([0; SLOT_BYTES]) }
    }

    /// The state word, if it is that of the entry with this ticket.
    #[inline]
    pub(super) fn state(&self, ticket: u64, order: Ordering) -> Option<State> {
        let word = self.state.load(order);
        // A ticket has 56 bits: at a thousand million a second they last two years.
        (word >> TICKET_SHIFT == ticket).then_some(State(word))
    }

    /// Publishes the entry that begins here.
    #[inline]
    pub(super) fn publish(&self, state: State) {
        // Release, with the Acquire of `Consumer::next`: the payload is whole.
        self.state.store(state.0, planted::ordering(Ordering::Release, Planted::RelaxedEntry));
    }

    /// # Safety
    /// The caller alone uses the slot, and `offset + bytes.len()` is at most [`SLOT_BYTES`].
    #[inline]
    pub(super) unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        debug_assert!(offset + bytes.len() <= SLOT_BYTES);
        self.payload.with_mut(|payload| {
            // SAFETY: in bounds and exclusive, by the contract.
            unsafe {
                let target = payload.cast::<u8>().add(offset);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
            }
        });
    }

    /// Calls `read` with the payload.
    ///
    /// # Safety
    /// The slot belongs to an entry that was published and whose slots are not given back.
    #[inline]
    pub(super) unsafe fn read<T>(&self, read: impl FnOnce(&[u8; SLOT_BYTES]) -> T) -> T {
        // SAFETY: initialised when the ring was made, and nobody writes before it is given back.
        self.payload.with(|payload| read(unsafe { &*payload }))
    }

    /// # Safety
    /// The caller alone uses the slot.
    pub(super) unsafe fn put_box(&self, boxed: Box<Boxed>) {
        let address = Box::into_raw(boxed);
        self.payload.with_mut(|payload| {
            // SAFETY: exclusive by the contract; the payload stands 8 bytes into an aligned line,
            // which is alignment enough for a pointer (loom's cell promises none).
            unsafe { payload.cast::<*mut Boxed>().write_unaligned(address) };
        });
    }

    /// # Safety
    /// The slot belongs to a published entry of kind `Boxed`, and its box is taken once.
    pub(super) unsafe fn take_box(&self) -> Box<Boxed> {
        let address = self.payload.with(|payload| {
            // SAFETY: `put_box` has written a pointer here.
            unsafe { payload.cast::<*mut Boxed>().read_unaligned() }
        });
        // SAFETY: made by `Box::into_raw` in `put_box`, and taken once.
        unsafe { Box::from_raw(address) }
    }
}
