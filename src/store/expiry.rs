//! Active expiry: keys that nobody asks for go too when their deadline has passed.
//!
//! All workers walk one ring of hashes together: a step claims the next range by moving the
//! database's cursor past it, so no two of them look at the same slots. A worker's slice lasts a
//! fraction of a millisecond. As in Redis (`active-expire-effort`), a slice that finds few expired
//! keys ends early and the next one comes with the next tick; while it finds many, slices follow
//! one another, with requests in between, so that they take a fixed share of the worker's time.
//!
//! A sweeper removes a key as a reader does that finds it past its deadline: by
//! `Database::expire`, which looks at the key again. It needs no rules of its own, but it keeps out
//! of the way of a client that has the exclusion, as batches do. The cursor is only a hint: a range
//! that was claimed and not walked (by a panic) is walked the next time round.

use super::{Database, Key, Keyspace, Local, NOBODY, Session};
use crate::record::RecordRef;
use crate::sync::plain::{AtomicU64, Ordering};
use crate::table::Which;
use std::time::{Duration, Instant};

/// Greatest `active-expire-effort`.
const EFFORT_MAX: u32 = 10;

/// The longest that a slice keeps requests waiting, but for its last step.
const SLICE: Duration = Duration::from_micros(100);

/// What a sweep that got less than its share of the time, because the requests or the timer came
/// between, may take later at most.
const ARREARS_MAX: Duration = Duration::from_millis(2);

/// Slots of one step; the time is looked at in between.
const STEP_SLOTS: usize = 64;

/// Keys with deadlines that a slice looks at before it judges how many had passed.
const SAMPLE_KEYS: usize = 256;

/// Steps after which a slice ends where it meets few keys with deadlines: 16,384 slots, some 20 µs.
const STEPS_MAX: usize = 256;

/// One worker's part in the sweep.
#[derive(Debug)]
pub struct Sweeper {
    database: usize,
    /// Up to when the time that was used is paid for by the worker's share.
    paid_until: Instant,
}

/// How a slice ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Sweep {
    /// When the next slice is due; `None` for the next tick.
    pub next: Option<Duration>,
}

impl Default for Sweeper {
    fn default() -> Self {
        Self { database: 0, paid_until: Instant::now() }
    }
}

impl Sweeper {
    /// Enters the slice from `start` to `end` in the account of a worker that gives so much of its
    /// time. Returns how long the next slice has to wait.
    fn pay(&mut self, start: Instant, end: Instant, share_percent: u32) -> Duration {
        let from = self.paid_until.max(start.checked_sub(ARREARS_MAX).unwrap_or(start));
        self.paid_until = from + (end - start) * 100 / share_percent;
        self.paid_until.saturating_duration_since(end)
    }
}

/// What a slice may use.
struct Budget {
    until: Instant,
    /// Expired keys among a hundred looked at that are no reason to go on.
    acceptable_percent: usize,
}

impl Keyspace {
    /// One slice of the sweep. `effort` is Redis's `active-expire-effort`, from 1 to 10.
    pub fn sweep(&self, local: &Local, sweeper: &mut Sweeper, effort: u32) -> Sweep {
        let more = effort.clamp(1, EFFORT_MAX) - 1;
        let start = Instant::now();
        let budget =
            Budget { until: start + SLICE, acceptable_percent: (EFFORT_MAX - more) as usize };
        let Some(_attendance) = local.enter_batch(NOBODY) else {
            return Sweep { next: None };
        };
        let mut session = local.pin();
        for _ in 0..self.databases() {
            sweeper.database %= self.databases();
            let index = sweeper.database;
            let database = self.database(index);
            let cursor = &self.sweeps[index];
            if database.expiring(&session) > 0 && database.sweep(&mut session, cursor, &budget) {
                // Two fifths of the time, and up to two thirds at a greater effort.
                let wait = sweeper.pay(start, Instant::now(), 40 + 3 * more);
                return Sweep { next: Some(wait) };
            }
            sweeper.database += 1;
        }
        Sweep { next: None }
    }
}

