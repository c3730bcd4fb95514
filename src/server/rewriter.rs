//! The thread that rewrites the log, when it is asked to (BGREWRITEAOF) or when the log has grown,
//! and that loads it again (DEBUG LOADAOF).

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use log::{error, info};

use super::reloader;
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

const THREAD: &str = "log-rewriter";

/// Starts the thread for the log at `path`; it ends soon after `stop` is set.
///
/// # Errors
/// [`Error::Thread`].
pub(super) fn start(
    state: Arc<ServerState>,
    path: PathBuf,
    stop: Arc<AtomicBool>,
) -> Result<(), Error> {
    let (sender, requests) = channel();
    state.persistence.rewriting.set_thread(sender);
    let rewriter = Rewriter { state, path, stop, quiet_until: None };
    let spawned = thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
        rewriter.run(&requests);
    });
    spawned.map(drop).map_err(|source| Error::Thread { name: THREAD.to_owned(), source })
}

struct Rewriter {
    state: Arc<ServerState>,
    path: PathBuf,
    stop: Arc<AtomicBool>,
    quiet_until: Option<Instant>,
}

impl Rewriter {
    fn run(mut self, requests: &Receiver<LogRequest>) {
        // Relaxed: a word to look at now and then.
        while !self.stop.load(Ordering::Relaxed) {
            match requests.recv_timeout(LOOK_INTERVAL) {
                Ok(LogRequest::Rewrite) => self.rewrite(),
                Ok(LogRequest::Reload(wish)) => {
                    let outcome = reloader::reload(&self.state, &self.path, &self.stop);
                    wish.end(outcome);
                }
                Err(RecvTimeoutError::Timeout) if self.is_due() => {
                    info!("The log has grown: rewriting it");
                    self.rewrite();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn is_due(&self) -> bool {
        let persistence = &self.state.persistence;
        self.quiet_until.is_none_or(|until| Instant::now() >= until)
            && persistence.has_grown()
            && persistence.rewriting.begin_unasked()
    }

    fn rewrite(&mut self) {
        let ended = End { state: &self.state, is_well: false };
        let Some(handle) = self.state.persistence.handle() else {
            return;
        };
        let started = Instant::now();
        match aof::rewrite(&self.state.keyspace, handle, &self.path, &self.stop) {
            Ok(Some(Rewritten { keys, bytes })) => {
                let seconds = started.elapsed().as_secs_f64();
                info!("The log is rewritten: {keys} keys, {bytes} bytes, in {seconds:.3} s");
                let mut ended = ended;
                ended.is_well = true;
                self.quiet_until = None;
            }
            Ok(None) => info!("Rewriting the log was given up"),
            Err(error) => {
                error!("The log could not be rewritten and goes on as it is: {error}");
                self.quiet_until = Some(Instant::now() + REST_AFTER_FAILURE);
            }
        }
    }
}

/// Notes the end of a rewrite, also one by a panic.
struct End<'s> {
    state: &'s ServerState,
    is_well: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.state.persistence.rewriting.end(self.is_well);
    }
}
