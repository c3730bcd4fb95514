//! Runs batches.
//!
//! A batch goes by windows of about [`WINDOW_KEYS`] keys, each in three stages: look up the
//! commands of the window and hash their keys; ask for the slots and records of them all, so that
//! the memory brings them near at the same time; run the handlers in order, now finding everything
//! in the cache. The hash of a key does not depend on the database,
//! so a SELECT or a flush inside the window costs the hints and nothing else. A lone command of one
//! key skips the hints: it would wait for its own memory either way.
//!
//! A batch begins when no other client has all out (module `exclusive`), and makes way between two
//! commands when one wants to. Where there is a log, a window is also admitted before its handlers
//! run (module `admission`). With none that is one comparison a window.
//!
//! A batch never runs longer than a turn. It stops after [`TURN_KEYS`] keys or commands, when the
//! replies pass [`OUTPUT_SOFT_LIMIT`], when the client is to be closed, and after each piece of a
//! command over more than [`WINDOW_MAX_KEYS`] keys (module `long`). [`Progress::Flush`] then says
//! where to go on once the replies are written and other connections have had their turn.

use std::fmt;
use std::time::{Duration, Instant};

use super::admission::{self, Admission};
use super::client::Client;
use super::context::{Context, Counts};
use super::exclusive;
use super::lookup;
use super::persistence::Stage;
use super::refusal::Refusal;
use super::row::{Handler, Row};
use super::state::ServerState;
use crate::resp::{Args, Batch, ReplyBuffer};
use crate::stats::WorkerStats;
use crate::store::{Key, Local, Sweeper};
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

/// The most keys of one command that still fits in a window; longer commands go in pieces.
pub(super) const WINDOW_MAX_KEYS: usize = 64;

/// Keys, or commands where those are more, after which a batch has had its turn. At 0.15 to 0.5 µs
/// each, at most a millisecond.
const TURN_KEYS: usize = 2048;

/// The least time between two rounds of maintenance by one worker.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(10);

/// Where in a batch to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The command.
    pub command: usize,
    /// Keys of that command that are done; 0 at its start.
    pub key: usize,
    /// What those keys add up to, for commands that reply with a count.
    pub total: i64,
}

impl Position {
    /// The start of a command.
    pub(super) fn at(command: usize) -> Position {
        Position { command, ..Position::default() }
    }
}

/// How a call of [`Engine::execute`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// All commands of the batch are done.
    Done,
    /// Write out the replies there are (there may be none), let other connections have a turn, then
    /// call again with this position and the same batch and input.
    Flush(Position),
    /// Write out the replies there are (there may be none), wait for this, then call again with
    /// this position and the same batch and input.
    Stall(Position, Awaited),
    /// Write out the replies, then close the connection. The rest of the batch is void.
    Close,
}

/// What a batch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Room in the log, or its refusal.
    Room,
    /// That no other client has all out.
    Turn,
    /// That this client has all out.
    Exclusion,
}

/// One worker's means of running commands. Not to be moved to another thread.
pub struct Engine {
    state: Arc<ServerState>,
    local: Local,
    stats: Arc<WorkerStats>,
    window: Window,
    sweeper: Sweeper,
    /// Whether it replays the log, for which there is nothing to ask.
    replays: bool,
    maintained: Instant,
    /// Commands processed at that time, to tell a busy worker from an idle one.
    commands_at_idle: u64,
}

/// The commands of a window and the hashes of their keys; kept for its allocations.
#[derive(Default)]
pub(super) struct Window {
    pub(super) commands: Vec<Planned>,
    hashes: Vec<u64>,
    /// Why the log takes no changes, when commands of the window are refused for it.
    pub(super) refusal: Option<Arc<str>>,
}

/// A command of the window.
#[derive(Clone, Copy)]
pub(super) struct Planned {
    /// Its row; nothing when the command is to be refused.
    pub(super) row: Option<&'static Row>,
    /// Where its hashes start.
    hashes: usize,
}

impl Engine {
    /// The engine of worker number `worker`, made on that worker's own thread. Panics when the
    /// statistics have no stripe of that number.
    pub fn new(state: Arc<ServerState>, worker: usize) -> Engine {
        Engine {
            local: state.keyspace.join(),
            stats: state.stats.worker(worker).clone(),
            state,
            window: Window::default(),
            sweeper: Sweeper::default(),
            replays: false,
            maintained: Instant::now(),
            commands_at_idle: 0,
        }
    }

    /// An engine that replays the log, made on the thread that does so. It runs everything while
    /// the server is loading, no key expires for it, and what it counts is no one's statistic.
    pub fn for_replay(state: Arc<ServerState>) -> Engine {
        Engine {
            local: state.keyspace.join(),
            stats: Arc::default(),
            state,
            window: Window::default(),
            sweeper: Sweeper::default(),
            replays: true,
            maintained: Instant::now(),
            commands_at_idle: 0,
        }
    }

