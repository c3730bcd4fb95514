//! How long commands take.
//!
//! To look at the clock costs a good part of what a GET costs, so it is not done for each. What
//! takes a short time whatever its arguments ([`is_light`]) is only counted, and the time of all of
//! these that follow one another, up to [`GROUP`] and to the end of the batch, is shared equally
//! among them. What may take long is timed by itself: the end of one command is the beginning of
//! the next, one look each. While the slow log is to have commands of less than a millisecond
//! ([`PRECISE_BELOW`]), all are timed by themselves.
//!
//! Planning, hashing and bringing keys near is part of the time, waiting for one's turn is not.

use std::time::{Duration, Instant};

use super::command_stats::Stripe;
use super::context::Context;
use super::dispatch::find;
use super::row::{Flags, Handler, Row};
use super::state::ServerState;
use crate::resp::{Args, Batch};

/// Light commands after which the clock is looked at between two windows.
const GROUP: u64 = 48;

/// Different commands of a group that are told apart; with one more the group ends.
const RUNS: usize = 8;

/// Arguments of a light command: more take a while by themselves.
const LIGHT_ARGUMENTS: usize = 8;

/// The time in nanoseconds from which the slow log is content with shares of groups.
const PRECISE_BELOW: u64 = 1_000_000;

/// The times of a batch, on their way to the worker's counters.
pub(super) struct Timing<'e> {
    stripe: &'e Stripe,
    bounds: Bounds,
    /// The end of what is accounted for.
    mark: Instant,
    /// The light commands since then.
    runs: [Run; RUNS],
    /// Which of them the last command belongs to.
    last: usize,
    /// How many there are.
    used: usize,
}

/// Equal commands.
#[derive(Clone, Copy)]
struct Run {
    row: &'static Row,
    count: u64,
}

/// Light commands that have got their shares.
struct Settled {
    /// One of them.
    row: &'static Row,
    count: u64,
    /// What each took, in nanoseconds.
    share: u64,
}

/// From when on commands are noted as slow, in nanoseconds; `u64::MAX` for never.
#[derive(Clone, Copy)]
struct Bounds {
    slow_log: u64,
    monitor: u64,
    /// Whether the histograms are kept.
    tracks: bool,
}

impl Bounds {
    fn of(state: &ServerState) -> Bounds {
        let tunables = &state.tunables;
        let slow_us = tunables.slowlog_log_slower_than_us.get().cast_signed();
        let monitor_ms = tunables.latency_monitor_threshold_ms.get();
        Bounds {
            slow_log: u64::try_from(slow_us).map_or(u64::MAX, |us| us.saturating_mul(1_000)),
            monitor: match monitor_ms {
                0 => u64::MAX,
                ms => ms.saturating_mul(1_000_000),
            },
            tracks: tunables.latency_tracking.get() != 0,
        }
    }

    fn least(&self) -> u64 {
        self.slow_log.min(self.monitor)
    }
}

/// A place for runs that are not there.
static NOTHING: Row = Row::BASE;

impl<'e> Timing<'e> {
    /// Begins now.
    pub(super) fn begin(state: &ServerState, stripe: &'e Stripe) -> Timing<'e> {
        Timing {
            stripe,
            bounds: Bounds::of(state),
            mark: Instant::now(),
            runs: [Run { row: &NOTHING, count: 0 }; RUNS],
            last: 0,
            used: 0,
        }
    }

    /// Enters a command that is about to run among those that share their time, if it is one. On
    /// the way of every command: in a row of equal ones two comparisons and an addition.
    #[inline]
    pub(super) fn shares(&mut self, row: &'static Row, args: &Args<'_>) -> bool {
        let run = &mut self.runs[self.last];
        if std::ptr::eq(run.row, row) && args.len() <= LIGHT_ARGUMENTS {
            run.count += 1;
            return true;
        }
        is_light(row, args) && self.bounds.slow_log >= PRECISE_BELOW && self.turn_to(row)
    }

    /// Whether a command would share its time.
    pub(super) fn would_share(&self, row: &Row, args: &Args<'_>) -> bool {
        is_light(row, args) && self.bounds.slow_log >= PRECISE_BELOW
    }

    /// Whether it is time to look at the clock.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.runs[..self.used].iter().map(|run| run.count).sum::<u64>() >= GROUP
    }

