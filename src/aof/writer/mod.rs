//! The writer of the log: out of the ring, onto the disk.
//!
//! * `flusher` is the one thread that takes entries out, in the order of their tickets, and writes.
//! * `translate` makes commands of them; `pending` holds these until nobody may need them again.
//! * `medium` knows what is written and what is safe, and what to do when either fails.
//! * [`Dump`] writes keys as they are, for a log that is written anew.
//! * `storage` is the file, an [`Interim`] one until all is in it. `syncer` is a thread that syncs
//!   it while the flusher goes on.
//! * [`LogHandle`] is what all others see.
//!
//! # What a policy survives
//! * [`AppendFsync::Always`]: every round of writing is followed by a sync; what comes meanwhile is
//!   in the next round. A ticket below [`LogHandle::durable`] survives the loss of power; replies
//!   are to wait for it ([`LogHandle::is_settled`]).
//! * [`AppendFsync::EverySecond`]: a sync each second, beside the writing. The end of the process
//!   loses the changes of some milliseconds, the loss of power those of a second, or of three when
//!   the disk is slow; slower than that, the writing stops, the ring fills, and those who change
//!   keys wait.
//! * [`AppendFsync::No`]: the operating system decides.
//!
//! # When the disk fails
//! [`LogHandle::refusal`] has the answer to every command that would change something, until
//! writing, and under the first two policies syncing, works again. What was in the ring stays in
//! memory and is written then, so nothing that was acknowledged is lost while the process lives.
//! `durable` does not move meanwhile.
//!
//! # Off and on
//! A log that is turned off ([`LogHandle::lie_down`]) goes on taking entries out of the ring, which
//! everybody fills as before, and keeps nothing of them but which table belongs to which database.
//! Turned on again it knows only what comes from then on, so that goes into a file beside, until a
//! rewrite has put the keys before it: only then is there a file of the log's name to be read.

mod dump;
mod error;
mod failure;
mod flusher;
mod interim;
mod medium;
mod pending;
mod shared;
mod storage;
mod syncer;
#[cfg(test)]
mod tests;
mod translate;

pub use dump::Dump;
pub use error::WriteError;
pub use interim::Interim;
pub use shared::Marked;
pub use translate::Places;

use crate::config::AppendFsync;
use crate::ring::Consumer;
use crate::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use crate::sync::{Arc, Mutex, PoisonError};
use flusher::Flusher;
use shared::{Change, Request, Shared};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;
use storage::{FileStorage, Nowhere, Storage};

/// What the writer begins with.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The file, which exists.
    pub path: PathBuf,
    /// Its length in bytes, the end of its last whole command.
    pub length: u64,
    /// When to sync.
    pub policy: AppendFsync,
    /// Which database belongs to which place, as replay has left them.
    pub places: Places,
}

/// Figures of the log.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct LogStatus {
    /// Length of the file (`aof_current_size`).
    pub current_bytes: u64,
    /// Its length at the start or after the last rewrite (`aof_base_size`).
    pub base_bytes: u64,
    /// Bytes taken out of the ring and not yet written (`aof_buffer_length`).
    pub buffered_bytes: u64,
    /// Bytes not yet synced, written or not.
    pub unsynced_bytes: u64,
    /// Whether a sync is under way on its own thread, or due (`aof_pending_bio_fsync`).
    pub sync_is_pending: bool,
    /// How often the writing has waited for a sync of more than two seconds (`aof_delayed_fsync`).
    pub delayed_syncs: u64,
    /// Whether writing works (`aof_last_write_status`).
    pub is_writing: bool,
    /// How often the flusher has looked for work.
    pub turns: u64,
}

/// The longest of some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Longest {
    /// A write to the file.
    pub write: Duration,
    /// A sync that replies wait for (`always`).
    pub sync_before_replies: Duration,
}

/// The log, as everybody but its threads sees it.
pub struct LogHandle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LogHandle {
    /// Opens the file, makes safe what it holds, and starts the threads.
    ///
    /// # Errors
    /// When the file cannot be opened or synced, or has not the length expected; when a thread
    /// cannot be started.
    pub fn start(options: LogOptions, consumer: Consumer) -> Result<Arc<LogHandle>, WriteError> {
        let path = &options.path;
        let open = |source| WriteError::Open { path: path.clone(), source };
        let storage = FileStorage::open(path).map_err(open)?;
        let (length, expected) = (storage.length().map_err(open)?, options.length);
        if length != expected {
            return Err(WriteError::Length { path: path.clone(), length, expected });
        }
        // A process that was killed may have left writes that are not synced.
        storage.sync().map_err(open)?;
        Self::start_on(Arc::new(storage), options, consumer)
    }

