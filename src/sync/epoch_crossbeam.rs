//! Epoch-based reclamation on hardware: a thin layer over crossbeam-epoch.
//!
//! What this layer adds to crossbeam's own collector:
//! * **Flush by count and by bytes.** crossbeam frees at most 512 objects each 128 pins; a pipeline
//!   retires hundreds of records under one pin, so without flushing inside the pin garbage grows
//!   without bound. Every [`FLUSH_COUNT`] retirements or [`FLUSH_BYTES_MAX`] retired bytes the
//!   local bag is handed over and collected from.
//! * **Limbo.** Retired and not yet freed bytes are counted ([`limbo_bytes`]), for the process as
//!   all memory is: a deferred function has room for three words before crossbeam boxes it, and a
//!   pointer to a counter would be the fourth.
//! * **Bounds that follow a memory cap** ([`set_limbo_target`]): what waits in limbo is memory that
//!   holds no data, so a server with little memory lets little of it wait.
//! * **Own collector.** Nobody else's long pins hold our garbage; dropped with the keyspace, it
//!   frees all that is left.

use super::Arc;
use super::plain::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use super::stripe::Striped;
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::time::Duration;

/// Retirements between two flushes of one participant. Measured for this design: 256 keeps the
/// backlog of a thread that retires without pause at about 256 objects; 128 at the same cost.
const FLUSH_COUNT: u32 = 128;
/// Retired bytes that force a flush before [`FLUSH_COUNT`] is reached: large values go soon.
const FLUSH_BYTES_MAX: usize = 1 << 20;
/// The same under a memory cap, however small: 128 values of 128 bytes get there too.
const FLUSH_BYTES_MIN: usize = 16 << 10;
/// Parts of a memory cap that are retired between two flushes of one participant.
const FLUSH_PARTS: u64 = 1024;
/// Limbo above which a participant collects before it pins again (and while it is not pinned).
const LIMBO_LIMIT: i64 = 64 << 20;
/// Parts of a memory cap that limbo may take before participants collect.
const LIMBO_PARTS: u64 = 128;

/// Time between two looks whether a grace period is over: about as long as a thread stays pinned.
const GRACE_POLL: Duration = Duration::from_micros(100);

static LIMBO: Striped = Striped::new();

/// What may wait, for the process; on a line that only a setting writes.
struct Bounds {
    flush_bytes: AtomicUsize,
    limbo_bytes: AtomicI64,
}

static BOUNDS: CachePadded<Bounds> = CachePadded::new(Bounds {
    flush_bytes: AtomicUsize::new(FLUSH_BYTES_MAX),
    limbo_bytes: AtomicI64::new(LIMBO_LIMIT),
});

/// Bytes retired and not yet freed.
pub fn limbo_bytes() -> u64 {
    LIMBO.sum().max(0) as u64
}

/// The calling thread's own part in [`limbo_bytes`]: what it has retired, less what it has freed.
/// Below zero for one that frees what others have retired.
#[inline]
pub fn thread_limbo_bytes() -> i64 {
    LIMBO.own()
}

/// Keeps limbo small beside a memory cap of so many bytes; 0 for no cap, as at the start.
pub fn set_limbo_target(cap_bytes: u64) {
    let (flush_bytes, limbo_bytes) = bounds_for(cap_bytes);
    // Relaxed: each is a bound by itself, and a late look at it does no harm.
    BOUNDS.flush_bytes.store(flush_bytes, Ordering::Relaxed);
    BOUNDS.limbo_bytes.store(limbo_bytes as i64, Ordering::Relaxed);
}

/// Retired bytes that force a flush, and limbo above which participants collect, under a cap.
fn bounds_for(cap_bytes: u64) -> (usize, usize) {
    let part = |parts: u64| match cap_bytes {
        0 => usize::MAX,
        cap => usize::try_from(cap / parts).unwrap_or(usize::MAX),
    };
    let flush_bytes = part(FLUSH_PARTS).clamp(FLUSH_BYTES_MIN, FLUSH_BYTES_MAX);
    (flush_bytes, part(LIMBO_PARTS).clamp(flush_bytes, LIMBO_LIMIT as usize))
}

