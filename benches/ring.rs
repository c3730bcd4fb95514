//! The ring of the log by itself: what an entry costs those who put it in and the one who takes it
//! out.
//!
//! Producers put entries in as a worker does, a window of 16 between a look for room and a wake-up;
//! another thread takes them out and naps when there are few. The figure is processor time of one
//! producer, per entry; a producer without room sleeps, which costs it nothing. `put and take` is
//! one thread that does both in turn.

#[path = "support/clock.rs"]
mod clock;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

use clock::CpuTime;
use ferrum_kv::ring::{Consumer, Read, Rest, Ring};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Slots of the ring: 1 MiB, as a server of two workers has.
const SLOTS: usize = 1 << 14;

/// Entries of one window of commands.
const WINDOW: u64 = 16;

/// Entries between two releases of the consumer.
const RELEASE: u64 = 64;

/// A SET of a short value, and one of a value that takes several slots.
const LENGTHS: [usize; 2] = [30, 150];

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for length in LENGTHS {
        let mut group = criterion.benchmark_group(format!("ring, {length} bytes"));
        group.throughput(Throughput::Elements(1));
        put_and_take(&mut group, length);
        producers(&mut group, "one producer", length, 1);
        producers(&mut group, "two producers", length, 2);
        group.finish();
    }
    criterion.final_summary();
}

/// Puts in one entry of the parts that a SET has.
#[inline]
fn put(ring: &Ring, payload: &[u8]) {
    let (head, tail) = black_box(payload).split_at(16);
    ring.enter(&[head, tail]).commit();
}

/// Takes out the next entry and looks at its last byte.
#[inline]
fn take(consumer: &mut Consumer) -> bool {
    match consumer.next() {
        Some(Read::Inline(bytes)) => {
            black_box(bytes.last());
            true
        }
        Some(_) => panic!("only inline entries are put in"),
        None => false,
    }
}

/// One thread that puts in a window and takes it out.
fn put_and_take(group: &mut BenchmarkGroup<'_, CpuTime>, length: usize) {
    let (ring, mut consumer) = Ring::new(SLOTS, 1);
    let payload = vec![7; length];
    group.bench_function("put and take", |bencher| {
        bencher.iter_custom(|count| {
            let start = ThreadTime::now();
            for _ in 0..count.div_ceil(WINDOW) {
                assert!(ring.has_room());
                (0..WINDOW).for_each(|_| put(&ring, &payload));
                ring.wake();
                (0..WINDOW).for_each(|_| assert!(take(&mut consumer)));
                consumer.release();
            }
            start.elapsed().mul_f64(count as f64 / count.next_multiple_of(WINDOW) as f64)
        });
    });
}

/// Puts in windows until there were `count` entries or `stop` is set.
fn produce(ring: &Ring, payload: &[u8], count: u64, stop: &AtomicBool) {
    let mut made = 0;
    while made < count && !stop.load(Ordering::Relaxed) {
        if !ring.has_room() {
            std::thread::sleep(Duration::from_micros(50));
            continue;
        }
        let window = WINDOW.min(count - made);
        (0..window).for_each(|_| put(ring, payload));
        ring.wake();
        made += window;
    }
}

/// Takes everything out until `stop` is set.
fn drain(mut consumer: Consumer, stop: &AtomicBool) {
    let mut taken = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        if !take(&mut consumer) {
            consumer.rest(Rest::Nap(Duration::from_millis(1)));
            continue;
        }
        taken += 1;
        if taken.is_multiple_of(RELEASE) {
            consumer.release();
        }
    }
}

/// This thread and as many others as make `producers` put entries in.
fn producers(group: &mut BenchmarkGroup<'_, CpuTime>, name: &str, length: usize, producers: usize) {
    let (ring, consumer) = Ring::new(SLOTS, 1);
    let payload = vec![7; length];
    let done = Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let draining = std::thread::spawn(move || drain(consumer, &stop));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            let (stop, never) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|scope| {
                for _ in 1..producers {
                    scope.spawn(|| produce(&ring, &payload, u64::MAX, &stop));
                }
                let start = ThreadTime::now();
                produce(&ring, &payload, count, &never);
                let time = start.elapsed();
                stop.store(true, Ordering::Relaxed);
                time
            })
        });
    });
    done.store(true, Ordering::Relaxed);
    ring.rouse();
    draining.join().expect("the consumer");
}
