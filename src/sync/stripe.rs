//! Signed totals that many threads change and few read: one cache line a thread.
//!
//! A thread adds to the cell of its own number, so that the additions of different threads do not
//! pull one line back and forth; the total is the sum over the cells. A sum taken while others
//! write is the total of some state between the start and the end of the summing, not a snapshot.
//!
//! The first [`STRIPES`]` - 1` threads of the process own their cell and change it with a plain
//! load and store (1 ns instead of the 5 of a locked instruction); later threads share the last
//! cell and use read-modify-write.

use super::plain::{AtomicI64, AtomicUsize, Ordering};
use crossbeam_utils::CachePadded;

/// Cells of one striped total: more than the threads of a server with 60 workers.
const STRIPES: usize = 64;

/// A total kept in per-thread cells.
pub struct Striped {
    cells: [CachePadded<AtomicI64>; STRIPES],
}

impl Default for Striped {
    fn default() -> Self {
        Self::new()
    }
}

impl Striped {
    /// A total of zero.
    pub const fn new() -> Self {
        Self { cells: [const { CachePadded::new(AtomicI64::new(0)) }; STRIPES] }
    }

    /// Adds `delta` to the calling thread's cell.
    #[inline]
    pub fn add(&self, delta: i64) {
        self.add_as(thread_number(), delta);
    }

    /// The same for a caller that has its [`thread_number`] at hand, since it counts several times.
    #[inline]
    pub fn add_as(&self, number: usize, delta: i64) {
        // Relaxed throughout: a statistic; nothing is published through it.
        if number < STRIPES - 1 {
            let cell = &self.cells[number];
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(delta), Ordering::Relaxed);
        } else {
            self.cells[STRIPES - 1].fetch_add(delta, Ordering::Relaxed);
        }
    }

    /// The sum of the cells: of those that a thread has, and of the shared one.
    pub fn sum(&self) -> i64 {
        // Relaxed: as for the cells. Who has waited for a thread's end sees the number it had.
        let given = NEXT_NUMBER.load(Ordering::Relaxed).min(STRIPES - 1);
        let own = self.cells[..given].iter().map(|cell| cell.load(Ordering::Relaxed));
        let shared = self.cells[STRIPES - 1].load(Ordering::Relaxed);
        // Cells may wrap, the sum of all is right.
        own.fold(shared, i64::wrapping_add)
    }

    /// The calling thread's cell: what it has added so far. Those that share a cell see its sum.
    #[inline]
    pub fn own(&self) -> i64 {
        self.cells[thread_number().min(STRIPES - 1)].load(Ordering::Relaxed)
    }
}

/// How many numbers were given to threads.
static NEXT_NUMBER: AtomicUsize = AtomicUsize::new(0);

/// A number for the calling thread, given at its first use and never to another thread.
#[inline]
pub fn thread_number() -> usize {
    thread_local! {
        static NUMBER: usize = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
    }
    // A thread that is being torn down may still free records: the shared cell serves it.
    NUMBER.try_with(|number| *number).unwrap_or(usize::MAX)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::Striped;

    #[test]
    fn the_sum_is_exact_once_all_threads_have_ended() {
        let total = Striped::new();
        std::thread::scope(|scope| {
            for sign in [1, -1, 3].repeat(30) {
                let total = &total;
                scope.spawn(move || (0..1000).for_each(|_| total.add(sign)));
            }
        });
        assert_eq!(total.sum(), 30 * 3 * 1000);
    }

    #[test]
    fn a_thread_sees_what_it_has_added() {
        let total = Striped::new();
        let before = total.own();
        total.add(5);
        total.add(-2);
        assert_eq!(total.own() - before, 3);
        assert_eq!(total.sum(), 3);
    }
}
