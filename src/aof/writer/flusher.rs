//! The one thread that takes entries out of the ring and writes them (`ferrum-aof`).
//!
//! It goes in turns: hear what it is asked, take entries, bring them to the disk, tell what has
//! become of it, rest. A turn takes a bounded number of bytes, so requests are heard soon.
//!
//! # Rest
//! Under `always` any entry wakes it, as replies wait for it: what comes while it syncs is the next
//! turn's. Otherwise it naps between turns, which makes few large writes of many small ones; an
//! idle server's flusher sleeps until an entry comes.
//!
//! # When it does not take entries
//! While the disk fails and a good deal is waiting in memory, and while a sync is so late that
//! going on would promise too much. The ring fills then, and those who change keys wait.
//!
//! What it does while the log is turned off is in `dormancy`.

mod dormancy;

use super::LogOptions;
use super::error::WriteError;
use super::failure::{Failure, On, Watch};
use super::medium::Medium;
use super::shared::{Change, Marked, Request, Shared};
use super::storage::Storage;
use super::syncer::{Goal, Report, Syncer};
use super::translate::{Translated, Translator};
use crate::config::AppendFsync;
use crate::ring::{Consumer, Read, Rest};
use crate::store::Logged;
use crate::sync::Arc;
use crate::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use crate::sync::plain::Ordering;
use log::warn;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes of commands that a turn takes.
const TURN_BYTES: u64 = 256 * 1024;

/// Entries that a turn takes while the log is off.
const TURN_ENTRIES: usize = 4096;

/// Between turns, when replies do not wait.
const NAP: Duration = Duration::from_millis(2);

/// Naps without an entry after which the server is idle.
const IDLE_NAPS: u32 = 8;

/// Between two syncs of `everysec`.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How long the writing goes on while a sync is due and the one before still runs (Redis: 2 s).
const POSTPONED_MAX: Duration = Duration::from_secs(2);

/// Unsynced bytes that make a sync due at once: they are in memory until it has ended.
const UNSYNCED_BYTES: u64 = 32 << 20;

/// Bytes in memory above which no entries are taken.
const KEPT_BYTES_MAX: u64 = 128 << 20;

/// The same for unwritten bytes, while the disk fails.
const UNWRITTEN_BYTES_MAX: u64 = 64 << 20;

/// Between looks whether entries may be taken again.
const BLOCKED_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Flusher {
    shared: Arc<Shared>,
    inbox: Receiver<Request>,
    /// Requests that came while it waited for something else.
    put_off: VecDeque<Request>,
    consumer: Consumer,
    translator: Translator,
    medium: Medium,
    syncer: Syncer,
    policy: AppendFsync,
    /// The file that is written, and the name of the log.
    path: PathBuf,
    name: PathBuf,
    failure: Option<Failure>,
    /// Which file it is, counted from the start.
    file: u64,
    /// When the last sync was due.
    last_sync: Instant,
    /// The writing waits for a sync, and this was said.
    is_delayed: bool,
    empty_naps: u32,
    /// Those who wait for marks that have not come, and from which ticket on.
    mark_waiters: Vec<(Sender<Marked>, u64)>,
    /// Marks that have come and are not written.
    marks: Vec<(Sender<Marked>, Marked)>,
    /// The log is off.
    is_dormant: bool,
    /// It is to be, once all before this ticket is written; and those who are to be told.
    lies_down: Option<(u64, Vec<Sender<()>>)>,
    stop: Option<Sender<Result<(), WriteError>>>,
}

