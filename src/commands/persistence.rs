//! The log as commands see it: whether it is loading, whether it takes changes, and the settings
//! that say how it is kept, at the values now in force.
//!
//! A server goes through its [`Stage`]s in order and never back. Without a log it stays in the
//! first one, where nothing is asked before a command runs. While the log is loading, only commands
//! flagged `loading` run. Afterwards commands flagged `write` run as long as the log takes changes:
//! while it cannot be written to they are refused with the reason, and while it has no room they
//! wait (see the `engine` module).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::aof::writer::{LogHandle, LogStatus, Policy};
use crate::config::{AppendFsync, Config};
use crate::sync::plain::{AtomicU64, Ordering};
use crate::sync::{Arc, OnceLock};

/// What must be asked before a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Open = 0,
    /// Whether it is one that runs while the data is loading.
    Loading = 1,
    /// Whether the log takes changes.
    Logged = 2,
}

/// The log, from the commands' side.
pub struct Persistence {
    /// A [`Stage`], as a number.
    stage: AtomicU64,
    handle: OnceLock<Arc<LogHandle>>,
    /// How far the loading is.
    pub loading: Loading,
    append_fsync: AtomicU64,
    rewrite_percentage: AtomicU64,
    rewrite_min_size_bytes: AtomicU64,
}

impl Persistence {
    /// Before anything is loaded. A server whose configuration has a log is loading from the start.
    pub(super) fn new(config: &Config) -> Persistence {
        let stage = if config.aof_path.is_some() { Stage::Loading } else { Stage::Open };
        Persistence {
            stage: AtomicU64::new(stage as u64),
            handle: OnceLock::new(),
            loading: Loading::default(),
            append_fsync: AtomicU64::new(config.append_fsync as u64),
            rewrite_percentage: AtomicU64::new(config.auto_aof_rewrite_percentage.into()),
            rewrite_min_size_bytes: AtomicU64::new(config.auto_aof_rewrite_min_size_bytes),
        }
    }

    /// Ends the loading: from now on all commands run, and their changes are written by `handle`. A
    /// second call does nothing.
    pub(super) fn begin(&self, handle: Arc<LogHandle>) {
        if self.handle.set(handle).is_ok() {
            self.push_policy();
            // Release: who sees the stage sees the handle and all that was loaded.
            self.stage.store(Stage::Logged as u64, Ordering::Release);
        }
    }

