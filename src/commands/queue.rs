//! The commands between MULTI and EXEC.
//!
//! What a command came in is gone when EXEC comes, so the queue has arguments of its own: short
//! ones are copied into one vector, large ones, which have buffers, are shared. Rows and hashes are
//! kept too, as in the engine's window. A queue that has done its work goes back to the worker.

use std::fmt;
use std::time::{Duration, Instant};

use super::atomic::needs_exclusion;
use super::context::Context;
use super::dispatch::{Planned, run_row};
use super::monitor;
use super::pause::is_writing;
use super::row::{Flags, Row};
use super::windows::WINDOW_KEYS;
use crate::resp::{Args, Batch, LARGE_ARG};

/// The most bytes of a queue whatever the settings, so that 32 bits reach every argument.
const BYTES_MAX: usize = 1 << 31;

/// Room that a queue without commands keeps: bytes, and commands or keys.
const KEPT_BYTES: usize = 16 * 1024;
const KEPT: usize = 1024;

/// Commands that wait for EXEC.
#[derive(Default)]
pub(super) struct Queue {
    batch: Batch,
    input: Vec<u8>,
    commands: Vec<Planned>,
    hashes: Vec<u64>,
    arguments: usize,
    owned_bytes: usize,
    /// Whether a command was refused: then EXEC runs none.
    is_broken: bool,
    writes: bool,
    denies_oom: bool,
    needs_exclusion: bool,
    /// Whether a command waits while writes do.
    is_writing: bool,
    /// Which commands were timed by themselves in the last run, and how long they took.
    laps: Vec<(usize, Duration)>,
}

/// The queue would take more memory than a client may.
pub(super) struct Full;

impl Queue {
    /// How many commands there are.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether a command was refused.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Notes that a command was refused.
    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
    }

    /// Whether a command may change keys.
    pub(super) fn writes(&self) -> bool {
        self.writes
    }

    /// Whether a command waits while writes do.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// Whether a command may make the data larger.
    pub(super) fn denies_oom(&self) -> bool {
        self.denies_oom
    }

    /// Whether a command needs to be alone.
    pub(super) fn needs_exclusion(&self) -> bool {
        self.needs_exclusion
    }

    /// Adds a command with the hashes of its keys, as far as it is given them. No more than `limit`
    /// bytes in all. A broken queue takes no more, for nothing of it will run.
    pub(super) fn push(
        &mut self,
        row: &'static Row,
        args: &Args<'_>,
        hashes: &[u64],
        limit: usize,
    ) -> Result<(), Full> {
        if self.is_broken {
            return Ok(());
        }
        let new_bytes: usize = args.iter().map(<[u8]>::len).sum();
        if self.taken_bytes() + new_bytes > limit.min(BYTES_MAX) {
            return Err(Full);
        }
        for index in 0..args.len() {
            let bytes = args.get(index);
            match args.owned(index).filter(|_| bytes.len() >= LARGE_ARG) {
                Some(buffer) => {
                    self.owned_bytes += bytes.len();
                    self.batch.push_owned(buffer.clone());
                }
                None => {
                    self.batch.push_argument(self.input.len(), bytes.len());
                    self.input.extend_from_slice(bytes);
                }
            }
        }
        self.batch.finish_command();
        self.arguments += args.len();
        self.commands.push(Planned::new(row, self.hashes.len(), hashes.len()));
        self.hashes.extend_from_slice(hashes);
        self.writes |= row.flags.contains(Flags::WRITE);
        self.is_writing |= is_writing(row);
        self.denies_oom |= row.flags.contains(Flags::DENYOOM);
        self.needs_exclusion |= needs_exclusion(row);
        Ok(())
    }

    /// Bytes that the queue takes, as far as they grow with it.
    pub(super) fn taken_bytes(&self) -> usize {
        self.input.len()
            + self.owned_bytes
            + self.arguments * size_of::<u64>()
            + self.commands.len() * (size_of::<Planned>() + size_of::<u32>())
            + self.hashes.len() * size_of::<u64>()
    }

    /// Runs all commands in order. The keys are brought near a window at a time, ahead of them.
    pub(super) fn run(&mut self, context: &mut Context<'_>) {
        self.laps.clear();
        let mut near = 0;
        for (index, planned) in self.commands.iter().enumerate() {
            let own = planned.range();
            if own.end > near {
                let end = self.hashes.len().min(near + WINDOW_KEYS).max(own.end);
                if end > near + 1 {
                    context.database.prefetch(&context.session, &self.hashes[near..end]);
                }
                near = end;
            }
            let Some(row) = planned.row else { continue };
            context.counts.commands += 1;
            let args = self.batch.args(index, &self.input);
            let begun = (!context.timing.would_share(row, &args)).then(Instant::now);
            run_row(context, row, &args, &self.hashes[own]);
            if let Some(begun) = begun {
                self.laps.push((index, begun.elapsed()));
            }
            if context.needs_care {
                context.gather_witnessed();
                monitor::show(context, row, &args);
            }
            context.session.renew();
        }
    }

    /// Enters how long each command took, when all took so long: those that were not timed by
    /// themselves share what the others have left.
    pub(super) fn record_times(&self, context: &mut Context<'_>, all: Duration) {
        let timed: Duration = self.laps.iter().map(|(_, lap)| *lap).sum();
        let others = (self.commands.len() - self.laps.len()).max(1) as u128;
        let share = (all.saturating_sub(timed).as_nanos() / others) as u64;
        let mut laps = self.laps.iter().peekable();
        for (index, planned) in self.commands.iter().enumerate() {
            let Some(row) = planned.row else { continue };
            let lap = laps.next_if(|(timed, _)| *timed == index);
            let took = lap.map_or(share, |(_, lap)| lap.as_nanos() as u64);
            context.record_time(row, &self.batch.args(index, &self.input), took);
        }
    }

    /// Forgets everything; keeps the room of an ordinary transaction.
    pub(super) fn clear(&mut self) {
        self.batch.clear();
        self.input.clear();
        self.input.shrink_to(KEPT_BYTES);
        self.commands.clear();
        self.commands.shrink_to(KEPT);
        self.hashes.clear();
        self.hashes.shrink_to(KEPT);
        self.laps.clear();
        self.laps.shrink_to(KEPT);
        self.arguments = 0;
        self.owned_bytes = 0;
        self.is_broken = false;
        self.writes = false;
        self.denies_oom = false;
        self.needs_exclusion = false;
        self.is_writing = false;
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("commands", &self.len()).finish_non_exhaustive()
    }
}
