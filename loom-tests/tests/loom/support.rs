//! What the models share: how one is run, and small keyspaces in a known state.

use ferrum_kv::store::{Key, Keyspace, KeyspaceOptions, Local, NewValue, TableOptions};
use ferrum_kv::sync::planted::{self, Planted};
use ferrum_kv::sync::{Arc, graveyard};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Preemptions explored if the environment does not say.
const PREEMPTIONS: usize = 3;

/// Explores a model. Every execution must also free each record and array once.
pub(crate) fn explore(name: &str, model: fn()) {
    explore_within(name, usize::MAX, model);
}

/// Explores a model that is too large for more than `most` preemptions.
pub(crate) fn explore_within(name: &str, most: usize, model: fn()) {
    run(name, most, None, model);
}

/// Explores a model with a fault planted in the table: it must fail.
pub(crate) fn expose(fault: Planted, model: fn()) {
    run(&format!("{fault:?}"), usize::MAX, Some(fault), model);
}

fn run(name: &str, most: usize, fault: Option<Planted>, model: fn()) {
    let asked = std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|text| text.parse().ok());
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(asked.unwrap_or(PREEMPTIONS).min(most));
    builder.max_branches = 20_000;
    planted::plant(fault);
    let executions = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let counted = executions.clone();
    let report = Report { name: name.into(), executions, started };
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
        assert_eq!(graveyard::clear(), 0, "records or arrays were leaked");
    });
    drop(report);
    planted::plant(None);
}

/// Says how much was explored, also when the model fails.
struct Report {
    name: String,
    executions: Arc<AtomicUsize>,
    started: Instant,
}

impl Drop for Report {
    fn drop(&mut self) {
        let executions = self.executions.load(Ordering::Relaxed);
        graveyard::abandon();
        let end = if std::thread::panicking() { "failed after" } else { "passed" };
        eprintln!("{}: {end} {executions} executions, {:.1?}", self.name, self.started.elapsed());
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
    let table = TableOptions { segment_bits: 0, first_slots: slots };
    Arc::new(Keyspace::new(KeyspaceOptions { databases: 1, hash_seed: Some([1, 2]), table }))
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
    keyspace.maintain(local, true);
    let (_, before) = migrations(keyspace, local);
    for round in 0..20u64 {
        let filler = Key { bytes: &round.to_le_bytes(), hash: round << 59 | round << 16 | 9 };
        set(keyspace, local, filler, b"filler");
        keyspace.maintain(local, true);
        if migrations(keyspace, local).1 > before {
            return;
        }
    }
    panic!("the table does not migrate");
}
