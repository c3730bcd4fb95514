//! The start of a server that has a log: what the log tells is done again, then its writer starts.
//!
//! Threads of their own do it (module `replay`) while the workers already answer `-LOADING`. A
//! command that is refused ends the start. A torn end is cut off once everything before it is done.
//!
//! When all is loaded the replaying thread starts the writer, tells the workers' alarms to listen
//! to it, and opens the gate for all commands. From that moment keys expire as usual.

use std::path::Path;

use log::{info, warn};
use tokio::sync::oneshot;

use super::replay::{megabytes, replay, spawn};
use super::rewriter;
use super::waits::Alarm;
use crate::aof::writer::{LogHandle, LogOptions, Places};
use crate::aof::{self, End, Lock, Opened, Torn};
use crate::commands::ServerState;
use crate::error::Error;
use crate::sync::Arc;
use crate::sync::plain::AtomicBool;

/// The least slots of the ring: 1 MiB, which stays in a core's second-level cache. Half of it is
/// what a slow disk lets pile up; at a million changes a second it is 8 ms of them, four times what
/// the writer sleeps.
const RING_SLOTS_MIN: usize = 1 << 14;

/// Slots that a worker may take after it has asked for room: a window has 64 commands, of which
/// each takes four at most, and four more if its key was past its deadline. (A command of many keys
/// takes one for them all, and asks again for each that is past its deadline.) Eight times that,
/// since attempts that come to nothing take theirs too.
const WORKER_SLOTS: usize = 8 * 64 * (4 + 4);

const REPLAY_THREAD: &str = "log-replay";

/// How the loading has ended, if not by a failure.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The log is loaded and written on; it stays locked as long as this is kept.
    Ready(Lock),
    /// The loading was stopped.
    Stopped,
}

/// The loading, from outside.
#[derive(Debug)]
pub(super) struct Loader {
    outcome: oneshot::Receiver<Result<Loaded, Error>>,
}

impl Loader {
    /// Starts to load a log. `alarms` are rung whenever the log changes, once it is written. The
    /// loading ends soon after `stop` is set, and so does what rewrites the log later.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub(super) fn start(
        state: Arc<ServerState>,
        opened: Opened,
        alarms: Vec<Arc<Alarm>>,
        stop: Arc<AtomicBool>,
    ) -> Result<Loader, Error> {
        // Before anybody is connected who could ask.
        state.persistence.loading.set_total(opened.reader.size());
        let (done, outcome) = oneshot::channel();
        let body = move || {
            // Nobody listens only when the server has ended first.
            let _ = done.send(load(&state, opened, alarms, &stop));
        };
        spawn(REPLAY_THREAD, body)?;
        Ok(Loader { outcome })
    }

    /// Waits for the end of the loading. May be cancelled while it waits.
    ///
    /// # Errors
    /// What is wrong with the log, or kept its writer from starting.
    pub(super) async fn finish(&mut self) -> Result<Loaded, Error> {
        let died = |_| Err(Error::WorkerDied { name: REPLAY_THREAD.to_owned() });
        (&mut self.outcome).await.unwrap_or_else(died)
    }
}

/// Loads the log, and starts its writer.
fn load(
    state: &Arc<ServerState>,
    opened: Opened,
    alarms: Vec<Arc<Alarm>>,
    stop: &Arc<AtomicBool>,
) -> Result<Loaded, Error> {
    let Opened { path, lock, reader, .. } = opened;
    let size = reader.size();
    if size > 0 {
        info!("Loading the log {} ({:.1} MB)", path.display(), megabytes(size));
    }
    let Some(end) = replay(state, reader, stop)? else {
        return Ok(Loaded::Stopped);
    };
    let length = match end {
        End::Clean => size,
        End::Torn(torn) => cut(&path, torn)?,
    };
    let consumer = state.keyspace.start_log(ring_slots(state.config.workers()));
    let places = places(state);
    let policy = state.config.append_fsync;
    let rewritten_path = path.clone();
    let options = LogOptions { path, length, policy, places };
    let handle = LogHandle::start(options, consumer).map_err(Error::log)?;
    listen(&handle, &alarms);
    rewriter::start(Arc::clone(state), rewritten_path, alarms, Arc::clone(stop))?;
    state.begin_log(handle);
    Ok(Loaded::Ready(lock))
}

/// Has the alarms rung whenever the log changes.
pub(super) fn listen(handle: &LogHandle, alarms: &[Arc<Alarm>]) {
    for alarm in alarms {
        let alarm = Arc::clone(alarm);
        handle.on_progress(Box::new(move || alarm.ring()));
    }
}

/// The size of a ring for so many workers: the half of it that is kept for those who have asked for
/// room (see [`crate::ring`]) holds what all of them may take.
pub(super) fn ring_slots(workers: usize) -> usize {
    (2 * workers * WORKER_SLOTS).next_power_of_two().max(RING_SLOTS_MIN)
}

/// Which database belongs to which place of the keyspace, as it is now.
pub(super) fn places(state: &ServerState) -> Places {
    let local = state.keyspace.join();
    let session = local.pin();
    Places::in_order(state.keyspace.places(&session))
}

/// Cuts a torn end off; returns where the log ends then.
fn cut(path: &Path, torn: Torn) -> Result<u64, Error> {
    let cut = aof::cut(path, torn.offset).map_err(Error::log)?;
    let kept = cut.kept.unwrap_or_default();
    warn!(
        "The log {} ended unfinished: {} bytes after offset {} were cut off and are kept in {}",
        path.display(),
        cut.bytes,
        torn.offset,
        kept.display()
    );
    Ok(torn.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IO_THREADS_MAX;

    #[test]
    fn the_kept_half_of_the_ring_holds_what_all_workers_may_take() {
        assert_eq!(ring_slots(1), RING_SLOTS_MIN);
        for workers in 1..=IO_THREADS_MAX {
            let slots = ring_slots(workers);
            assert!(slots.is_power_of_two() && slots / 2 >= workers * WORKER_SLOTS, "{workers}");
        }
    }
}