    /// The worker's statistics, for what is counted outside commands.
    pub fn stats(&self) -> &WorkerStats {
        &self.stats
    }

    /// Runs the commands of `batch` in order from `at` on and appends their replies to `out`, until
    /// the batch is done or it is time to stop; see [`Progress`]. `input` is what the batch was
    /// decoded from. Never waits for anything.
    pub fn execute(
        &mut self,
        client: &mut Client,
        batch: &Batch,
        input: &[u8],
        at: Position,
        out: &mut ReplyBuffer,
    ) -> Progress {
        out.protocol = client.protocol;
        // Before the pin, and left after it. A replay is nobody's batch.
        let attendance = match self.replays {
            true => None,
            false => match self.local.enter_batch(client.id) {
                Some(attendance) => Some(attendance),
                None => return Progress::Stall(at, Awaited::Turn),
            },
        };
        // Before the pin: a session that began before the log did does not write to it.
        let stage = if self.replays { Stage::Open } else { self.state.persistence.stage() };
        let mut context = Context {
            state: &self.state,
            database: self.state.keyspace.database(client.database),
            session: if self.replays { self.local.pin_timeless() } else { self.local.pin() },
            attendance: attendance.as_ref(),
            client,
            out,
            stage,
            counts: Counts::default(),
        };
        let progress = run(&mut context, &mut self.window, batch, input, at);
        if !matches!(progress, Progress::Stall(_, Awaited::Exclusion)) {
            context.client.give_back_exclusion();
        }
        let counts = context.counts;
        self.stats.commands_processed.add(counts.commands);
        self.stats.error_replies.add(counts.errors);
        self.stats.keyspace_hits.add(counts.hits);
        self.stats.keyspace_misses.add(counts.misses);
        self.stats.expired_keys.add(self.local.take_expired());
        progress
    }

    /// The position in the log that replies written since the last call tell of: they may be sent
    /// when everything below it is on the disk. 0 when they tell of nothing that could be lost.
    #[inline]
    pub fn take_exposed(&self) -> u64 {
        self.local.take_exposed()
    }

    /// The keys of all databases.
    pub fn keys(&self) -> u64 {
        let session = self.local.pin();
        let keyspace = &self.state.keyspace;
        (0..keyspace.databases()).map(|index| keyspace.database(index).len(&session)).sum()
    }

    /// One slice of active expiry, well under a millisecond. Returns when the next one is due,
    /// `None` for the next tick.
    pub fn sweep(&mut self) -> Option<Duration> {
        if !admission::may_sweep(&self.state) {
            return None;
        }
        let effort = self.state.config.active_expire_effort;
        let sweep = self.state.keyspace.sweep(&self.local, &mut self.sweeper, effort);
        self.stats.expired_keys.add(self.local.take_expired());
        self.wake_log();
        sweep.next
    }

    /// Whether what a batch of a client waits for may have come.
    pub fn is_met(&self, client: u64, awaited: Awaited) -> bool {
        let exclusion = self.state.keyspace.exclusion();
        match awaited {
            Awaited::Room => {
                admission::has_room(&self.state) || self.state.persistence.is_refusing()
            }
            Awaited::Turn => exclusion.is_free(),
            Awaited::Exclusion => exclusive::is_at_hand(exclusion, self.local.member(), client),
        }
    }

    /// From now on, while the log is strict, it is for the caller to [`wake_log`](Engine::wake_log)
    /// soon after batches, once for as many as come together.
    pub fn defer_wakes(&self) {
        self.local.defer_wakes();
    }

    /// Has the log write what was changed so far.
    pub fn wake_log(&self) {
        if let Some(log) = self.state.keyspace.log() {
            log.wake();
        }
    }

