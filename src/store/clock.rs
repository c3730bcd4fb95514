//! The clock by which keys expire.
//!
//! Deadlines are absolute, in milliseconds of Unix time, as clients name them and a log keeps them.
//! Whether one has passed is decided by this clock and never by the system's wall clock directly:
//!
//! * It runs on the monotonic clock from the wall time at the start.
//! * Ten times a second it is compared with the wall clock ([`Clock::tick`]). A small lead of the
//!   wall clock is taken over at once. A large one (the machine slept, an operator set the clock)
//!   is taken over too, because a deadline at a point in time must be kept, with a warning that
//!   says that keys expire by it.
//! * When the wall clock goes back, keys that are gone stay gone and time does not stand still:
//!   this clock runs on a little slower, by a millisecond a tick, until the two agree. A large
//!   step back is put in the log once.
//!
//! A batch reads the clock at most once ([`Session::now`](super::Session::now)), and only if it
//! meets a deadline. The coarse seconds that say when a key was last used come from a word that a
//! tick refreshes, so that a read of a key never asks for the time.

use crate::sync::plain::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The least distance of two comparisons with the wall clock.
const TICK: Duration = Duration::from_millis(100);

/// A difference from the wall clock that is put in the log, in milliseconds.
const JUMP_MILLIS: i64 = 1_000;

/// How far a tick may put the clock back, in milliseconds.
const STEP_BACK_MILLIS: i64 = 1;

/// Where a clock takes the time from.
#[derive(Clone, Copy, Debug, Default)]
pub enum ClockSource {
    /// The system's clocks.
    #[default]
    System,
    /// This Unix time in milliseconds, until [`Clock::advance`] says otherwise: for tests.
    Manual(u64),
}

/// A clock that many threads read.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// Unix time at `started`, in milliseconds, as adjusted; the whole time of a manual clock.
    base_millis: AtomicI64,
    /// Unix time in seconds at the last tick.
    seconds: AtomicU64,
    manual: bool,
    /// Milliseconds since `started` at the last comparison.
    compared_millis: AtomicU64,
    /// Whether the wall clock is known to be far behind.
    behind: AtomicBool,
}

impl Clock {
    /// A clock from a source.
    pub fn new(source: ClockSource) -> Self {
        let (manual, millis) = match source {
            ClockSource::System => (false, wall_millis()),
            ClockSource::Manual(millis) => (true, millis),
        };
        Self {
            started: Instant::now(),
            base_millis: AtomicI64::new(millis.cast_signed()),
            seconds: AtomicU64::new(millis / 1000),
            manual,
            compared_millis: AtomicU64::new(0),
            behind: AtomicBool::new(false),
        }
    }

    /// Unix time in milliseconds.
    pub fn now(&self) -> u64 {
        // Relaxed here and below: a time is a number, nothing is published through it.
        let base = self.base_millis.load(Ordering::Relaxed);
        let elapsed = if self.manual { 0 } else { self.elapsed_millis().cast_signed() };
        (base + elapsed).max(0).cast_unsigned()
    }

    /// Unix time in seconds at the last tick.
    #[inline]
    pub fn seconds(&self) -> u64 {
        self.seconds.load(Ordering::Relaxed)
    }

    /// Sets a manual clock forward.
    pub fn advance(&self, millis: u64) {
        debug_assert!(self.manual);
        self.base_millis.fetch_add(millis.cast_signed(), Ordering::Relaxed);
        self.seconds.store(self.now() / 1000, Ordering::Relaxed);
    }

    /// Refreshes the seconds and, every so often, compares with the wall clock. To be called about
    /// ten times a second, by any number of threads.
    pub fn tick(&self) {
        self.seconds.store(self.now() / 1000, Ordering::Relaxed);
        if self.manual {
            return;
        }
        let (last, now) = (self.compared_millis.load(Ordering::Relaxed), self.elapsed_millis());
        if now.saturating_sub(last) < TICK.as_millis() as u64 {
            return;
        }
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.compared_millis.compare_exchange(last, now, set, get).is_ok() {
            self.compare(wall_millis());
        }
    }

    fn elapsed_millis(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Follows the wall clock, which says `wall_millis`.
    fn compare(&self, wall_millis: u64) {
        let ahead = wall_millis.cast_signed() - self.now().cast_signed();
        if ahead > JUMP_MILLIS {
            log::warn!(
                "The system clock went forward by {:.1} s: keys whose deadlines lie in between \
                 expire now",
                ahead as f64 / 1e3
            );
        }
        let behind = ahead < -JUMP_MILLIS;
        // Only the winner of the tick is here, and ticks are apart.
        if behind && !self.behind.load(Ordering::Relaxed) {
            log::warn!(
                "The system clock went back by {:.1} s: deadlines go on by the server's own clock, \
                 which slows down until the two agree; no key comes back",
                -ahead as f64 / 1e3
            );
        }
        self.behind.store(behind, Ordering::Relaxed);
        self.base_millis.fetch_add(ahead.max(-STEP_BACK_MILLIS), Ordering::Relaxed);
    }
}

/// The wall clock: Unix time in milliseconds.
fn wall_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_set() {
        let clock = Clock::new(ClockSource::Manual(5_000));
        assert_eq!((clock.now(), clock.seconds()), (5_000, 5));
        clock.advance(1_500);
        assert_eq!((clock.now(), clock.seconds()), (6_500, 6));
        clock.tick();
        assert_eq!(clock.now(), 6_500);
    }

    #[test]
    fn the_system_clock_starts_at_the_wall_time_and_goes_on() {
        let clock = Clock::new(ClockSource::System);
        assert!(clock.now().abs_diff(wall_millis()) < 1_000);
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(20));
        assert!(clock.now() >= before + 20);
    }

    #[test]
    fn a_step_of_the_wall_clock_forward_is_followed_at_once() {
        let clock = Clock::new(ClockSource::Manual(1_000_000));
        clock.compare(1_000_400);
        assert_eq!(clock.now(), 1_000_400);
        clock.compare(5_000_000);
        assert_eq!(clock.now(), 5_000_000);
    }

    #[test]
    fn a_step_of_the_wall_clock_back_only_slows_the_clock() {
        let clock = Clock::new(ClockSource::Manual(1_000_000));
        clock.compare(400_000);
        assert_eq!(clock.now(), 999_999);
        assert!(clock.behind.load(Ordering::Relaxed));
        clock.compare(999_998);
        assert_eq!(clock.now(), 999_998);
        assert!(!clock.behind.load(Ordering::Relaxed));
    }
}
