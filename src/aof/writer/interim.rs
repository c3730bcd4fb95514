//! The file that a log is written into when it is turned on while the server runs, until a rewrite
//! has put the keys before what it holds and given all that the log's name. It is worth nothing to
//! anybody else: one that a process has left that died is removed at the next start.

use super::error::WriteError;
use super::storage::{FileStorage, Storage};
use crate::aof::durable::{private_file, with_suffix};
use crate::sync::Arc;
use crate::sync::plain::{AtomicU64, Ordering};
use std::io;
use std::path::{Path, PathBuf};

/// What its name has after the log's, before a number.
const SUFFIX: &str = ".starting-";

/// An empty file. Dropped, it is removed.
#[derive(Debug)]
pub struct Interim {
    storage: Option<Arc<FileStorage>>,
    path: PathBuf,
}

impl Interim {
    /// Makes one beside the log of this name.
    ///
    /// # Errors
    /// [`WriteError::Open`].
    pub fn create(log: &Path) -> Result<Interim, WriteError> {
        // The one before may still be in use.
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        // Relaxed: the numbers need only differ.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = with_suffix(log, &format!("{SUFFIX}{number}"));
        let opened = private_file().read(true).write(true).create(true).truncate(true).open(&path);
        let file = opened.map_err(|source| WriteError::Open { path: path.clone(), source })?;
        Ok(Interim { storage: Some(Arc::new(FileStorage::of(file, &path, log))), path })
    }

    /// The file is the writer's from now on.
    pub(super) fn take(mut self) -> Option<(Arc<dyn Storage>, PathBuf)> {
        let storage: Arc<dyn Storage> = self.storage.take()?;
        Some((storage, std::mem::take(&mut self.path)))
    }

    /// Removes those of a log that no process uses.
    pub(in crate::aof) fn remove_left_over(log: &Path) -> io::Result<()> {
        let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else {
            return Ok(());
        };
        let start = with_suffix(Path::new(name), SUFFIX);
        // A folder that cannot be read may well be one that can be written to.
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Ok(());
        };
        for entry in entries {
            let name = entry?.file_name();
            if name.as_encoded_bytes().starts_with(start.as_os_str().as_encoded_bytes()) {
                std::fs::remove_file(folder.join(name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Interim {
    fn drop(&mut self) {
        if let Some(storage) = &self.storage {
            storage.discard();
        }
    }
}
