//! What is counted of each command: how often it ran, how long that took, how often it failed.
//!
//! Each worker has one [`Stripe`] with counters for all commands, of which it is the only writer
//! (see `stats`); readers sum the stripes. A row is found by where it is in memory, once for a run
//! of equal commands, so rows need no numbers of their own. CONFIG RESETSTAT notes the sums, which
//! are taken away from later ones.
//!
//! Errors are counted by their codes, in a map behind a lock: a worker takes it after a batch with
//! errors, a reader for INFO; no command waits for either.

use std::collections::BTreeMap;

use super::histogram::{Latencies, Summary};
use super::row::Row;
use super::setbacks::Setbacks;
use super::table::rows;
use crate::stats::Counter;
use crate::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The most error codes that are told apart: the number in newer versions of Redis. The server has
/// about a dozen; the bound is for what may come.
const CODES_MAX: usize = 128;

/// All that is counted.
#[derive(Debug)]
pub(super) struct CommandStats {
    workers: Vec<Arc<Stripe>>,
    numbers: Arc<Numbers>,
    /// The sums at the last reset.
    baseline: Mutex<Baseline>,
}

/// The sums of some moment.
#[derive(Debug, Default)]
struct Baseline {
    commands: Vec<Sums>,
    errors: BTreeMap<Box<[u8]>, u64>,
}

/// The sums of one command.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// How often it ran.
    pub(super) calls: u64,
    /// How long that took.
    pub(super) nanoseconds: u64,
    /// How often it was refused before it ran.
    pub(super) rejected: u64,
    /// How often it ran and answered with an error.
    pub(super) failed: u64,
    /// How long each call took, if that was kept.
    pub(super) latencies: Option<Summary>,
}

impl CommandStats {
    /// For so many workers.
    pub(super) fn new(workers: usize) -> CommandStats {
        let numbers = Arc::new(Numbers::new());
        let stripe = |_| Arc::new(Stripe::new(Arc::clone(&numbers)));
        CommandStats {
            workers: (0..workers).map(stripe).collect(),
            numbers,
            baseline: Mutex::default(),
        }
    }

    /// The stripe of worker `index`. Panics when there is no such worker.
    pub(super) fn worker(&self, index: usize) -> &Arc<Stripe> {
        &self.workers[index]
    }

    /// A stripe that no sum takes in: for the replay of the log.
    pub(super) fn stray(&self) -> Arc<Stripe> {
        Arc::new(Stripe::new(Arc::clone(&self.numbers)))
    }

    /// Every command that was called, refused or failed since the last reset, with its full name,
    /// subcommands as `container|subcommand`.
    pub(super) fn all(&self) -> Vec<(&str, Sums)> {
        let baseline = self.baseline();
        let names = self.numbers.names.iter().enumerate();
        let sums = names.filter_map(|(number, name)| {
            let mut sums = self.sums(number);
            if let Some(before) = baseline.commands.get(number) {
                sums.take_away(before);
            }
            let is_used = sums.calls > 0 || sums.rejected > 0 || sums.failed > 0;
            is_used.then_some((name.as_str(), sums))
        });
        sums.collect()
    }

    /// How often each error code was sent since the last reset.
    pub(super) fn errors(&self) -> BTreeMap<Box<[u8]>, u64> {
        let baseline = self.baseline();
        let mut errors = self.all_errors();
        errors.retain(|code, count| {
            *count = count.saturating_sub(baseline.errors.get(code).copied().unwrap_or(0));
            *count > 0
        });
        errors
    }

    /// Begins all sums at nothing again.
    pub(super) fn reset(&self) {
        let mut baseline = self.baseline();
        baseline.commands = (0..self.numbers.names.len()).map(|number| self.sums(number)).collect();
        baseline.errors = self.all_errors();
    }

    fn sums(&self, number: usize) -> Sums {
        let mut sums = Sums::default();
        for counters in self.workers.iter().map(|stripe| &stripe.commands[number]) {
            sums.calls += counters.calls.get();
            sums.nanoseconds += counters.nanoseconds.get();
            sums.rejected += counters.rejected.get();
            sums.failed += counters.failed.get();
            if let Some(latencies) = counters.latencies.get() {
                sums.latencies.get_or_insert_default().add(latencies);
            }
        }
        sums
    }

    fn all_errors(&self) -> BTreeMap<Box<[u8]>, u64> {
        let mut errors = BTreeMap::new();
        for stripe in &self.workers {
            for (code, count) in &*stripe.errors() {
                *errors.entry(code.clone()).or_insert(0) += count;
            }
        }
        errors
    }

    fn baseline(&self) -> MutexGuard<'_, Baseline> {
        // A panic leaves plain numbers behind.
        self.baseline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums {
    fn take_away(&mut self, before: &Sums) {
        // Counters are summed one after the other: what was summed before may be the more.
        self.calls = self.calls.saturating_sub(before.calls);
        self.nanoseconds = self.nanoseconds.saturating_sub(before.nanoseconds);
        self.rejected = self.rejected.saturating_sub(before.rejected);
        self.failed = self.failed.saturating_sub(before.failed);
        if let (Some(latencies), Some(before)) = (&mut self.latencies, &before.latencies) {
            latencies.take_away(before);
        }
        self.latencies.take_if(|latencies| latencies.count() == 0);
    }
}

/// What one worker counts. Only that worker's thread writes.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Stripe {
    commands: Box<[Counters]>,
    numbers: Arc<Numbers>,
    errors: Mutex<BTreeMap<Box<[u8]>, u64>>,
}

