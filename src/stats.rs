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
//!
//! Nobody can set a counter back but its owner. So CONFIG RESETSTAT notes what the totals were, in
//! one more stripe, and from then on a total is what has come since.

use std::time::{Duration, Instant};

use crate::sync::thread_clock::ThreadClock;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, OnceLock, Ordering, PoisonError};

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

    /// Sets it to `value`; only the owner of the counter calls it.
    pub fn set(&self, value: u64) {
        // Relaxed: as in `add`.
        self.0.store(value, Ordering::Relaxed);
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
    /// Reads from sockets that brought something.
    pub reads: Counter,
    /// Writes to sockets that took something.
    pub writes: Counter,
    /// Key look-ups of reading commands that found the key.
    pub keyspace_hits: Counter,
    /// Key look-ups of reading commands that did not.
    pub keyspace_misses: Counter,
    /// Keys removed because their deadline had passed.
    pub expired_keys: Counter,
    /// Time spent on looking for such keys, in nanoseconds.
    pub expiry_nanoseconds: Counter,
    /// Keys removed because the memory was used up.
    pub evicted_keys: Counter,
    /// Bytes that they took.
    pub evicted_bytes: Counter,
    /// Time spent on removing them, in nanoseconds.
    pub eviction_nanoseconds: Counter,
    /// The clock of its thread, once that runs and where there are such clocks.
    clock: OnceLock<ThreadClock>,
}

impl WorkerStats {
    /// Says that this thread is the worker's.
    pub fn note_thread(&self) {
        if let Some(clock) = ThreadClock::own() {
            // A second thread would be a test's: the first one stays.
            let _ = self.clock.set(clock);
        }
    }

    /// The processor time that its thread has used so far; nothing where that is not known.
    pub fn processor_time(&self) -> Duration {
        self.clock.get().and_then(|clock| clock.read()).unwrap_or_default()
    }
}

/// What CONFIG RESETSTAT sets back.
type Select = fn(&WorkerStats) -> &Counter;

/// The counters that CONFIG RESETSTAT sets back: all but the gauges.
const RESETTABLE: [Select; 16] = [
    |stats| &stats.output_limit_disconnections,
    |stats| &stats.connections_received,
    |stats| &stats.connections_rejected,
    |stats| &stats.commands_processed,
    |stats| &stats.error_replies,
    |stats| &stats.net_input_bytes,
    |stats| &stats.net_output_bytes,
    |stats| &stats.reads,
    |stats| &stats.writes,
    |stats| &stats.keyspace_hits,
    |stats| &stats.keyspace_misses,
    |stats| &stats.expired_keys,
    |stats| &stats.expiry_nanoseconds,
    |stats| &stats.evicted_keys,
    |stats| &stats.evicted_bytes,
    |stats| &stats.eviction_nanoseconds,
];

/// The stripes of all workers, the rates, and how long there was too little memory.
#[derive(Debug)]
pub struct Registry {
    workers: Vec<Arc<WorkerStats>>,
    /// The totals at the last reset. Written under the lock of `rates`.
    baseline: WorkerStats,
    rates: Mutex<Rates>,
    /// How long the data has taken more than `maxmemory`.
    pub excess: Excess,
}

