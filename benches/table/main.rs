//! The keyspace against other concurrent maps, in one process.
//!
//! What is compared, on keys of 16 and values of 32 bytes:
//!
//! * `ferrum`: our keyspace, as the server uses it. One pin per operation; in the mode `batched`,
//!   windows of 16 operations under one pin, their memory asked for in advance, as for a pipeline.
//! * `papaya`, `dashmap`, `scc`: the published crates. papaya has a mode `batched` too: one pin for
//!   16 operations (it offers no prefetch). dashmap and scc have nothing to gain from a batch.
//! * `sharded`: hashbrown tables behind `std::sync::RwLock`, four per core.
//!
//! Each is used the way it is at its best: `Box<[u8]>` keys and values looked up by slice, values
//! overwritten under the entry's lock where the map allows it (one allocation instead of two),
//! counters kept as an `i64` changed under the lock, or as an `AtomicI64` in papaya, which has no
//! locks. (That flatters papaya: such an increment is lost when it races with a replacement of the
//! entry, and its way to change an entry safely allocates a new one each time.) The other maps hash
//! with ahash, the usual choice; ours with its keyed SipHash-1-3, which costs some ten nanoseconds
//! more, because that is what the server does. All allocate from jemalloc, as the server does.
//!
//! The figure is processor time per operation, summed over the threads. In a group of figures
//! all maps are loaded at once and measured one after the other, so that a change of the machine's
//! speed meets all of them.
//!
//! Chosen by environment variables:
//!
//! * `BENCH_KEYS`: sizes of the key set, default `100000,4000000`.
//! * `BENCH_THREADS`: default `1,2`.
//! * `BENCH_CLOCK`: `cpu` (default), or `wall` for the time of the slowest thread.
//!
//! Criterion's own arguments work as usual; a name filter such as `'get hit'` loads only what it
//! needs. `scripts/bench_table.py` makes one table of the results.

#[path = "../support/clock.rs"]
mod clock;
mod ferrum;
mod keys;
mod locked;
mod lockfree;
mod measure;
mod subject;

use std::cell::LazyCell;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode};

use clock::CpuTime;
use ferrum::Ferrum;
use keys::{Key, KeySets};
use locked::{Dashmap, Scc, Sharded};
use lockfree::Papaya;
use measure::{Clock, Cursor, fill, run};
use subject::{Add, Get, Insert, Mixed, Operation, Set, Subject};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let plan = Plan::from_environment();
    for &count in &plan.key_counts {
        let bench = Bench { plan: &plan, sets: &KeySets::new(count), count };
        bench.values(&mut criterion);
        bench.counters(&mut criterion);
        bench.growth(&mut criterion);
    }
    criterion.final_summary();
}

/// What to measure.
struct Plan {
    key_counts: Vec<usize>,
    thread_counts: Vec<usize>,
    clock: Clock,
}

impl Plan {
    fn from_environment() -> Self {
        let clock = match std::env::var("BENCH_CLOCK").as_deref() {
            Err(_) | Ok("cpu") => Clock::Cpu,
            Ok("wall") => Clock::Wall,
            Ok(other) => panic!("BENCH_CLOCK is cpu or wall, not {other}"),
        };
        Self {
            key_counts: numbers("BENCH_KEYS", &[100_000, 4_000_000]),
            thread_counts: numbers("BENCH_THREADS", &[1, 2]),
            clock,
        }
    }
}

/// The positive numbers in a comma-separated environment variable.
fn numbers(variable: &str, default: &[usize]) -> Vec<usize> {
    let Ok(text) = std::env::var(variable) else {
        return default.to_vec();
    };
    let parse = |part: &str| part.trim().parse().ok().filter(|&number| number > 0);
    text.split(',')
        .map(|part| parse(part).unwrap_or_else(|| panic!("{variable}: bad number {part:?}")))
        .collect()
}

/// All maps, each loaded when it is first measured.
struct Maps<'k> {
    ferrum: LazyCell<Ferrum, Load<'k, Ferrum>>,
    papaya: LazyCell<Papaya, Load<'k, Papaya>>,
    dashmap: LazyCell<Dashmap, Load<'k, Dashmap>>,
    scc: LazyCell<Scc, Load<'k, Scc>>,
    sharded: LazyCell<Sharded, Load<'k, Sharded>>,
}

type Load<'k, S> = Box<dyn FnOnce() -> S + 'k>;

impl<'k> Maps<'k> {
    fn lazy(keys: &'k [Key], content: Content) -> Self {
        Self {
            ferrum: loading(keys, content),
            papaya: loading(keys, content),
            dashmap: loading(keys, content),
            scc: loading(keys, content),
            sharded: loading(keys, content),
        }
    }
}