    fn turn_to(&mut self, row: &'static Row) -> bool {
        let known = self.runs[..self.used].iter().position(|run| std::ptr::eq(run.row, row));
        self.last = match known {
            Some(place) => place,
            None => {
                if self.used == RUNS {
                    self.settle();
                }
                self.used += 1;
                self.used - 1
            }
        };
        self.runs[self.last].row = row;
        self.runs[self.last].count += 1;
        true
    }

    /// Shares the time since the mark among the light commands, if there are any.
    fn settle(&mut self) -> Option<Settled> {
        let Run { row, .. } = *self.runs[..self.used].first()?;
        let count = self.runs[..self.used].iter().map(|run| run.count).sum();
        let share = self.lap() / count;
        for run in &mut self.runs[..self.used] {
            self.stripe.record(run.row, run.count, share, self.bounds.tracks);
            *run = Run { row: &NOTHING, count: 0 };
        }
        (self.used, self.last) = (0, 0);
        Some(Settled { row, count, share })
    }

    /// The time since the mark, in nanoseconds, which is now.
    fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let lap = now.duration_since(self.mark);
        self.mark = now;
        nanoseconds(lap)
    }
}

/// The nanoseconds of a time: 64 bits hold five centuries of them.
fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// Whether a command takes a short time whatever it is given and whatever the keys hold.
fn is_light(row: &Row, args: &Args<'_>) -> bool {
    if args.len() > LIGHT_ARGUMENTS {
        return false;
    }
    match row.handler {
        Handler::OneKey(_) => row.complexity.starts_with("O(1)"),
        Handler::EachKey(_) => true,
        Handler::Plain(_) | Handler::Immediate(_) => row.flags.contains(Flags::FAST),
        _ => false,
    }
}

impl Context<'_> {
    /// Shares the time of light commands among them: between two windows and at the end. All
    /// commands of `batch` before number `end` have run, or were queued or refused.
    pub(super) fn settle_times(&mut self, batch: &Batch, input: &[u8], end: usize) {
        let Some(settled) = self.timing.settle() else { return };
        if settled.share >= self.timing.bounds.least() && settled.count == 1 && end > 0 {
            // It was the last one, unless something followed that was queued or refused.
            let args = batch.args(end - 1, input);
            if find(&args).is_some_and(|row| std::ptr::eq(row, settled.row)) {
                self.note_slow(settled.row, &args, settled.share);
            }
        }
    }

    /// What runs from now on is timed by itself.
    pub(super) fn begin_timed(&mut self) {
        // Should those before it have been slow on average, the slow log does not tell: a share
        // says nothing of one of them.
        self.timing.settle();
    }

    /// The time of a part of a command that goes on later, in nanoseconds.
    pub(super) fn part_time(&mut self) -> u64 {
        self.timing.lap()
    }

    /// Ends what [`begin_timed`](Context::begin_timed) began; earlier parts took so long already.
    pub(super) fn end_timed(&mut self, row: &'static Row, args: &Args<'_>, before: u64) {
        let took = before + self.timing.lap();
        // It may have been CONFIG SET.
        self.timing.bounds = Bounds::of(self.state);
        self.record_time(row, args, took);
    }

    /// Enters how long a command took.
    pub(super) fn record_time(&mut self, row: &'static Row, args: &Args<'_>, took: u64) {
        self.timing.stripe.record(row, 1, took, self.timing.bounds.tracks);
        if took >= self.timing.bounds.least() {
            self.note_slow(row, args, took);
        }
    }

    #[cold]
    fn note_slow(&self, row: &Row, args: &Args<'_>, took: u64) {
        let bounds = &self.timing.bounds;
        // A replay is nobody's command.
        if self.attendance.is_none() {
            return;
        }
        let time = Duration::from_nanos(took);
        if took >= bounds.slow_log && !row.flags.contains(Flags::SKIP_SLOWLOG) {
            let max = self.state.tunables.slowlog_max_len.get();
            self.state.slow_log.add(self.client, args, time, max);
        }
        if took >= bounds.monitor {
            let is_fast = row.flags.contains(Flags::FAST);
            let event = if is_fast { "fast-command" } else { "command" };
            self.state.latency_monitor.add(event, time);
        }
    }
}
