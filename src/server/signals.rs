//! The signals that end the server.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// SIGXFSZ: a file has reached the size that the process may write. The same number on all systems
/// we know but MIPS.
const FILE_TOO_LARGE: SignalKind = SignalKind::from_raw(25);

/// SIGINT and SIGTERM, as they come in. SIGHUP is taken and ignored, as Redis does: closing the
/// terminal does not end the server. So is SIGXFSZ: the write fails instead, and the log knows what
/// to do then.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    _hang_up: Signal,
    _file_too_large: Signal,
}

impl Signals {
    /// Installs the handlers. Must be called within a runtime.
    ///
    /// # Errors
    /// [`Error::Signals`] when the system refuses them.
    pub(super) fn new() -> Result<Signals, Error> {
        let install = || -> io::Result<Signals> {
            Ok(Signals {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                _hang_up: signal(SignalKind::hangup())?,
                _file_too_large: signal(FILE_TOO_LARGE)?,
            })
        };
        install().map_err(Error::Signals)
    }

    /// Waits for the next signal to stop and returns its name.
    pub(super) async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