/// What a map is loaded with.
#[derive(Clone, Copy)]
enum Content {
    Values,
    Counters,
}

fn loading<S: Subject>(keys: &[Key], content: Content) -> LazyCell<S, Load<'_, S>> {
    LazyCell::new(Box::new(move || {
        let map = S::new_to_load();
        let thread = map.join();
        match content {
            Content::Values => map.run::<Insert>(&thread, S::MODES[0], keys),
            Content::Counters => map.run::<Add>(&thread, S::MODES[0], keys),
        };
        map.settle(&thread);
        map
    }))
}

/// The benchmarks on one number of keys.
struct Bench<'p> {
    plan: &'p Plan,
    sets: &'p KeySets,
    count: usize,
}

impl Bench<'_> {
    fn values(&self, criterion: &mut Criterion<CpuTime>) {
        let maps = Maps::lazy(&self.sets.present, Content::Values);
        self.operation::<Get>(criterion, "get hit", &maps, &self.sets.random);
        self.operation::<Get>(criterion, "get miss", &maps, &self.sets.missing);
        self.operation::<Set>(criterion, "set overwrite", &maps, &self.sets.random);
        self.operation::<Mixed>(criterion, "mixed 90-10", &maps, &self.sets.random);
    }

    fn counters(&self, criterion: &mut Criterion<CpuTime>) {
        let maps = Maps::lazy(&self.sets.present, Content::Counters);
        self.operation::<Add>(criterion, "incr spread", &maps, &self.sets.random);
        self.operation::<Add>(criterion, "incr hot", &maps, &self.sets.hot);
    }

    fn operation<O: Operation>(
        &self,
        criterion: &mut Criterion<CpuTime>,
        name: &str,
        maps: &Maps<'_>,
        keys: &[Key],
    ) {
        for &threads in &self.plan.thread_counts {
            let mut group = self.group(criterion, name, threads);
            self.subject::<O, _>(&mut group, &maps.ferrum, keys, threads);
            self.subject::<O, _>(&mut group, &maps.papaya, keys, threads);
            self.subject::<O, _>(&mut group, &maps.dashmap, keys, threads);
            self.subject::<O, _>(&mut group, &maps.scc, keys, threads);
            self.subject::<O, _>(&mut group, &maps.sharded, keys, threads);
            group.finish();
        }
    }

    fn subject<O: Operation, S: Subject>(
        &self,
        group: &mut BenchmarkGroup<'_, CpuTime>,
        map: &LazyCell<S, Load<'_, S>>,
        keys: &[Key],
        threads: usize,
    ) {
        for &mode in S::MODES {
            let mut cursor = Cursor::new(keys);
            group.bench_function(mode.label(S::NAME), |bencher| {
                let map: &S = map;
                bencher.iter_custom(|count| {
                    run::<O, S>(map, &mut cursor, count, threads, mode, self.plan.clock)
                });
            });
        }
    }

    fn growth(&self, criterion: &mut Criterion<CpuTime>) {
        for &threads in &self.plan.thread_counts {
            let mut group = self.group(criterion, "growth from empty", threads);
            self.grow::<Ferrum>(&mut group, threads);
            self.grow::<Papaya>(&mut group, threads);
            self.grow::<Dashmap>(&mut group, threads);
            self.grow::<Scc>(&mut group, threads);
            self.grow::<Sharded>(&mut group, threads);
            group.finish();
        }
    }

    fn grow<S: Subject>(&self, group: &mut BenchmarkGroup<'_, CpuTime>, threads: usize) {
        for &mode in S::MODES {
            group.bench_function(mode.label(S::NAME), |bencher| {
                bencher.iter_custom(|count| {
                    // Whole fills only; the time is scaled to the number of inserts asked for.
                    let fills = count.div_ceil(self.count as u64);
                    let spent: Duration = (0..fills)
                        .map(|_| {
                            fill(&S::new(), &self.sets.present, threads, mode, self.plan.clock)
                        })
                        .sum();
                    spent.mul_f64(count as f64 / (fills * self.count as u64) as f64)
                });
            });
        }
    }

    fn group<'c>(
        &self,
        criterion: &'c mut Criterion<CpuTime>,
        name: &str,
        threads: usize,
    ) -> BenchmarkGroup<'c, CpuTime> {
        let plural = if threads == 1 { "" } else { "s" };
        let name = format!("{name}, {} keys, {threads} thread{plural}", self.count);
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat);
        group
    }
}