impl Flusher {
    pub(super) fn new(
        shared: Arc<Shared>,
        storage: Arc<dyn Storage>,
        options: LogOptions,
        consumer: Consumer,
        inbox: Receiver<Request>,
    ) -> Result<Self, WriteError> {
        let LogOptions { path, length, policy, places } = options;
        let goal = Goal { file: 0, place: length, ticket: consumer.position() };
        let syncer = Syncer::start(shared.clone(), storage.clone(), goal)?;
        let medium = Medium::new(storage, length, policy != AppendFsync::No);
        Ok(Self {
            shared,
            inbox,
            put_off: VecDeque::new(),
            consumer,
            translator: Translator::new(places),
            medium,
            syncer,
            policy,
            name: path.clone(),
            path,
            failure: None,
            file: 0,
            last_sync: Instant::now(),
            is_delayed: false,
            empty_naps: 0,
            mark_waiters: Vec::new(),
            marks: Vec::new(),
            is_dormant: false,
            lies_down: None,
            stop: None,
        })
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        let _watch = Watch(&shared);
        loop {
            self.hear();
            let now = Instant::now();
            let taken = if self.may_take(now) { self.take() } else { 0 };
            self.bring(now);
            self.tell_marks();
            self.publish();
            self.lie_down();
            if self.stop.is_some() && self.has_stopped(taken) {
                break;
            }
            self.rest(taken);
        }
    }

    fn hear(&mut self) {
        while let Some(request) = self.put_off.pop_front() {
            self.handle(request);
        }
        while let Ok(request) = self.inbox.try_recv() {
            self.handle(request);
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Synced(report) => {
                if let Err(cause) = self.sync_has_ended(report) {
                    self.fail(&cause);
                }
            }
            Request::PolicyChanged => {
                let policy = self.shared.policy();
                if policy != self.policy {
                    self.policy = policy;
                    self.medium.set_keeps_unsynced(policy != AppendFsync::No);
                    self.shared.announce();
                }
            }
            Request::Mark(waiter, from) => self.expect_mark(waiter, from),
            Request::Switch(change, waiter) => {
                // Who asked may have gone.
                let _ = waiter.send(self.switch(&change));
            }
            Request::LieDown(until, waiter) => self.wish_to_lie_down(until, waiter),
            Request::Begin(interim, policy, waiter) => self.begin(interim, policy, &waiter),
            Request::Stop(waiter) => self.stop = Some(waiter),
        }
    }

    /// Whether entries may be taken.
    fn may_take(&mut self, now: Instant) -> bool {
        if self.failure.is_some() {
            return self.medium.unwritten() < UNWRITTEN_BYTES_MAX;
        }
        if self.policy != AppendFsync::EverySecond {
            return true;
        }
        let is_late = |due| now >= due + SYNC_INTERVAL + POSTPONED_MAX;
        if self.syncer.due().is_some_and(is_late) {
            if !self.is_delayed {
                self.is_delayed = true;
                // Relaxed: a figure.
                self.shared.delayed_syncs.fetch_add(1, Ordering::Relaxed);
                warn!(
                    "the disk is slow: a sync of the log takes longer than two seconds; writes \
                     wait for it"
                );
            }
            return false;
        }
        self.medium.kept() < KEPT_BYTES_MAX
    }

    /// Takes entries out of the ring and makes commands of them; how many entries.
    fn take(&mut self) -> usize {
        if self.is_dormant {
            return self.skim();
        }
        let until = self.lies_down.as_ref().map_or(u64::MAX, |(until, _)| *until);
        let output = self.medium.output();
        let end = output.end() + TURN_BYTES;
        let (mut taken, mut is_marked, mut ticket) = (0, false, 0);
        while output.end() < end && !is_marked {
            ticket = self.consumer.position();
            if ticket >= until {
                break;
            }
            let Some(read) = self.consumer.next() else {
                break;
            };
            taken += 1;
            let Some(entry) = Logged::decode(&read) else {
                continue;
            };
            let shared = match &read {
                Read::Boxed(boxed) => Some(&boxed.tail),
                Read::Void | Read::Inline(_) => None,
            };
            is_marked = self.translator.write(&entry, shared, output) == Translated::Mark;
            output.command_ended();
        }
        let place = output.end();
        self.consumer.release();
        if is_marked {
            self.mark(ticket, place);
        }
        taken
    }

    /// Notes that somebody waits for a mark. While the log is off none has a place.
    fn expect_mark(&mut self, waiter: Sender<Marked>, from: u64) {
        if !self.is_dormant {
            self.mark_waiters.push((waiter, from));
        }
    }

