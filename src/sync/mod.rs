//! The floor that names atomics, threads and the epoch collector, so that every floor above can be
//! run on real hardware, under loom (every interleaving of a small model) and under shuttle (random
//! schedules of the real table) from the same source.
//!
//! * [`atomic`]: the words of the lock-free protocols. Loom and shuttle see every access.
//! * [`plain`]: standard atomics in every build, for counters and statistics that no protocol
//!   depends on. Model checkers do not see them, which keeps models small.
//! * [`epoch`]: pin, retire, collect. crossbeam-epoch on hardware, a checked stand-in elsewhere.
//! * `allocator`: what jemalloc says of itself.
//! * [`parking`]: one thread that sleeps until it is woken.
//! * `thread_clock`: how much processor time a thread has used.
//! * [`planted`]: faults that tests plant to see the models fail.
#![allow(unsafe_code)]

#[cfg(not(any(loom, shuttle)))]
#[path = "epoch_crossbeam.rs"]
pub mod epoch;
#[cfg(any(loom, shuttle))]
#[path = "epoch_model.rs"]
pub mod epoch;

#[cfg(not(any(loom, shuttle)))]
pub mod allocator;
#[cfg(any(loom, shuttle))]
pub mod graveyard;
pub mod parking;
pub mod planted;
pub mod stripe;
#[cfg(not(any(loom, shuttle)))]
pub mod thread_clock;

pub use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc,
};

/// Standard atomics in every build: statistics, identifiers, flags outside any protocol.
pub mod plain {
    pub use std::sync::atomic::{
        AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
}

pub use plain::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The atomics of the protocols: the model checker's own under loom and shuttle.
pub mod atomic {
    #[cfg(loom)]
    pub use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(shuttle)]
    pub use shuttle::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(not(any(loom, shuttle)))]
    pub use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
}

/// A place that loom watches for data races: written where an object is made, read wherever it is
/// used, it fails if the object was published without a release or found without an acquire.
#[cfg(loom)]
pub type WatchedCell<T> = loom::cell::UnsafeCell<T>;

/// A place that one thread at a time uses, by a protocol around it; loom watches that it is so.
#[cfg(loom)]
pub type DataCell<T> = loom::cell::UnsafeCell<T>;

/// A place that one thread at a time uses, by a protocol around it; loom watches that it is so.
#[cfg(not(loom))]
#[derive(Debug)]
pub struct DataCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> DataCell<T> {
    /// A place that holds `value`.
    pub fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Lends the place for reading: nobody writes to it meanwhile.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Lends the place for writing: nobody else uses it meanwhile.
    #[inline]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// Tells the processor (or the model checker) that this thread waits for another one's step.
#[inline]
pub fn spin_loop() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(shuttle)]
    shuttle::hint::spin_loop();
    #[cfg(not(any(loom, shuttle)))]
    std::hint::spin_loop();
}

/// Asks for the cache line at `address` to be brought near for a read. Only a hint: it never
/// faults, whatever the address, and does nothing on processors we have no instruction for.
#[inline(always)]
pub fn prefetch_read<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    // SAFETY: PREFETCHT0 is architecturally a hint; it performs no access that could fault or be
    // observed, for any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
    let _ = address;
}

/// The same for a write: the line is asked for with the right to change it.
#[inline(always)]
pub fn prefetch_write<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    // SAFETY: as in `prefetch_read`; PREFETCHW is a hint too.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
    let _ = address;
}