/// One command's counters. The histogram is made when the first latency is kept.
#[derive(Debug, Default)]
struct Counters {
    calls: Counter,
    nanoseconds: Counter,
    rejected: Counter,
    failed: Counter,
    latencies: OnceLock<Latencies>,
}

impl Stripe {
    fn new(numbers: Arc<Numbers>) -> Stripe {
        let commands = numbers.names.iter().map(|_| Counters::default()).collect();
        Stripe { commands, numbers, errors: Mutex::default() }
    }

    /// Counts `count` calls that took so long each; `tracks`: also in the histogram.
    #[inline]
    pub(super) fn record(&self, row: &Row, count: u64, nanoseconds: u64, tracks: bool) {
        let Some(counters) = self.counters(row) else { return };
        counters.calls.add(count);
        counters.nanoseconds.add(nanoseconds * count);
        if tracks {
            counters.latencies.get_or_init(Latencies::default).record(nanoseconds, count);
        }
    }

    /// Counts what went wrong in a batch.
    #[cold]
    pub(super) fn enter(&self, setbacks: Setbacks) {
        for (row, count) in setbacks.failed {
            self.counters(row).inspect(|counters| counters.failed.add(count));
        }
        for (row, count) in setbacks.rejected {
            self.counters(row).inspect(|counters| counters.rejected.add(count));
        }
        let mut errors = self.errors();
        for (code, count) in setbacks.codes {
            if let Some(sum) = errors.get_mut(&code) {
                *sum += count;
            } else if errors.len() < CODES_MAX {
                errors.insert(code, count);
            }
        }
    }

    #[inline]
    fn counters(&self, row: &Row) -> Option<&Counters> {
        self.commands.get(self.numbers.of(row)?)
    }

    fn errors(&self) -> MutexGuard<'_, BTreeMap<Box<[u8]>, u64>> {
        // A panic leaves plain numbers behind.
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers of all rows, from 0 in the order of the table, and their full names.
#[derive(Debug)]
struct Numbers {
    names: Vec<String>,
    /// Open-addressed by the places of rows in memory; a quarter full at most.
    slots: Box<[(usize, usize)]>,
    /// How far the hash is shifted to be a slot.
    shift: u32,
}

impl Numbers {
    fn new() -> Numbers {
        let mut named = Vec::new();
        for row in rows() {
            named.push((row, row.name.to_owned()));
            for subcommand in row.subcommands {
                named.push((subcommand, format!("{}|{}", row.name, subcommand.name)));
            }
        }
        let size = (4 * named.len()).next_power_of_two();
        let mut numbers = Numbers {
            names: Vec::new(),
            slots: vec![(0, 0); size].into(),
            shift: u64::BITS - size.trailing_zeros(),
        };
        for (number, (row, name)) in named.into_iter().enumerate() {
            let address = std::ptr::from_ref(row).addr();
            let mut slot = numbers.slot(address);
            while numbers.slots[slot].0 != 0 {
                slot = (slot + 1) % size;
            }
            numbers.slots[slot] = (address, number);
            numbers.names.push(name);
        }
        numbers
    }

    #[inline]
    fn of(&self, row: &Row) -> Option<usize> {
        let address = std::ptr::from_ref(row).addr();
        let mut slot = self.slot(address);
        // Ends at an empty slot at the latest, of which there are many.
        loop {
            match self.slots[slot] {
                (found, number) if found == address => return Some(number),
                (0, _) => return None,
                _ => slot = (slot + 1) % self.slots.len(),
            }
        }
    }

    #[inline]
    fn slot(&self, address: usize) -> usize {
        // 2^64 divided by the golden ratio, made odd, spreads the addresses.
        ((address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::lookup;
    use super::*;

    #[test]
    fn every_row_has_a_number_and_a_name() {
        let numbers = Numbers::new();
        for (index, row) in
            rows().flat_map(|row| std::iter::once(row).chain(row.subcommands)).enumerate()
        {
            assert_eq!(numbers.of(row), Some(index));
            assert!(numbers.names[index].ends_with(row.name));
        }
        assert!(numbers.names.iter().any(|name| name == "client|setname"));
        assert_eq!(numbers.of(&Row { name: "get", ..Row::BASE }), None);
    }

    #[test]
    fn sums_are_of_all_workers_since_the_last_reset() {
        let stats = CommandStats::new(2);
        let row = lookup::command(b"get").expect("there is one");
        stats.worker(0).record(row, 3, 1_000, true);
        stats.reset();
        assert!(stats.all().is_empty());
        stats.worker(0).record(row, 2, 2_000, true);
        stats.worker(1).record(row, 1, 3_000, false);
        let mut setbacks = Setbacks::default();
        setbacks.note_error(b"WRONGTYPE no");
        setbacks.fail(row);
        stats.worker(1).enter(setbacks);
        let all = stats.all();
        let [("get", sums)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((sums.calls, sums.nanoseconds, sums.failed, sums.rejected), (3, 7_000, 1, 0));
        assert_eq!(sums.latencies.as_ref().map(Summary::count), Some(2));
        let errors: Vec<_> = stats.errors().into_iter().collect();
        assert_eq!(errors, [(Box::from(*b"WRONGTYPE"), 1)]);
    }
}