/// Owner of the epochs of one keyspace.
#[derive(Clone)]
pub struct Collector(crossbeam_epoch::Collector);

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector {
    /// A collector with no participants.
    pub fn new() -> Self {
        Self(crossbeam_epoch::Collector::new())
    }

    /// Registers the calling thread.
    pub fn register(&self) -> Participant {
        Participant {
            handle: self.0.register(),
            count: Cell::new(0),
            bytes: Cell::new(0),
            flushed: Cell::new(false),
        }
    }
}

/// One thread's membership in a [`Collector`].
pub struct Participant {
    handle: crossbeam_epoch::LocalHandle,
    /// Retirements and retired bytes since the last flush.
    count: Cell<u32>,
    bytes: Cell<usize>,
    /// Whether there was a flush since limbo was last looked at.
    flushed: Cell<bool>,
}

impl Participant {
    /// Pins the thread: what is reachable now is not freed before the guard is dropped or renewed.
    #[inline]
    pub fn pin(&self) -> Guard<'_> {
        Guard { inner: self.handle.pin(), participant: self }
    }

    /// Collects garbage; to be called while not pinned. Three rounds, because an object is freed
    /// two epochs after its retirement and each round advances by at most one.
    pub fn collect(&self) {
        for _ in 0..3 {
            self.handle.pin().flush();
        }
        self.count.set(0);
        self.bytes.set(0);
    }

    /// Waits until every guard that is pinned now is gone or renewed; to be called while not
    /// pinned.
    pub fn synchronize(&self) {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        // SAFETY: the closure frees nothing that anybody could reach.
        unsafe { self.pin().defer(0, move || told.store(true, Ordering::Release)) };
        // Acquire: what those guards' threads did has happened before what follows.
        while !over.load(Ordering::Acquire) {
            self.collect();
            std::thread::sleep(GRACE_POLL);
        }
    }

    /// Collects while more than the limit waits in limbo; bounded, so that a participant that holds
    /// the epoch back (a pinned thread without a processor) cannot stop this one. Looks only after
    /// a flush: the sum reads a line of each thread.
    #[inline]
    pub fn relieve(&self) {
        if self.flushed.replace(false) {
            self.relieve_flushed();
        }
    }

    #[cold]
    fn relieve_flushed(&self) {
        for _ in 0..4 {
            // Relaxed: see `set_limbo_target`.
            if LIMBO.sum() < BOUNDS.limbo_bytes.load(Ordering::Relaxed) {
                return;
            }
            self.collect();
        }
    }
}

/// A pin. Nothing blocks while it is held.
pub struct Guard<'p> {
    inner: crossbeam_epoch::Guard,
    participant: &'p Participant,
}

impl Guard<'_> {
    /// Moves the pin to the present: what was reachable only before may be freed.
    #[inline]
    pub fn repin(&mut self) {
        self.inner.repin();
    }

    /// Hands over what this participant has retired, and frees some of what nobody can reach.
    pub fn collect(&self) {
        self.inner.flush();
    }

    /// Runs `free` once no guard that is pinned now is left. `bytes` is what it gives back.
    ///
    /// # Safety
    /// * What `free` frees is unreachable for guards pinned after this call.
    /// * `free` is called once, on any thread that takes part in the collector.
    #[inline]
    pub unsafe fn defer<F: FnOnce() + 'static>(&self, bytes: usize, free: F) {
        LIMBO.add(bytes as i64);
        // SAFETY: the caller vouches for `free`.
        unsafe {
            self.inner.defer_unchecked(move || {
                LIMBO.add(-(bytes as i64));
                free();
            });
        }
        let participant = self.participant;
        participant.count.set(participant.count.get() + 1);
        participant.bytes.set(participant.bytes.get() + bytes);
        // Relaxed: see `set_limbo_target`.
        let flush_bytes = BOUNDS.flush_bytes.load(Ordering::Relaxed);
        if participant.count.get() >= FLUSH_COUNT || participant.bytes.get() >= flush_bytes {
            participant.count.set(0);
            participant.bytes.set(0);
            participant.flushed.set(true);
            self.inner.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bounds_for;

    #[test]
    fn what_may_wait_is_a_part_of_the_memory_cap_within_bounds() {
        assert_eq!(bounds_for(1), (16 << 10, 16 << 10));
        assert_eq!(bounds_for(100 << 20), (100 << 10, 800 << 10));
        assert_eq!(bounds_for(u64::MAX), (1 << 20, 64 << 20));
        assert_eq!(bounds_for(0), (1 << 20, 64 << 20));
    }
}
