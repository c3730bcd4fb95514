//! The limit of open files, which bounds how many clients can connect.

use log::{info, warn};

use crate::error::Error;

/// Descriptors beyond the clients': listener, event loops (three each), signals, standard streams,
/// the log, and what libraries open for a moment. Redis sets 32 aside; each worker adds its own.
const RESERVED: u64 = 32;

/// Descriptors of one worker's event loop: epoll instance, wake-up, and its copy.
const PER_WORKER: u64 = 4;

/// Raises the limit of open files so that `wanted` clients fit, as far as the system allows, and
/// returns how many do. Says so in the log when that is fewer.
///
/// # Errors
/// [`Error::OpenFiles`] when not even one client fits.
pub(super) fn fit_clients(wanted: usize, workers: usize) -> Result<usize, Error> {
    let reserved = RESERVED + PER_WORKER * workers as u64;
    let needed = (wanted as u64).saturating_add(reserved);
    let limit = match rlimit::increase_nofile_limit(needed) {
        Ok(limit) => limit,
        Err(error) => {
            warn!("cannot read or raise the limit of open files: {error}");
            return Ok(wanted);
        }
    };
    if limit >= needed {
        return Ok(wanted);
    }
    let fitting = limit.saturating_sub(reserved);
    if fitting == 0 {
        return Err(Error::OpenFiles { limit, reserved });
    }
    warn!(
        "maxclients reduced from {wanted} to {fitting}: the system allows {limit} open files and \
         the server needs {reserved} for itself"
    );
    info!("'ulimit -n {needed}' before the start makes room for {wanted} clients");
    Ok(usize::try_from(fitting).unwrap_or(wanted))
}
