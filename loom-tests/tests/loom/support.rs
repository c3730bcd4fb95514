//! What the models share: how one is run, and small keyspaces in a known state.

use ferrum_kv::record::{Birth, OwnedRecord};
use ferrum_kv::store::{
    ClockSource, Key, Keyspace, KeyspaceOptions, Local, NewValue, TableOptions,
};
use ferrum_kv::sync::epoch::Collector;
use ferrum_kv::sync::planted::{self, Planted};
use ferrum_kv::sync::{Arc, graveyard};
use ferrum_kv::table::{Decision, Table, Tag};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The time in a model, in milliseconds.
pub(crate) const NOW: u64 = 1_000_000;

/// Preemptions explored if the environment does not say.
const PREEMPTIONS: usize = 3;

/// A model: what its threads do and assert, once an execution.
pub(crate) struct Model {
    /// What meets what.
    pub(crate) name: &'static str,
    /// Preemptions beyond which it takes too long.
    pub(crate) most: usize,
    /// One execution.
    pub(crate) run: fn(),
}

impl Model {
    /// Explores the model as the table is. Every execution must also free each record and array
    /// once.
    pub(crate) fn holds(&self) {
        self.explore(None);
    }

    /// Explores the model with a fault planted in the table: it must fail.
    pub(crate) fn breaks_under(&self, fault: Planted) {
        self.explore(Some(fault));
    }

    fn explore(&self, fault: Option<Planted>) {
        let asked = std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|text| text.parse().ok());
        let bound = asked.unwrap_or(PREEMPTIONS).min(self.most);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(bound);
        builder.max_branches = 20_000;
        planted::plant(fault);
        let name = fault.map_or(self.name.into(), |fault| format!("{}, {fault:?}", self.name));
        let executions = Arc::new(AtomicUsize::new(0));
        let counted = executions.clone();
        let report = Report { name, bound, executions, started: Instant::now() };
        let run = self.run;
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            run();
            assert_eq!(graveyard::clear(), 0, "records or arrays were leaked");
        });
        drop(report);
    }
}

/// Says how much was explored, also when the model fails.
struct Report {
    name: String,
    bound: usize,
    executions: Arc<AtomicUsize>,
    started: Instant,
}

impl Drop for Report {
    fn drop(&mut self) {
        let executions = self.executions.load(Ordering::Relaxed);
        graveyard::abandon();
        planted::plant(None);
        let end = if std::thread::panicking() { "failed after" } else { "passed" };
        let (name, bound, time) = (&self.name, self.bound, self.started.elapsed());
        eprintln!("{name} (bound {bound}): {end} {executions} executions, {time:.1?}");
    }
}

/// A key at a home, as a share of the array in 64ths, with a tag. Keys of one home and one tag
/// differ in their hashes when their names do.
pub(crate) const fn key(bytes: &'static [u8], home: u64, tag: u16) -> Key<'static> {
    let name = bytes[bytes.len() - 1] as u64;
    Key { bytes, hash: home << 58 | name << 16 | tag as u64 }
}

/// Key `k` of most models: at home in the last quarter, tag 1.
pub(crate) const K: Key<'static> = key(b"k", 48, 1);
/// At home in the first slot.
pub(crate) const FIRST: Key<'static> = key(b"f", 0, 2);
/// At home in the second quarter.
pub(crate) const SECOND: Key<'static> = key(b"s", 16, 3);
/// At home in the third quarter, with the tag of `K`.
pub(crate) const TWIN: Key<'static> = key(b"t", 32, 1);

/// A keyspace of one database whose table has one segment of `slots` slots.
pub(crate) fn keyspace(slots: usize) -> Arc<Keyspace> {
    databases(1, slots)
}

/// The same with several databases.
pub(crate) fn databases(databases: usize, slots: usize) -> Arc<Keyspace> {
    let table = TableOptions { segment_bits: 0, first_slots: slots };
    let clock = ClockSource::Manual(NOW);
    let hash_seed = Some([1, 2]);
    let others = KeyspaceOptions::default();
    Arc::new(Keyspace::new(KeyspaceOptions { databases, hash_seed, table, clock, ..others }))
}

/// A keyspace of four slots with key `k` in the last one, in the middle of growing: the first two
/// slots are final, the last two, `k`'s among them, have not been touched.
///
/// ```text
/// old: MOVED  FROZEN EMPTY  EMPTY  k          next: f s . . . .
/// ```
pub(crate) fn migrating(value: &[u8]) -> Arc<Keyspace> {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    set(&keyspace, &local, K, value);
    // The array takes no third key: this begins the migration, moves the first slot, and freezes
    // the one at the key's home.
    set(&keyspace, &local, SECOND, b"second");
    assert_eq!(migrations(&keyspace, &local), (1, 0));
    keyspace
}

/// A bare table of one segment, for models that hold records or move single chunks.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) table: Arc<Table>,
    collector: Collector,
}

impl World {
    /// Four slots with two keys: as many as the array takes.
    pub(crate) fn full() -> Self {
        let collector = Collector::new();
        let options = TableOptions { segment_bits: 0, first_slots: 4 };
        let world = Self { table: Arc::new(Table::new(options, collector.clone())), collector };
        world.set(FIRST, b"first");
        world.set(K, b"old");
        world
    }