    /// Notes the place of a mark for all who wait for one.
    fn mark(&mut self, ticket: u64, place: u64) {
        // They have said so before the mark entered, so it is here by now.
        while let Ok(request) = self.inbox.try_recv() {
            match request {
                Request::Mark(waiter, from) => self.expect_mark(waiter, from),
                other => self.put_off.push_back(other),
            }
        }
        for (waiter, _) in self.mark_waiters.extract_if(.., |(_, from)| *from <= ticket) {
            let (places, file) = (self.translator.places().clone(), self.path.clone());
            self.marks.push((waiter, Marked { place, places, file, number: self.file }));
        }
    }

    /// Writes what there is, and syncs as the policy wants it.
    fn bring(&mut self, now: Instant) {
        let result = match &self.failure {
            Some(failure) if now < failure.next_try() => return,
            Some(_) => self.recover(),
            None if self.medium.unwritten() == 0 => Ok(()),
            None => {
                let begun = Instant::now();
                let result = self.medium.write();
                self.shared.note_write(begun.elapsed());
                result
            }
        };
        let result = result.and_then(|()| match self.policy {
            AppendFsync::Always => self.sync(),
            AppendFsync::EverySecond => {
                self.order_sync(now);
                Ok(())
            }
            AppendFsync::No => Ok(()),
        });
        match result {
            Ok(()) => {
                Failure::end(&mut self.failure, &On { path: &self.path, shared: &self.shared });
                if (self.policy != AppendFsync::No) && self.medium.unsynced() == 0 {
                    self.advance(self.consumer.position());
                }
            }
            Err(cause) => self.fail(&cause),
        }
    }

    /// Tries again what has failed.
    fn recover(&mut self) -> io::Result<()> {
        self.medium.recover()?;
        // It may have been opened anew.
        self.syncer.move_to(self.medium.storage().clone(), self.goal());
        Ok(())
    }

    fn fail(&mut self, cause: &io::Error) {
        Failure::note(&mut self.failure, cause, &On { path: &self.path, shared: &self.shared });
    }

    /// Syncs on this thread, unless nothing is unsynced. Everything is written.
    fn sync(&mut self) -> io::Result<()> {
        self.settle_sync()?;
        match self.medium.unsynced() {
            0 => Ok(()),
            _ => {
                let begun = Instant::now();
                let result = self.medium.sync();
                self.shared.note_sync(begun.elapsed());
                result
            }
        }
    }

    /// Sees to it that a sync is due within a second. Everything is written.
    fn order_sync(&mut self, now: Instant) {
        let unsynced = self.medium.unsynced();
        if unsynced == 0 {
            return;
        }
        self.syncer.aim(self.goal());
        let due = if unsynced >= UNSYNCED_BYTES { now } else { self.last_sync + SYNC_INTERVAL };
        self.syncer.order(due.max(now));
    }

    /// What is written now.
    fn goal(&self) -> Goal {
        let (place, ticket) = (self.medium.written(), self.consumer.position());
        Goal { file: self.file, place, ticket }
    }

    /// Waits for the end of a sync on the other thread.
    fn settle_sync(&mut self) -> io::Result<()> {
        if self.syncer.due().is_some() {
            self.syncer.order(Instant::now());
        }
        while self.syncer.due().is_some() {
            match self.inbox.recv_timeout(SYNC_INTERVAL) {
                Ok(Request::Synced(report)) => self.sync_has_ended(report)?,
                Ok(request) => self.put_off.push_back(request),
                Err(RecvTimeoutError::Timeout) if self.syncer.is_running() => {}
                Err(_) => return Err(io::Error::other("the thread that syncs has ended")),
            }
        }
        Ok(())
    }

    fn sync_has_ended(&mut self, report: Report) -> io::Result<()> {
        self.last_sync = self.syncer.has_reported().unwrap_or(self.last_sync);
        self.is_delayed = false;
        if report.goal.file != self.file {
            // What was in that file is safe in this one.
            return Ok(());
        }
        self.medium.sync_has_ended(report.goal.place, report.result)?;
        self.advance(report.goal.ticket);
        Ok(())
    }

    /// Everything before `ticket` is safe.
    fn advance(&self, ticket: u64) {
        if ticket > self.shared.durable() {
            self.shared.set_durable(ticket);
            self.shared.announce();
        }
    }

