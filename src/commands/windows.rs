//! Runs the commands of a batch.
//!
//! A batch goes by windows of about [`WINDOW_KEYS`] keys, each in three stages: look up the
//! commands of the window and hash their keys; ask for the slots and records of them all, so that
//! the memory brings them near at the same time; run the handlers in order, now finding everything
//! in the cache. The hash of a key does not depend on the database,
//! so a SELECT or a flush inside the window costs the hints and nothing else. A lone command of one
//! key skips the hints: it would wait for its own memory either way.
//!
//! Before a window runs two words are looked at that hardly ever say anything: whether clients are
//! to wait (module `pause`), and whether this one wants no reply to its next command (module
//! `reply_mode`).
//!
//! A batch makes way between two commands when a client wants to run commands alone (module
//! `exclusive`). Where there is a log, a window is also admitted before its handlers
//! run (module `admission`). With none that is one comparison a window.
//!
//! After MULTI the commands of a window are queued instead, until EXEC runs them (modules `multi`,
//! `exec`).
//!
//! A batch does not begin another window after a turn's work. It stops after [`TURN_KEYS`] keys or
//! commands, when the replies pass [`OUTPUT_SOFT_LIMIT`], when the client is to be closed, and
//! after each piece of a long work (module `long`). [`Progress::Flush`] then says where to go on
//! once the replies are written and other connections have had their turn. A command of many keys,
//! or an EXEC of many commands, holds the worker until it is done: it takes effect at one instant.

use std::ops::Range;

use super::admission::{self, Admission};
use super::care;
use super::context::Context;
use super::dispatch::{self, Planned, find, hash_keys, run_row};
use super::pause::Hold;
use super::persistence::Stage;
use super::progress::{Awaited, Position, Progress};
use super::row::Handler;
use super::{auth, debug, exec, long, monitor, multi, pause};
use crate::resp::{Args, Batch};
use crate::sync::Arc;

/// Bytes of replies after which a batch stops to have them written. Small enough that a slow reader
/// holds little memory, large enough that a write is worth its system call many times over.
pub const OUTPUT_SOFT_LIMIT: usize = 256 * 1024;

/// Keys after which a window ends: about as many cache lines as a core can have under way at once
/// (10 to 16 today), and few enough that the first are still in the cache when they are used.
/// Measured with 2 M keys at pipeline 64: anything from 8 to 32 is within 5 %, 16 the best.
pub(super) const WINDOW_KEYS: usize = 16;

/// Commands after which a window ends, with keys or without.
const WINDOW_COMMANDS: usize = 64;

/// Keys, or commands where those are more, after which a batch has had its turn. At 0.15 to 0.5 µs
/// each, at most a millisecond.
const TURN_KEYS: usize = 2048;

/// The commands of a window and the hashes of their keys; kept for its allocations.
#[derive(Default)]
pub(super) struct Window {
    pub(super) commands: Vec<Planned>,
    hashes: Vec<u64>,
    /// Keys of all commands, also those that are not hashed yet.
    keys: usize,
    /// What it has taken of the batch's turn, in keys or commands.
    taken: usize,
    /// Why the log takes no changes, when commands of the window are refused for it.
    pub(super) refusal: Option<Arc<str>>,
}

/// Runs a batch from `at` on.
pub(super) fn run(
    context: &mut Context<'_>,
    window: &mut Window,
    batch: &Batch,
    input: &[u8],
    mut at: Position,
) -> Progress {
    let progress = run_windows(context, window, batch, input, &mut at);
    context.settle_times(batch, input, at.command);
    progress
}

