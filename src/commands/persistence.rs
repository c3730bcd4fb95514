//! The log as commands see it: whether it is loading, whether it takes changes, and the settings
//! that say how it is kept, at the values now in force.
//!
//! A server goes through its [`Stage`]s in order and never back. Without a log it stays in the
//! first one, where nothing is asked before a command runs. While the log is loading, only commands
//! flagged `loading` run. Afterwards commands flagged `write` run as long as the log takes changes:
//! while it cannot be written to they are refused with the reason, and while it has no room they
//! wait (see the `engine` module).
//!
//! CONFIG SET turns the log off and on (`server::log_switch`). Whether it is *on* is a word of its
//! own: a log that was on once has a writer for ever, which takes what everybody logs and, while it
//! is off, forgets it. It *begins* a moment after it was turned on, when nobody changes keys.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::rewriting::{RewriteRefusal, Rewriting};
use crate::aof::writer::LogHandle;
use crate::config::{AppendFsync, Config};
use crate::sync::plain::{AtomicBool, AtomicU64, Ordering};
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

/// What turns the log on or off, or says why it cannot.
pub type LogSwitch = Box<dyn Fn(bool) -> Result<(), String> + Send + Sync>;

/// Redis's words for it.
const CANNOT_TURN_ON: &str = "Unable to turn on AOF. Check server logs.";

/// The log, from the commands' side.
pub struct Persistence {
    /// A [`Stage`], as a number.
    stage: AtomicU64,
    /// Whether there is a log, as CONFIG has it.
    is_on: AtomicBool,
    /// Whether its writer writes.
    is_begun: AtomicBool,
    switch: OnceLock<LogSwitch>,
    handle: OnceLock<Arc<LogHandle>>,
    /// How far the loading is.
    pub loading: Loading,
    /// What is asked of and known about rewriting the log.
    pub rewriting: Rewriting,
    append_fsync: AtomicU64,
    rewrite_percentage: AtomicU64,
    rewrite_min_size_bytes: AtomicU64,
    /// Late syncs at the last CONFIG RESETSTAT.
    delayed_syncs_before: AtomicU64,
}

impl Persistence {
    /// Before anything is loaded. A server whose configuration has a log is loading from the start.
    pub(super) fn new(config: &Config) -> Persistence {
        let is_on = config.log_path().is_some();
        let stage = if is_on { Stage::Loading } else { Stage::Open };
        Persistence {
            stage: AtomicU64::new(stage as u64),
            is_on: AtomicBool::new(is_on),
            is_begun: AtomicBool::new(false),
            switch: OnceLock::new(),
            handle: OnceLock::new(),
            loading: Loading::default(),
            rewriting: Rewriting::default(),
            append_fsync: AtomicU64::new(config.append_fsync as u64),
            rewrite_percentage: AtomicU64::new(config.auto_aof_rewrite_percentage.into()),
            rewrite_min_size_bytes: AtomicU64::new(config.auto_aof_rewrite_min_size_bytes),
            delayed_syncs_before: AtomicU64::new(0),
        }
    }

    /// Ends the loading: from now on all commands run, and their changes are written by `handle`. A
    /// second call does nothing.
    pub(super) fn begin(&self, handle: Arc<LogHandle>) {
        if self.handle.set(handle).is_ok() {
            self.begin_again();
            // Release: who sees the stage sees the handle and all that was loaded.
            self.stage.store(Stage::Logged as u64, Ordering::Release);
        }
    }

    /// The writer writes from now on.
    pub(super) fn begin_again(&self) {
        // Relaxed, here and below: no CONFIG SET runs when it changes but the one that changes it,
        // and others look at it for a figure or to have another look later.
        self.is_begun.store(true, Ordering::Relaxed);
        self.push_policy();
    }

