//! The ring: where all changes of the keyspace stand in line for the log.
//!
//! Any number of producers, one consumer, a fixed number of slots. A slot is a cache line: a state
//! word and 56 bytes of payload. An entry takes one to four neighbouring slots, and its *ticket* is
//! the number of its first slot, counted from the start of time; the slot of number `n` is the one
//! at `n` modulo the ring's size.
//!
//! # The life of an entry
//! 1. A producer takes the ticket ([`Ring::enter`]): one `fetch_add` on `tail`. From now on nobody
//!    else writes to these slots. It copies the payload in.
//! 2. It makes the change that the entry tells of, usually one compare-and-swap of a slot of the
//!    table. So the ticket lies between what the producer has read and its change, and changes that
//!    build on one another have tickets in the same order.
//! 3. It publishes the entry ([`Entry::commit`]): one store of the state word. Dropped instead,
//!    because the change came to nothing or by a panic, the entry is published as *void*.
//! 4. The consumer takes the entries in the order of their tickets ([`Consumer::next`]), waiting at
//!    one that is not yet published, and gives slots back by moving `head` past them
//!    ([`Consumer::release`]).
//!
//! # The state word
//! `ticket << 8 | slots << 2 | kind`. Every slot's first word is a state word, also of the second
//! and later slots of an entry, where it keeps what it had: so whatever the consumer finds at its
//! place is either the word of the very ticket it waits for or one of an earlier round, and nothing
//! needs to be cleared between rounds.
//!
//! # Room
//! A producer must not wait while it is pinned, so it asks for room before ([`Ring::has_room`]),
//! which it has while at most half of the slots are taken. The other half is for those who asked at
//! the same time, and for entries that come to nothing and are taken again; each of those follows
//! another producer's success. Should even this half be used up, [`Ring::enter`] waits for the
//! consumer. It never waits for one that waits: a producer holds one unpublished entry at a time
//! (parts of it, [`Ring::enter_part`], take no slots), and the consumer only waits for the oldest,
//! whose producer has its slots already.
//!
//! # Orderings
//! * `tail`: AcqRel, so that who takes a later ticket sees what was done before an earlier one was
//!   taken (a snapshot is announced in that way).
//! * state word: Release by the producer, Acquire by the consumer: the payload.
//! * `head`: Release by the consumer after its last read of the slots, Acquire by the producer
//!   before its first write to them.
//! * sleeping: the consumer says that it sleeps, then looks once more; a producer publishes, then
//!   looks whether the consumer sleeps. A SeqCst fence between the two steps on either side makes
//!   sure that one of them sees the other.
#![allow(unsafe_code)]

mod consumer;
mod slot;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use consumer::{Consumer, Read, Rest};
pub use slot::{ENTRY_BYTES, SLOT_BYTES};

use crate::memory::{Counted, Kind as Memory, count, taken};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::parking::{self, Waker};
use crate::sync::plain;
use crate::sync::planted::{self, Planted};
use crate::sync::{Arc, prefetch_write, spin_loop};
use bytes::Bytes;
use crossbeam_utils::CachePadded;
use slot::{Kind, Slot, State};
use std::cell::Cell;

/// Bytes of boxed payloads in the ring above which there is no room: as many as a busy disk takes
/// in a second or less; few in models.
const BOXED_BYTES_MAX: u64 = if cfg!(any(loom, shuttle)) { 64 } else { 64 << 20 };

/// What the consumer does, as it tells producers.
const AWAKE: usize = 0;
/// It sleeps and is to be woken for any entry.
const SLEEPS: usize = 1;
/// It sleeps for a while and is to be woken when a quarter of the room is taken.
const DOZES: usize = 2;

/// A payload too long for the slots.
#[derive(Debug, Default)]
pub struct Boxed {
    /// Its start.
    pub head: Vec<u8>,
    /// Its end, a buffer that somebody may share.
    pub tail: Bytes,
    /// Further such ends, of a payload that has several.
    pub more: Vec<Bytes>,
}

impl Boxed {
    fn bytes(&self) -> u64 {
        let more: usize = self.more.iter().map(Bytes::len).sum();
        (self.head.len() + self.tail.len() + more) as u64
    }
}

