//! The keyspace: databases over tables, and everything a command may do to a key.
//!
//! * [`Keyspace`]: sixteen databases and the epochs that they share.
//! * [`Local`]: one thread's part: its membership in the epochs, its versions. [`Session`]: a pin.
//! * [`Database`]: the operations on keys. A removal goes through [`Database::remove`] or
//!   [`Database::flush`] and nothing else.
//!
//! A database is a pointer to a *generation* (a table). FLUSHDB swaps the pointer, so it is one
//! instant for everybody; the old generation is freed after a grace period, by a thread of its own.
//! An operation that was under way in the old generation counts as having come before the flush.

mod append;
mod clock;
mod database;
mod entry;
mod evict;
mod exclusive;
mod expiry;
mod generation;
mod hash;
mod log;
mod reload;
mod scan;
mod snapshot;
mod transaction;
mod witness;

pub use crate::record::{Key, LargeValue, MAX_LENGTH, NewValue, Value};
pub use crate::table::{TableOptions, TableUsage};
pub use append::ValueTooLong;
pub use clock::{Clock, ClockSource};
pub use database::{CounterError, Database};
pub use entry::{Change, Encoding, Entry};
pub use evict::{
    Ahe, AheReport, Evicted, Eviction, EvictionOptions, Evictor, Policy, Room, Scope, Score,
    Settings, TENACITY_MAX,
};
pub use exclusive::{Attendance, Exclusion, Member, NOBODY, Ownership};
pub use expiry::{Sweep, Sweeper};
pub use log::{Block, Effect, Log, Logged};
pub use reload::GivenUp;
pub use scan::{CURSOR_BITS, ScanPosition};
pub use snapshot::{Snapshot, SnapshotBusy, SnapshotKey};
pub use transaction::Watched;
pub use witness::{What, Witnessed};

use crate::memory;
use crate::record::{Birth, RecordRef, Usage};
use crate::ring::{Consumer, Ring};
use crate::sync::epoch::{Collector, Guard, Participant, limbo_bytes};
use crate::sync::plain::{AtomicU64, Ordering};
use crate::sync::planted::{self, Planted};
use crate::sync::{Arc, OnceLock};
use crate::table::{Decision, Transaction};
use evict::{Lane, Tracking};

use generation::Generations;
use hash::KeyHasher;
use log::Capture;
use std::cell::{Cell, RefCell};

/// What a keyspace is made of.
#[derive(Clone, Copy, Debug)]
pub struct KeyspaceOptions {
    /// Number of databases.
    pub databases: usize,
    /// Key of the hash; random if not given (always, but in tests).
    pub hash_seed: Option<[u64; 2]>,
    /// Shape of the tables.
    pub table: TableOptions,
    /// Where the time comes from.
    pub clock: ClockSource,
    /// How much there may be, and what is done about it.
    pub eviction: EvictionOptions,
}

impl Default for KeyspaceOptions {
    fn default() -> Self {
        Self {
            databases: 16,
            hash_seed: None,
            table: TableOptions::default(),
            clock: ClockSource::System,
            eviction: EvictionOptions::default(),
        }
    }
}

/// All keys of the server.
pub struct Keyspace {
    hasher: KeyHasher,
    versions: Arc<AtomicU64>,
    clock: Arc<Clock>,
    eviction: Arc<Eviction>,
    /// Set once, when changes begin to be logged.
    log: Arc<OnceLock<Log>>,
    exclusion: Arc<Exclusion>,
    /// What of the keys is noted to be told: see the `witness` module.
    witness: Arc<AtomicU64>,
    /// Before the collector: dropping the tables needs nothing of it, and what they have retired is
    /// freed when it goes.
    generations: Generations,
    /// Where the sweep of each database is: the hash that its next step begins at.
    sweeps: Box<[AtomicU64]>,
    collector: Collector,
}

/// Where changes will be logged: see [`Keyspace::prepare_log`].
pub struct ReadyLog(Log);

/// Memory of the keyspace.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryReport {
    /// Bytes allocated for records, arrays and buffers of values, limbo included.
    pub used_bytes: u64,
    /// Bytes that are unlinked and wait for readers that may still see them.
    pub limbo_bytes: u64,
    /// Segments that are migrating to a new array now.
    pub migrating: u64,
    /// Migrations completed since the start (of the present generations).
    pub migrations: u64,
}

/// Versions that a thread takes at once from the common counter.
const VERSION_BLOCK: u64 = 1 << 12;