    /// As [`migrating`].
    pub(crate) fn migrating() -> Self {
        let world = Self::full();
        world.set(SECOND, b"second");
        assert_eq!(world.table.migrations(), (1, 0));
        world
    }

    /// A migration of which only the last chunk, that of `k`, is left to do.
    pub(crate) fn almost_moved() -> Self {
        let world = Self::migrating();
        world.help(2);
        assert_eq!(world.table.migrations(), (1, 0));
        world
    }

    pub(crate) fn set(&self, key: Key<'_>, value: &[u8]) {
        let participant = self.collector.register();
        let value = NewValue::Copy(value);
        self.table.update(key, &participant.pin(), |_| {
            Decision::Put(OwnedRecord::new(&Birth::of(key, 0), &value), Tag::Whole, ())
        });
    }

    pub(crate) fn remove(&self, key: Key<'_>) {
        let participant = self.collector.register();
        self.table.update(key, &participant.pin(), |_| Decision::Remove(0, ()));
    }

    /// Moves at most `chunks` chunks.
    pub(crate) fn help(&self, chunks: usize) {
        let participant = self.collector.register();
        self.table.maintain(&participant.pin(), chunks);
    }

    pub(crate) fn get(&self, key: Key<'_>) -> Option<Vec<u8>> {
        let participant = self.collector.register();
        let guard = participant.pin();
        self.table.get(key, &guard)?.value().map(|value| value.to_vec())
    }

    /// Reads a key, lets others run, and reads the record again.
    pub(crate) fn linger(&self, key: Key<'_>) -> Option<Vec<u8>> {
        let participant = self.collector.register();
        let guard = participant.pin();
        let record = self.table.get(key, &guard)?;
        let value = record.value()?.to_vec();
        loom::thread::yield_now();
        assert_eq!(record.value().map(|value| value.to_vec()).as_ref(), Some(&value));
        Some(value)
    }

    /// Runs `work` on a thread of the model.
    pub(crate) fn spawn(&self, work: impl FnOnce(&Self) + 'static) -> loom::thread::JoinHandle<()> {
        let world = self.clone();
        loom::thread::spawn(move || work(&world))
    }
}

/// Runs `work` on a thread of the model.
pub(crate) fn spawn<R: 'static>(
    keyspace: &Arc<Keyspace>,
    work: impl FnOnce(&Keyspace, &Local) -> R + 'static,
) -> loom::thread::JoinHandle<R> {
    let keyspace = keyspace.clone();
    loom::thread::spawn(move || {
        let local = keyspace.join();
        work(&keyspace, &local)
    })
}

pub(crate) fn set(keyspace: &Keyspace, local: &Local, key: Key<'_>, value: &[u8]) {
    keyspace.database(0).set(&local.pin(), key, NewValue::Copy(value));
}

pub(crate) fn set_if_absent(
    keyspace: &Keyspace,
    local: &Local,
    key: Key<'_>,
    value: &[u8],
) -> bool {
    keyspace.database(0).set_if_absent(&local.pin(), key, NewValue::Copy(value))
}

pub(crate) fn get(keyspace: &Keyspace, local: &Local, key: Key<'_>) -> Option<Vec<u8>> {
    keyspace.database(0).get(&local.pin(), key, |value| value.to_vec())
}

pub(crate) fn add(keyspace: &Keyspace, local: &Local, key: Key<'_>, delta: i64) -> i64 {
    keyspace.database(0).add(&local.pin(), key, delta).expect("an integer")
}

pub(crate) fn append(keyspace: &Keyspace, local: &Local, key: Key<'_>, tail: &[u8]) -> usize {
    keyspace.database(0).append(&local.pin(), key, tail).expect("short")
}

pub(crate) fn remove(keyspace: &Keyspace, local: &Local, key: Key<'_>) -> bool {
    keyspace.database(0).remove(&local.pin(), key)
}

pub(crate) fn flush(keyspace: &Keyspace, local: &Local) {
    keyspace.database(0).flush(&local.pin());
}

pub(crate) fn migrations(keyspace: &Keyspace, local: &Local) -> (usize, u64) {
    keyspace.database(0).migrations(&local.pin())
}

/// Completes what migrates, then makes the table migrate once more and completes that: what has
/// been resurrected comes to light, what was lost is gone for good.
pub(crate) fn migrate_again(keyspace: &Keyspace, local: &Local) {
    maintain(keyspace, local);
    let (_, before) = migrations(keyspace, local);
    for round in 0..20u64 {
        let filler = Key { bytes: &round.to_le_bytes(), hash: round << 59 | round << 16 | 9 };
        set(keyspace, local, filler, b"filler");
        maintain(keyspace, local);
        if migrations(keyspace, local).1 > before {
            return;
        }
    }
    panic!("the table does not migrate");
}

/// Moves every chunk that is not done and completes the migration, if there is one.
pub(crate) fn maintain(keyspace: &Keyspace, local: &Local) {
    keyspace.maintain(local, false);
}
