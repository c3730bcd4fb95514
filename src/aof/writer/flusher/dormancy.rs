//! The flusher of a log that is turned off: on the way there, meanwhile, and on the way back.
//!
//! Off, it takes entries as ever, so that the ring has room, follows which table belongs to which
//! database, and writes nothing. It lies down once everything is written and synced that had a
//! ticket when it was asked to, and nothing else. If the disk fails it tries once more and gives
//! up: a log is also turned off because its disk is full. What has not the log's name is given up
//! at once.

use super::{Flusher, TURN_ENTRIES};
use crate::aof::writer::failure::{Failure, On};
use crate::aof::writer::interim::Interim;
use crate::aof::writer::medium::Medium;
use crate::aof::writer::storage::{Nowhere, Storage};
use crate::config::AppendFsync;
use crate::store::Logged;
use crate::sync::Arc;
use crate::sync::mpsc::Sender;
use crate::sync::plain::Ordering;
use std::time::Instant;

impl Flusher {
    /// Takes entries out of the ring for nothing; how many.
    pub(super) fn skim(&mut self) -> usize {
        let mut taken = 0;
        while taken < TURN_ENTRIES {
            let Some(read) = self.consumer.next() else {
                break;
            };
            taken += 1;
            if let Some(entry) = Logged::decode(&read) {
                self.translator.follow(&entry);
            }
        }
        self.consumer.release();
        taken
    }

    /// Notes that the log is to be off from a ticket on.
    pub(super) fn wish_to_lie_down(&mut self, until: u64, waiter: Sender<()>) {
        if self.is_dormant {
            // Who asked may have gone, here and below.
            let _ = waiter.send(());
            return;
        }
        self.lies_down.get_or_insert_with(|| (until, Vec::new())).1.push(waiter);
    }

    /// Lies down if it is to and has written what it should.
    pub(super) fn lie_down(&mut self) {
        let Some((until, _)) = self.lies_down else {
            return;
        };
        if self.shared.is_whole() {
            let result = match self.failure {
                Some(_) => self.recover().and_then(|()| self.sync()),
                None if self.consumer.position() < until => return,
                None => self.sync(),
            };
            match result {
                Ok(()) => {
                    let on = On { path: &self.path, shared: &self.shared };
                    Failure::end(&mut self.failure, &on);
                    if self.consumer.position() < until {
                        return;
                    }
                }
                Err(cause) => self.fail(&cause),
            }
        }
        self.let_go();
        let (_, waiters) = self.lies_down.take().unwrap_or_default();
        for waiter in waiters {
            let _ = waiter.send(());
        }
    }

    /// Has nothing to write any more.
    fn let_go(&mut self) {
        let old = self.medium.storage().clone();
        old.discard();
        self.turn_to(Arc::new(Nowhere), AppendFsync::No);
        self.syncer.close(old);
        self.is_dormant = true;
        // Nobody is told of a mark that the file does not lead up to.
        self.mark_waiters.clear();
        self.marks.clear();
        self.path.clone_from(&self.name);
        Failure::give_up(&mut self.failure, &On { path: &self.path, shared: &self.shared });
        self.shared.announce();
    }

    /// Writes again, into this file; drops `waiter` unheard if the log is not off.
    pub(super) fn begin(&mut self, interim: Interim, policy: AppendFsync, waiter: &Sender<()>) {
        if !self.is_dormant {
            return;
        }
        let Some((storage, path)) = interim.take() else {
            return;
        };
        self.path = path;
        self.shared.set_whole(false);
        // What was changed before is for the rewrite: no reply has to wait for this file.
        let tail = self.consumer.ring().tail();
        self.shared.set_durable(tail.max(self.shared.durable()));
        self.turn_to(storage, policy);
        self.translator.select_again();
        self.is_dormant = false;
        self.publish();
        let _ = waiter.send(());
    }

    /// Writes into another file from its beginning.
    fn turn_to(&mut self, storage: Arc<dyn Storage>, policy: AppendFsync) {
        self.medium = Medium::new(storage.clone(), 0, policy != AppendFsync::No);
        self.file += 1;
        self.syncer.move_to(storage, self.goal());
        self.policy = policy;
        self.shared.set_policy(policy);
        self.is_delayed = false;
        self.last_sync = Instant::now();
        // Relaxed: a figure.
        self.shared.base_bytes.store(0, Ordering::Relaxed);
    }
}
