//! Rewriting the log and loading it again, between those who ask for it, the thread that does it,
//! and INFO. One thread does both, so neither meets the other. It also begins a log that is turned
//! on, since that ends with a rewrite.
//!
//! Each rewrite has a number. One that was given up, because the log was turned off, may still be
//! on its way to its end when the next one is asked for; by the number it knows that it is not
//! wanted, and its end is nobody's concern.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::aof::writer::Interim;
use crate::store::Ownership;
use crate::sync::mpsc::{Receiver, Sender, channel};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What the thread is asked for.
#[derive(Debug)]
pub enum LogRequest {
    /// To write the log anew, in the rewrite of this number.
    Rewrite(u64),
    /// To begin the log in this file, and then the same.
    Start(Interim, u64),
    /// To load it again.
    Reload(Reload),
}

/// The wish that the log is loaded again, in the name of a client that has all others out.
#[derive(Debug)]
pub struct Reload {
    exclusion: Ownership,
    outcome: Sender<Result<(), String>>,
}

impl Reload {
    /// Lets the others in again and tells how it has ended: why the data is as it was.
    pub fn end(self, outcome: Result<(), String>) {
        drop(self.exclusion);
        // The client may have gone.
        let _ = self.outcome.send(outcome);
    }
}

/// Why the log is not rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RewriteRefusal {
    /// There is none.
    NoLog,
    /// It is being rewritten already.
    UnderWay,
    /// Nobody is there to do it: the server is about to stop.
    Failed,
}

/// What is asked of and known about rewriting. A lock: nobody comes here on the way of a request
/// but by BGREWRITEAOF and INFO.
#[derive(Debug, Default)]
pub struct Rewriting(Mutex<Facts>);

#[derive(Debug)]
struct Facts {
    /// Where the thread listens.
    requests: Option<Sender<LogRequest>>,
    /// When the one under way was asked for.
    asked: Option<Instant>,
    last_took: Option<Duration>,
    last_is_well: bool,
    /// When the last one that succeeded has ended, in seconds of Unix time.
    saved_unix_seconds: Option<u64>,
    failures_in_a_row: u64,
    count: u64,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            requests: None,
            asked: None,
            last_took: None,
            last_is_well: true,
            saved_unix_seconds: None,
            failures_in_a_row: 0,
            count: 0,
        }
    }
}

/// The rewriting of the log, for INFO.
#[derive(Clone, Copy, Debug)]
pub(super) struct RewriteReport {
    /// How long the one under way has run.
    pub(super) running_for: Option<Duration>,
    /// How long the last one took.
    pub(super) last_took: Option<Duration>,
    /// Whether the last one succeeded, if there was one.
    pub(super) last_is_well: bool,
    /// How many have failed since one succeeded.
    pub(super) failures_in_a_row: u64,
    /// How many have begun.
    pub(super) count: u64,
}

impl Rewriting {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        // A panic leaves plain facts behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where the thread listens that rewrites.
    pub fn set_thread(&self, requests: Sender<LogRequest>) {
        self.facts().requests = Some(requests);
    }

    /// Asks the thread to rewrite the log.
    pub(super) fn ask(&self) -> Result<(), RewriteRefusal> {
        self.ask_for(LogRequest::Rewrite)
    }

    /// Asks the thread to begin the log, which was turned on just now, in this file; false if it
    /// has ended.
    pub fn ask_start(&self, interim: Interim) -> bool {
        // Those that were asked for before are given up.
        self.give_up();
        self.ask_for(|number| LogRequest::Start(interim, number)).is_ok()
    }

    fn ask_for(&self, request: impl FnOnce(u64) -> LogRequest) -> Result<(), RewriteRefusal> {
        let mut facts = self.facts();
        if facts.asked.is_some() {
            return Err(RewriteRefusal::UnderWay);
        }
        let requests = facts.requests.as_ref().ok_or(RewriteRefusal::Failed)?;
        requests.send(request(facts.count + 1)).map_err(|_| RewriteRefusal::Failed)?;
        facts.begin();
        Ok(())
    }

    /// Says that the thread has ended.
    pub fn thread_has_ended(&self) {
        self.facts().requests = None;
    }

    /// Whether there is a thread.
    pub fn has_thread(&self) -> bool {
        self.facts().requests.is_some()
    }

    /// Whether the rewrite of this number is still wanted.
    pub fn is_wanted(&self, number: u64) -> bool {
        self.facts().is_wanted(number)
    }

    /// The rewrite under way is not wanted any more.
    pub(super) fn give_up(&self) {
        self.facts().asked = None;
    }

    /// The number of the one that is under way, or that begins now.
    pub fn begin_or_go_on(&self) -> u64 {
        let mut facts = self.facts();
        if facts.asked.is_none() {
            facts.begin();
        }
        facts.count
    }

    /// Asks the thread to load the log again; the exclusion is given back when it has. Returns
    /// where the outcome comes.
    pub(super) fn ask_reload(
        &self,
        exclusion: Ownership,
    ) -> Result<Receiver<Result<(), String>>, RewriteRefusal> {
        let facts = self.facts();
        if facts.asked.is_some() {
            return Err(RewriteRefusal::UnderWay);
        }
        let requests = facts.requests.as_ref().ok_or(RewriteRefusal::Failed)?;
        let (outcome, ended) = channel();
        let reload = LogRequest::Reload(Reload { exclusion, outcome });
        requests.send(reload).map_err(|_| RewriteRefusal::Failed)?;
        Ok(ended)
    }

    /// Notes that the thread begins by itself; the number, if it has not been asked at this moment.
    pub fn begin_unasked(&self) -> Option<u64> {
        let mut facts = self.facts();
        if facts.asked.is_some() {
            return None;
        }
        facts.begin();
        Some(facts.count)
    }

    /// Notes how the one of this number has ended, if it was wanted to the end.
    pub fn end(&self, number: u64, is_well: bool) {
        let mut facts = self.facts();
        if !facts.is_wanted(number) {
            return;
        }
        facts.last_took = facts.asked.take().map(|asked| asked.elapsed());
        facts.last_is_well = is_well;
        facts.failures_in_a_row = if is_well { 0 } else { facts.failures_in_a_row + 1 };
        if is_well {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            facts.saved_unix_seconds = Some(unix.as_secs());
        }
    }

    /// When the last rewrite that succeeded has ended, in seconds of Unix time.
    pub(super) fn saved_unix_seconds(&self) -> Option<u64> {
        self.facts().saved_unix_seconds
    }

    pub(super) fn report(&self) -> RewriteReport {
        let facts = self.facts();
        RewriteReport {
            running_for: facts.asked.map(|asked| asked.elapsed()),
            last_took: facts.last_took,
            last_is_well: facts.last_is_well,
            failures_in_a_row: facts.failures_in_a_row,
            count: facts.count,
        }
    }
}

impl Facts {
    fn is_wanted(&self, number: u64) -> bool {
        self.asked.is_some() && self.count == number
    }

    fn begin(&mut self) {
        self.asked = Some(Instant::now());
        self.count += 1;
    }
}
