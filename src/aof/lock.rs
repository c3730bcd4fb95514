//! One server a log.
//!
//! A rewrite replaces the log by renaming a new file onto it, and a lock would stay with the old
//! file. So the lock is on a file beside the log, `FILE.lock`, which is never removed: whoever
//! locks a name that another one has just removed would hold nothing. The operating system frees
//! the lock when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::durable::{private_file, with_suffix};
use super::error::Error;

/// The most bytes read of a lock file: more than any process number.
const PROCESS_MAX_BYTES: u64 = 32;

/// The right to use a log, as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of the log at `path`, at once or not at all.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it, or another `Lock` of this one; [`Error::Io`]
    /// when the lock file cannot be made or locked.
    pub fn take(path: &Path) -> Result<Lock, Error> {
        let lock = with_suffix(path, ".lock");
        let opened = private_file().read(true).write(true).create(true).truncate(false).open(&lock);
        let mut file = opened.map_err(Error::io("open the lock", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = process_of(&file);
                return Err(Error::Locked { path: path.to_owned(), lock, process });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &lock)(source)),
        }
        // Only to name the process in the other one's message, so a full disk is no hindrance.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock { _file: file, path: lock })
    }

    /// The file that is locked.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The process that has written itself into a lock file.
fn process_of(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PROCESS_MAX_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