    /// Whether the log that was turned on is written.
    pub fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Relaxed)
    }

    /// Has the writer forget what comes from now on.
    pub(super) fn end(&self) {
        self.set_on(false);
        self.is_begun.store(false, Ordering::Relaxed);
        self.rewriting.give_up();
        if let Some(handle) = self.handle() {
            // Nobody waits for it.
            drop(handle.lie_down());
        }
    }

    /// Whether there is a log, also one that is loading or that was just turned on.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Says whether there is a log.
    pub fn set_on(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Whether the log is on and its file would do to start again with: not before the first
    /// rewrite after it was turned on.
    pub fn is_whole(&self) -> bool {
        self.is_begun() && self.handle().is_some_and(|handle| handle.is_whole())
    }

    /// Says what turns the log on and off. The first one stays.
    pub fn set_switch(&self, switch: LogSwitch) {
        // A second call would be a bug without consequence.
        let _ = self.switch.set(switch);
    }

    /// Turns the log on or off, unless it is so already.
    pub(super) fn turn(&self, is_on: bool) -> Result<(), String> {
        if is_on == self.is_on() {
            return Ok(());
        }
        if self.is_loading() {
            return Err("The log is being loaded. Try again when it is.".to_owned());
        }
        let switch = self.switch.get().ok_or(CANNOT_TURN_ON)?;
        switch(is_on).map_err(|reason| {
            log::error!("The log cannot be turned on: {reason}");
            CANNOT_TURN_ON.to_owned()
        })
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

    /// How often the writing has waited for a late sync, since the last CONFIG RESETSTAT.
    pub(super) fn delayed_syncs(&self) -> u64 {
        let all = self.handle().map_or(0, |handle| handle.status().delayed_syncs);
        // Relaxed: a figure.
        all.saturating_sub(self.delayed_syncs_before.load(Ordering::Relaxed))
    }

    /// Begins the log's statistics at nothing again.
    pub(super) fn reset_stats(&self) {
        let all = self.handle().map_or(0, |handle| handle.status().delayed_syncs);
        self.delayed_syncs_before.store(all, Ordering::Relaxed);
    }

    /// Why the log takes no changes now, as an error reply; `None` when it does.
    #[inline]
    pub fn refusal(&self) -> Option<Arc<str>> {
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

    /// Begins to rewrite the log in the background.
    pub(super) fn rewrite(&self) -> Result<(), RewriteRefusal> {
        match self.is_on() {
            true => self.rewriting.ask(),
            false => Err(RewriteRefusal::NoLog),
        }
    }

    /// Whether the log has grown so much that it is to be rewritten, by Redis's rule.
    pub fn has_grown(&self) -> bool {
        let percentage = self.rewrite_percentage();
        let Some(status) = self.handle().map(|handle| handle.status()) else {
            return false;
        };
        let size = u128::from(status.current_bytes);
        let base = u128::from(status.base_bytes.max(1));
        percentage > 0
            && self.is_whole()
            && status.is_writing
            && status.current_bytes > self.rewrite_min_size_bytes()
            && size * 100 / base >= u128::from(percentage) + 100
    }

    /// When the data was last written as a whole, in seconds of Unix time: the end of the last
    /// rewrite of the log, or the start of the server, as in Redis.
    pub(super) fn saved_unix_seconds(&self) -> u64 {
        let rewritten = self.rewriting.saved_unix_seconds();
        rewritten.unwrap_or_else(|| self.loading.started_unix_seconds())
    }

    /// When the log is synced.
    pub fn append_fsync(&self) -> AppendFsync {
        // Relaxed, here and below: a setting, by which nothing is published.
        AppendFsync::of_number(self.append_fsync.load(Ordering::Relaxed))
    }

    /// Has the log synced in another way from now on.
    pub(super) fn set_append_fsync(&self, when: AppendFsync) {
        self.append_fsync.store(when as u64, Ordering::Relaxed);
        self.push_policy();
    }

    fn push_policy(&self) {
        if let Some(handle) = self.handle().filter(|_| self.is_begun()) {
            handle.set_policy(self.append_fsync());
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
        let config =
            Config { aof_path: Some("log".into()), append_only: true, ..Config::default() };
        assert!(Persistence::new(&config).is_loading());
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