impl Keyspace {
    /// An empty keyspace.
    pub fn new(options: KeyspaceOptions) -> Self {
        Self::with(options, KeyHasher::new(options.hash_seed), Collector::new())
    }

    fn with(options: KeyspaceOptions, hasher: KeyHasher, collector: Collector) -> Self {
        let log: Arc<OnceLock<Log>> = Arc::default();
        Self {
            hasher,
            versions: Arc::new(AtomicU64::new(1)),
            clock: Arc::new(Clock::new(options.clock)),
            eviction: Arc::new(Eviction::new(options.eviction)),
            generations: Generations::new(
                options.databases,
                options.table,
                collector.clone(),
                Some(log.clone()),
            ),
            log,
            exclusion: Arc::default(),
            witness: Arc::default(),
            sweeps: (0..options.databases).map(|_| AtomicU64::new(0)).collect(),
            collector,
        }
    }

    /// Makes the calling thread a user of the keyspace.
    pub fn join(&self) -> Local {
        Local {
            participant: self.collector.register(),
            versions: self.versions.clone(),
            clock: self.clock.clone(),
            lane: self.eviction.ahe().lane(),
            eviction: self.eviction.clone(),
            log: self.log.clone(),
            member: self.exclusion.join(),
            next: Cell::new(0),
            end: Cell::new(0),
            expired: Cell::new(0),
            exposed: Cell::new(0),
            defers_wakes: Cell::new(false),
            transaction: RefCell::default(),
            inserted: RefCell::default(),
            witness: self.witness.clone(),
            witnessed: RefCell::default(),
        }
    }

    /// Begins to log all changes, through a ring of so many slots (a power of two). The tickets
    /// go on where the versions of the records end. Nobody changes a key meanwhile, and it is
    /// called once.
    ///
    /// # Panics
    /// If changes are logged already.
    pub fn start_log(&self, slots: usize) -> Consumer {
        let (ready, consumer) = self.prepare_log(slots);
        self.begin_log(ready);
        consumer
    }

    /// The first half of [`start_log`](Keyspace::start_log), after which nothing is logged yet: it
    /// takes somebody who consumes, and to find one may fail. Nobody changes a key from here on
    /// until the second half.
    pub fn prepare_log(&self, slots: usize) -> (ReadyLog, Consumer) {
        // Relaxed: whoever took a block of versions has finished with it, or goes on with those of
        // it, which are all below.
        let first = self.versions.load(Ordering::Relaxed).max(snapshot::FIRST_TICKET);
        let (ring, consumer) = Ring::new(slots, first);
        (ReadyLog(Log::new(ring)), consumer)
    }

    /// The second half.
    ///
    /// # Panics
    /// If changes are logged already.
    pub fn begin_log(&self, ready: ReadyLog) {
        assert!(self.log.set(ready.0).is_ok(), "changes are logged already");
    }

    /// For each place of a database's tables the database it belongs to now and the number of its
    /// table: what a log begins with (see [`Logged`]). Nobody flushes or swaps databases meanwhile.
    pub fn places(&self, session: &Session<'_>) -> Vec<(u64, u64)> {
        self.generations.places(&session.guard)
    }

    /// The log's side of the changes, once they are logged.
    pub fn log(&self) -> Option<&Log> {
        self.log.get()
    }

    /// How many threads use the keyspace now.
    fn threads(&self) -> usize {
        // Each has a share, and so has the keyspace.
        Arc::strong_count(&self.eviction) - 1
    }

    /// The means by which one client has all others out.
    pub fn exclusion(&self) -> &Arc<Exclusion> {
        &self.exclusion
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.generations.len()
    }

    /// The clock by which keys expire.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How the keyspace is kept within its bounds.
    pub fn eviction(&self) -> &Eviction {
        &self.eviction
    }

