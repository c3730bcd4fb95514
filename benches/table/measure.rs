//! Runs operations on one or more threads and takes the time.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use crate::keys::Key;
use crate::subject::{Insert, Mode, Operation, Subject};

/// Which time is reported.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// Processor time of all threads together.
    Cpu,
    /// Time of the thread that took longest, times the number of threads: what an operation takes.
    Wall,
}

/// A place in a circle of keys, so that a sample goes on where the last one ended: one that began
/// anew each time would find its own keys still in the cache.
pub(crate) struct Cursor<'k> {
    keys: &'k [Key],
    at: usize,
}

impl<'k> Cursor<'k> {
    pub(crate) fn new(keys: &'k [Key]) -> Self {
        Self { keys, at: 0 }
    }

    /// The next `count` keys, as slices of the circle.
    fn take(&mut self, mut count: usize) -> Vec<&'k [Key]> {
        let mut parts = Vec::new();
        while count > 0 {
            let part = &self.keys[self.at..self.keys.len().min(self.at + count)];
            count -= part.len();
            self.at = (self.at + part.len()) % self.keys.len();
            parts.push(part);
        }
        parts
    }
}

/// The time of `count` operations on `threads` threads.
pub(crate) fn run<O: Operation, S: Subject>(
    map: &S,
    cursor: &mut Cursor<'_>,
    count: u64,
    threads: usize,
    mode: Mode,
    clock: Clock,
) -> Duration {
    let share = count.div_ceil(threads as u64) as usize;
    let shares = (0..threads).map(|_| cursor.take(share)).collect();
    let spent = run_shares::<O, S>(map, shares, mode, clock);
    spent.mul_f64(count as f64 / (share * threads) as f64)
}

/// The time of inserting all keys into an empty map on `threads` threads.
pub(crate) fn fill<S: Subject>(
    map: &S,
    keys: &[Key],
    threads: usize,
    mode: Mode,
    clock: Clock,
) -> Duration {
    let shares = keys.chunks(keys.len().div_ceil(threads)).map(|share| vec![share]).collect();
    run_shares::<Insert, S>(map, shares, mode, clock)
}

/// The time of one operation per key, each share on a thread of its own.
fn run_shares<O: Operation, S: Subject>(
    map: &S,
    shares: Vec<Vec<&[Key]>>,
    mode: Mode,
    clock: Clock,
) -> Duration {
    if let [share] = &shares[..] {
        return run_share::<O, S>(map, share, mode, clock, || {});
    }
    let barrier = Barrier::new(shares.len());
    let (barrier, threads) = (&barrier, shares.len() as u32);
    std::thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|share| {
                scope.spawn(move || {
                    run_share::<O, S>(map, &share, mode, clock, || {
                        barrier.wait();
                    })
                })
            })
            .collect();
        let times = running.into_iter().map(|thread| thread.join().expect("a benchmark thread"));
        match clock {
            Clock::Cpu => times.sum(),
            Clock::Wall => times.max().unwrap_or_default() * threads,
        }
    })
}

fn run_share<O: Operation, S: Subject>(
    map: &S,
    share: &[&[Key]],
    mode: Mode,
    clock: Clock,
    wait: impl FnOnce(),
) -> Duration {
    let thread = map.join();
    wait();
    let (wall, cpu) = (Instant::now(), ThreadTime::now());
    for keys in share {
        black_box(map.run::<O>(&thread, mode, keys));
    }
    match clock {
        Clock::Cpu => cpu.elapsed(),
        Clock::Wall => wall.elapsed(),
    }
}