/// The producers' side.
pub struct Ring {
    slots: Box<[Slot]>,
    /// The next ticket.
    tail: CachePadded<AtomicU64>,
    /// The number of the first slot that is not given back.
    head: CachePadded<AtomicU64>,
    /// AWAKE, SLEEPS or DOZES.
    rest: CachePadded<AtomicUsize>,
    waker: Waker,
    /// Bytes of boxed payloads that are published and not yet taken.
    boxed_bytes: plain::AtomicU64,
    _counted: Counted,
}

impl Ring {
    /// A ring of `slots` slots, a power of two that holds the longest entry, whose first ticket is
    /// `first`, which is not 0.
    pub fn new(slots: usize, first: u64) -> (Arc<Self>, Consumer) {
        assert!(slots.is_power_of_two() && slots >= slot::SLOTS_MAX && first > 0);
        let (sleeper, waker) = parking::pair();
        let mut counted = Counted::new(Memory::Ring);
        counted.set(taken(slots * size_of::<Slot>()));
        let ring = Arc::new(Self {
            slots: (0..slots).map(|_| Slot::new()).collect(),
            tail: CachePadded::new(AtomicU64::new(first)),
            head: CachePadded::new(AtomicU64::new(first)),
            rest: CachePadded::new(AtomicUsize::new(AWAKE)),
            waker,
            boxed_bytes: plain::AtomicU64::new(0),
            _counted: counted,
        });
        let consumer = Consumer::new(ring.clone(), first, sleeper);
        (ring, consumer)
    }

    /// Notes that so many bytes of boxed payloads came in. They count as the log's: the next to
    /// have them is its writer. Ends that somebody shares count once more there.
    fn box_came(&self, bytes: u64) {
        // Relaxed, here and below: counts.
        self.boxed_bytes.fetch_add(bytes, plain::Ordering::Relaxed);
        count(Memory::Log, bytes.cast_signed());
    }

    /// Notes that they were taken out.
    fn box_went(&self, bytes: u64) {
        self.boxed_bytes.fetch_sub(bytes, plain::Ordering::Relaxed);
        count(Memory::Log, -bytes.cast_signed());
    }

    #[inline]
    fn slot(&self, number: u64) -> &Slot {
        // The size is a power of two.
        &self.slots[number as usize & (self.slots.len() - 1)]
    }

    /// The next ticket: everything that has happened has a smaller one.
    #[inline]
    pub fn tail(&self) -> u64 {
        // Acquire: the caller may act on what those who took tickets had done before.
        self.tail.load(Ordering::Acquire)
    }

    /// Slots taken and not given back.
    pub fn occupied(&self) -> u64 {
        // Relaxed: advice; who writes to a slot asks again, with Acquire.
        let head = self.head.load(Ordering::Relaxed);
        self.tail.load(Ordering::Relaxed).saturating_sub(head)
    }

    /// Whether a producer may begin with changes; to be asked before it pins. Holds for as many
    /// entries as a window of commands makes. Where there is none, the consumer has been woken.
    #[inline]
    pub fn has_room(&self) -> bool {
        // Relaxed: a count.
        let has_room = self.occupied() <= self.slots.len() as u64 / 2
            && self.boxed_bytes.load(plain::Ordering::Relaxed) <= BOXED_BYTES_MAX;
        if !has_room {
            // Whoever has taken the room may not have come to it, by a panic.
            self.wake();
        }
        has_room
    }

    /// Whether a quarter of the room is taken, by slots or by boxed payloads: time to end a nap,
    /// well before producers run out of room.
    #[inline]
    fn is_filling(&self) -> bool {
        // Relaxed: the fences of `wake` and `Consumer::rest` order it, as they do the rest.
        self.occupied() >= self.slots.len() as u64 / 4
            || self.boxed_bytes.load(plain::Ordering::Relaxed) >= BOXED_BYTES_MAX / 4
    }

