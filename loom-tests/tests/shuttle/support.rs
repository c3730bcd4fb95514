//! How a model is run under random schedules, and operations on the one database of its keyspace.

use ferrum_kv::store::{
    ClockSource, EvictionOptions, Keyspace, KeyspaceOptions, Local, NewValue, TableOptions,
};
use ferrum_kv::sync::planted::{self, Planted};
use ferrum_kv::sync::{Arc, graveyard};
use std::time::Instant;

/// The time in a model, in milliseconds.
pub(crate) const NOW: u64 = 1_000_000;

/// Threads of a model.
pub(crate) const THREADS: usize = 8;

/// Schedules of each kind, if the environment variable `SHUTTLE_SCHEDULES` does not say.
const SCHEDULES: usize = 4000;

/// Preemptions of a schedule of the first kind.
const PREEMPTIONS: usize = 4;

/// A model: what its threads do and assert, once a schedule.
pub(crate) struct Model(pub(crate) fn());

impl Model {
    /// Runs it under schedules with few preemptions at random places, in which a thread may sleep
    /// for long, and under schedules in which any thread may be next at each step.
    pub(crate) fn holds(&self) {
        self.check(None);
    }

    /// Runs it with a fault planted in the table: it must fail.
    pub(crate) fn breaks_under(&self, fault: Planted) {
        self.check(Some(fault));
    }

    fn check(&self, fault: Option<Planted>) {
        planted::plant(fault);
        let _end = End(Instant::now());
        let run = self.0;
        let schedule = move || {
            run();
            assert_eq!(graveyard::clear(), 0, "records or arrays were leaked");
        };
        let asked = std::env::var("SHUTTLE_SCHEDULES").ok().and_then(|text| text.parse().ok());
        let schedules = asked.unwrap_or(SCHEDULES);
        shuttle::check_pct(schedule, schedules, PREEMPTIONS);
        shuttle::check_random(schedule, schedules);
    }
}

/// Leaves nothing to the next test, also when the model fails.
struct End(Instant);

impl Drop for End {
    fn drop(&mut self) {
        graveyard::abandon();
        planted::plant(None);
        eprintln!("{:.1?}", self.0.elapsed());
    }
}

/// A keyspace of one database whose table has one segment of four slots.
pub(crate) fn keyspace() -> Arc<Keyspace> {
    let table = TableOptions { segment_bits: 0, first_slots: 4 };
    let clock = ClockSource::Manual(NOW);
    Arc::new(Keyspace::new(KeyspaceOptions {
        databases: 1,
        hash_seed: Some([3, 4]),
        table,
        clock,
        eviction: EvictionOptions::default(),
    }))
}

/// Runs `work` on all threads of a schedule, each told its number.
pub(crate) fn on_all(keyspace: &Arc<Keyspace>, work: fn(usize, &Keyspace, &Local)) {
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let keyspace = keyspace.clone();
            shuttle::thread::spawn(move || work(number, &keyspace, &keyspace.join()))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread of the schedule");
    }
}

pub(crate) fn get(keyspace: &Keyspace, local: &Local, name: &str) -> Option<Vec<u8>> {
    let key = keyspace.key(name.as_bytes());
    keyspace.database(0).get(&local.pin(), key, |value| value.to_vec())
}

pub(crate) fn set(keyspace: &Keyspace, local: &Local, name: &str, value: &[u8]) {
    let key = keyspace.key(name.as_bytes());
    keyspace.database(0).set(&local.pin(), key, NewValue::Copy(value));
}

pub(crate) fn set_if_absent(keyspace: &Keyspace, local: &Local, name: &str, value: &[u8]) -> bool {
    let key = keyspace.key(name.as_bytes());
    keyspace.database(0).set_if_absent(&local.pin(), key, NewValue::Copy(value))
}

pub(crate) fn add(keyspace: &Keyspace, local: &Local, name: &str, delta: i64) -> i64 {
    let key = keyspace.key(name.as_bytes());
    keyspace.database(0).add(&local.pin(), key, delta).expect("an integer")
}

pub(crate) fn append(keyspace: &Keyspace, local: &Local, name: &str, tail: &[u8]) -> usize {
    let key = keyspace.key(name.as_bytes());
    keyspace.database(0).append(&local.pin(), key, tail).expect("short")
}

pub(crate) fn remove(keyspace: &Keyspace, local: &Local, name: &str) -> bool {
    let key = keyspace.key(name.as_bytes());
    keyspace.database(0).remove(&local.pin(), key)
}

pub(crate) fn migrations(keyspace: &Keyspace, local: &Local) -> u64 {
    keyspace.database(0).migrations(&local.pin()).1
}
