//! What can go wrong with the writer, for those who start it, stop it or switch its file.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A failure of the writer that somebody waits for the end of.
#[derive(Debug)]
pub enum WriteError {
    /// The file cannot be opened for writing, or not be synced.
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file has another length than the one up to which it was read.
    Length {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// The length expected.
        expected: u64,
    },
    /// A thread could not be started.
    Thread(io::Error),
    /// Writing or syncing has failed, and so has trying again.
    Disk {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A rewritten file could not take the place of the log.
    Switch {
        /// The rewritten file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The log was turned on, and no rewrite has succeeded since.
    Incomplete,
    /// The writer has stopped.
    Stopped,
    /// The disk has not answered in time.
    TooSlow,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Open { path, source } => {
                write!(f, "cannot open the log {} for writing: {source}", path.display())
            }
            WriteError::Length { path, length, expected } => write!(
                f,
                "the log {} has {length} bytes and had {expected} when it was read: another \
                 program writes to it",
                path.display()
            ),
            WriteError::Thread(source) => {
                write!(f, "cannot start a thread of the log: {source}")
            }
            WriteError::Disk { path, source } => {
                write!(f, "cannot write the log {}: {source}", path.display())
            }
            WriteError::Switch { path, source } => {
                write!(f, "cannot put {} in the place of the log: {source}", path.display())
            }
            WriteError::Incomplete => write!(
                f,
                "the log that was turned on could not be written: what was there before is as it \
                 was, and the data is lost"
            ),
            WriteError::Stopped => write!(f, "the writer of the log has stopped"),
            WriteError::TooSlow => write!(f, "the disk of the log does not answer in time"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WriteError::Open { source, .. }
            | WriteError::Thread(source)
            | WriteError::Disk { source, .. }
            | WriteError::Switch { source, .. } => Some(source),
            WriteError::Length { .. }
            | WriteError::Incomplete
            | WriteError::Stopped
            | WriteError::TooSlow => None,
        }
    }
}

/// The operating system's words for an error, without its number: what clients get to see.
pub(super) fn plain_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_a_full_disk_are_those_of_redis() {
        let full = io::Error::from_raw_os_error(28);
        assert_eq!(plain_text(&full), "No space left on device");
        assert_eq!(plain_text(&io::Error::other("x")), "x");
    }

    #[test]
    fn every_error_is_one_line() {
        let path = PathBuf::from("log.aof");
        let error = WriteError::Length { path, length: 1, expected: 2 };
        assert!(!error.to_string().contains('\n'));
    }
}
