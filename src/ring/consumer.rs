//! The consumer's side of the ring.

use super::slot::Kind;
use super::{AHEAD, AWAKE, Boxed, DOZES, ENTRY_BYTES, Ring, SLEEPS, SLOT_BYTES};
use crate::sync::Arc;
use crate::sync::atomic::{Ordering, fence};
use crate::sync::parking::Sleeper;
use crate::sync::planted::{self, Planted};
use crate::sync::prefetch_read;
use std::time::Duration;

/// An entry, in its turn.
#[derive(Debug)]
pub enum Read<'c> {
    /// Its change did not take place.
    Void,
    /// Its payload, with whatever follows in its last slot.
    Inline(&'c [u8]),
    /// Its payload.
    Boxed(Box<Boxed>),
}

/// How the consumer wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// By any entry.
    UntilAny,
    /// When a quarter of the room is taken, or the time is up.
    Nap(Duration),
}

/// The one who takes entries out.
pub struct Consumer {
    ring: Arc<Ring>,
    /// The ticket of the next entry.
    next: u64,
    /// What `head` says.
    released: u64,
    sleeper: Sleeper,
    /// The payload of an entry of several slots.
    joined: Box<[u8; ENTRY_BYTES]>,
}

impl Consumer {
    pub(super) fn new(ring: Arc<Ring>, first: u64, sleeper: Sleeper) -> Self {
        let joined = Box::new([0; ENTRY_BYTES]);
        Self { ring, next: first, released: first, sleeper, joined }
    }

    /// The ticket of the next entry: all before it have been taken out.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The ring.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Takes out the next entry; `None` while it is not published. Its ticket is what
    /// [`position`](Consumer::position) was before.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its own buffer")]
    pub fn next(&mut self) -> Option<Read<'_>> {
        let ticket = self.next;
        let slot = self.ring.slot(ticket);
        // Acquire, with the Release of `Slot::publish`: the payload is whole.
        let acquire = planted::ordering(Ordering::Acquire, Planted::RelaxedTake);
        let state = slot.state(ticket, acquire)?;
        self.next += state.slots() as u64;
        // Another core has written there; by the time we get to it, it is near.
        prefetch_read(self.ring.slot(ticket + AHEAD));
        match (state.kind(), state.slots()) {
            (Kind::Void, _) => Some(Read::Void),
            (Kind::Boxed, _) => {
                // SAFETY: published as boxed; `next` has moved on, so it is taken once.
                let boxed = unsafe { slot.take_box() };
                self.ring.box_went(boxed.bytes());
                Some(Read::Boxed(boxed))
            }
            (Kind::Inline, slots) => {
                let pieces = self.joined.chunks_exact_mut(SLOT_BYTES).take(slots);
                for (number, piece) in (ticket..).zip(pieces) {
                    // SAFETY: the slot belongs to a published entry and is given back later.
                    unsafe { self.ring.slot(number).read(|bytes| piece.copy_from_slice(bytes)) };
                }
                Some(Read::Inline(&self.joined[..slots * SLOT_BYTES]))
            }
        }
    }

    /// Gives back the slots of everything taken out so far.
    #[inline]
    pub fn release(&mut self) {
        if self.released != self.next {
            self.released = self.next;
            // Release, with the Acquire of `Ring::await_slots`: our reads are over.
            let release = planted::ordering(Ordering::Release, Planted::RelaxedRelease);
            self.ring.head.store(self.next, release);
        }
    }

    /// Gives back everything taken out, then sleeps until there is something to do, unless there is
    /// already. Returns early now and then.
    pub fn rest(&mut self, rest: Rest) {
        // A producer that waits for these slots would never publish, and the sleep never end.
        self.release();
        let (word, timeout) = match rest {
            Rest::UntilAny => (SLEEPS, None),
            Rest::Nap(time) => (DOZES, Some(time)),
        };
        let ring = &self.ring;
        // Relaxed: ordered by the fence. A swap, though a store would do: loom lets a store of ours
        // come in two orders with a swap by a producer, whatever that has read.
        ring.rest.swap(word, Ordering::Relaxed);
        // Against `Ring::wake`: forbids the look at the slot to come before we say that we sleep.
        if !planted::is(Planted::SleepWithoutFence) {
            fence(Ordering::SeqCst);
        }
        let published = !planted::is(Planted::SleepWithoutLook)
            && ring.slot(self.next).state(self.next, Ordering::Relaxed).is_some();
        let enough = match rest {
            Rest::UntilAny => published,
            Rest::Nap(_) => published && ring.is_filling(),
        };
        if !enough {
            self.sleeper.sleep(timeout);
        }
        // Relaxed: a producer that still sees the old word wakes us once in vain. A swap as above.
        ring.rest.swap(AWAKE, Ordering::Relaxed);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        #[cfg(any(loom, shuttle))]
        if std::thread::panicking() {
            return;
        }
        // `Ring::drop` frees the boxes in all slots that are not given back.
        self.release();
    }
}