    /// What to ask before commands run.
    #[inline]
    pub(super) fn stage(&self) -> Stage {
        // Acquire, with the Release of `begin`.
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Open,
            1 => Stage::Loading,
            _ => Stage::Logged,
        }
    }

    /// Whether the log is still loading.
    pub fn is_loading(&self) -> bool {
        self.stage() == Stage::Loading
    }

    /// The writer of the log, once it runs.
    #[inline]
    pub fn handle(&self) -> Option<&Arc<LogHandle>> {
        self.handle.get()
    }

    /// Why the log takes no changes now, as an error reply; `None` when it does.
    #[inline]
    pub(super) fn refusal(&self) -> Option<Arc<str>> {
        self.handle()?.refusal()
    }

    /// Whether commands that would change something are refused now.
    pub fn is_refusing(&self) -> bool {
        self.refusal().is_some()
    }

    /// Whether a reply that tells of changes below this position of the log must not be sent yet.
    #[inline]
    pub fn must_wait(&self, position: u64) -> bool {
        let is_behind = |handle: &Arc<LogHandle>| !handle.is_settled(position);
        position > 0 && self.handle().is_some_and(is_behind)
    }

    /// Whether the log has grown so much that it is to be rewritten by itself: by the percentage
    /// since the last rewrite, or the start, and above the least size.
    pub fn rewrite_is_due(&self) -> bool {
        let (percentage, least) = (self.rewrite_percentage(), self.rewrite_min_size_bytes());
        let is_due = |status: LogStatus| {
            has_outgrown(status.current_bytes, status.base_bytes, percentage, least)
        };
        self.handle().is_some_and(|handle| is_due(handle.status()))
    }

    /// Begins to rewrite the log in the background.
    ///
    /// # Errors
    /// Why it does not.
    pub fn rewrite(&self) -> Result<(), RewriteRefusal> {
        match self.handle() {
            Some(_) => Err(RewriteRefusal::Failed),
            None => Err(RewriteRefusal::NoLog),
        }
    }

    /// What there is to say of rewriting the log.
    pub fn rewriting(&self) -> Rewriting {
        Rewriting { running_for: None, last_took: None, last_is_well: true, count: 0 }
    }

    /// When the log is synced.
    pub(super) fn append_fsync(&self) -> AppendFsync {
        // Relaxed, here and below: a setting, by which nothing is published.
        let number = self.append_fsync.load(Ordering::Relaxed);
        let mut all = AppendFsync::ALL.into_iter();
        all.find(|it| *it as u64 == number).unwrap_or(AppendFsync::EverySecond)
    }

    /// Has the log synced in another way from now on.
    pub(super) fn set_append_fsync(&self, when: AppendFsync) {
        self.append_fsync.store(when as u64, Ordering::Relaxed);
        self.push_policy();
    }

    fn push_policy(&self) {
        if let Some(handle) = self.handle() {
            handle.set_policy(policy(self.append_fsync()));
        }
    }

    /// By how many percent the log may grow before it is rewritten; 0 means never.
    pub fn rewrite_percentage(&self) -> u64 {
        self.rewrite_percentage.load(Ordering::Relaxed)
    }

    /// Sets [`rewrite_percentage`](Persistence::rewrite_percentage).
    pub(super) fn set_rewrite_percentage(&self, percent: u64) {
        self.rewrite_percentage.store(percent, Ordering::Relaxed);
    }

    /// The size below which the log is not rewritten by itself.
    pub fn rewrite_min_size_bytes(&self) -> u64 {
        self.rewrite_min_size_bytes.load(Ordering::Relaxed)
    }

    /// Sets [`rewrite_min_size_bytes`](Persistence::rewrite_min_size_bytes).
    pub(super) fn set_rewrite_min_size_bytes(&self, bytes: u64) {
        self.rewrite_min_size_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Why the log is not rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteRefusal {
    /// There is none.
    NoLog,
    /// It is being rewritten already.
    UnderWay,
    /// The rewrite could not begin.
    Failed,
}

/// The rewriting of the log, for INFO.
#[derive(Clone, Copy, Debug)]
pub struct Rewriting {
    /// How long the one under way has run.
    pub running_for: Option<Duration>,
    /// How long the last one took.
    pub last_took: Option<Duration>,
    /// Whether the last one succeeded, if there was one.
    pub last_is_well: bool,
    /// How many have begun.
    pub count: u64,
}

/// Whether a log of `bytes`, once of `base_bytes`, is above `least_bytes` and has grown by the
/// percentage, which is not 0.
fn has_outgrown(bytes: u64, base_bytes: u64, percentage: u64, least_bytes: u64) -> bool {
    let growth = bytes.saturating_sub(base_bytes);
    let enough = u128::from(base_bytes.max(1)) * u128::from(percentage);
    percentage > 0 && bytes > least_bytes && u128::from(growth) * 100 >= enough
}

/// The writer's word for a setting.
pub fn policy(when: AppendFsync) -> Policy {
    match when {
        AppendFsync::Always => Policy::Always,
        AppendFsync::EverySecond => Policy::Everysec,
        AppendFsync::No => Policy::No,
    }
}

/// How far the loading of the log is. Written by the thread that loads, read by INFO.
#[derive(Debug)]
pub struct Loading {
    started: Instant,
    started_unix_seconds: u64,
    total_bytes: AtomicU64,
    loaded_bytes: AtomicU64,
}

impl Default for Loading {
    fn default() -> Loading {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Loading {
            started: Instant::now(),
            started_unix_seconds: unix.as_secs(),
            total_bytes: AtomicU64::new(0),
            loaded_bytes: AtomicU64::new(0),
        }
    }
}

impl Loading {
    /// Says how long the log is.
    pub fn set_total(&self, bytes: u64) {
        // Relaxed, here and below: figures for people.
        self.total_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Says how much of it is loaded.
    pub fn set_loaded(&self, bytes: u64) {
        self.loaded_bytes.store(bytes, Ordering::Relaxed);
    }

    /// When the server began to load, in seconds of Unix time.
    pub(super) fn started_unix_seconds(&self) -> u64 {
        self.started_unix_seconds
    }

    /// The length of the log, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// How much of it is loaded, in bytes.
    pub fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed)
    }

    /// How much of it is loaded, in percent.
    pub fn percent(&self) -> f64 {
        self.loaded_bytes() as f64 * 100.0 / self.total_bytes().max(1) as f64
    }

    /// How long the rest will take at the pace so far, in seconds; a second when there is no pace
    /// yet, as in Redis.
    pub(super) fn left_seconds(&self) -> u64 {
        let (loaded, total) = (self.loaded_bytes(), self.total_bytes());
        if loaded == 0 {
            return 1;
        }
        let pace = self.started.elapsed().as_secs_f64() / loaded as f64;
        (pace * total.saturating_sub(loaded) as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_in_force() {
        let persistence = Persistence::new(&Config::default());
        assert_eq!(persistence.stage(), Stage::Open);
        for when in AppendFsync::ALL {
            persistence.set_append_fsync(when);
            assert_eq!(persistence.append_fsync(), when);
        }
        assert!(!persistence.must_wait(u64::MAX), "no log, nothing to wait for");
    }

    #[test]
    fn a_server_with_a_log_begins_by_loading() {
        let config = Config { aof_path: Some("log".into()), ..Config::default() };
        assert!(Persistence::new(&config).is_loading());
    }

    #[test]
    fn a_log_is_rewritten_when_it_is_large_and_has_grown() {
        assert!(has_outgrown(200, 100, 100, 64));
        assert!(!has_outgrown(199, 100, 100, 64), "too little growth");
        assert!(!has_outgrown(200, 100, 100, 200), "too small");
        assert!(!has_outgrown(200, 100, 0, 64), "turned off");
        assert!(has_outgrown(65, 0, 100, 64), "there was nothing");
        assert!(!has_outgrown(50, 100, 10, 0), "it has shrunk");
        assert!(has_outgrown(u64::MAX, 1, i32::MAX as u64, 0));
    }

    #[test]
    fn progress_is_a_share_of_the_whole() {
        let loading = Loading::default();
        assert_eq!((loading.percent(), loading.left_seconds()), (0.0, 1));
        loading.set_total(200);
        loading.set_loaded(50);
        assert_eq!(loading.percent(), 25.0);
    }
}
