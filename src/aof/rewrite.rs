//! The log written anew: every key once, as it is, and the log since then.
//!
//! 1. A snapshot begins at a ticket V (see `store::Snapshot`); the writer says at which place of
//!    the file its mark stands, and which tables there were.
//! 2. All keys as they were at V go into a file beside the log, and are synced.
//! 3. What the log has got since V is copied behind them, as it stands, until little is left.
//! 4. The writer copies the rest, syncs, gives the new file the log's name, and goes on in it
//!    ([`LogHandle::switch`]).
//!
//! At any moment the file of the log's name is whole: the old one up to the renaming, the new one
//! from then on. A log that was turned on a moment ago is in an [`Interim`] file until its first
//! rewrite gives it its name. The file beside it is of no use to anybody else; one that was left by
//! a process that died is removed at the start ([`remove_left_over`]).
//!
//! The work is done in bursts with pauses as long, so that a server with a thread on every core
//! keeps most of its time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::durable::{private_file, with_suffix};
use super::error::Error;
use super::writer::{Dump, Interim, LogHandle, Marked};
use crate::store::{Keyspace, SnapshotKey};
use crate::sync::mpsc::{Receiver, RecvTimeoutError};

/// How long a burst of work lasts, but for its last step.
const BURST: Duration = Duration::from_micros(500);

/// Bytes of commands that are gathered before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// Bytes of the log that may be left for the writer to copy.
const REST_BYTES: u64 = 1 << 20;

/// How often what the log has got meanwhile is copied before the writer copies the rest, however
/// much it is: each time it is what was written while the part before was copied.
const COPIES_MAX: usize = 10;

/// Between two looks whether to give up.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a rewrite has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewritten {
    /// Keys in the new file.
    pub keys: u64,
    /// Its length, in bytes.
    pub bytes: u64,
}

/// The file that a rewrite makes.
fn beside(path: &Path) -> PathBuf {
    with_suffix(path, ".rewrite")
}

/// Removes what a rewrite of a process that died has left.
///
/// # Errors
/// When there is something that cannot be removed.
pub(super) fn remove_left_over(path: &Path) -> Result<(), Error> {
    let rewrite = beside(path);
    match std::fs::remove_file(&rewrite) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove the unfinished rewrite", &rewrite)(error))
        }
        _ => Interim::remove_left_over(path)
            .map_err(Error::io("remove the unfinished beginnings of", path)),
    }
}

/// Rewrites the log that is called `path`, which `handle` writes. One at a time. `None` if it was
/// given up because `gives_up` said so, or because the log was turned off.
///
/// # Errors
/// When the new file cannot be written, or not take the log's place: the log goes on as it was.
pub fn rewrite(
    keyspace: &Keyspace,
    handle: &LogHandle,
    path: &Path,
    gives_up: &dyn Fn() -> bool,
) -> Result<Option<Rewritten>, Error> {
    let beside = beside(path);
    let result = match (Rewrite { keyspace, handle, path, beside: &beside, gives_up }.run()) {
        // What fails because the log was turned off is no failure.
        Err(_) if gives_up() => Ok(None),
        result => result,
    };
    if !matches!(result, Ok(Some(_))) {
        // There may be none, and the next start removes it.
        let _ = std::fs::remove_file(&beside);
    }
    result
}

/// A rewrite under way.
struct Rewrite<'r> {
    keyspace: &'r Keyspace,
    handle: &'r LogHandle,
    path: &'r Path,
    beside: &'r Path,
    gives_up: &'r dyn Fn() -> bool,
}

