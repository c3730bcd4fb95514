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
pub fn fit_clients(wanted: usize, workers: usize) -> Result<usize, Error> {
    let reserved = reserved(workers);
    let Some(limit) = raise_limit(wanted, reserved) else {
        return Ok(wanted);
    };
    let needed = (wanted as u64).saturating_add(reserved);
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

/// Raises the limit of open files for so many clients, as far as the system allows, and returns how
/// many of them fit.
pub(super) fn fitting_clients(wanted: usize, workers: usize) -> usize {
    let reserved = reserved(workers);
    let fitting = raise_limit(wanted, reserved).map(|limit| limit.saturating_sub(reserved));
    let fitting = fitting.and_then(|fitting| usize::try_from(fitting).ok());
    fitting.map_or(wanted, |fitting| fitting.min(wanted))
}

fn reserved(workers: usize) -> u64 {
    RESERVED + PER_WORKER * workers as u64
}

/// Raises the limit and returns what it is then; nothing where the system does not say.
fn raise_limit(clients: usize, reserved: u64) -> Option<u64> {
    let needed = (clients as u64).saturating_add(reserved);
    let limit = rlimit::increase_nofile_limit(needed);
    limit.inspect_err(|error| warn!("cannot read or raise the limit of open files: {error}")).ok()
}