    /// Takes a ticket for a payload of at most [`ENTRY_BYTES`] bytes in all.
    #[inline]
    pub fn enter(&self, parts: &[&[u8]]) -> Entry<'_> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let entry = self.take(slot::slots_for(length));
        // SAFETY: the ticket gives this thread alone the slots, which hold the length, and `take`
        // has seen that the consumer is done with them.
        unsafe { self.copy_in(entry.ticket, parts) };
        entry
    }

    /// Takes a ticket for a payload that stays where it is.
    pub fn enter_boxed(&self, boxed: Box<Boxed>) -> Entry<'_> {
        let mut entry = self.take(1);
        entry.payload = Payload::Boxed(boxed);
        entry
    }

    /// Takes a ticket whose payload comes later.
    pub fn hold(self: &Arc<Self>) -> Held {
        let entry = self.take(1);
        let held = Held { ring: self.clone(), ticket: entry.ticket, payload: None };
        // Its place is the other's now.
        std::mem::forget(entry);
        held
    }

    /// A part of an entry that the calling thread holds and publishes later. It takes no place of
    /// its own: it has that entry's ticket, and nothing comes of it but that `happened` is set if
    /// it is committed.
    pub fn enter_part<'r>(&'r self, ticket: u64, happened: &'r Cell<bool>) -> Entry<'r> {
        Entry { ring: self, ticket, slots: 0, payload: Payload::Elsewhere(happened) }
    }

    #[inline]
    fn take(&self, slots: usize) -> Entry<'_> {
        let count = slots as u64;
        let ticket = if planted::is(Planted::TicketNotExclusive) {
            let ticket = self.tail.load(Ordering::Acquire);
            self.tail.store(ticket + count, Ordering::Release);
            ticket
        } else {
            // See "Orderings" above.
            self.tail.fetch_add(count, planted::ordering(Ordering::AcqRel, Planted::RelaxedTicket))
        };
        if !planted::is(Planted::RoomNotAwaited) {
            self.await_slots(ticket + count);
        }
        prefetch_write(self.slot(ticket + AHEAD));
        // Made last: to publish before the slots are free would hide an entry of the round before.
        // Nothing above panics.
        Entry { ring: self, ticket, slots, payload: Payload::Slots }
    }

    /// Waits until all slots before number `end` are free of the round before.
    #[inline]
    fn await_slots(&self, end: u64) {
        let size = self.slots.len() as u64;
        // Acquire, with the Release of `Consumer::release`: its reads come before our writes.
        let acquire = planted::ordering(Ordering::Acquire, Planted::RelaxedRoom);
        let mut turns = 0_u32;
        while end.saturating_sub(self.head.load(acquire)) > size {
            // See "Room" above: the consumer gets here without us, unless it sleeps.
            if !planted::is(Planted::RoomWithoutWake) {
                self.wake();
            }
            turns += 1;
            if turns < SPINS { spin_loop() } else { std::thread::yield_now() }
        }
    }

    /// # Safety
    /// The caller alone uses the slots from `ticket` on that the parts fill.
    #[inline]
    unsafe fn copy_in(&self, ticket: u64, parts: &[&[u8]]) {
        let mut at = 0;
        for part in parts {
            // Most entries have one slot.
            if at + part.len() <= SLOT_BYTES {
                // SAFETY: the caller's promise; the part ends within the slot.
                unsafe { self.slot(ticket).write(at, part) };
                at += part.len();
                continue;
            }
            let mut rest = *part;
            while !rest.is_empty() {
                let (number, offset) = (ticket + (at / SLOT_BYTES) as u64, at % SLOT_BYTES);
                let count = rest.len().min(SLOT_BYTES - offset);
                // SAFETY: the caller's promise; offset and count stay within the slot.
                unsafe { self.slot(number).write(offset, &rest[..count]) };
                rest = &rest[count..];
                at += count;
            }
        }
    }

    /// Wakes the consumer if it sleeps and there is reason to; to be called after publications,
    /// once for as many as come together, also when a panic has cut them short.
    #[inline]
    pub fn wake(&self) {
        // Against `Consumer::rest`: forbids the look at `rest` to come before the publication, so
        // that either we see that it sleeps or it sees the entry.
        if !planted::is(Planted::WakeWithoutFence) {
            fence(Ordering::SeqCst);
        }
        // Relaxed: ordered by the fence.
        match self.rest.load(Ordering::Relaxed) {
            AWAKE => {}
            DOZES if !self.is_filling() => {}
            _ => self.wake_up(),
        }
    }

    #[cold]
    fn wake_up(&self) {
        // Relaxed: one of several wakers is enough, and the waker orders by itself.
        if self.rest.swap(AWAKE, Ordering::Relaxed) != AWAKE {
            self.waker.wake();
        }
    }

    /// Wakes the consumer in any case, so that it looks at what it was told otherwise.
    pub fn rouse(&self) {
        self.waker.wake();
    }
}