/// Runs window after window from `at` on, which it moves.
fn run_windows(
    context: &mut Context<'_>,
    window: &mut Window,
    batch: &Batch,
    input: &[u8],
    at: &mut Position,
) -> Progress {
    let mut done = 0;
    while at.command < batch.len() {
        if done >= TURN_KEYS {
            return Progress::Flush(*at);
        }
        // Three loads a window.
        context.needs_care = care::is_needed(context);
        let skips = context.client.reply_mode.skips_next();
        let mut size = if skips { 1 } else { WINDOW_COMMANDS };
        // One look at the client a window.
        if context.client.is_stranger(context.state) {
            if !at.is_begun && auth::refuse_stranger(context, &batch.args(at.command, input)) {
                *at = Position::at(at.command + 1);
                done += 1;
                continue;
            }
            size = 1;
        }
        plan(context, window, batch, input, at.command..batch.len().min(at.command + size));
        if context.state.pause.is_set() {
            let args = batch.args(at.command, input);
            if pause::hold(context, window, &args, *at) == Hold::First {
                return Progress::Stall(*at, Awaited::Pause);
            }
        }
        if skips {
            context.client.reply_mode.begin_skip(context.out);
        }
        let from = *at;
        let ended = run_window(context, window, batch, input, at);
        if skips {
            let is_done = at.command > from.command || ended == Some(Progress::Close);
            context.client.reply_mode.end_skip(context.out, is_done);
        }
        if let Some(progress) = ended {
            return progress;
        }
        done += window.taken;
    }
    Progress::Done
}

/// Runs the commands of the window, or a piece of the work that stands in its place, and moves `at`
/// behind what has run. Says how the batch ends or pauses, if it does.
#[inline(always)]
fn run_window(
    context: &mut Context<'_>,
    window: &mut Window,
    batch: &Batch,
    input: &[u8],
    at: &mut Position,
) -> Option<Progress> {
    if window.commands.is_empty() {
        let progress = run_work(context, window, &batch.args(at.command, input), *at);
        if let Progress::Flush(next) = progress {
            *at = next;
        }
        return Some(progress);
    }
    if context.stage != Stage::Open && admission::admit_window(context, window) == Admission::Wait {
        return Some(Progress::Stall(*at, Awaited::Room));
    }
    if let Some(row) = window.commands.last().and_then(|planned| planned.row) {
        context.client.note_row(row);
    }
    let commands_before = context.counts.commands;
    if window.hashes.len() > 1 {
        context.database.prefetch(&context.session, &window.hashes);
    }
    for &planned in &window.commands {
        let args = batch.args(at.command, input);
        let ran = match context.needs_care {
            false => run_one(context, planned, &args, window),
            true => care::run(context, planned, &args, window),
        };
        if let Ran::Waits(awaited) = ran {
            return Some(Progress::Stall(*at, awaited));
        }
        *at = Position::at(at.command + 1);
        if context.client.close_after_reply {
            return Some(Progress::Close);
        }
        if context.out.len() >= OUTPUT_SOFT_LIMIT && at.command < batch.len() {
            return Some(Progress::Flush(*at));
        }
        if context.is_called_out() && at.command < batch.len() {
            return Some(Progress::Stall(*at, Awaited::Turn));
        }
        context.session.renew();
        if ran == Ran::Last {
            break;
        }
    }
    if context.timing.is_full() {
        context.settle_times(batch, input, at.command);
    }
    // An EXEC counts as all that it has run.
    let commands = (context.counts.commands - commands_before) as usize;
    window.taken = window.keys.max(window.commands.len()).max(commands);
    None
}

/// Fills the window with the first of these commands and hashes their keys. Leaves it empty when
/// the very first is a work, or has been begun as one.
#[inline]
fn plan(
    context: &Context<'_>,
    window: &mut Window,
    batch: &Batch,
    input: &[u8],
    commands: Range<usize>,
) {
    window.commands.clear();
    window.hashes.clear();
    window.keys = 0;
    for index in commands {
        let args = batch.args(index, input);
        let row = find(&args);
        let start = window.hashes.len();
        if let Some(row) = row {
            if let Handler::Work(_) = row.handler {
                return;
            }
            window.keys += hash_keys(&context.state.keyspace, row, &args, &mut window.hashes);
        }
        window.commands.push(Planned::new(row, start, window.hashes.len() - start));
        if window.keys >= WINDOW_KEYS {
            return;
        }
    }
}

/// Whether a command has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Ran {
    /// It has, or was refused.
    Done,
    /// It has, and what it has changed concerns the very next command: the window is to end.
    Last,
    /// Nothing has happened; it is to be tried again when this has come.
    Waits(Awaited),
}

