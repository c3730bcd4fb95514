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

mod database;
mod generation;
mod hash;

pub use crate::record::{Key, LargeValue, NewValue, Value};
pub use crate::table::TableOptions;
pub use database::{CounterError, Database, ValueTooLong};

use crate::record::allocated_bytes;
use crate::sync::Arc;
use crate::sync::epoch::{Collector, Guard, Participant, limbo_bytes};
use crate::sync::plain::{AtomicU64, Ordering};
use generation::Generations;
use hash::KeyHasher;
use std::cell::Cell;

/// What a keyspace is made of.
#[derive(Clone, Copy, Debug)]
pub struct KeyspaceOptions {
    /// Number of databases.
    pub databases: usize,
    /// Key of the hash; random if not given (always, but in tests).
    pub hash_seed: Option<[u64; 2]>,
    /// Shape of the tables.
    pub table: TableOptions,
}

impl Default for KeyspaceOptions {
    fn default() -> Self {
        Self { databases: 16, hash_seed: None, table: TableOptions::default() }
    }
}

/// All keys of the server.
pub struct Keyspace {
    hasher: KeyHasher,
    versions: Arc<AtomicU64>,
    /// Before the collector: dropping the tables needs nothing of it, and what they have retired is
    /// freed when it goes.
    generations: Generations,
    collector: Collector,
}

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
        let collector = Collector::new();
        Self {
            hasher: KeyHasher::new(options.hash_seed),
            versions: Arc::new(AtomicU64::new(1)),
            generations: Generations::new(options.databases, options.table, collector.clone()),
            collector,
        }
    }

    /// Makes the calling thread a user of the keyspace.
    pub fn join(&self) -> Local {
        Local {
            participant: self.collector.register(),
            versions: self.versions.clone(),
            next: Cell::new(0),
            end: Cell::new(0),
        }
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.generations.len()
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

    /// Memory of the keyspace.
    pub fn report(&self, session: &Session<'_>) -> MemoryReport {
        let mut report = MemoryReport {
            used_bytes: allocated_bytes(),
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

/// Chunks of migration work in one step of a database between requests: some 50 µs.
const BUSY_CHUNKS: usize = 16;
/// The same when no requests wait: some 2 ms.
const IDLE_CHUNKS: usize = 512;

/// One thread's part in a keyspace.
pub struct Local {
    participant: Participant,
    versions: Arc<AtomicU64>,
    next: Cell<u64>,
    end: Cell<u64>,
}

impl Local {
    /// Pins the thread for a batch. Nothing may block while the session lives.
    #[inline]
    pub fn pin(&self) -> Session<'_> {
        self.participant.relieve();
        Session { guard: self.participant.pin(), local: self }
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
}

impl Session<'_> {
    /// Lets go of everything read so far, between two commands of a batch.
    #[inline]
    pub fn renew(&mut self) {
        self.guard.repin();
    }
}