    /// A key with its hash.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    /// One database.
    ///
    /// # Panics
    /// If there is no database of that number: SELECT checks it.
    #[inline]
    pub fn database(&self, index: usize) -> Database<'_> {
        Database::new(&self.generations, index)
    }

    /// Empties all databases, each at one instant.
    pub fn flush_all(&self, session: &Session<'_>) {
        for index in 0..self.databases() {
            self.database(index).flush(session);
        }
    }

    /// Bytes of the arrays of a database's table.
    #[cfg(not(any(loom, shuttle)))]
    pub fn array_bytes(&self, index: usize, session: &Session<'_>) -> u64 {
        let table = self.generations.current(index, &session.guard);
        table.map_or(0, |table| table.array_bytes(&session.guard))
    }

    /// Memory of the keyspace.
    pub fn report(&self, session: &Session<'_>) -> MemoryReport {
        let mut report = MemoryReport {
            used_bytes: memory::keyspace_bytes(),
            limbo_bytes: limbo_bytes(),
            ..MemoryReport::default()
        };
        for index in 0..self.databases() {
            let (migrating, migrations) = self.database(index).migrations(session);
            report.migrating += migrating as u64;
            report.migrations += migrations;
        }
        report
    }

    /// What a worker does in its idle moments: moves unfinished migrations a bounded step and frees
    /// what no reader can see any more. A busy worker's requests move migrations themselves, so it
    /// spends little time here.
    pub fn maintain(&self, local: &Local, busy: bool) {
        self.clock.tick();
        let chunks = if busy { BUSY_CHUNKS } else { IDLE_CHUNKS };
        {
            let session = local.pin();
            for index in 0..self.databases() {
                self.database(index).maintain(&session, chunks);
            }
        }
        local.participant.collect();
    }
}

/// What is retired goes before the collector does: a flushed table among it has a share in that.
#[cfg(not(any(loom, shuttle)))]
impl Drop for Keyspace {
    fn drop(&mut self) {
        self.collector.register().synchronize();
    }
}

/// Chunks of migration work in one step of a database between requests: some 50 µs.
const BUSY_CHUNKS: usize = 16;
/// The same when no requests wait: some 2 ms.
const IDLE_CHUNKS: usize = 512;

/// One thread's part in a keyspace.
pub struct Local {
    participant: Participant,
    versions: Arc<AtomicU64>,
    clock: Arc<Clock>,
    eviction: Arc<Eviction>,
    /// Where AHE learns from the thread.
    lane: Arc<Lane>,
    log: Arc<OnceLock<Log>>,
    member: Member,
    next: Cell<u64>,
    end: Cell<u64>,
    /// Keys that this thread has found past their deadline and made absent.
    expired: Cell<u64>,
    /// The position of the log that the replies of this thread must not precede.
    exposed: Cell<u64>,
    /// Whether this thread wakes the log by itself when it is strict.
    defers_wakes: Cell<bool>,
    /// What a transaction of the thread has read and written.
    transaction: RefCell<Transaction>,
    /// What it may have inserted: databases and hashes.
    inserted: RefCell<Vec<(usize, u64)>>,
    /// What is to be noted of keys, and what was.
    witness: Arc<AtomicU64>,
    witnessed: RefCell<Vec<Witnessed>>,
}

impl Local {
    /// Enters a batch of a client, if no other has all out; before the pin (see [`Member::enter`]).
    #[inline]
    pub fn enter_batch(&self, client: u64) -> Option<Attendance<'_>> {
        self.member.enter(client)
    }

    /// The thread's part in the exclusion.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Pins the thread for a batch. Nothing may block while the session lives.
    #[inline]
    pub fn pin(&self) -> Session<'_> {
        self.participant.relieve();
        let log = self.log.get();
        Session {
            guard: self.participant.pin(),
            local: self,
            seconds: self.clock.seconds(),
            tracking: Tracking::of(self.eviction.settings().policy()),
            is_bounded: self.eviction.settings().is_bounded(),
            now: Cell::new(0),
            timeless: false,
            preserves: false,
            log,
            strict: log.is_some_and(Log::is_strict),
            wrote: Cell::new(false),
            transacts: false,
            attempts: false,
            capture: Capture::default(),
            // Relaxed: see `Keyspace::witness`.
            witness: self.witness.load(Ordering::Relaxed),
        }
    }

    /// From now on, while the log is strict, this thread wakes it itself ([`Log::wake`]) soon after
    /// it has made changes: once for those of many clients, which are then synced together.
    pub fn defer_wakes(&self) {
        self.defers_wakes.set(true);
    }

    /// Pins the thread for the replay of a log: no deadline passes meanwhile.
    pub fn pin_timeless(&self) -> Session<'_> {
        let mut session = self.pin();
        session.timeless = true;
        session.witness = 0;
        session
    }

    /// The position that the log must have reached before what this thread has found out since the
    /// last call may be told to anybody; 0 if there is none. Only with a strict log.
    #[inline]
    pub fn take_exposed(&self) -> u64 {
        match self.exposed.take() {
            log::EVERYTHING => self.log.get().map_or(0, |log| log.ring().tail()),
            position => position,
        }
    }

    /// How many keys this thread has made absent because their deadline had passed, since the last
    /// call.
    pub fn take_expired(&self) -> u64 {
        self.expired.take()
    }

    /// A number that no other record of the keyspace has.
    #[inline]
    fn next_version(&self) -> u64 {
        if self.next.get() == self.end.get() {
            // Relaxed: only uniqueness matters.
            let start = self.versions.fetch_add(VERSION_BLOCK, Ordering::Relaxed);
            self.next.set(start);
            self.end.set(start + VERSION_BLOCK);
        }
        let version = self.next.get();
        self.next.set(version + 1);
        version
    }
}