impl Rewrite<'_> {
    fn run(&self) -> Result<Option<Rewritten>, Error> {
        let created = private_file().write(true).create(true).truncate(true).open(self.beside);
        let mut file = created.map_err(self.failed("create"))?;
        // Whoever may read the log now may read it after the rewrite.
        match std::fs::metadata(self.path) {
            Ok(old) => {
                file.set_permissions(old.permissions()).map_err(self.failed("set the mode of"))?;
            }
            // It was turned on just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("look at", self.path)(error)),
        }
        let Some((keys, marked)) = self.dump(&mut file)? else {
            return Ok(None);
        };
        // Before the copies: a sync of all at once would keep the writer waiting at the end.
        file.sync_all().map_err(self.failed("sync"))?;
        let old = File::open(&marked.file).map_err(Error::io("open", &marked.file))?;
        let Some(copied) = self.copy_since(&mut file, &old, marked.place)? else {
            return Ok(None);
        };
        let switched = self.handle.switch(self.beside, marked.number, copied);
        let bytes = switched.map_err(Error::Writer)?;
        Ok(Some(Rewritten { keys, bytes }))
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> Error {
        Error::io(what, self.beside)
    }

    /// Whether to give up.
    fn is_stopped(&self) -> bool {
        (self.gives_up)()
    }

    /// Writes all keys as they are at one moment; returns how many, and where in the log it is.
    fn dump(&self, file: &mut File) -> Result<Option<(u64, Marked)>, Error> {
        let local = self.keyspace.join();
        let mark = self.handle.expect_mark();
        let Ok(mut snapshot) = self.keyspace.begin_snapshot(&local) else {
            return Ok(None);
        };
        let Some(marked) = self.await_mark(&mark)? else {
            return Ok(None);
        };
        let databases: HashMap<u64, u64> =
            marked.places.iter().map(|(database, table)| (table, database)).collect();
        let mut tables: Vec<u64> = databases.keys().copied().collect();
        tables.sort_unstable_by_key(|table| databases[table]);
        snapshot.set_tables(&tables);

        let (mut dump, mut keys) = (Dump::default(), 0);
        let mut report = |dump: &mut Dump, key: SnapshotKey<'_>| {
            keys += 1;
            let database = databases.get(&key.table).copied().unwrap_or_default();
            dump.add(database, key.key, key.value, key.deadline);
        };
        let mut burst = Instant::now();
        while snapshot.step(&mut |key| report(&mut dump, key)) {
            if dump.bytes() >= WRITE_BYTES {
                dump.write_to(file).map_err(self.failed("write"))?;
            }
            let worked = burst.elapsed();
            if worked >= BURST {
                if self.is_stopped() {
                    return Ok(None);
                }
                std::thread::sleep(worked);
                burst = Instant::now();
            }
        }
        snapshot.finish(&mut |key| report(&mut dump, key));
        dump.write_to(file).map_err(self.failed("write"))?;
        Ok(Some((keys, marked)))
    }

    fn await_mark(&self, mark: &Receiver<Marked>) -> Result<Option<Marked>, Error> {
        loop {
            match mark.recv_timeout(PATIENCE) {
                Ok(marked) => return Ok(Some(marked)),
                Err(RecvTimeoutError::Timeout) if self.is_stopped() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Copies what the log has got since `from`; returns up to where.
    fn copy_since(&self, file: &mut File, old: &File, from: u64) -> Result<Option<u64>, Error> {
        let (mut copied, mut buffer) = (from, vec![0; WRITE_BYTES]);
        for _ in 0..COPIES_MAX {
            let end = self.handle.status().current_bytes;
            while copied < end {
                if self.is_stopped() {
                    return Ok(None);
                }
                let count = (end - copied).min(buffer.len() as u64) as usize;
                let part = &mut buffer[..count];
                old.read_exact_at(part, copied).map_err(Error::io("read", self.path))?;
                file.write_all(part).map_err(self.failed("write"))?;
                copied += count as u64;
            }
            file.sync_all().map_err(self.failed("sync"))?;
            // After a failed write the end may lie before what was copied, for a while.
            if self.handle.status().current_bytes.saturating_sub(copied) < REST_BYTES {
                break;
            }
        }
        Ok(Some(copied))
    }
}
