//! Counters, striped per worker.
//!
//! Every worker thread owns one [`WorkerStats`] and is the only one that writes it; any thread may
//! read any stripe. So a counter needs no read-modify-write: its owner loads, adds and stores, all
//! Relaxed, which costs a plain `add` to memory instead of a locked instruction. Nothing is
//! published through a counter, a reader only wants a recent figure, hence no ordering is needed;
//! the 64-bit load and store are atomic, so a reader never sees half a number.
//!
//! A stripe is aligned to 128 bytes (two lines: x86 prefetches lines in adjacent pairs), so that
//! one worker's counting never takes a cache line from another worker.
//!
//! [`Registry`] holds the stripes of all workers. A total is the sum of the stripes read one after
//! the other: each addend is a value that counter really had, the sum is not an instant. A gauge
//! such as the number of connected clients goes up and down on the same worker, so its total can
//! be late but never negative.

use std::time::Instant;

use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// A 64-bit counter with one writer and any number of readers. See the module for why that writer
/// uses plain loads and stores; two writers would lose counts (and nothing worse).
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    pub fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// Adds `count`; only the owner of the counter calls it. Wraps at 2^64.
    pub fn add(&self, count: u64) {
        // Relaxed: single writer, nothing is published through the counter.
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value.wrapping_add(count), Ordering::Relaxed);
    }

    /// Takes `count` away; only the owner of the counter calls it, and only what it has added.
    pub fn sub(&self, count: u64) {
        // Relaxed: as in `add`.
        let value = self.0.load(Ordering::Relaxed);
        self.0.store(value.wrapping_sub(count), Ordering::Relaxed);
    }

    /// The value, at most as old as the owner's store buffer.
    pub fn get(&self) -> u64 {
        // Relaxed: the caller wants a recent figure and orders nothing by it.
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Counter {
    fn default() -> Counter {
        Counter::new()
    }
}

/// What one worker counts. Only that worker's thread writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerStats {
    /// Connections handed to this worker since the start.
    pub connections_received: Counter,
    /// Connections refused because `maxclients` was reached.
    pub connections_rejected: Counter,
    /// Connections open now (a gauge).
    pub connected_clients: Counter,
    /// Commands executed: those whose handlers ran, whatever they replied.
    pub commands_processed: Counter,
    /// Error replies sent: of commands, of the protocol, of refused connections.
    pub error_replies: Counter,
    /// Connections closed because too much waited to be sent to them.
    pub output_limit_disconnections: Counter,
    /// Bytes read from sockets.
    pub net_input_bytes: Counter,
    /// Bytes written to sockets.
    pub net_output_bytes: Counter,
    /// Key look-ups of reading commands that found the key.
    pub keyspace_hits: Counter,
    /// Key look-ups of reading commands that did not.
    pub keyspace_misses: Counter,
    /// Keys removed because their deadline had passed.
    pub expired_keys: Counter,
    /// Keys removed because the memory was used up.
    pub evicted_keys: Counter,
    /// Bytes that they took.
    pub evicted_bytes: Counter,
    /// Time spent on removing them, in nanoseconds.
    pub eviction_nanoseconds: Counter,
}

/// The stripes of all workers, the rate of commands, and how long there was too little memory.
#[derive(Debug)]
pub struct Registry {
    workers: Vec<Arc<WorkerStats>>,
    rate: Mutex<RateSampler>,
    /// How long the data has taken more than `maxmemory`.
    pub excess: Excess,
}

impl Registry {
    /// A registry of `workers` stripes. A thread that counts without being a worker (a listener of
    /// its own, say) needs a stripe too: ask for one more.
    pub fn new(workers: usize) -> Registry {
        Registry {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            rate: Mutex::new(RateSampler::new(Instant::now())),
            excess: Excess::new(Instant::now()),
        }
    }

    /// The stripe of worker `index`. Panics when there is no such worker.
    pub fn worker(&self, index: usize) -> &Arc<WorkerStats> {
        &self.workers[index]
    }

    /// How many stripes there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The sum of one counter over all stripes: `registry.total(|w| &w.keyspace_hits)`.
    pub fn total(&self, counter: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        self.workers.iter().fold(0, |sum, worker| sum.wrapping_add(counter(worker).get()))
    }

    /// Takes a sample of the command rate when the last one is [`SAMPLE_INTERVAL_MS`] old; to be
    /// called about that often, by any thread. Never waits: when another thread is at it, that one
    /// does the work. Returns whether it took a sample, for what else is due at that pace.
    pub fn sample(&self) -> bool {
        let Ok(mut rate) = self.rate.try_lock() else {
            return false;
        };
        let commands = self.total(|worker| &worker.commands_processed);
        rate.sample(Instant::now(), commands)
    }

    /// Commands per second, the mean of the last [`SAMPLES`] samples.
    pub fn instantaneous_ops_per_sec(&self) -> u64 {
        match self.rate.lock() {
            Ok(rate) => rate.mean(),
            // A panic while sampling leaves plain numbers behind: still readable.
            Err(poisoned) => poisoned.into_inner().mean(),
        }
    }
}

/// How long something lasts that begins and ends again and again, as any thread notices it.
#[derive(Debug)]
pub struct Excess {
    origin: Instant,
    /// Nanoseconds from the origin to when it began this time; 0 while it does not last.
    since: AtomicU64,
    /// Nanoseconds of all times that are over.
    over: AtomicU64,
}