    /// Starts the threads for a log of this name that is turned off: see
    /// [`lie_down`](LogHandle::lie_down). Nobody changes keys meanwhile.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start_off(
        path: PathBuf,
        places: Places,
        consumer: Consumer,
    ) -> Result<Arc<LogHandle>, WriteError> {
        let options = LogOptions { path, length: 0, policy: AppendFsync::No, places };
        let handle = Self::start_on(Arc::new(Nowhere), options, consumer)?;
        handle.lie_down().recv().map_err(|_| WriteError::Stopped)?;
        Ok(handle)
    }

    fn start_on(
        storage: Arc<dyn Storage>,
        options: LogOptions,
        consumer: Consumer,
    ) -> Result<Arc<LogHandle>, WriteError> {
        let (sender, inbox) = channel();
        let ring = consumer.ring().clone();
        let (policy, length) = (options.policy, options.length);
        let shared = Shared::new(ring, sender, policy, consumer.position(), length);
        let shared = Arc::new(shared);
        let flusher = Flusher::new(shared.clone(), storage, options, consumer, inbox)?;
        let thread = std::thread::Builder::new()
            .name("ferrum-aof".to_owned())
            .spawn(move || flusher.run())
            .map_err(WriteError::Thread)?;
        Ok(Arc::new(LogHandle { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// The ticket below which everything is synced. Moves with every sync, whatever the policy;
    /// under [`AppendFsync::No`] it stands still.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.shared.durable()
    }

    /// Whether a reply may leave that tells of changes with tickets below `end`.
    #[inline]
    pub fn is_settled(&self, end: u64) -> bool {
        self.policy() != AppendFsync::Always || end <= self.durable()
    }

    /// The policy in force.
    #[inline]
    pub fn policy(&self) -> AppendFsync {
        self.shared.policy()
    }

    /// Changes the policy. Whoever asks [`is_settled`](LogHandle::is_settled) from now on gets the
    /// answer of the new one.
    pub fn set_policy(&self, policy: AppendFsync) {
        self.shared.set_policy(policy);
        self.shared.tell(Request::PolicyChanged);
    }

    /// The error for commands that would change something, while the disk fails: the text of the
    /// reply, `MISCONF ...`.
    #[inline]
    pub fn refusal(&self) -> Option<Arc<str>> {
        self.shared.refusal()
    }

    /// Has `listener` called, by a thread of the log, whenever `durable` has moved, refusing has
    /// begun or ended, or the policy has changed. It must not block, panic, or call this method.
    pub fn on_progress(&self, listener: Box<dyn Fn() + Send + Sync>) {
        self.shared.add_listener(listener);
    }

    /// The figures of the moment.
    pub fn status(&self) -> LogStatus {
        self.shared.status()
    }

    /// How long writing and syncing took at most since the last call.
    pub fn take_longest(&self) -> Longest {
        self.shared.take_longest()
    }

    /// The place of the next [`Mark`](crate::store::Logged::Mark) that enters the ring, once
    /// everything before it is written. To be called before the mark enters; all who have called
    /// are told of it.
    pub fn expect_mark(&self) -> Receiver<Marked> {
        let (sender, receiver) = channel();
        // One that entered before, for somebody who has given up, has an earlier ticket.
        let from = self.shared.ring().tail();
        self.shared.tell(Request::Mark(sender, from));
        receiver
    }

    /// Turns the log off. What has a ticket by now is written and synced, if the disk lets it, and
    /// what comes later is not: entries are taken and dropped, nothing is refused, and no reply
    /// waits. Returns where it is told that it is so. The file stays as it is.
    pub fn lie_down(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        let until = self.shared.ring().tail();
        self.shared.tell(Request::LieDown(until, sender));
        receiver
    }

    /// Turns the log on again: from now on changes are written into an [`Interim`] file, until
    /// another one is put in its place ([`switch`](LogHandle::switch)), which then gets the log's
    /// name. Nobody changes keys meanwhile.
    ///
    /// # Errors
    /// When the log is not off, or has stopped.
    pub fn begin(&self, interim: Interim, policy: AppendFsync) -> Result<(), WriteError> {
        let (sender, receiver) = channel();
        self.shared.tell(Request::Begin(interim, policy, sender));
        receiver.recv().map_err(|_| WriteError::Stopped)
    }

    /// Whether the file that is written has the log's name: not before the first rewrite after
    /// [`begin`](LogHandle::begin).
    pub fn is_whole(&self) -> bool {
        self.shared.is_whole()
    }

    /// Puts the file of this name in the place of the file of the log with the number `instead_of`:
    /// it holds in another form what that one had before `copied`, and ends with a whole command.
    /// The rest of the log is added to it, it is synced and given the log's name, and writing goes
    /// on in it. Waits for all that, and returns the new length; the closer `copied` is to the end,
    /// the shorter the log stands still.
    ///
    /// # Errors
    /// When the disk fails, `copied` lies behind the end, or the log is in another file by now; the
    /// log goes on as it was. When the log has stopped.
    pub fn switch(&self, file: &Path, instead_of: u64, copied: u64) -> Result<u64, WriteError> {
        let (sender, receiver) = channel();
        let change = Change { file: file.to_owned(), instead_of, copied };
        self.shared.tell(Request::Switch(change, sender));
        receiver.recv().unwrap_or(Err(WriteError::Stopped))
    }

    /// Writes everything that is in the ring, syncs whatever the policy, and ends the threads.
    /// Nobody changes keys any more. The second time it does nothing.
    ///
    /// # Errors
    /// When the disk fails, or does not answer within `patience`: then the threads are left alone.
    pub fn stop(&self, patience: Duration) -> Result<(), WriteError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = thread.take() else {
            return Ok(());
        };
        let (sender, receiver) = channel();
        self.shared.tell(Request::Stop(sender));
        match receiver.recv_timeout(patience) {
            Ok(result) => {
                // It ends at once; a panic it has reported itself.
                let _ = running.join();
                result
            }
            Err(RecvTimeoutError::Timeout) => Err(WriteError::TooSlow),
            Err(RecvTimeoutError::Disconnected) => Err(WriteError::Stopped),
        }
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        // Whom nobody waits for ends by itself.
        self.shared.tell(Request::Stop(channel().0));
    }
}
