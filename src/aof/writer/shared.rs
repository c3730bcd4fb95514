//! What the flusher and everybody else know of one another.

use super::error::WriteError;
use super::interim::Interim;
use super::syncer::Report;
use super::translate::Places;
use super::{LogStatus, Longest};
use crate::config::AppendFsync;
use crate::ring::Ring;
use crate::sync::mpsc::Sender;
use crate::sync::plain::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, PoisonError};
use std::path::PathBuf;
use std::time::Duration;

/// What the flusher is asked for.
pub(super) enum Request {
    /// A sync has ended.
    Synced(Report),
    /// The policy has changed.
    PolicyChanged,
    /// Tell this one about the first mark from this ticket on.
    Mark(Sender<Marked>, u64),
    /// Go on in another file.
    Switch(Change, Sender<Result<u64, WriteError>>),
    /// Write what has an earlier ticket, nothing from this one on, and say so.
    LieDown(u64, Sender<()>),
    /// Write again: into this file of this name, under this policy.
    Begin(Interim, AppendFsync, Sender<()>),
    /// Bring everything to the disk, and end.
    Stop(Sender<Result<(), WriteError>>),
}

/// The way of the log into another file.
pub(super) struct Change {
    /// The name that the new file has so far.
    pub(super) file: PathBuf,
    /// The number of the file that it takes the place of.
    pub(super) instead_of: u64,
    /// Up to where that one was copied.
    pub(super) copied: u64,
}

/// Where a mark stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marked {
    /// The place in the file: everything before the mark is written before it, everything after
    /// it behind it, beginning with a SELECT.
    pub place: u64,
    /// Which database belongs to which place, and which tables live, at the mark.
    pub places: Places,
    /// The file that it stands in.
    pub file: PathBuf,
    /// The number of that file, counted from the start.
    pub number: u64,
}

/// Called when something has changed that others may wait for.
pub(super) type Listener = Box<dyn Fn() + Send + Sync>;

/// Words that the flusher writes and all read. Each is by itself; a reader may act on what it reads
/// of `durable` and `is_refusing`, so those are released and acquired.
pub(super) struct Shared {
    ring: Arc<Ring>,
    inbox: Sender<Request>,
    listeners: Mutex<Vec<Listener>>,
    policy: AtomicU32,
    durable: AtomicU64,
    is_refusing: AtomicBool,
    /// Whether the file that is written has the log's name, and so all that it should.
    is_whole: AtomicBool,
    refusal: Mutex<Option<Arc<str>>>,
    pub(super) current_bytes: AtomicU64,
    pub(super) base_bytes: AtomicU64,
    pub(super) buffered_bytes: AtomicU64,
    pub(super) unsynced_bytes: AtomicU64,
    pub(super) sync_is_pending: AtomicBool,
    pub(super) delayed_syncs: AtomicU64,
    pub(super) turns: AtomicU64,
    /// Nanoseconds of the longest write since somebody asked.
    longest_write: AtomicU64,
    /// The same of a sync that replies wait for.
    longest_sync: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        ring: Arc<Ring>,
        inbox: Sender<Request>,
        policy: AppendFsync,
        durable: u64,
        bytes: u64,
    ) -> Self {
        Self {
            ring,
            inbox,
            listeners: Mutex::new(Vec::new()),
            policy: AtomicU32::new(policy as u32),
            durable: AtomicU64::new(durable),
            is_refusing: AtomicBool::new(false),
            is_whole: AtomicBool::new(true),
            refusal: Mutex::new(None),
            current_bytes: AtomicU64::new(bytes),
            base_bytes: AtomicU64::new(bytes),
            buffered_bytes: AtomicU64::new(0),
            unsynced_bytes: AtomicU64::new(0),
            sync_is_pending: AtomicBool::new(false),
            delayed_syncs: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            longest_write: AtomicU64::new(0),
            longest_sync: AtomicU64::new(0),
        }
    }

    /// Asks the flusher for something; false when it has ended.
    pub(super) fn tell(&self, request: Request) -> bool {
        let is_heard = self.inbox.send(request).is_ok();
        self.ring.rouse();
        is_heard
    }

    pub(super) fn add_listener(&self, listener: Listener) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Tells all who listen that something has changed.
    pub(super) fn announce(&self) {
        for listener in &*self.listeners.lock().unwrap_or_else(PoisonError::into_inner) {
            listener();
        }
    }

    #[inline]
    pub(super) fn policy(&self) -> AppendFsync {
        // Relaxed: the word is all there is to know.
        AppendFsync::of_number(self.policy.load(Ordering::Relaxed).into())
    }

    pub(super) fn set_policy(&self, policy: AppendFsync) {
        self.policy.store(policy as u32, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn durable(&self) -> u64 {
        // Acquire, with the Release of `set_durable`: what is said to be safe is.
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn set_durable(&self, ticket: u64) {
        self.durable.store(ticket, Ordering::Release);
    }

    pub(super) fn is_whole(&self) -> bool {
        // Acquire, with the Release of `set_whole`: the file has its name.
        self.is_whole.load(Ordering::Acquire)
    }

    pub(super) fn set_whole(&self, is_whole: bool) {
        // Release, with the Acquire of `is_whole`.
        self.is_whole.store(is_whole, Ordering::Release);
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    #[inline]
    pub(super) fn refusal(&self) -> Option<Arc<str>> {
        // Acquire, with the Release of `set_refusal`: the text is there.
        if !self.is_refusing.load(Ordering::Acquire) {
            return None;
        }
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on writes are refused with this text, or taken again.
    pub(super) fn set_refusal(&self, text: Option<Arc<str>>) {
        let is_refusing = text.is_some();
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = text;
        self.is_refusing.store(is_refusing, Ordering::Release);
    }

    /// Notes how long a write took.
    pub(super) fn note_write(&self, took: Duration) {
        // Relaxed, here and below: figures.
        self.longest_write.fetch_max(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Notes how long a sync took that replies wait for.
    pub(super) fn note_sync(&self, took: Duration) {
        self.longest_sync.fetch_max(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The longest since the last call.
    pub(super) fn take_longest(&self) -> Longest {
        let take = |word: &AtomicU64| Duration::from_nanos(word.swap(0, Ordering::Relaxed));
        Longest { write: take(&self.longest_write), sync_before_replies: take(&self.longest_sync) }
    }

    pub(super) fn status(&self) -> LogStatus {
        // Relaxed: figures, each by itself.
        let figure = |word: &AtomicU64| word.load(Ordering::Relaxed);
        LogStatus {
            current_bytes: figure(&self.current_bytes),
            base_bytes: figure(&self.base_bytes),
            buffered_bytes: figure(&self.buffered_bytes),
            unsynced_bytes: figure(&self.unsynced_bytes),
            sync_is_pending: self.sync_is_pending.load(Ordering::Relaxed),
            delayed_syncs: figure(&self.delayed_syncs),
            turns: figure(&self.turns),
            is_writing: !self.is_refusing.load(Ordering::Relaxed),
        }
    }
}