/// Keys with deadlines that an estimate is made from.
const ESTIMATE_KEYS: usize = 64;

/// Steps after which it is made from what there is: as many slots as [`STEPS_MAX`] steps of a
/// sweep.
const ESTIMATE_STEPS: usize = 64;

/// Slots of such a step.
const ESTIMATE_SLOTS: usize = 256;

impl Database<'_> {
    /// How long the keys with deadlines have to live on average, in milliseconds: an estimate from
    /// some that lie together at a random place. 0 if none was found.
    pub fn mean_ttl_millis(&self, session: &Session<'_>) -> u64 {
        let mut records: Vec<RecordRef<'_>> = Vec::new();
        let Some(table) = self.current(session).filter(|table| table.expiring() > 0) else {
            return 0;
        };
        let start = fastrand::u64(..);
        let (mut from, mut is_round) = (start, false);
        for _ in 0..ESTIMATE_STEPS {
            let until = table.range_end(from, ESTIMATE_SLOTS, &session.guard);
            table.collect(from, until, Which::Expiring, &session.guard, &mut records);
            is_round |= until.is_none();
            from = until.unwrap_or(0);
            if records.len() >= ESTIMATE_KEYS || is_round && from >= start {
                break;
            }
        }
        let now = session.now();
        let left = records.iter().filter_map(|record| record.deadline());
        let sum: u128 = left.map(|deadline| u128::from(deadline.saturating_sub(now))).sum();
        (sum / records.len().max(1) as u128) as u64
    }

    /// Sweeps while it finds much. True if the time was used up before that.
    fn sweep(&self, session: &mut Session<'_>, cursor: &AtomicU64, budget: &Budget) -> bool {
        loop {
            let (mut looked, mut expired) = (0, 0);
            for _ in 0..STEPS_MAX {
                let Some(step) = self.sweep_step(session, cursor, budget) else {
                    return true;
                };
                session.renew();
                looked += step.0;
                expired += step.1;
                if Instant::now() >= budget.until {
                    return expired * 100 > looked * budget.acceptable_percent;
                }
                if looked >= SAMPLE_KEYS {
                    break;
                }
            }
            if expired * 100 <= looked * budget.acceptable_percent {
                return false;
            }
        }
    }

    /// Walks some slots; returns how many keys with deadlines it met and how many it removed.
    /// `None` if the time went into a migration that was in the way.
    fn sweep_step(
        &self,
        session: &Session<'_>,
        cursor: &AtomicU64,
        budget: &Budget,
    ) -> Option<(usize, usize)> {
        let Some(table) = self.current(session) else {
            return Some((0, 0));
        };
        // Relaxed, here and below: the walk of a range rests on nothing that another one did.
        let from = cursor.load(Ordering::Relaxed);
        // The removals of a sweep leave segments to clean that nobody may write to for long.
        while table.help(from, &session.guard) {
            if Instant::now() >= budget.until {
                return None;
            }
        }
        let until = table.range_end(from, STEP_SLOTS, &session.guard);
        let next = until.unwrap_or(0);
        if cursor.compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Some((0, 0));
        }
        Some(self.sweep_range(session, from, until))
    }

    /// Makes the keys absent whose hashes are in a range (`until` is not in it; `None`: up to the
    /// greatest) and whose deadlines have passed. Returns how many keys with deadlines it met and
    /// how many it removed.
    pub fn sweep_range(
        &self,
        session: &Session<'_>,
        from: u64,
        until: Option<u64>,
    ) -> (usize, usize) {
        let mut records: Vec<RecordRef<'_>> = Vec::new();
        if let Some(table) = self.current(session) {
            table.collect(from, until, Which::Expiring, &session.guard, &mut records);
        }
        let over = records.iter().filter(|record| session.is_over(**record));
        let removed = over
            .filter(|record| self.expire(session, Key { bytes: record.key(), hash: record.hash() }))
            .count();
        (records.len(), removed)
    }
}
