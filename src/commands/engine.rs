//! A worker's engine: runs batches (module `windows`), and does what no command pays for: active
//! expiry, eviction ahead of need, upkeep.
//!
//! A batch begins when no other client has all out (module `exclusive`).

use std::fmt;
use std::time::{Duration, Instant};

use super::admission;
use super::client::Client;
use super::command_stats::Stripe;
use super::context::{Context, Counts};
use super::exclusive;
use super::outbox;
use super::persistence::Stage;
use super::progress::{Awaited, Position, Progress};
use super::queue::Queue;
use super::setbacks::Setbacks;
use super::state::ServerState;
use super::timing::Timing;
use super::windows::{self, Window};
use crate::config::EventClasses;
use crate::memory;
use crate::resp::{Batch, ReplyBuffer};
use crate::stats::WorkerStats;
use crate::store::{Evicted, Evictor, Local, NOBODY, Room, Sweeper};
use crate::sync::Arc;

/// The longest that a slice of eviction keeps requests waiting, but for its last step.
const EVICTION_SLICE: Duration = Duration::from_micros(100);

/// The least time between two rounds of maintenance by one worker.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(10);

/// One worker's means of running commands. Not to be moved to another thread.
pub struct Engine {
    state: Arc<ServerState>,
    local: Local,
    stats: Arc<WorkerStats>,
    /// The number of the worker.
    worker: usize,
    command_stats: Arc<Stripe>,
    window: Window,
    /// A queue without commands for the next MULTI.
    spare_queue: Option<Box<Queue>>,
    sweeper: Sweeper,
    evictor: Evictor,
    /// Whether it replays the log, for which there is nothing to ask.
    replays: bool,
    maintained: Instant,
    /// Commands processed at that time, to tell a busy worker from an idle one.
    commands_at_idle: u64,
}

impl Engine {
    /// The engine of worker number `worker`, made on that worker's own thread. Panics when the
    /// statistics have no stripe of that number.
    pub fn new(state: Arc<ServerState>, worker: usize) -> Engine {
        state.stats.worker(worker).note_thread();
        Engine {
            local: state.keyspace.join(),
            stats: state.stats.worker(worker).clone(),
            worker,
            command_stats: state.command_stats.worker(worker).clone(),
            state,
            window: Window::default(),
            spare_queue: None,
            sweeper: Sweeper::default(),
            evictor: Evictor::default(),
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
            worker: 0,
            command_stats: state.command_stats.stray(),
            state,
            window: Window::default(),
            spare_queue: None,
            sweeper: Sweeper::default(),
            evictor: Evictor::default(),
            replays: true,
            maintained: Instant::now(),
            commands_at_idle: 0,
        }
    }

    /// The worker's statistics, for what is counted outside commands.
    pub fn stats(&self) -> &WorkerStats {
        &self.stats
    }

