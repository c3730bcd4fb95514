//! Active expiry: keys that nobody asks for go too when their deadline has passed.
//!
//! Each worker has a [`Sweeper`] that walks the slots with deadlines in the order of their hashes,
//! from a place of its own, in slices of a fraction of a millisecond. As in Redis
//! (`active-expire-effort`), a slice that finds few expired keys ends early and the next one comes
//! with the next tick; one that finds many uses its time up and the next one comes soon, so that
//! the sweep takes a quarter of the worker's time at most.
//!
//! A sweeper removes a key as a reader does that finds it past its deadline: by
//! `Database::expire`, which looks at the key again. It needs no rules of its own.

use super::{Database, Key, Keyspace, Local, Session};
use crate::record::RecordRef;
use crate::table::{Table, Which};
use std::time::{Duration, Instant};

/// Greatest `active-expire-effort`.
const EFFORT_MAX: u32 = 10;

/// Slots of one step; the time is looked at in between.
const STEP_SLOTS: usize = 64;

/// Keys with deadlines that a slice looks at before it judges how many had passed.
const SAMPLE_KEYS: usize = 256;

/// Steps after which a slice ends where it meets few keys with deadlines: 16,384 slots, some 20 µs.
const STEPS_MAX: usize = 256;

/// Where one worker's sweep is.
#[derive(Debug)]
pub struct Sweeper {
    database: usize,
    hash: u64,
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
        Self { database: 0, hash: fastrand::u64(..) }
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
        let slice = Duration::from_micros(400 + 50 * u64::from(more));
        let budget = Budget {
            until: Instant::now() + slice,
            acceptable_percent: (EFFORT_MAX - more) as usize,
        };
        let mut session = local.pin();
        for _ in 0..self.databases() {
            sweeper.database %= self.databases();
            let database = self.database(sweeper.database);
            if database.expiring(&session) > 0 && database.sweep(&mut session, sweeper, &budget) {
                // A quarter of the time, and a little more at a greater effort.
                return Sweep { next: Some(slice * 3 - slice * 2 * more / EFFORT_MAX) };
            }
            sweeper.database += 1;
        }
        Sweep { next: None }
    }
}

impl Database<'_> {
    /// Sweeps while it finds much. True if the time was used up before that.
    fn sweep(&self, session: &mut Session<'_>, sweeper: &mut Sweeper, budget: &Budget) -> bool {
        loop {
            let (mut looked, mut expired) = (0, 0);
            for _ in 0..STEPS_MAX {
                let step = self.sweep_step(session, sweeper, budget);
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
    fn sweep_step(
        &self,
        session: &Session<'_>,
        sweeper: &mut Sweeper,
        budget: &Budget,
    ) -> (usize, usize) {
        let Some(table) = self.current(session) else {
            return (0, 0);
        };
        // The removals of a sweep leave segments to clean that nobody may write to for long.
        while table.help(sweeper.hash, &session.guard) {
            if Instant::now() >= budget.until {
                return (0, 0);
            }
        }
        let until = table.range_end(sweeper.hash, STEP_SLOTS, &session.guard);
        let looked = self.sweep_range(session, table, sweeper.hash, until);
        sweeper.hash = until.unwrap_or(0);
        looked
    }

    fn sweep_range(
        &self,
        session: &Session<'_>,
        table: &Table,
        from: u64,
        until: Option<u64>,
    ) -> (usize, usize) {
        let mut records: Vec<RecordRef<'_>> = Vec::new();
        table.collect(from, until, Which::Expiring, &session.guard, &mut records);
        let over = records.iter().filter(|record| session.is_over(**record));
        let removed = over
            .filter(|record| self.expire(session, Key { bytes: record.key(), hash: record.hash() }))
            .count();
        (records.len(), removed)
    }
}
