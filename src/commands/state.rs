//! What all workers share.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::access::Access;
use super::command_stats::CommandStats;
use super::cross_protocol;
use super::latency_monitor::LatencyMonitor;
use super::listening::Listening;
use super::monitor::Monitors;
use super::occasional::Occasional;
use super::open_files;
use super::pause::Pause;
use super::peers::{ClientFigures, Peers};
use super::persistence::Persistence;
use super::post::Post;
use super::pubsub::Registry as Channels;
use super::replication::ReplicationId;
use super::settings::Settings;
use super::shutdown::Shutdown;
use super::slow_log::SlowLog;
use super::tunables::Tunables;
use crate::aof::writer::LogHandle;
use crate::config::{AppendFsync, Config};
use crate::stats::Registry;
use crate::store::{EvictionOptions, Keyspace, KeyspaceOptions};
use crate::sync::Arc;
use crate::sync::plain::{AtomicU64, Ordering};

/// The Redis version whose behaviour this server follows, which it reports to clients that choose
/// their features by it.
pub const COMPATIBLE_VERSION: &str = "7.0.15";

/// The server as its commands see it; one, shared by all workers.
pub struct ServerState {
    /// The data.
    pub keyspace: Keyspace,
    /// The settings the server was started with.
    pub config: Config,
    /// All settings as they are now.
    pub settings: Settings,
    /// Those that are read on the way of commands and connections.
    pub tunables: Tunables,
    /// The statistics, one stripe for each worker.
    pub stats: Registry,
    /// All connections.
    pub peers: Peers,
    /// Whether clients are to wait.
    pub pause: Pause,
    /// The statistics of commands, one stripe for each worker.
    pub(super) command_stats: CommandStats,
    /// Commands that took long.
    pub(super) slow_log: SlowLog,
    /// What else took long.
    pub(super) latency_monitor: LatencyMonitor,
    /// How one worker reaches the clients of another.
    pub post: Post,
    /// Who listens to which channels.
    pub channels: Arc<Channels>,
    /// Who is shown all commands.
    pub monitors: Arc<Monitors>,
    /// The password, and who was turned away.
    pub access: Access,
    /// The log.
    pub persistence: Persistence,
    /// When the server started.
    pub started: Instant,
    /// 40 hexadecimal digits, new in every run.
    pub run_id: String,
    /// 40 hexadecimal digits that name the history of the data, for replication.
    pub replication_id: ReplicationId,
    /// The wish of a client that the server stops.
    pub shutdown: Shutdown,
    /// Where the server listens.
    pub listening: Listening,
    /// The most bytes the data has taken, as far as sampled.
    peak_bytes: AtomicU64,
    last_client_id: AtomicU64,
    /// When to say that a web browser talks to the server.
    pub(super) cross_protocol: Occasional,
}

impl ServerState {
    /// A server with empty databases and `stripes` stripes of statistics: one for each worker, and
    /// one for any other thread that counts. `config.port` should be the port really bound,
    /// since INFO shows it.
    pub fn new(config: Config, stripes: usize) -> ServerState {
        let options = KeyspaceOptions {
            databases: config.databases,
            eviction: EvictionOptions {
                max_bytes: config.max_memory_bytes,
                policy: config.max_memory_policy,
                samples: config.max_memory_samples,
                tenacity: config.max_memory_eviction_tenacity,
                lfu_log_factor: config.lfu_log_factor,
                lfu_decay_minutes: config.lfu_decay_time_minutes,
                ..EvictionOptions::default()
            },
            ..KeyspaceOptions::default()
        };
        Self::over(Keyspace::new(options), config, stripes)
    }

    /// A server that nobody is connected to, over an empty keyspace
    /// [beside](Keyspace::beside) this one's: for the log to be loaded into.
    pub fn beside(&self) -> ServerState {
        Self::over(self.keyspace.beside(), self.config.clone(), 1)
    }

    fn over(keyspace: Keyspace, config: Config, stripes: usize) -> ServerState {
        let classes = config.notify_keyspace_events;
        let state = ServerState {
            keyspace,
            stats: Registry::new(stripes),
            command_stats: CommandStats::new(stripes),
            slow_log: SlowLog::default(),
            latency_monitor: LatencyMonitor::default(),
            persistence: Persistence::new(&config),
            settings: Settings::new(&config),
            tunables: Tunables::new(&config),
            peers: Peers::default(),
            pause: Pause::default(),
            post: Post::default(),
            channels: Arc::default(),
            monitors: Arc::default(),
            access: Access::new(config.require_pass.clone()),
            config,
            started: Instant::now(),
            run_id: random_id(),
            replication_id: ReplicationId::default(),
            shutdown: Shutdown::default(),
            listening: Listening::default(),
            peak_bytes: AtomicU64::new(0),
            last_client_id: AtomicU64::new(0),
            cross_protocol: Occasional::new(Duration::from_secs(
                cross_protocol::LOGGED_EVERY_SECONDS,
            )),
        };
        // Letters that are unknown were refused where they were read.
        state.set_notify_keyspace_events(classes);
        state
    }

