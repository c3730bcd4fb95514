//! The file as the writer uses it: bytes at a place, and promises of the disk.
//!
//! Writes give their place, so what is written again after a failure lands where it was, whatever
//! the length of the file has become meanwhile.

use crate::sync::Arc;
use crate::sync::plain::{AtomicBool, Ordering};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A place to keep bytes. Used by the flusher and the syncer together.
pub(super) trait Storage: Send + Sync {
    /// Writes some of the bytes at this place; how many.
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize>;

    /// Fills the buffer with the bytes from this place on.
    fn read_at(&self, bytes: &mut [u8], place: u64) -> io::Result<()>;

    /// Returns when everything written before is safe.
    fn sync(&self) -> io::Result<()>;

    /// Cuts off what lies behind.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// The same place, opened anew.
    fn reopen(&self) -> io::Result<Arc<dyn Storage>>;

    /// Appends these bytes of itself to the file at `other`, makes that safe, and gives it its own
    /// name. Returns the new storage and its length. The new name is safe after the next sync.
    fn replace(&self, other: &Path, rest: Range<u64>) -> io::Result<(Arc<dyn Storage>, u64)>;

    /// Takes the file away, if it has not the log's name: nobody is to read it.
    fn discard(&self) {}
}

/// A file with a name.
#[derive(Debug)]
pub(super) struct FileStorage {
    file: File,
    path: PathBuf,
    /// The log's name, which the file that replaces this one is given.
    name: PathBuf,
    /// The file has been given its name since the folder was last synced.
    folder_due: AtomicBool,
}

impl FileStorage {
    /// Opens an existing file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self::of(file, path, path))
    }

    /// A file at `path`, open, of a log that is called `name`.
    pub(super) fn of(file: File, path: &Path, name: &Path) -> Self {
        let (path, name) = (path.to_owned(), name.to_owned());
        Self { file, path, name, folder_due: AtomicBool::new(true) }
    }

    /// The length of the file.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Ok(()),
        };
        File::open(folder)?.sync_all()
    }
}

impl Storage for FileStorage {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        self.file.write_at(bytes, place)
    }

    fn read_at(&self, bytes: &mut [u8], place: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, place)
    }

    fn sync(&self) -> io::Result<()> {
        // Relaxed: one thread syncs at a time, and a sync too many does no harm.
        if self.folder_due.load(Ordering::Relaxed) {
            self.sync_folder()?;
            self.folder_due.store(false, Ordering::Relaxed);
        }
        self.file.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn reopen(&self) -> io::Result<Arc<dyn Storage>> {
        let reopened = Self { name: self.name.clone(), ..Self::open(&self.path)? };
        let (old, new) = (self.file.metadata()?, reopened.file.metadata()?);
        if (old.dev(), old.ino()) != (new.dev(), new.ino()) {
            return Err(io::Error::other("another file has taken its name"));
        }
        Ok(Arc::new(reopened))
    }

    fn replace(&self, other: &Path, rest: Range<u64>) -> io::Result<(Arc<dyn Storage>, u64)> {
        let file = File::options().read(true).write(true).open(other)?;
        let mut length = file.metadata()?.len();
        let mut from = rest.start;
        let mut buffer = vec![0; COPY_BYTES];
        while from < rest.end {
            let count = (rest.end - from).min(buffer.len() as u64) as usize;
            self.read_at(&mut buffer[..count], from)?;
            file.write_all_at(&buffer[..count], length)?;
            (from, length) = (from + count as u64, length + count as u64);
        }
        file.sync_all()?;
        std::fs::rename(other, &self.name)?;
        Ok((Arc::new(Self::of(file, &self.name, &self.name)), length))
    }

    fn discard(&self) {
        if self.path != self.name {
            // What cannot be removed now is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Where a log that is turned off goes.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Storage for Nowhere {
    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn reopen(&self) -> io::Result<Arc<dyn Storage>> {
        Ok(Arc::new(Nowhere))
    }

    fn replace(&self, _: &Path, _: Range<u64>) -> io::Result<(Arc<dyn Storage>, u64)> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// Bytes copied at a time.
pub(super) const COPY_BYTES: usize = 1 << 20;