impl Excess {
    fn new(origin: Instant) -> Excess {
        Excess { origin, since: AtomicU64::new(0), over: AtomicU64::new(0) }
    }

    /// Notes whether it lasts now: one load of a word that seldom changes, unless it does.
    pub fn note(&self, lasts: bool) {
        // Relaxed, here and below: a statistic. Each beginning is ended by one thread, whose
        // exchange succeeds.
        let since = self.since.load(Ordering::Relaxed);
        if lasts == (since != 0) {
            return;
        }
        let now = self.nanoseconds();
        let next = if lasts { now } else { 0 };
        let swapped =
            self.since.compare_exchange(since, next, Ordering::Relaxed, Ordering::Relaxed);
        if swapped.is_ok() && !lasts {
            self.over.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
        }
    }

    /// How long it lasts this time already, in milliseconds; 0 if it does not.
    pub fn current_ms(&self) -> u64 {
        self.current_nanoseconds() / 1_000_000
    }

    /// How long it has lasted at all times together, in milliseconds.
    pub fn total_ms(&self) -> u64 {
        (self.over.load(Ordering::Relaxed) + self.current_nanoseconds()) / 1_000_000
    }

    fn current_nanoseconds(&self) -> u64 {
        match self.since.load(Ordering::Relaxed) {
            0 => 0,
            since => self.nanoseconds().saturating_sub(since),
        }
    }

    /// Nanoseconds since the origin, at least 1; 64 bits hold five centuries of them.
    fn nanoseconds(&self) -> u64 {
        (self.origin.elapsed().as_nanos() as u64).max(1)
    }
}

/// Milliseconds between two samples of the command rate (Redis samples ten times a second).
pub const SAMPLE_INTERVAL_MS: u64 = 100;

/// Samples averaged into a rate (Redis: 16, so the figure spans about 1.6 seconds).
pub const SAMPLES: usize = 16;

/// Rates of the last [`SAMPLES`] intervals, the oldest overwritten first.
#[derive(Debug)]
struct RateSampler {
    last_time: Instant,
    last_commands: u64,
    per_second: [u64; SAMPLES],
    next: usize,
}

impl RateSampler {
    fn new(now: Instant) -> RateSampler {
        RateSampler { last_time: now, last_commands: 0, per_second: [0; SAMPLES], next: 0 }
    }

    fn sample(&mut self, now: Instant, commands: u64) -> bool {
        let elapsed = now.saturating_duration_since(self.last_time).as_micros();
        // A timer may fire a little early; nine tenths of the interval is close enough.
        if elapsed < u128::from(SAMPLE_INTERVAL_MS) * 900 {
            return false;
        }
        let done = u128::from(commands.wrapping_sub(self.last_commands));
        let rate = done * 1_000_000 / elapsed;
        self.per_second[self.next] = u64::try_from(rate).unwrap_or(u64::MAX);
        self.next = (self.next + 1) % SAMPLES;
        self.last_time = now;
        self.last_commands = commands;
        true
    }

    fn mean(&self) -> u64 {
        let sum: u128 = self.per_second.iter().map(|&rate| u128::from(rate)).sum();
        u64::try_from(sum / SAMPLES as u128).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_counter_adds_and_subtracts() {
        let counter = Counter::new();
        counter.add(5);
        counter.sub(2);
        assert_eq!(counter.get(), 3);
    }

    #[test]
    fn a_total_sums_all_stripes() {
        let registry = Registry::new(3);
        for index in 0..registry.workers() {
            registry.worker(index).keyspace_hits.add(10 + index as u64);
        }
        assert_eq!(registry.total(|worker| &worker.keyspace_hits), 33);
        assert_eq!(registry.total(|worker| &worker.keyspace_misses), 0);
    }

    #[test]
    fn excess_is_timed_from_its_beginning_to_its_end() {
        let pause = || std::thread::sleep(Duration::from_millis(3));
        let excess = Excess::new(Instant::now());
        excess.note(false);
        pause();
        assert_eq!((excess.current_ms(), excess.total_ms()), (0, 0));
        excess.note(true);
        pause();
        excess.note(true);
        assert!(excess.current_ms() >= 3 && excess.total_ms() >= 3);
        excess.note(false);
        let total = excess.total_ms();
        assert_eq!((excess.current_ms(), total >= 3), (0, true));
        pause();
        assert_eq!(excess.total_ms(), total);
        excess.note(true);
        pause();
        assert!(excess.total_ms() >= total + 3);
    }

    #[test]
    fn stripes_do_not_share_cache_lines() {
        assert_eq!(align_of::<WorkerStats>(), 128);
        let registry = Registry::new(2);
        let address = |index: usize| std::ptr::from_ref(registry.worker(index).as_ref()).addr();
        assert!(address(0).abs_diff(address(1)) >= 128);
    }

    #[test]
    fn the_rate_is_the_mean_of_the_last_samples() {
        let start = Instant::now();
        let mut rate = RateSampler::new(start);
        rate.sample(start + Duration::from_millis(10), 1_000);
        assert_eq!(rate.mean(), 0, "too early for a sample");
        for tick in 1..=SAMPLES as u64 {
            rate.sample(start + Duration::from_millis(100 * tick), 1_000 * tick);
        }
        assert_eq!(rate.mean(), 10_000);
        rate.sample(start + Duration::from_millis(100 * (SAMPLES as u64 + 1)), 16_000);
        assert_eq!(rate.mean(), 10_000 * 15 / 16);
    }
}
