//! Output on its way into the storage, and what has become of it.
//!
//! Three places in the file, each at the end of a command or on the way there:
//!
//! * `synced`: everything before is safe;
//! * `written`: everything before has been given to the operating system;
//! * the end of the output.
//!
//! # A write that fails
//! The file is cut back to the last whole command, so that it stays one that can be read; the rest
//! of the output waits, and the next [`Medium::write`] goes on from there.
//!
//! # A sync that fails
//! The operating system may have dropped the pages that it could not write, and may call the next
//! sync a success all the same. So nothing after `synced` can be relied on any more, although it
//! can still be read. The output since then is in memory; [`Medium::recover`] opens the file anew,
//! cuts it back to `synced`, writes everything again and syncs. Until this has succeeded nothing
//! counts as written.
//!
//! Under the policy that never syncs the output is not kept once it is written. Should a sync fail
//! all the same (the last one, or when the policy changes), those bytes are read back from the
//! file: the operating system still has them in memory as a rule, and that policy promises no more.

use super::pending::Output;
use super::storage::{COPY_BYTES, Storage};
use crate::sync::Arc;
use std::io;
use std::ops::Range;
use std::path::Path;

pub(super) struct Medium {
    storage: Arc<dyn Storage>,
    output: Output,
    written: u64,
    /// The last end of a command that `written` has reached.
    whole: u64,
    synced: u64,
    /// A sync has failed and nothing was synced since.
    is_suspect: bool,
    /// Output stays in memory until it is synced, not only until it is written.
    keeps_unsynced: bool,
}

impl Medium {
    /// A storage whose `length` bytes are safe and end with a whole command.
    pub(super) fn new(storage: Arc<dyn Storage>, length: u64, keeps_unsynced: bool) -> Self {
        let output = Output::new(length);
        let (written, whole, synced) = (length, length, length);
        Self { storage, output, written, whole, synced, is_suspect: false, keeps_unsynced }
    }

    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    #[inline]
    pub(super) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that are not yet written.
    #[inline]
    pub(super) fn unwritten(&self) -> u64 {
        self.output.end() - self.written
    }

    /// Bytes that are not yet safe.
    #[inline]
    pub(super) fn unsynced(&self) -> u64 {
        self.output.end() - self.synced
    }

    /// Bytes in memory.
    pub(super) fn kept(&self) -> u64 {
        self.output.end() - self.output.start()
    }

    /// Whether output stays in memory until it is synced.
    pub(super) fn set_keeps_unsynced(&mut self, keeps_unsynced: bool) {
        self.keeps_unsynced = keeps_unsynced;
        self.forget();
    }

    /// Writes all output.
    pub(super) fn write(&mut self) -> io::Result<()> {
        debug_assert!(!self.is_suspect);
        loop {
            let (bytes, ends_command) = self.output.from(self.written);
            if bytes.is_empty() {
                break;
            }
            match self.storage.write_at(bytes, self.written) {
                Ok(0) => {
                    self.cut_back();
                    return Err(io::Error::from(io::ErrorKind::WriteZero));
                }
                Ok(count) => {
                    let is_all = count == bytes.len();
                    self.written += count as u64;
                    if is_all && ends_command {
                        self.whole = self.written;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.cut_back();
                    return Err(error);
                }
            }
        }
        self.forget();
        Ok(())
    }

    /// Drops the beginning of a command that could not be written whole.
    fn cut_back(&mut self) {
        // Should this fail too, the next write goes on in the middle of the command.
        if self.storage.truncate(self.whole).is_ok() {
            self.written = self.whole;
        }
    }

    /// Makes everything written safe, on this thread.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let place = self.written;
        let result = self.storage.sync();
        self.sync_has_ended(place, result)
    }

    /// A sync, begun when everything before `place` was written, has ended.
    pub(super) fn sync_has_ended(&mut self, place: u64, result: io::Result<()>) -> io::Result<()> {
        match &result {
            Ok(()) => self.synced = self.synced.max(place),
            Err(_) => self.is_suspect = true,
        }
        self.forget();
        result
    }

    /// Tries again what has failed.
    pub(super) fn recover(&mut self) -> io::Result<()> {
        if self.is_suspect {
            if let Ok(storage) = self.storage.reopen() {
                self.storage = storage;
            }
            let start = self.output.start();
            self.write_back(self.synced..start)?;
            let place = self.synced.max(start);
            self.storage.truncate(place)?;
            (self.written, self.whole) = (place, place);
            self.is_suspect = false;
            let result = self.write().and_then(|()| self.sync());
            self.is_suspect = result.is_err();
            return result;
        }
        self.write()
    }

    /// Writes what the file holds here once more.
    fn write_back(&self, range: Range<u64>) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut place = range.start;
        while place < range.end {
            buffer.resize((range.end - place).min(COPY_BYTES as u64) as usize, 0);
            self.storage.read_at(&mut buffer, place)?;
            let mut written = 0;
            while written < buffer.len() {
                match self.storage.write_at(&buffer[written..], place + written as u64) {
                    Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            place += written as u64;
        }
        Ok(())
    }

    /// Goes on in another file, which has the contents of this one up to `written` in another form,
    /// see [`Storage::replace`]; `copied` says up to where. Returns the storage until now.
    pub(super) fn switch(&mut self, other: &Path, copied: u64) -> io::Result<Arc<dyn Storage>> {
        debug_assert!(!self.is_suspect && self.unwritten() == 0);
        let (storage, length) = self.storage.replace(other, copied..self.written)?;
        self.output.forget(self.written);
        self.output.restart(length);
        (self.written, self.whole, self.synced) = (length, length, length);
        Ok(std::mem::replace(&mut self.storage, storage))
    }

    fn forget(&mut self) {
        let place = if self.keeps_unsynced { self.synced } else { self.whole };
        // Also what is synced may be cut off again, with the command it is a part of.
        self.output.forget(place.min(self.whole));
    }
}