/// Runs one command of the window, or queues it.
#[inline]
pub(super) fn run_one(
    context: &mut Context<'_>,
    planned: Planned,
    args: &Args<'_>,
    window: &Window,
) -> Ran {
    let Some(row) = planned.row else {
        dispatch::refuse(context, args, window.refusal.as_ref());
        return Ran::Done;
    };
    let hashes = &window.hashes[planned.range()];
    if context.is_bounded {
        match admission::admit_memory(context, row) {
            Admission::Run => {}
            Admission::Wait => return Ran::Waits(Awaited::Room),
            Admission::Refuse => {
                multi::refuse_memory(context, row);
                return Ran::Done;
            }
        }
    }
    match row.handler {
        Handler::Exec => {
            context.begin_timed();
            let ran = exec::exec(context, row);
            if ran == Ran::Done {
                context.end_timed(row, args, 0);
            }
            return ran;
        }
        Handler::Immediate(_) => {
            context.counts.commands += 1;
            context.begin_timed();
            run_row(context, row, args, hashes);
            context.end_timed(row, args, 0);
            // After a RESET the client may have to give the password again.
            let is_known = context.client.is_authenticated;
            return if is_known { Ran::Done } else { Ran::Last };
        }
        _ if context.client.queue.is_some() => {
            multi::enqueue(context, row, args, hashes);
            return Ran::Done;
        }
        Handler::Alone(_) if !context.alone => {
            if context.have_all_out() != Admission::Run {
                return Ran::Waits(Awaited::Exclusion);
            }
            context.counts.commands += 1;
            context.begin_timed();
            context.run_alone(|context| run_row(context, row, args, hashes));
            context.end_timed(row, args, 0);
            return Ran::Last;
        }
        Handler::Last(_) => {
            context.counts.commands += 1;
            context.begin_timed();
            run_row(context, row, args, hashes);
            context.end_timed(row, args, 0);
            return Ran::Last;
        }
        _ => {}
    }
    context.counts.commands += 1;
    if context.timing.shares(row, args) {
        run_row(context, row, args, hashes);
    } else {
        context.begin_timed();
        run_row(context, row, args, hashes);
        context.end_timed(row, args, 0);
    }
    Ran::Done
}

/// Runs the next piece of a work, or queues it.
fn run_work(
    context: &mut Context<'_>,
    window: &mut Window,
    args: &Args<'_>,
    at: Position,
) -> Progress {
    let next = Position::at(at.command + 1);
    // There is one, or the window would not be empty.
    let Some(row) = find(args) else { return Progress::Flush(next) };
    let Handler::Work(begin) = row.handler else { return Progress::Flush(next) };
    let is_refused = !at.is_begun
        && (debug::refuse(context, row) || context.needs_care && care::refuse(context, row, args));
    if is_refused {
        return Progress::Flush(next);
    }
    context.client.note_row(row);
    if context.stage != Stage::Open {
        match admission::admit_work(context, window, row, at) {
            Admission::Run => {}
            Admission::Wait => return Progress::Stall(at, Awaited::Room),
            Admission::Refuse => {
                dispatch::refuse(context, args, window.refusal.as_ref());
                return Progress::Flush(next);
            }
        }
    }
    if context.is_bounded && !at.is_begun {
        match admission::admit_memory(context, row) {
            Admission::Run => {}
            Admission::Wait => return Progress::Stall(at, Awaited::Room),
            Admission::Refuse => {
                multi::refuse_memory(context, row);
                return Progress::Flush(next);
            }
        }
    }
    if context.client.queue.is_some() {
        multi::enqueue(context, row, args, &[]);
        let is_closed = context.client.close_after_reply;
        return if is_closed { Progress::Close } else { Progress::Flush(next) };
    }
    if context.needs_care && !at.is_begun {
        monitor::show(context, row, args);
    }
    context.begin_timed();
    let progress = long::run(context, row, args, begin, at);
    let before = if at.is_begun { context.client.work_nanoseconds } else { 0 };
    match progress {
        Progress::Flush(then) | Progress::Stall(then, _) if then.is_begun => {
            context.client.work_nanoseconds = before + context.part_time();
        }
        _ => context.end_timed(row, args, before),
    }
    progress
}
