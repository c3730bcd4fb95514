//! CONFIG SET appendonly: the log turned on and off while the server runs.
//!
//! *On*: what may fail for a reason that the operator can mend is done at once, so that CONFIG SET
//! fails: the folder is made, the lock is taken, an interim file is created beside the log. The
//! rest is for the thread that rewrites the log: it has all clients out for a moment, so that
//! nobody changes a key, begins to log changes into the interim file ([`begin`]), and rewrites the
//! log at once. The file that comes of it gets the log's name; until then nothing of that name is
//! touched.
//!
//! *Off*: nobody waits for it. The writer brings to the disk what it has and forgets what comes.
//!
//! The lock is kept when the log is off: its file is still ours to write when it is on again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use log::info;

use super::loading::{listen, places, ring_slots};
use super::rewriter;
use super::waits::Alarm;
use crate::aof::writer::{Interim, LogHandle, WriteError};
use crate::aof::{self, Lock};
use crate::commands::ServerState;
use crate::sync::plain::AtomicBool;
use crate::sync::{Arc, Mutex, PoisonError};

/// Between two looks whether the clients are out, or the writer has come to rest.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);

/// What turns the log on and off.
struct Switch {
    state: Arc<ServerState>,
    alarms: Vec<Arc<Alarm>>,
    stop: Arc<AtomicBool>,
    /// The log that is this process's own. A lock for CONFIG SET, which has one of its own besides.
    own: Mutex<Option<Own>>,
}

/// A log that this process may write.
#[derive(Clone)]
struct Own {
    path: PathBuf,
    /// Kept to the end of the process; that of a log that was there at the start is kept elsewhere.
    _lock: Option<Arc<Lock>>,
}

/// Lets CONFIG SET turn the log on and off. `path` is that of the log which the server starts with.
pub(super) fn install(
    state: &Arc<ServerState>,
    path: Option<PathBuf>,
    alarms: Vec<Arc<Alarm>>,
    stop: Arc<AtomicBool>,
) {
    let own = Mutex::new(path.map(|path| Own { path, _lock: None }));
    // The state has a share in itself by this, and lives as long as the process anyway.
    let switch = Switch { state: Arc::clone(state), alarms, stop, own };
    state.persistence.set_switch(Box::new(move |on| if on { switch.on() } else { switch.off() }));
}

impl Switch {
    fn off(&self) -> Result<(), String> {
        info!("The log is turned off");
        self.state.end_log();
        Ok(())
    }

    fn on(&self) -> Result<(), String> {
        let persistence = &self.state.persistence;
        let path = self.own()?;
        let interim = Interim::create(&path).map_err(|error| error.to_string())?;
        if !persistence.rewriting.has_thread() {
            let (state, alarms) = (Arc::clone(&self.state), self.alarms.clone());
            let started = rewriter::start(state, path.clone(), alarms, Arc::clone(&self.stop));
            started.map_err(|error| error.to_string())?;
        }
        // Before the thread looks.
        persistence.set_on(true);
        if !persistence.rewriting.ask_start(interim) {
            persistence.set_on(false);
            return Err("the server is about to stop".to_owned());
        }
        info!("The log {} is turned on", path.display());
        Ok(())
    }

    /// The path of the log, which is this process's own from now on.
    fn own(&self) -> Result<PathBuf, String> {
        // A panic leaves a log behind that is ours, or none.
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &*own {
            return Ok(own.path.clone());
        }
        let config = &self.state.config;
        let path = config.new_log_path();
        if config.aof_path.is_none()
            && let Some(folder) = path.parent()
        {
            let failed =
                |error| format!("cannot create the folder '{}': {error}", folder.display());
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let (path, lock) = aof::claim(&path).map_err(|error| error.to_string())?;
        *own = Some(Own { path: path.clone(), _lock: Some(Arc::new(lock)) });
        Ok(path)
    }
}

/// What it takes to begin the log.
pub(super) struct Beginning<'b> {
    pub(super) state: &'b ServerState,
    /// The name of the log.
    pub(super) path: &'b Path,
    /// Rung whenever the log changes.
    pub(super) alarms: &'b [Arc<Alarm>],
    pub(super) gives_up: &'b dyn Fn() -> bool,
}

/// Has changes logged into the interim file from one moment on; false if it was given up.
///
/// # Errors
/// When a thread cannot be started, or the writer has ended.
pub(super) fn begin(beginning: &Beginning<'_>, interim: Interim) -> Result<bool, aof::Error> {
    let Beginning { state, path, alarms, gives_up } = *beginning;
    if let Some(handle) = state.persistence.handle() {
        // It may still be bringing to the disk what it had: nobody is to wait outside for that.
        let rests = handle.lie_down();
        while rests.recv_timeout(LOOK_INTERVAL).is_err() {
            if gives_up() {
                return Ok(false);
            }
        }
    }
    let local = state.keyspace.join();
    let exclusion = state.keyspace.exclusion();
    let number = state.next_client_id();
    let mut ownership = loop {
        match exclusion.try_take(number) {
            Some(ownership) => break ownership,
            None if gives_up() => return Ok(false),
            None => std::thread::sleep(LOOK_INTERVAL),
        }
    };
    // Nobody has us wait for longer than a command takes, so this ends.
    while !ownership.try_be_alone(local.member()) {
        std::thread::sleep(LOOK_INTERVAL);
    }
    // From here on no CONFIG SET runs either. The last one may have turned the log off.
    if gives_up() {
        return Ok(false);
    }
    let policy = state.persistence.append_fsync();
    match state.persistence.handle() {
        Some(handle) => {
            handle.begin(interim, policy).map_err(aof::Error::Writer)?;
            state.begin_log_again();
        }
        None => {
            let (ready, consumer) = state.keyspace.prepare_log(ring_slots(state.config.workers()));
            let handle = LogHandle::start_off(path.to_owned(), places(state), consumer)
                .map_err(aof::Error::Writer)?;
            handle.begin(interim, policy).map_err(aof::Error::Writer)?;
            listen(&handle, alarms);
            state.keyspace.begin_log(ready);
            state.begin_log(handle);
        }
    }
    drop(ownership);
    Ok(true)
}

/// Waits for the first rewrite of a log that was turned on. No worker is left to change anything.
///
/// # Errors
/// [`WriteError::Incomplete`], when it has failed for good.
pub(super) fn await_whole(state: &ServerState) -> Result<(), WriteError> {
    let persistence = &state.persistence;
    let is_awaited =
        || persistence.is_on() && !persistence.is_whole() && persistence.rewriting.has_thread();
    if is_awaited() {
        info!("Writing the log that was turned on");
    }
    while is_awaited() {
        std::thread::sleep(LOOK_INTERVAL);
    }
    match persistence.is_on() && !persistence.is_whole() && !persistence.is_loading() {
        true => Err(WriteError::Incomplete),
        false => Ok(()),
    }
}
