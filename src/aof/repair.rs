//! Cuts a torn end off and keeps it.
//!
//! The bytes are copied beside the log and are on the disk before the log becomes shorter, so a
//! crash in between costs nothing: the next start cuts again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::durable::{private_file, sync_directory_of, with_suffix};
use super::error::Error;

/// Names tried for the copy. One is enough unless the same log is cut twice within a second.
const NAMES_MAX: usize = 100;

/// What [`cut`] has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file that holds what was cut off; `None` when there was nothing to cut.
    pub kept: Option<PathBuf>,
    /// How many bytes it was.
    pub bytes: u64,
}

/// Cuts the file at `offset`. What follows is kept in `FILE.torn-<unix seconds>`. The caller has
/// the [`Lock`] of the log. All of it is on the disk when this returns.
///
/// [`Lock`]: super::Lock
///
/// # Errors
/// [`Error::CutBeyondEnd`]; [`Error::Io`], after which the log is as it was, or cut.
pub fn cut(path: &Path, offset: u64) -> Result<Cut, Error> {
    let opened = File::options().read(true).write(true).open(path);
    let mut log = opened.map_err(Error::io("open", path))?;
    let size = log.metadata().map_err(Error::io("examine", path))?.len();
    if offset >= size {
        return match offset == size {
            true => Ok(Cut { kept: None, bytes: 0 }),
            false => Err(Error::CutBeyondEnd { path: path.to_owned(), offset, size }),
        };
    }
    let bytes = size - offset;
    let (mut copy, kept) = new_copy(path)?;
    log.seek(SeekFrom::Start(offset)).map_err(Error::io("read", path))?;
    let copied = io::copy(&mut (&mut log).take(bytes), &mut copy).and_then(|copied| {
        copy.sync_all()?;
        match copied == bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    });
    if let Err(source) = copied {
        // On a full disk the room is needed; the error to report is the first one.
        let _ = std::fs::remove_file(&kept);
        return Err(Error::io("copy the torn end to", &kept)(source));
    }
    sync_directory_of(path)?;
    log.set_len(offset).and_then(|()| log.sync_all()).map_err(Error::io("cut", path))?;
    Ok(Cut { kept: Some(kept), bytes })
}

/// A new file for the copy, and its name.
fn new_copy(path: &Path) -> Result<(File, PathBuf), Error> {
    // A clock before 1970 is no reason not to start.
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut attempt = 0;
    loop {
        let kept = match attempt {
            0 => with_suffix(path, &format!(".torn-{seconds}")),
            _ => with_suffix(path, &format!(".torn-{seconds}-{attempt}")),
        };
        match private_file().write(true).create_new(true).open(&kept) {
            Ok(copy) => return Ok((copy, kept)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < NAMES_MAX => {
                attempt += 1;
            }
            Err(source) => return Err(Error::io("create", &kept)(source)),
        }
    }
}