impl Registry {
    /// A registry of `workers` stripes. A thread that counts without being a worker (a listener of
    /// its own, say) needs a stripe too: ask for one more.
    pub fn new(workers: usize) -> Registry {
        Registry {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            baseline: WorkerStats::default(),
            rates: Mutex::new(Rates::new(Instant::now(), workers)),
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

    /// The sum of one counter over all stripes since the last reset:
    /// `registry.total(|w| &w.keyspace_hits)`.
    pub fn total(&self, counter: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        let before = counter(&self.baseline).get();
        // A reset meanwhile may have seen more than was summed.
        self.sum(counter).saturating_sub(before)
    }

    /// The sum of one counter over all stripes since the start.
    fn sum(&self, counter: impl Fn(&WorkerStats) -> &Counter) -> u64 {
        self.workers.iter().fold(0, |sum, worker| sum.wrapping_add(counter(worker).get()))
    }

    /// Begins all totals and rates at nothing again, but for the gauges.
    pub fn reset(&self) {
        // One at a time: a counter has one writer.
        let mut rates = self.rates();
        for counter in RESETTABLE {
            counter(&self.baseline).set(self.sum(counter));
        }
        *rates = Rates::new(Instant::now(), self.workers.len());
        rates.last = self.sums();
        for (index, processor) in rates.processors.iter_mut().enumerate() {
            processor.last = self.processor_nanoseconds(index);
        }
        self.excess.reset();
    }

    /// Takes a sample of the rates when the last one is [`SAMPLE_INTERVAL_MS`] old; to be
    /// called about that often, by any thread. Never waits: when another thread is at it, that one
    /// does the work. Returns whether it took a sample, for what else is due at that pace.
    pub fn sample(&self) -> bool {
        let Ok(mut rates) = self.rates.try_lock() else {
            return false;
        };
        rates.sample(Instant::now(), self.sums(), |index| self.processor_nanoseconds(index))
    }

    fn processor_nanoseconds(&self, index: usize) -> u64 {
        // 64 bits hold five centuries of them.
        self.workers[index].processor_time().as_nanos() as u64
    }

    /// The part of its time in which worker `index` was busy (it had a processor), from 0 to 1: the
    /// mean of the last [`SAMPLES`] samples. Panics when there is no such worker.
    pub fn busy_share(&self, index: usize) -> f64 {
        let busy: u64 = self.rates().processors[index].per_second.iter().sum();
        (busy as f64 / SAMPLES as f64 / NANOSECONDS as f64).min(1.0)
    }

    /// What the rates are taken of, since the start.
    fn sums(&self) -> [u64; Rate::COUNT] {
        Rate::ALL.map(|rate| self.sum(rate.counter()))
    }

    /// How much of something comes in a second, the mean of the last [`SAMPLES`] samples.
    pub fn per_second(&self, rate: Rate) -> u64 {
        self.rates().mean(rate)
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        // A panic while sampling leaves plain numbers behind: still readable.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Forgets the times that are over.
    fn reset(&self) {
        self.over.store(0, Ordering::Relaxed);
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

/// Milliseconds between two samples of the rates (Redis samples ten times a second).
pub const SAMPLE_INTERVAL_MS: u64 = 100;

/// Samples averaged into a rate (Redis: 16, so the figure spans about 1.6 seconds).
pub const SAMPLES: usize = 16;

/// Those of a second.
const NANOSECONDS: u64 = 1_000_000_000;

/// What is told by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Commands.
    Commands,
    /// Bytes read from sockets.
    InputBytes,
    /// Bytes written to sockets.
    OutputBytes,
    /// Bytes of evicted keys.
    EvictedBytes,
}

impl Rate {
    const COUNT: usize = 4;
    const ALL: [Rate; Rate::COUNT] =
        [Rate::Commands, Rate::InputBytes, Rate::OutputBytes, Rate::EvictedBytes];

    fn counter(self) -> Select {
        match self {
            Rate::Commands => |stats| &stats.commands_processed,
            Rate::InputBytes => |stats| &stats.net_input_bytes,
            Rate::OutputBytes => |stats| &stats.net_output_bytes,
            Rate::EvictedBytes => |stats| &stats.evicted_bytes,
        }
    }
}

/// Rates of the last [`SAMPLES`] intervals, the oldest overwritten first.
#[derive(Debug)]
struct Rates {
    last_time: Instant,
    last: [u64; Rate::COUNT],
    per_second: [[u64; Rate::COUNT]; SAMPLES],
    next: usize,
    /// Of each worker.
    processors: Vec<Processor>,
}

/// How much of a processor a worker takes.
#[derive(Clone, Debug, Default)]
struct Processor {
    /// Nanoseconds that it had used at the last sample.
    last: u64,
    /// Nanoseconds that it used by the second.
    per_second: [u64; SAMPLES],
}

impl Rates {
    fn new(now: Instant, workers: usize) -> Rates {
        Rates {
            last_time: now,
            last: [0; Rate::COUNT],
            per_second: [[0; Rate::COUNT]; SAMPLES],
            next: 0,
            processors: vec![Processor::default(); workers],
        }
    }

    /// Takes a sample if it is time: of these sums, and of the processor time, in nanoseconds, that
    /// each worker has used.
    fn sample(
        &mut self,
        now: Instant,
        sums: [u64; Rate::COUNT],
        processor_nanoseconds: impl Fn(usize) -> u64,
    ) -> bool {
        let elapsed = now.saturating_duration_since(self.last_time).as_micros();
        // A timer may fire a little early; nine tenths of the interval is close enough.
        if elapsed < u128::from(SAMPLE_INTERVAL_MS) * 900 {
            return false;
        }
        for (index, sum) in sums.into_iter().enumerate() {
            let done = u128::from(sum.wrapping_sub(self.last[index]));
            let rate = done * 1_000_000 / elapsed;
            self.per_second[self.next][index] = u64::try_from(rate).unwrap_or(u64::MAX);
        }
        for (index, processor) in self.processors.iter_mut().enumerate() {
            let used = processor_nanoseconds(index);
            let rate = u128::from(used.saturating_sub(processor.last)) * 1_000_000 / elapsed;
            processor.per_second[self.next] = u64::try_from(rate).unwrap_or(u64::MAX);
            processor.last = used;
        }
        self.next = (self.next + 1) % SAMPLES;
        self.last_time = now;
        self.last = sums;
        true
    }

    fn mean(&self, rate: Rate) -> u64 {
        let sum: u128 = self.per_second.iter().map(|all| u128::from(all[rate as usize])).sum();
        u64::try_from(sum / SAMPLES as u128).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_reset_begins_totals_at_nothing_and_leaves_gauges_alone() {
        let registry = Registry::new(2);
        let count = |hits| {
            registry.worker(0).keyspace_hits.add(hits);
            registry.worker(1).connected_clients.add(1);
        };
        count(5);
        registry.reset();
        assert_eq!(registry.total(|worker| &worker.keyspace_hits), 0);
        count(2);
        assert_eq!(registry.total(|worker| &worker.keyspace_hits), 2);
        assert_eq!(registry.total(|worker| &worker.connected_clients), 2);
    }

    #[test]
    fn the_rate_is_the_mean_of_the_last_samples() {
        let start = Instant::now();
        let mut rates = Rates::new(start, 0);
        let sums = |commands, bytes| [commands, bytes, 0, 0];
        rates.sample(start + Duration::from_millis(10), sums(1_000, 0), |_| 0);
        assert_eq!(rates.mean(Rate::Commands), 0, "too early for a sample");
        for tick in 1..=SAMPLES as u64 {
            rates.sample(
                start + Duration::from_millis(100 * tick),
                sums(1_000 * tick, 7 * tick),
                |_| 0,
            );
        }
        assert_eq!(rates.mean(Rate::Commands), 10_000);
        assert_eq!(rates.mean(Rate::InputBytes), 70);
        let last = start + Duration::from_millis(100 * (SAMPLES as u64 + 1));
        rates.sample(last, sums(16_000, 0), |_| 0);
        assert_eq!(rates.mean(Rate::Commands), 10_000 * 15 / 16);
    }

    #[test]
    fn a_worker_is_as_busy_as_its_thread_has_used_a_processor() {
        let start = Instant::now();
        let mut rates = Rates::new(start, 2);
        for tick in 1..=SAMPLES as u64 {
            // The first takes 30 of 100 ms, the second none.
            let used = |index| if index == 0 { 30_000_000 * tick } else { 0 };
            rates.sample(start + Duration::from_millis(100 * tick), [0; Rate::COUNT], used);
        }
        let registry = Registry::new(2);
        *registry.rates() = rates;
        assert_eq!((registry.busy_share(0), registry.busy_share(1)), (0.3, 0.0));
        registry.reset();
        assert_eq!(registry.busy_share(0), 0.0);
    }
}