/// How many slots ahead are brought near. By a producer: it, or another one, writes there soon, and
/// the store to a line that is far away holds up the compare-and-swap that follows it (measured:
/// 6 % of a server's time under SET). By the consumer: it reads there soon.
const AHEAD: u64 = 8;

/// Looks at `head` before the processor is given away.
#[cfg(any(loom, shuttle))]
const SPINS: u32 = u32::MAX;
#[cfg(not(any(loom, shuttle)))]
const SPINS: u32 = 64;

impl Drop for Ring {
    fn drop(&mut self) {
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() {
            return;
        }
        // Relaxed: nobody else is left.
        let (mut number, tail) =
            (self.head.load(Ordering::Relaxed), self.tail.load(Ordering::Relaxed));
        while number < tail {
            let Some(state) = self.slot(number).state(number, Ordering::Relaxed) else {
                return;
            };
            if state.kind() == Kind::Boxed {
                // SAFETY: published with a box that no consumer has taken.
                let boxed = unsafe { self.slot(number).take_box() };
                self.box_went(boxed.bytes());
            }
            number += state.slots() as u64;
        }
    }
}

/// A place in line for a change under way. Dropped, it is void, and wakes the consumer:
/// what stands behind it may be published already, by a producer that woke it in vain.
#[must_use]
pub struct Entry<'r> {
    ring: &'r Ring,
    ticket: u64,
    slots: usize,
    payload: Payload<'r>,
}

/// Where the payload of an entry is.
enum Payload<'r> {
    Slots,
    Boxed(Box<Boxed>),
    /// With another entry, whose part this one is; to be set when it is committed.
    Elsewhere(&'r Cell<bool>),
}

impl Entry<'_> {
    /// Its ticket.
    #[inline]
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// The change has taken place.
    #[inline]
    pub fn commit(mut self) {
        let kind = match std::mem::replace(&mut self.payload, Payload::Slots) {
            Payload::Slots => Kind::Inline,
            Payload::Boxed(boxed) => {
                self.ring.box_came(boxed.bytes());
                // SAFETY: the slot is this entry's until it is published.
                unsafe { self.ring.slot(self.ticket).put_box(boxed) };
                Kind::Boxed
            }
            Payload::Elsewhere(happened) => {
                happened.set(true);
                return std::mem::forget(self);
            }
        };
        self.publish(kind);
        std::mem::forget(self);
    }

    #[inline]
    fn publish(&self, kind: Kind) {
        let state = State::new(self.ticket, self.slots, kind);
        self.ring.slot(self.ticket).publish(state);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if matches!(self.payload, Payload::Elsewhere(_)) {
            return;
        }
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() {
            return;
        }
        if !planted::is(Planted::VoidNotPublished) {
            self.publish(Kind::Void);
        }
        if !planted::is(Planted::VoidWithoutWake) {
            self.ring.wake();
        }
    }
}

/// A place in line that is bound to nothing but the ring, for changes that are collected. Dropped,
/// it is void.
#[must_use]
pub struct Held {
    ring: Arc<Ring>,
    ticket: u64,
    payload: Option<Box<Boxed>>,
}

impl Held {
    /// Its ticket.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// The changes have taken place.
    pub fn commit(mut self, payload: Box<Boxed>) {
        self.payload = Some(payload);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut entry =
            Entry { ring: &self.ring, ticket: self.ticket, slots: 1, payload: Payload::Slots };
        if let Some(payload) = self.payload.take() {
            entry.payload = Payload::Boxed(payload);
            entry.commit();
        }
    }
}
