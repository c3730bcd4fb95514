//! Files and their directories: names, modes, and how changes to directories last.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::Error;

/// The directory of a file.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Waits until the names in the directory of `path` are on the disk.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), Error> {
    let directory = directory_of(path);
    let synced = File::open(directory).and_then(|opened| opened.sync_all());
    synced.map_err(Error::io("sync the directory", directory))
}

/// The path with something after its last letter.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Ways to open a file that is made where there is none: with a mode that lets its owner alone read
/// it, for it holds the data. (Redis leaves that to the process's umask.)
pub(super) fn private_file() -> OpenOptions {
    let mut options = File::options();
    options.mode(0o600);
    options
}