/// A pin: what is read through it stays until it is dropped or renewed.
pub struct Session<'l> {
    guard: Guard<'l>,
    local: &'l Local,
    /// Coarse Unix time in seconds.
    seconds: u64,
    /// What is noted of the use of keys.
    tracking: Tracking,
    /// Whether there is a bound to the memory.
    is_bounded: bool,
    /// Unix time in milliseconds, or 0 while nobody has asked.
    now: Cell<u64>,
    /// Whether deadlines do not pass.
    timeless: bool,
    /// Whether keys past their deadline stay where they are, although they read as absent.
    preserves: bool,
    /// Where changes are logged, if they are.
    log: Option<&'l Log>,
    /// Whether what is exposed is noted.
    strict: bool,
    /// Whether there are entries that the log was not told of.
    wrote: Cell<bool>,
    /// Whether a transaction is under way.
    transacts: bool,
    /// Whether one was lost that is to be tried again.
    attempts: bool,
    /// What is collected for a block of the log.
    capture: Capture,
    /// What is noted of keys to be told.
    witness: u64,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.abandon();
        if self.is_in_block() {
            self.end_block();
        }
        let is_deferred = self.strict && self.local.defers_wakes.get();
        if let Some(log) = self.log.filter(|_| self.wrote.get() && !is_deferred) {
            log.wake();
        }
    }
}

impl Session<'_> {
    /// Lets go of everything read so far, between two commands of a batch; not within a
    /// transaction, nor in a block of the log.
    #[inline]
    pub fn renew(&mut self) {
        // What a transaction has read is used until its end, over all its attempts.
        let transacts = self.transacts || self.attempts;
        if !transacts && (!self.is_in_block() || planted::is(Planted::BlockRenewed)) {
            self.guard.repin();
        }
    }

    /// Unix time in milliseconds, the same during the whole session: a batch has one time.
    #[inline]
    pub fn now(&self) -> u64 {
        if self.now.get() == 0 {
            self.now.set(self.local.clock.now());
        }
        self.now.get()
    }

    /// Coarse Unix time in seconds, for what is only a statistic.
    #[inline]
    pub fn seconds(&self) -> u64 {
        self.seconds
    }

    /// From now on keys past their deadline stay where they are, although they read as absent, and
    /// none is evicted; or they may go again.
    pub fn preserve_expired(&mut self, preserves: bool) {
        self.preserves = preserves;
    }

    /// From now on the use of a key is not noted, or is noted again.
    pub fn leave_usage(&mut self, leaves: bool) {
        self.tracking = match leaves {
            true => Tracking::Nothing,
            false => Tracking::of(self.local.eviction.settings().policy()),
        };
    }

    /// Whether a key may be made absent because its deadline has passed: not while the log has no
    /// room for it, nor while the keys are to stay as they are.
    fn may_expire(&self) -> bool {
        !self.preserves && self.log.is_none_or(Log::has_room)
    }

    /// Whether a record's deadline has passed.
    #[inline]
    fn is_over(&self, record: RecordRef<'_>) -> bool {
        record.deadline().is_some_and(|deadline| deadline < self.now()) && !self.timeless
    }

    /// Whether a key that gets this deadline is to be removed at once. Not while a log is replayed:
    /// what comes next in it may give the key another one.
    pub fn is_past(&self, deadline: u64) -> bool {
        deadline <= self.now() && !self.timeless
    }

    #[inline]
    fn version(&self) -> u64 {
        self.local.next_version()
    }

    /// What a record made now is born with.
    #[inline]
    fn birth<'k>(&self, key: Key<'k>, deadline: Option<u64>) -> Birth<'k> {
        Birth { key, version: self.version(), deadline, usage: Usage::born(self.seconds) }
    }

    /// Makes a key absent: where there is a bound to the memory, with as little left as can be.
    #[inline]
    fn removal<R>(&self, result: R) -> Decision<R> {
        match self.is_bounded {
            true => Decision::Discard(self.version(), result),
            false => Decision::Remove(self.version(), result),
        }
    }

    #[inline]
    fn count_expired(&self, expired: bool) {
        if expired {
            self.local.expired.set(self.local.expired.get() + 1);
        }
    }
}
