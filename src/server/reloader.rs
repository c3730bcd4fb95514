//! Loads the log again while the server runs (DEBUG LOADAOF): beside the data, so that these stay
//! when the log turns out to be damaged. For that time there are two of everything.

use std::path::Path;
use std::time::Duration;

use log::{error, info};

use super::replay::replay;
use crate::aof::{End, Reader};
use crate::commands::{self, ServerState};
use crate::sync::Arc;
use crate::sync::mpsc::RecvTimeoutError;
use crate::sync::plain::{AtomicBool, Ordering};

/// Between two looks whether to give up.
const PATIENCE: Duration = Duration::from_millis(100);

/// Redis's words for it.
const FAILED: &str = "ERR Error trying to load the AOF files, check server logs.";

/// Puts what the log at `path` tells in the place of the data. Nobody else uses the data, and
/// nobody rewrites the log.
///
/// # Errors
/// The reply for the client, when the data is as it was: the log cannot be written or read, or
/// `stop` was set. What is wrong is in the server's log.
pub(super) fn reload(
    state: &Arc<ServerState>,
    path: &Path,
    stop: &AtomicBool,
) -> Result<(), String> {
    match load(state, path, stop) {
        Ok(()) => {
            info!("Append Only File loaded by DEBUG LOADAOF");
            Ok(())
        }
        Err(reason) => {
            error!("The log is not loaded again, and the data is as it was: {reason}");
            Err(FAILED.to_owned())
        }
    }
}

fn load(state: &Arc<ServerState>, path: &Path, stop: &AtomicBool) -> Result<(), String> {
    let length = await_log(state, stop)?;
    let reader = Reader::open(path, commands::is_logged).map_err(|error| error.to_string())?;
    if reader.size() != length {
        return Err(format!("the file has {} bytes instead of {length}", reader.size()));
    }
    let beside = Arc::new(state.beside());
    match replay(&beside, reader, stop).map_err(|error| error.to_string())? {
        Some(End::Clean) => {}
        Some(End::Torn(torn)) => return Err(format!("it is torn at byte {}", torn.offset)),
        None => return Err(STOPPING.to_owned()),
    }
    // The threads of the replay have ended, or are about to and know nothing of it.
    let beside = Arc::into_inner(beside).ok_or("the replay has not ended")?;
    let local = state.keyspace.join();
    let gives_up = || is_stopped(stop) || state.persistence.is_refusing();
    state.keyspace.adopt(&local, beside.keyspace, gives_up).map_err(|_| "the log takes nothing")?;
    Ok(())
}

const STOPPING: &str = "the server is about to stop";

/// Waits until the log's file holds everything; returns its length then.
fn await_log(state: &ServerState, stop: &AtomicBool) -> Result<u64, String> {
    let handle = state.persistence.handle().ok_or("there is none")?;
    let mark = handle.expect_mark();
    state.keyspace.mark_log();
    loop {
        match mark.recv_timeout(PATIENCE) {
            Ok(marked) => return Ok(marked.place),
            Err(RecvTimeoutError::Disconnected) => return Err("it has ended".to_owned()),
            Err(RecvTimeoutError::Timeout) if is_stopped(stop) => return Err(STOPPING.to_owned()),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(text) = state.persistence.refusal() {
                    return Err(text.to_string());
                }
            }
        }
    }
}

fn is_stopped(stop: &AtomicBool) -> bool {
    // Relaxed: a word to look at now and then.
    stop.load(Ordering::Relaxed)
}