    /// Counts replies of this text that were sent by others: whoever cannot follow what a client
    /// sends, or may not send what the commands have replied.
    pub fn count_errors(&self, text: &str, count: u64) {
        let mut setbacks = Setbacks::default();
        setbacks.note_errors(text.as_bytes(), count);
        self.command_stats.enter(setbacks);
        self.stats.error_replies.add(count);
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
            spare_queue: &mut self.spare_queue,
            stage,
            alone: self.replays,
            evictor: &mut self.evictor,
            // Nothing is evicted or refused while the log is replayed.
            is_bounded: !self.replays && self.state.keyspace.eviction().settings().is_bounded(),
            is_out_of_memory: false,
            counts: Counts::default(),
            worker: self.worker,
            notifies: match self.replays {
                true => EventClasses::default(),
                false => self.state.notify_keyspace_events(),
            },
            outbox: Vec::new(),
            needs_care: false,
            setbacks: Setbacks::default(),
            timing: Timing::begin(&self.state, &self.command_stats),
        };
        context.begin();
        let progress = windows::run(&mut context, &mut self.window, batch, input, at);
        if context.client.reply_mode.is_any() {
            context.client.reply_mode.end_batch(context.out);
        }
        let keeps = matches!(progress, Progress::Stall(_, Awaited::Exclusion | Awaited::Moment(_)));
        if !keeps {
            context.client.give_back_exclusion();
        }
        if context.needs_care {
            // What has gone by the way, of a batch that ended in its midst.
            context.tell(None);
        }
        let counts = context.counts;
        if !context.setbacks.is_empty() {
            self.command_stats.enter(context.setbacks.take());
        }
        if context.is_bounded {
            count_evicted(&self.state, &self.stats, context.evictor.take_evicted());
        }
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
        let is_off = self.state.tunables.active_expire.get() == 0;
        if is_off || !admission::may_sweep(&self.state) || self.state.pause.is_active() {
            return None;
        }
        let effort = self.state.tunables.active_expire_effort.get() as u32;
        let begun = Instant::now();
        let sweep = self.state.keyspace.sweep(&self.local, &mut self.sweeper, effort);
        let took = begun.elapsed();
        self.stats.expiry_nanoseconds.add(took.as_nanos() as u64);
        self.state.note_latency("expire-cycle", took);
        self.stats.expired_keys.add(self.local.take_expired());
        self.tell_witnessed();
        self.wake_log();
        sweep.next
    }

    /// One slice of eviction, well under a millisecond, if less than a little memory is free. True
    /// if more is to be evicted.
    pub fn evict(&mut self) -> bool {
        if !self.state.keyspace.eviction().settings().is_bounded()
            || !admission::may_sweep(&self.state)
            || self.state.pause.is_active()
        {
            return false;
        }
        let Some(_attendance) = self.local.enter_batch(NOBODY) else {
            return false;
        };
        let mut session = self.local.pin();
        let room = self.evictor.make_headroom(&self.state.keyspace, &mut session, EVICTION_SLICE);
        drop(session);
        let is_over = matches!(room, Room::Short | Room::None);
        self.state.stats.excess.note(is_over);
        count_evicted(&self.state, &self.stats, self.evictor.take_evicted());
        self.stats.expired_keys.add(self.local.take_expired());
        self.tell_witnessed();
        self.wake_log();
        room == Room::Short
    }

    /// Tells what has become of keys by the way.
    fn tell_witnessed(&self) {
        let witnessed = self.local.take_witnessed();
        if !witnessed.is_empty() {
            outbox::tell_witnessed(&self.state, witnessed);
        }
    }

    /// Whether what a batch of a client waits for may have come.
    pub fn is_met(&self, client: u64, awaited: Awaited) -> bool {
        let exclusion = self.state.keyspace.exclusion();
        match awaited {
            Awaited::Room => {
                admission::has_room(&self.state) || self.state.persistence.is_refusing()
            }
            Awaited::Turn => exclusion.is_free(),
            Awaited::Pause => !self.state.pause.is_active(),
            Awaited::Exclusion => exclusive::is_at_hand(exclusion, self.local.member(), client),
            Awaited::Moment(moment) | Awaited::Look(moment) => Instant::now() >= moment,
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
        self.evictor.tell_capacity(self.state.keyspace.eviction());
        self.state.keyspace.maintain(&self.local, busy);
        if self.state.stats.sample() {
            self.state.note_used_bytes(memory::used_bytes());
            self.state.note_log_latencies();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn count_evicted(state: &ServerState, stats: &WorkerStats, evicted: Evicted) {
    if evicted.keys == 0 && evicted.time.is_zero() {
        return;
    }
    state.note_latency("eviction-cycle", evicted.time);
    stats.evicted_keys.add(evicted.keys);
    stats.evicted_bytes.add(evicted.bytes);
    stats.eviction_nanoseconds.add(evicted.time.as_nanos() as u64);
}