    /// The worker's upkeep: gives garbage back, helps the tables along, samples the command rate.
    /// To be called before the worker sleeps and about every 100 ms in any case. Cheap when there
    /// is nothing to do, bounded when there is.
    pub fn idle(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.maintained) < MAINTENANCE_INTERVAL {
            return;
        }
        self.maintained = now;
        let commands = self.stats.commands_processed.get();
        let busy = commands != self.commands_at_idle;
        self.commands_at_idle = commands;
        self.state.keyspace.maintain(&self.local, busy);
        if self.state.stats.sample() {
            let session = self.local.pin();
            let used_bytes = self.state.keyspace.report(&session).used_bytes;
            self.state.note_used_bytes(used_bytes);
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Runs a batch from `at` on.
fn run(
    context: &mut Context<'_>,
    window: &mut Window,
    batch: &Batch,
    input: &[u8],
    mut at: Position,
) -> Progress {
    let mut done = 0;
    while at.command < batch.len() {
        if done >= TURN_KEYS {
            return Progress::Flush(at);
        }
        plan(context, window, batch, input, at.command);
        if window.commands.is_empty() {
            // What does not fit in a window is a long command.
            return run_long(context, window, &batch.args(at.command, input), at);
        }
        if context.stage != Stage::Open
            && admission::admit_window(context, window) == Admission::Wait
        {
            return Progress::Stall(at, Awaited::Room);
        }
        done += window.hashes.len().max(window.commands.len());
        if window.hashes.len() > 1 {
            context.database.prefetch(&context.session, &window.hashes);
        }
        for &planned in &window.commands {
            let args = batch.args(at.command, input);
            at = Position::at(at.command + 1);
            run_one(context, planned, &args, window);
            if context.client.close_after_reply {
                return Progress::Close;
            }
            if context.out.len() >= OUTPUT_SOFT_LIMIT && at.command < batch.len() {
                return Progress::Flush(at);
            }
            if context.is_called_out() && at.command < batch.len() {
                return Progress::Stall(at, Awaited::Turn);
            }
            context.session.renew();
        }
    }
    Progress::Done
}

/// Fills the window with the commands from number `from` on and hashes their keys. Leaves it empty
/// when command `from` is a long one, or has been begun as one.
#[inline]
fn plan(context: &Context<'_>, window: &mut Window, batch: &Batch, input: &[u8], from: usize) {
    window.commands.clear();
    window.hashes.clear();
    let until = batch.len().min(from + WINDOW_COMMANDS);
    for index in from..until {
        let args = batch.args(index, input);
        let row = find(&args);
        let hashes = window.hashes.len();
        match row.map(|row| (row.handler, row.keys)) {
            Some((Handler::OneKey(_), _)) => {
                window.hashes.push(context.state.keyspace.key(args.get(1)).hash);
            }
            Some((Handler::Work(_), _)) => return,
            Some((Handler::EachKey(_), Some(keys))) => {
                let count = keys.count(args.len());
                if count > WINDOW_MAX_KEYS {
                    return;
                }
                for number in 0..count {
                    let key = args.get(keys.position(number));
                    window.hashes.push(context.state.keyspace.key(key).hash);
                }
            }
            _ => {}
        }
        window.commands.push(Planned { row, hashes });
        if window.hashes.len() >= WINDOW_KEYS {
            return;
        }
    }
}

/// The row of a command whose arguments fit it. Forced inline, which takes 3 ns of 19 off a PING in
/// a pipeline: the compiler alone leaves it a call.
#[inline(always)]
pub(super) fn find(args: &Args<'_>) -> Option<&'static Row> {
    let mut row = lookup::command(args.name())?;
    if !row.subcommands.is_empty() && args.len() > 1 {
        row = lookup::subcommand(row, args.get(1))?;
    }
    row.accepts(args.len()).then_some(row)
}

/// Runs one command of the window.
#[inline]
fn run_one(context: &mut Context<'_>, planned: Planned, args: &Args<'_>, window: &Window) {
    let hashes = &window.hashes;
    let Some(row) = planned.row else {
        return context.refuse(&why_not(args, window.refusal.as_ref()));
    };
    context.counts.commands += 1;
    let outcome = match row.handler {
        Handler::OneKey(handler) => {
            let key = Key { bytes: args.get(1), hash: hashes[planned.hashes] };
            handler(context, args, key)
        }
        Handler::Plain(handler) => handler(context, args),
        Handler::EachKey(key_loop) => {
            super::long::run_short(context, row, key_loop, args, &hashes[planned.hashes..])
        }
        // Never in a window.
        Handler::Work(_) => Ok(()),
        Handler::Container => Err(Refusal::arity(None, row)),
    };
    if let Err(refusal) = outcome {
        context.refuse(&refusal);
    }
}

/// Runs the next piece of a long command.
fn run_long(
    context: &mut Context<'_>,
    window: &mut Window,
    args: &Args<'_>,
    at: Position,
) -> Progress {
    if context.stage != Stage::Open {
        match admission::admit_piece(context, window, find(args), at) {
            Admission::Run => {}
            Admission::Wait => return Progress::Stall(at, Awaited::Room),
            Admission::Refuse => {
                context.refuse(&why_not(args, window.refusal.as_ref()));
                return Progress::Flush(Position::at(at.command + 1));
            }
        }
    }
    Progress::Flush(super::long::run(context, args, at))
}

/// Why a command has no row: [`find`] has found nothing, or it was not admitted.
#[cold]
fn why_not<'a>(args: &Args<'a>, refusal: Option<&Arc<str>>) -> Refusal<'a> {
    if find(args).is_some() {
        return refusal.map_or(Refusal::Loading, |text| Refusal::Log(text.clone()));
    }
    let Some(row) = lookup::command(args.name()) else {
        return Refusal::UnknownCommand(*args);
    };
    if row.subcommands.is_empty() || args.len() == 1 {
        return Refusal::arity(None, row);
    }
    match lookup::subcommand(row, args.get(1)) {
        Some(subcommand) => Refusal::arity(Some(row), subcommand),
        None => Refusal::UnknownSubcommand { container: row.name, name: args.get(1) },
    }
}
