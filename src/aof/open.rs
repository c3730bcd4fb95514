//! The start of a server: the log is found, locked, and created where there is none.
//!
//! Nothing is read beyond the first bytes; whoever replays the log meets its end, torn or not, when
//! it gets there, and cuts it with [`cut`].
//!
//! [`cut`]: super::cut

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::durable::{directory_of, private_file, sync_directory_of};
use super::error::Error;
use super::lock::Lock;
use super::manifest::{self, Joined};
use super::reader::{Known, Reader};
use super::rewrite::remove_left_over;

/// A log that is this process's own.
#[derive(Debug)]
pub struct Opened {
    /// The log, with all symbolic links resolved: a rename onto this path replaces the file itself.
    pub path: PathBuf,
    /// To be kept as long as the log is used.
    pub lock: Lock,
    /// At its beginning.
    pub reader: Reader,
    /// Whether the file was not there and has been created.
    pub created: bool,
    /// What has been joined, if the path named a manifest.
    pub joined: Option<Joined>,
}

/// Opens the log at `path` for a server, or joins the parts of the manifest at `path` into a log
/// and opens that.
///
/// # Errors
/// [`Error::Locked`] when another process has it; [`Error::RdbPreamble`], [`Error::IsDirectory`],
/// the errors of manifests, [`Error::Io`]. Corruption shows only while reading, except that of a
/// manifest's parts.
pub fn open(path: &Path, known: Known) -> Result<Opened, Error> {
    let path = resolve(path)?;
    if path.is_dir() {
        return Err(Error::IsDirectory { path });
    }
    let Some(plain) = manifest::plain_path(&path) else {
        let lock = Lock::take(&path)?;
        return open_locked(path, lock, None, known);
    };
    let lock = Lock::take(&plain)?;
    let joined = manifest::join(&path, &plain, known)?;
    open_locked(plain, lock, Some(joined), known)
}

/// Makes the log of this name this process's own, to be written anew: nothing of what it may hold
/// is looked at. For a manifest it is the plain log that its parts would be joined into. Returns
/// its name, with all symbolic links resolved.
///
/// # Errors
/// As [`open`], but nothing of what the log holds.
pub fn claim(path: &Path) -> Result<(PathBuf, Lock), Error> {
    let path = resolve(path)?;
    let path = manifest::plain_path(&path).unwrap_or(path);
    if path.is_dir() {
        return Err(Error::IsDirectory { path });
    }
    let lock = Lock::take(&path)?;
    remove_left_over(&path)?;
    Ok((path, lock))
}

fn open_locked(
    path: PathBuf,
    lock: Lock,
    joined: Option<Joined>,
    known: Known,
) -> Result<Opened, Error> {
    remove_left_over(&path)?;
    let created = match private_file().append(true).create_new(true).open(&path) {
        Ok(_) => {
            sync_directory_of(&path)?;
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // What cannot be written to is better known now than at the first write.
            File::options().append(true).open(&path).map_err(Error::io("open", &path))?;
            false
        }
        Err(source) => return Err(Error::io("create", &path)(source)),
    };
    let reader = Reader::open(&path, known)?;
    Ok(Opened { path, lock, reader, created, joined })
}

/// The path without symbolic links, also when the file is not there yet.
fn resolve(path: &Path) -> Result<PathBuf, Error> {
    if let Ok(resolved) = path.canonicalize() {
        return Ok(resolved);
    }
    let directory = directory_of(path);
    let resolved = directory.canonicalize().map_err(Error::io("find the directory of", path))?;
    Ok(resolved.join(path.file_name().unwrap_or(OsStr::new(""))))
}
