//! Reclamation: a record or an array goes only when nobody who may have seen it is pinned. Here a
//! reader holds what it found across a step of the other threads and then touches it again.

use crate::support::{explore, expose};
use ferrum_kv::record::{Key, NewValue, OwnedRecord};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::epoch::Collector;
use ferrum_kv::sync::planted::Planted;
use ferrum_kv::table::{Decision, Table, TableOptions};

const K: Key<'static> = crate::support::K;
const FIRST: Key<'static> = crate::support::FIRST;
const SECOND: Key<'static> = crate::support::SECOND;

#[derive(Clone)]
struct World {
    table: Arc<Table>,
    collector: Collector,
}

impl World {
    fn new() -> Self {
        let collector = Collector::new();
        let options = TableOptions { segment_bits: 0, first_slots: 4 };
        let world = Self { table: Arc::new(Table::new(options, collector.clone())), collector };
        world.set(FIRST, b"first");
        world.set(K, b"old");
        world
    }

    fn set(&self, key: Key<'_>, value: &[u8]) {
        let participant = self.collector.register();
        let value = NewValue::Copy(value);
        self.table.update(key, &participant.pin(), |_| {
            Decision::Put(OwnedRecord::new(key, 0, &value), ())
        });
    }

    fn remove(&self, key: Key<'_>) {
        let participant = self.collector.register();
        self.table.update(key, &participant.pin(), |_| Decision::Remove(0, ()));
    }

    fn help(&self) {
        let participant = self.collector.register();
        self.table.maintain(&participant.pin(), 8);
    }

    /// Reads a key, lets others run, and reads the record again.
    fn linger(&self, key: Key<'_>) -> Option<Vec<u8>> {
        let participant = self.collector.register();
        let guard = participant.pin();
        let record = self.table.get(key, &guard)?;
        let value = record.value()?.to_vec();
        loom::thread::yield_now();
        assert_eq!(record.value().map(|value| value.to_vec()).as_ref(), Some(&value));
        Some(value)
    }
}

/// A reader pinned before or after the retirement of what it may find.
fn reader_against_replace() {
    let world = World::new();
    let writer = world.clone();
    let writer = loom::thread::spawn(move || writer.set(K, b"new"));
    let seen = world.linger(K).expect("present");
    assert!(seen == b"old" || seen == b"new");
    writer.join().unwrap();
    assert_eq!(world.linger(K).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_record_outlives_the_readers_that_found_it() {
    explore("reader against replace", reader_against_replace);
}

#[test]
#[should_panic(expected = "use after free")]
fn a_record_retired_before_it_is_unlinked_is_seen() {
    expose(Planted::RetireBeforeUnlink, reader_against_replace);
}

/// The same record stands in two arrays while it moves: it must have left the old one before the
/// new one's may be replaced and retired.
fn reader_of_the_old_array() {
    let world = World::new();
    world.set(SECOND, b"second");
    let writer = world.clone();
    let writer = loom::thread::spawn(move || {
        writer.set(K, b"new");
        writer.set(K, b"newer");
    });
    let seen = world.linger(K).expect("present");
    assert!(seen == b"old" || seen == b"new" || seen == b"newer");
    writer.join().unwrap();
    assert_eq!(world.linger(K).as_deref(), Some(&b"newer"[..]), "an old value came back");
}

#[test]
fn a_reader_of_the_old_array_finds_only_what_is_alive() {
    explore("reader of the old array", reader_of_the_old_array);
}

#[test]
#[should_panic]
fn a_key_changed_before_its_old_slot_is_moved_is_seen() {
    expose(Planted::MutateBeforeMoved, reader_of_the_old_array);
}

/// An array goes while readers are in it.
fn reader_against_the_end_of_an_array() {
    let world = World::new();
    world.set(SECOND, b"second");
    let helper = world.clone();
    let helper = loom::thread::spawn(move || helper.help());
    assert_eq!(world.linger(K).as_deref(), Some(&b"old"[..]));
    helper.join().unwrap();
    assert_eq!(world.table.migrations(), (0, 1));
}

#[test]
fn an_array_outlives_the_readers_in_it() {
    explore("reader against the end of an array", reader_against_the_end_of_an_array);
}

#[test]
#[should_panic(expected = "use after free: an array")]
fn an_array_retired_while_it_is_the_root_is_seen() {
    expose(Planted::RetireArrayBeforeSwap, reader_against_the_end_of_an_array);
}

/// A deleted record stays as the name of its key's absence, and goes with the old array's slot.
fn reader_against_delete_and_migration() {
    let world = World::new();
    let writer = world.clone();
    let writer = loom::thread::spawn(move || {
        writer.remove(K);
        writer.set(K, b"new");
    });
    let helper = world.clone();
    let helper = loom::thread::spawn(move || helper.set(SECOND, b"second"));
    let seen = world.linger(K);
    assert!(seen.is_none_or(|seen| seen == b"old" || seen == b"new"));
    writer.join().unwrap();
    helper.join().unwrap();
    assert_eq!(world.linger(K).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_dead_record_outlives_the_readers_that_found_it() {
    crate::support::explore_within(
        "reader against delete and migration",
        2,
        reader_against_delete_and_migration,
    );
}
