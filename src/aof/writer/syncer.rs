//! The thread that syncs the file while the flusher goes on writing (`everysec`).
//!
//! The flusher says when the next sync is due, and after every write what there is to sync
//! ([`Goal`]). The syncer waits until then, takes the goal as it is at that moment, syncs, and
//! reports to the flusher. There is one sync at a time, and none is due before the report of the
//! one before was heard.

use super::error::WriteError;
use super::shared::{Request, Shared};
use super::storage::Storage;
use crate::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use crate::sync::{Arc, Mutex, PoisonError};
use std::io;
use std::thread::JoinHandle;
use std::time::Instant;

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Goal {
    /// Which file it is, counted from the start.
    pub(super) file: u64,
    /// The place in the file before which everything is written.
    pub(super) place: u64,
    /// The ticket before which everything is written.
    pub(super) ticket: u64,
}

/// The end of a sync.
pub(super) struct Report {
    /// What was synced.
    pub(super) goal: Goal,
    pub(super) result: io::Result<()>,
}

enum Order {
    /// Sync at this time, or at once if it is past.
    Sync(Instant),
    /// Close a file: that of a large one that has no name any more takes its time.
    Close(Arc<dyn Storage>),
}

type Target = Mutex<(Arc<dyn Storage>, Goal)>;

/// The flusher's side.
pub(super) struct Syncer {
    orders: Sender<Order>,
    target: Arc<Target>,
    /// When the sync under way was due.
    due: Option<Instant>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread.
    pub(super) fn start(
        shared: Arc<Shared>,
        storage: Arc<dyn Storage>,
        goal: Goal,
    ) -> Result<Self, WriteError> {
        let (orders, inbox) = channel();
        let target = Arc::new(Mutex::new((storage, goal)));
        let its_target = target.clone();
        let thread = std::thread::Builder::new()
            .name("ferrum-aof-sync".to_owned())
            .spawn(move || run(&inbox, &its_target, &shared))
            .map_err(WriteError::Thread)?;
        Ok(Self { orders, target, due: None, thread: Some(thread) })
    }

    /// When the sync was due whose report has not come yet.
    #[inline]
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sets what there is to sync.
    pub(super) fn aim(&self, goal: Goal) {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).1 = goal;
    }

    /// Sets where, and what. A sync may be under way where it was until now.
    pub(super) fn move_to(&self, storage: Arc<dyn Storage>, goal: Goal) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = (storage, goal);
    }

    /// A sync is due at this time; earlier than one that is ordered already, it takes its place.
    pub(super) fn order(&mut self, at: Instant) {
        if self.due.is_none_or(|due| at < due) {
            self.due = Some(at);
            // A thread that has ended shows as a sync that never ends.
            let _ = self.orders.send(Order::Sync(at));
        }
    }

    /// Notes that the report was heard; when the sync was due.
    pub(super) fn has_reported(&mut self) -> Option<Instant> {
        self.due.take()
    }

    /// Whether the thread runs.
    pub(super) fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets the thread close a file.
    pub(super) fn close(&self, storage: Arc<dyn Storage>) {
        let _ = self.orders.send(Order::Close(storage));
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        // The thread ends when it has no one to take orders from.
        self.orders = channel().0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(inbox: &Receiver<Order>, target: &Target, shared: &Shared) {
    while let Ok(order) = inbox.recv() {
        let mut due = match order {
            Order::Sync(due) => due,
            Order::Close(storage) => {
                drop(storage);
                continue;
            }
        };
        loop {
            match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Order::Sync(earlier)) => due = due.min(earlier),
                Ok(Order::Close(storage)) => drop(storage),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let (storage, goal) = target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = storage.sync();
        drop(storage);
        shared.tell(Request::Synced(Report { goal, result }));
    }
}
