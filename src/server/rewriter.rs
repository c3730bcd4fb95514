//! The thread that rewrites the log, when it is asked to (BGREWRITEAOF) or when the log has grown,
//! that loads it again (DEBUG LOADAOF), and that begins it when it is turned on (CONFIG SET).
//!
//! A log that was turned on has not come about before its first rewrite. So that one is tried again
//! until it succeeds, and a server that is to stop waits for it.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use log::{error, info};

use super::log_switch::{self, Beginning};
use super::reloader;
use super::waits::Alarm;
use crate::aof::writer::Interim;
use crate::aof::{self, Rewritten};
use crate::commands::{LogRequest, ServerState};
use crate::error::Error;
use crate::sync::Arc;
use crate::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use crate::sync::plain::{AtomicBool, Ordering};

/// Between two looks whether the log has grown.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// After a rewrite that has failed, how long the log is left alone unless somebody asks.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The same when it was the first one of a log that was turned on; doubled with each failure, up to
/// the time above.
const REST_AFTER_FIRST_FAILURE: Duration = Duration::from_secs(1);

const THREAD: &str = "log-rewriter";

/// Starts the thread for the log at `path`; it ends soon after `stop` is set. The alarms are rung
/// whenever the log changes, should it begin here.
///
/// # Errors
/// [`Error::Thread`].
pub(super) fn start(
    state: Arc<ServerState>,
    path: PathBuf,
    alarms: Vec<Arc<Alarm>>,
    stop: Arc<AtomicBool>,
) -> Result<(), Error> {
    let (sender, requests) = channel();
    state.persistence.rewriting.set_thread(sender);
    let (quiet_until, rest, interim) = (None, REST_AFTER_FIRST_FAILURE, None);
    let rewriter =
        Rewriter { state: Arc::clone(&state), path, alarms, stop, quiet_until, rest, interim };
    let spawned = thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
        let _present = Present(Arc::clone(&rewriter.state));
        rewriter.run(&requests);
    });
    if spawned.is_err() {
        state.persistence.rewriting.thread_has_ended();
    }
    spawned.map(drop).map_err(|source| Error::Thread { name: THREAD.to_owned(), source })
}

/// Says that the thread has ended, also by a panic.
struct Present(Arc<ServerState>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.persistence.rewriting.thread_has_ended();
    }
}

struct Rewriter {
    state: Arc<ServerState>,
    path: PathBuf,
    alarms: Vec<Arc<Alarm>>,
    stop: Arc<AtomicBool>,
    quiet_until: Option<Instant>,
    /// How long the log is left alone when its first rewrite fails again.
    rest: Duration,
    /// The file that the log is to begin in.
    interim: Option<Interim>,
}

impl Rewriter {
    fn run(mut self, requests: &Receiver<LogRequest>) {
        while !self.is_stopped() {
            match requests.recv_timeout(LOOK_INTERVAL) {
                Ok(LogRequest::Rewrite(number)) => self.rewrite(number),
                Ok(LogRequest::Start(interim, number)) => {
                    self.interim = Some(interim);
                    self.rest = REST_AFTER_FIRST_FAILURE;
                    self.rewrite(number);
                }
                Ok(LogRequest::Reload(wish)) => {
                    let outcome = reloader::reload(&self.state, &self.path, &self.stop);
                    wish.end(outcome);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(number) = self.due() {
                        self.rewrite(number);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        for request in requests.try_iter() {
            if let LogRequest::Start(interim, _) = request {
                self.interim = Some(interim);
            }
        }
        if self.is_incomplete() {
            self.rewrite(self.state.persistence.rewriting.begin_or_go_on());
        }
    }

    fn is_stopped(&self) -> bool {
        // Relaxed: a word to look at now and then.
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the log was turned on and has not come about.
    fn is_incomplete(&self) -> bool {
        self.state.persistence.is_on() && !self.state.persistence.is_whole()
    }

    /// The number of a rewrite that is due although nobody has asked for it.
    fn due(&self) -> Option<u64> {
        let persistence = &self.state.persistence;
        if self.quiet_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let has_grown = persistence.has_grown();
        if !has_grown && !self.is_incomplete() {
            return None;
        }
        let number = persistence.rewriting.begin_unasked()?;
        if has_grown {
            info!("The log has grown: rewriting it");
        }
        Some(number)
    }

    /// Rewrites the log, and begins it before where it was turned on; `None` if it was given up.
    fn bring_about(&mut self, number: u64) -> Result<Option<Rewritten>, aof::Error> {
        let interim = self.interim.take();
        let persistence = &self.state.persistence;
        let is_stopped = || self.is_stopped() && persistence.is_whole();
        let gives_up = || !persistence.rewriting.is_wanted(number) || is_stopped();
        if gives_up() {
            return Ok(None);
        }
        if !persistence.is_begun() {
            let interim = match interim {
                Some(interim) => interim,
                None => Interim::create(&self.path).map_err(aof::Error::Writer)?,
            };
            let (state, path, alarms) = (&self.state, &self.path, &self.alarms);
            let beginning = Beginning { state, path, alarms, gives_up: &gives_up };
            if !log_switch::begin(&beginning, interim)? {
                return Ok(None);
            }
        }
        let Some(handle) = persistence.handle() else {
            return Ok(None);
        };
        aof::rewrite(&self.state.keyspace, handle, &self.path, &gives_up)
    }

    fn rewrite(&mut self, number: u64) {
        let state = Arc::clone(&self.state);
        let ended = End { state: &state, number, is_well: false };
        let started = Instant::now();
        match self.bring_about(number) {
            Ok(Some(Rewritten { keys, bytes })) => {
                let seconds = started.elapsed().as_secs_f64();
                info!("The log is rewritten: {keys} keys, {bytes} bytes, in {seconds:.3} s");
                let mut ended = ended;
                ended.is_well = true;
                self.rest = REST_AFTER_FIRST_FAILURE;
                self.quiet_until = None;
            }
            Ok(None) => info!("Rewriting the log was given up"),
            Err(error) => {
                error!("The log could not be rewritten and goes on as it is: {error}");
                let mut rest = REST_AFTER_FAILURE;
                if self.is_incomplete() {
                    rest = self.rest;
                    self.rest = REST_AFTER_FAILURE.min(2 * rest);
                }
                self.quiet_until = Some(Instant::now() + rest);
            }
        }
    }
}

/// Notes the end of a rewrite, also one by a panic.
struct End<'s> {
    state: &'s ServerState,
    number: u64,
    is_well: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.state.persistence.rewriting.end(self.number, self.is_well);
    }
}
