//! What can go wrong while the server is set up and run, one variant per failure.
//!
//! These errors are for the operator: each shows as one line that names the thing that failed, and
//! keeps the cause of the operating system in `source()`. Errors that a client sees (`ERR ...`,
//! `WRONGTYPE ...`) are not here: the floor that detects them words them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A failure that keeps the server from starting, or ends it.
#[derive(Debug)]
pub enum Error {
    /// A setting has a value that it cannot have.
    Setting {
        /// The setting, as the operator spells it (`--io-threads`).
        name: &'static str,
        /// The value given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host of the listening address has no IP address.
    Resolve {
        /// The address as given.
        address: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// The listening address cannot be had: in use, not ours, or not permitted.
    Listen {
        /// The address tried.
        address: SocketAddr,
        /// Why the operating system refused it.
        source: io::Error,
    },
    /// The Unix socket cannot be had.
    ListenUnix {
        /// Its path.
        path: PathBuf,
        /// Why the operating system refused it.
        source: io::Error,
    },
    /// The settings leave no place to listen at.
    ListensNowhere,
    /// A server that was asked for does not answer.
    Ping {
        /// Its address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The limit of open files leaves no room for even one client.
    OpenFiles {
        /// The limit of the process, in file descriptors.
        limit: u64,
        /// How many of them the server needs for itself.
        reserved: u64,
    },
    /// A thread could not be started.
    Thread {
        /// The name of the thread.
        name: String,
        /// Why the operating system refused it.
        source: io::Error,
    },
    /// The event loop of a thread could not be made (out of descriptors, usually).
    EventLoop {
        /// The name of the thread.
        name: String,
        /// Why the operating system refused it.
        source: io::Error,
    },
    /// The handlers for SIGINT and SIGTERM could not be installed.
    Signals(io::Error),
    /// A worker thread ended while the server was meant to run.
    WorkerDied {
        /// The name of the thread.
        name: String,
    },
    /// The log cannot be had, loaded or written.
    Log(Box<dyn std::error::Error + Send + Sync>),
    /// A second signal came while the server was stopping: it stops at once.
    Interrupted,
}

impl Error {
    /// What is wrong with the log, as a failure of the server.
    pub fn log(source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Log(Box::new(source))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Setting { name, value, reason } => {
                write!(f, "invalid value '{value}' for {name}: {reason}")
            }
            Error::Resolve { address, source } => {
                write!(f, "cannot resolve the address {address}: {source}")
            }
            Error::Listen { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    write!(f, "cannot listen on {address}: address in use")
                }
                _ => write!(f, "cannot listen on {address}: {source}"),
            },
            Error::ListenUnix { path, source } => {
                write!(f, "cannot listen on the Unix socket {}: {source}", path.display())
            }
            Error::ListensNowhere => {
                write!(f, "configured to not listen anywhere: neither bind nor unixsocket is left")
            }
            Error::Ping { address, source } => write!(f, "no answer from {address}: {source}"),
            Error::OpenFiles { limit, reserved } => write!(
                f,
                "the limit of open files is {limit}, the server needs {reserved} for itself and \
                 one per client: raise it with 'ulimit -n'"
            ),
            Error::Thread { name, source } => {
                write!(f, "cannot start the thread {name}: {source}")
            }
            Error::EventLoop { name, source } => {
                write!(f, "cannot make the event loop of {name}: {source}")
            }
            Error::Signals(source) => write!(f, "cannot install signal handlers: {source}"),
            Error::WorkerDied { name } => write!(f, "the thread {name} ended unexpectedly"),
            Error::Log(source) => source.fmt(f),
            Error::Interrupted => write!(f, "stopped at once by a second signal"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Resolve { source, .. }
            | Error::Listen { source, .. }
            | Error::ListenUnix { source, .. }
            | Error::Ping { source, .. }
            | Error::Thread { source, .. }
            | Error::EventLoop { source, .. }
            | Error::Signals(source) => Some(source),
            Error::Log(source) => Some(source.as_ref()),
            Error::Setting { .. }
            | Error::OpenFiles { .. }
            | Error::ListensNowhere
            | Error::WorkerDied { .. }
            | Error::Interrupted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn an_address_in_use_is_said_in_plain_words() {
        let error = Error::Listen {
            address: SocketAddr::from(([127, 0, 0, 1], 6380)),
            source: io::Error::from(io::ErrorKind::AddrInUse),
        };
        assert_eq!(error.to_string(), "cannot listen on 127.0.0.1:6380: address in use");
        assert!(error.source().is_some());
    }

    #[test]
    fn every_error_is_one_line() {
        let error = Error::OpenFiles { limit: 16, reserved: 48 };
        assert!(!error.to_string().contains('\n'));
    }
}
