//! Epoch-based reclamation for model checkers: what crossbeam-epoch promises, and no more.
//!
//! Loom cannot see crossbeam's own words, so the models use this stand-in with the same interface.
//! Its steps are visible to the checker: a clock word that every pin and every retirement bumps,
//! and the fences crossbeam has. Garbage is freed at once when a guard goes and no older guard is
//! left, the earliest moment that the contract permits. A free here only *poisons* a record (see
//! `record`), so a use after free is a failed assertion and not undefined behaviour.

use super::atomic::{AtomicU64, Ordering, fence};
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

type Free = Box<dyn FnOnce()>;

#[derive(Default)]
struct State {
    /// Clock at the pin of each live guard.
    pinned: Vec<(u64, u64)>,
    /// Clock at retirement, and what frees it.
    garbage: Vec<(u64, Free)>,
    next_guard: u64,
    /// The clock at each participant's first pin, and a word that it releases when it unpins and a
    /// free acquires: what a guard did has happened before anything it held back is freed.
    unpinned: Vec<(u64, Arc<AtomicU64>)>,
}

struct Shared {
    clock: AtomicU64,
    /// A standard mutex: no thread switches while it is held.
    state: Mutex<State>,
}

// SAFETY: the model checkers run one thread at a time and the mutex guards the state; the boxed
// functions are only ever called under the checker.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// Bytes retired and not yet freed: not counted in models.
pub fn limbo_bytes() -> u64 {
    0
}

/// Not counted in models.
pub fn thread_limbo_bytes() -> i64 {
    0
}

/// Nothing is bounded in a model.
pub fn set_limbo_target(_cap_bytes: u64) {}

/// Owner of the epochs of one keyspace.
#[derive(Clone)]
pub struct Collector {
    shared: Arc<Shared>,
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector {
    /// A collector with no participants.
    pub fn new() -> Self {
        let state = Mutex::new(State::default());
        Self { shared: Arc::new(Shared { clock: AtomicU64::new(1), state }) }
    }

    /// Registers the calling thread.
    pub fn register(&self) -> Participant {
        let unpinned = Arc::new(AtomicU64::new(0));
        Participant { shared: self.shared.clone(), unpinned, known: Cell::new(false) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (_, free) in state.garbage.drain(..) {
            free();
        }
    }
}

/// One thread's membership in a [`Collector`].
pub struct Participant {
    shared: Arc<Shared>,
    unpinned: Arc<AtomicU64>,
    /// Whether the collector has the word.
    known: Cell<bool>,
}

impl Participant {
    /// Pins the thread.
    pub fn pin(&self) -> Guard<'_> {
        let (id, clock) = (self.shared.enter(), self.shared.clock.fetch_add(1, Ordering::AcqRel));
        self.shared.settle(id, clock);
        if !self.known.replace(true) {
            self.shared.lock().unpinned.push((clock, self.unpinned.clone()));
        }
        // As crossbeam: the pin is visible before anything the guard protects is loaded.
        fence(Ordering::SeqCst);
        Guard { participant: self, id }
    }

    /// Frees what no guard can see.
    pub fn collect(&self) {
        self.shared.free_unseen();
    }

    /// Waits until every guard that is pinned now is gone.
    pub fn synchronize(&self) {
        let over = Arc::new(AtomicU64::new(0));
        let told = over.clone();
        // SAFETY: the closure frees nothing that anybody could reach.
        unsafe { self.pin().defer(0, move || told.store(1, Ordering::Release)) };
        while over.load(Ordering::Acquire) == 0 {
            self.collect();
            super::spin_loop();
        }
    }

    /// Nothing is bounded in a model.
    pub fn relieve(&self) {}
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a guard as old as can be until its clock is known.
    fn enter(&self) -> u64 {
        let mut state = self.lock();
        state.next_guard += 1;
        let id = state.next_guard;
        state.pinned.push((id, 0));
        id
    }

    fn settle(&self, id: u64, clock: u64) {
        let mut state = self.lock();
        if let Some(entry) = state.pinned.iter_mut().find(|entry| entry.0 == id) {
            entry.1 = clock;
        }
    }

    fn free_unseen(&self) {
        let mut free_now = Vec::new();
        let unpinned;
        {
            let mut state = self.lock();
            let oldest = state.pinned.iter().map(|entry| entry.1).min().unwrap_or(u64::MAX);
            let garbage = std::mem::take(&mut state.garbage);
            for (retired, free) in garbage {
                if retired < oldest {
                    free_now.push(free);
                } else {
                    state.garbage.push((retired, free));
                }
            }
            unpinned = state.unpinned.clone();
        }
        if free_now.is_empty() {
            return;
        }
        // Read-modify-writes, since those read the latest value: the clock, to know all
        // participants that have pinned before, then their words.
        let now = self.clock.fetch_add(0, Ordering::AcqRel);
        for (_, word) in unpinned.iter().filter(|entry| entry.0 < now) {
            word.fetch_add(0, Ordering::Acquire);
        }
        for free in free_now {
            free();
        }
    }
}

/// A pin.
pub struct Guard<'p> {
    participant: &'p Participant,
    id: u64,
}

impl Guard<'_> {
    /// Unpins, and frees what only this guard held back.
    fn leave(&self) {
        let shared = &self.participant.shared;
        self.participant.unpinned.fetch_add(1, Ordering::Release);
        shared.lock().pinned.retain(|entry| entry.0 != self.id);
        shared.free_unseen();
    }

    /// Nothing to do: what nobody can reach is freed at once.
    pub fn collect(&self) {}

    /// Moves the pin to the present.
    pub fn repin(&mut self) {
        let shared = &self.participant.shared;
        self.leave();
        self.id = shared.enter();
        let clock = shared.clock.fetch_add(1, Ordering::AcqRel);
        shared.settle(self.id, clock);
        fence(Ordering::SeqCst);
    }

    /// Runs `free` once no guard that is pinned now is left.
    ///
    /// # Safety
    /// What `free` frees is unreachable for guards pinned after this call.
    pub unsafe fn defer<F: FnOnce() + 'static>(&self, _bytes: usize, free: F) {
        fence(Ordering::SeqCst);
        let shared = &self.participant.shared;
        let clock = shared.clock.fetch_add(1, Ordering::AcqRel);
        shared.lock().garbage.push((clock, Box::new(free)));
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.leave();
    }
}