    /// Ends the loading: from now on changes are logged through `handle`, and all commands run. To
    /// be called once, after [`Keyspace::start_log`].
    pub fn begin_log(&self, handle: Arc<LogHandle>) {
        self.set_strict(self.persistence.append_fsync());
        self.persistence.begin(handle);
    }

    /// Has changes written again, after [`end_log`](ServerState::end_log), by a writer that has
    /// begun. All others are out of the keyspace.
    pub fn begin_log_again(&self) {
        self.set_strict(self.persistence.append_fsync());
        self.persistence.begin_again();
    }

    /// Turns the log off: nothing that comes from now on is written, and no reply to it waits.
    pub fn end_log(&self) {
        self.set_strict(AppendFsync::No);
        self.persistence.end();
    }

    /// Has the log synced in another way from now on.
    pub(super) fn set_append_fsync(&self, when: AppendFsync) {
        // What is acknowledged from now on waits for its sync: its changes must be noted before.
        if self.persistence.is_on() {
            self.set_strict(when);
        }
        self.persistence.set_append_fsync(when);
    }

    /// Has replies note what they tell of, if they are to wait for it.
    fn set_strict(&self, when: AppendFsync) {
        if let Some(log) = self.keyspace.log() {
            log.set_strict(when == AppendFsync::Always);
        }
    }

    /// The number for a new connection: 1, 2, 3 and so on.
    pub fn next_client_id(&self) -> u64 {
        // Relaxed: the numbers need only differ.
        self.last_client_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Milliseconds since the server's start, which tell when clients were heard last.
    pub fn uptime_ms(&self) -> u64 {
        // 64 bits of milliseconds do not run out.
        self.started.elapsed().as_millis() as u64
    }

    /// Figures of all connections together.
    pub fn client_figures(&self) -> ClientFigures {
        self.peers.figures(self.uptime_ms())
    }

    /// Lets so many clients connect from now on. Those that are connected stay.
    ///
    /// # Errors
    /// Redis's words for it when the system does not allow so many open files; nothing changes.
    pub fn set_max_clients(&self, wanted: usize) -> Result<(), String> {
        let fitting = open_files::fitting_clients(wanted, self.config.workers());
        if fitting < wanted {
            return Err(format!(
                "The operating system is not able to handle the specified number of clients, try \
                 with {fitting}"
            ));
        }
        self.tunables.max_clients.set(wanted as u64);
        Ok(())
    }

    /// CONFIG RESETSTAT: begins all statistics at nothing again, but for what is there now
    /// (clients, memory), the slow log and the latency monitor.
    pub fn reset_stats(&self) {
        self.stats.reset();
        self.command_stats.reset();
        self.persistence.reset_stats();
    }

    /// Notes that something beside the commands took so long, should the latency monitor want it.
    pub(super) fn note_latency(&self, event: &'static str, took: Duration) {
        let threshold_ms = self.tunables.latency_monitor_threshold_ms.get();
        if threshold_ms > 0 && took >= Duration::from_millis(threshold_ms) {
            self.latency_monitor.add(event, took);
        }
    }

    /// Asks the log what has taken long lately. To be called several times a second: the monitor
    /// keeps one sample of each, so the longest since the last time is all there is to know.
    pub(super) fn note_log_latencies(&self) {
        if let Some(longest) = self.persistence.handle().map(|handle| handle.take_longest()) {
            self.note_latency("aof-write", longest.write);
            self.note_latency("aof-fsync-always", longest.sync_before_replies);
        }
    }

    /// Notes that the data takes `bytes` now; returns the most noted so far.
    pub(super) fn note_used_bytes(&self, bytes: u64) -> u64 {
        // Relaxed: a statistic.
        self.peak_bytes.fetch_max(bytes, Ordering::Relaxed).max(bytes)
    }
}

impl fmt::Debug for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerState")
            .field("config", &self.config)
            .field("run_id", &self.run_id)
            .finish_non_exhaustive()
    }
}

/// 40 hexadecimal digits that differ from run to run. Not secret: an identifier.
pub(super) fn random_id() -> String {
    let mut digits = String::new();
    while digits.len() < 40 {
        // Each `RandomState` has fresh random keys, which show in the hash of nothing.
        digits += &format!("{:016x}", RandomState::new().hash_one(()));
    }
    digits.truncate(40);
    digits
}