    /// Tells those who wait for marks that are written.
    fn tell_marks(&mut self) {
        if self.failure.is_some() {
            return;
        }
        for (waiter, marked) in self.marks.drain(..) {
            // Who waited may have gone.
            let _ = waiter.send(marked);
        }
    }

    fn switch(&mut self, change: &Change) -> Result<u64, WriteError> {
        let Change { file, instead_of, copied } = change;
        let switch = |source| WriteError::Switch { path: file.clone(), source };
        if *instead_of != self.file {
            return Err(switch(io::Error::other("the log is in another file by now")));
        }
        if let Some(failure) = &self.failure {
            return Err(switch(io::Error::other(failure.text().to_owned())));
        }
        if let Err(cause) = self.medium.write() {
            self.fail(&cause);
            return Err(switch(io::Error::from(cause.kind())));
        }
        if *copied > self.medium.written() {
            return Err(switch(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        let old = self.medium.switch(file, *copied).map_err(switch)?;
        old.discard();
        self.syncer.close(old);
        self.path.clone_from(&self.name);
        self.file += 1;
        self.syncer.move_to(self.medium.storage().clone(), self.goal());
        let length = self.medium.written();
        // Relaxed: a figure.
        self.shared.base_bytes.store(length, Ordering::Relaxed);
        // The file is safe; its name is not yet.
        if let Err(cause) = self.medium.sync() {
            self.fail(&cause);
        }
        self.shared.set_whole(true);
        Ok(length)
    }

    fn publish(&self) {
        // Relaxed: figures, each by itself.
        let (shared, medium) = (&self.shared, &self.medium);
        shared.current_bytes.store(medium.written(), Ordering::Relaxed);
        shared.buffered_bytes.store(medium.unwritten(), Ordering::Relaxed);
        shared.unsynced_bytes.store(medium.unsynced(), Ordering::Relaxed);
        shared.sync_is_pending.store(self.syncer.due().is_some(), Ordering::Relaxed);
        shared.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether all is done that can be; the answer is given then.
    fn has_stopped(&mut self, taken: usize) -> bool {
        let is_drained = taken == 0 && self.consumer.position() == self.consumer.ring().tail();
        let result = match (self.failure.is_some(), is_drained) {
            (true, _) => self.recover().and_then(|()| self.sync()),
            (false, true) => self.sync(),
            (false, false) => return false,
        };
        if result.is_ok() {
            Failure::end(&mut self.failure, &On { path: &self.path, shared: &self.shared });
            if !is_drained {
                return false;
            }
            self.advance(self.consumer.position());
        }
        self.publish();
        self.medium.storage().discard();
        if let Some(waiter) = self.stop.take() {
            let path = self.path.clone();
            // Who asked may have gone.
            let _ = waiter.send(result.map_err(|source| WriteError::Disk { path, source }));
        }
        true
    }

    fn rest(&mut self, taken: usize) {
        let now = Instant::now();
        let until_try = self.failure.as_ref().map(|f| f.next_try().saturating_duration_since(now));
        if !self.may_take(now) {
            // Entries are not to wake it: it would not take them.
            let pause = until_try.unwrap_or(BLOCKED_PAUSE);
            if let Ok(request) = self.inbox.recv_timeout(pause) {
                self.put_off.push_back(request);
            }
        } else if let Some(pause) = until_try {
            self.consumer.rest(Rest::Nap(pause));
        } else if self.stop.is_some() {
            self.consumer.rest(Rest::Nap(NAP));
        } else if self.policy == AppendFsync::Always {
            if taken == 0 {
                self.consumer.rest(Rest::UntilAny);
            }
        } else {
            self.empty_naps = if taken == 0 { self.empty_naps + 1 } else { 0 };
            let is_idle = self.empty_naps > IDLE_NAPS;
            if is_idle && self.medium.unsynced() == 0 {
                self.medium.output().trim();
            }
            self.consumer.rest(if is_idle { Rest::UntilAny } else { Rest::Nap(NAP) });
        }
    }
}
