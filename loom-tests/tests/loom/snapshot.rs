//! A snapshot under changes: it reports the keys as a replay of the log has them at its mark.

use crate::replay::*;
use crate::support::*;
use ferrum_kv::store::{Key, Keyspace, Local, NewValue, Snapshot, SnapshotKey};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;
use std::collections::BTreeMap;

/// Takes a snapshot of a keyspace while other threads work. `replay` has what is in it.
pub(crate) fn against(
    keyspace: &Arc<Keyspace>,
    mut replay: Replay,
    workers: &[fn(&Keyspace, &Local)],
) {
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let local = keyspace.join();
    let workers: Vec<_> = workers.iter().map(|&work| spawn(keyspace, work)).collect();
    let mut snapshot = keyspace.begin_snapshot(&local).expect("the first");
    // Nobody flushes: the tables are those of before.
    snapshot.set_tables(&replay.live());
    let reported = walk(snapshot, || ());
    for worker in workers {
        worker.join().unwrap();
    }
    let mark = std::iter::from_fn(|| replay.step(&mut consumer)).any(|is_mark| is_mark);
    assert!(mark, "an entry was not published");
    assert_eq!(reported, replay.keys(), "the snapshot is not the state at its mark");
    assert_eq!(keyspace.image_bytes(), 0, "an image came after the end");
    replay.compare(&mut consumer, keyspace, &local);
}

/// The keys that a snapshot reports, by table.
fn walk(mut snapshot: Snapshot<'_>, between: fn()) -> BTreeMap<u64, Keys> {
    let mut reported: BTreeMap<u64, Keys> = BTreeMap::new();
    let mut report = |it: SnapshotKey<'_>| {
        let value = it.value.to_vec();
        let before = reported.entry(it.table).or_default().insert(it.key.to_vec(), value.clone());
        assert!(before.is_none_or(|before| before == value), "reported with two values");
    };
    while snapshot.step(&mut report) {
        between();
    }
    snapshot.finish(&mut report);
    reported
}

/// One database of four slots, in two steps of the walk: `f` in the first, `k` in the second.
pub(crate) fn holding(value: &'static str) -> (Arc<Keyspace>, Replay) {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, value.as_bytes());
    set(&keyspace, &local, K, value.as_bytes());
    (keyspace, Replay::new(1, &[(FIRST, value), (K, value)]))
}

const fn model(name: &'static str, most: usize, run: fn()) -> Model {
    Model { name, most, run }
}

const SET: Model = model("snapshot against SET", usize::MAX, || {
    let (keyspace, replay) = holding("old");
    against(&keyspace, replay, &[|keyspace, local| set(keyspace, local, FIRST, b"new")]);
});

#[test]
fn a_snapshot_has_what_a_set_replaces() {
    SET.holds();
}

#[test]
#[should_panic(expected = "an image came after the end")]
fn a_snapshot_without_its_second_grace_period_is_seen() {
    SET.breaks_under(Planted::SnapshotWithoutSecondGrace);
}

#[test]
#[should_panic(expected = "the snapshot is not the state at its mark")]
fn an_image_judged_after_the_change_is_seen() {
    SET.breaks_under(Planted::ImageJudgedLate);
}

#[test]
#[should_panic(expected = "the snapshot is not the state at its mark")]
fn a_snapshot_armed_after_its_ticket_is_seen() {
    SET.breaks_under(Planted::SnapshotArmedLate);
}

#[test]
#[should_panic(expected = "the snapshot is not the state at its mark")]
fn a_snapshot_without_its_first_grace_period_is_seen() {
    SET.breaks_under(Planted::SnapshotWithoutFirstGrace);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_kept_record_that_is_not_released_is_seen() {
    SET.breaks_under(Planted::RelaxedKeep);
}

const DELETE: Model = model("snapshot against DEL", usize::MAX, || {
    let (keyspace, replay) = holding("old");
    against(
        &keyspace,
        replay,
        &[|keyspace, local| {
            remove(keyspace, local, FIRST);
        }],
    );
});

#[test]
fn a_snapshot_has_what_a_delete_removes() {
    DELETE.holds();
}

const INCR: Model = model("snapshot against INCR", usize::MAX, || {
    let (keyspace, replay) = holding("10");
    against(
        &keyspace,
        replay,
        &[|keyspace, local| {
            add(keyspace, local, K, 1);
        }],
    );
});

#[test]
fn a_snapshot_has_the_sum_at_its_mark() {
    INCR.holds();
}

#[test]
#[should_panic(expected = "the snapshot is not the state at its mark")]
fn an_addition_to_a_counter_that_a_snapshot_needs_is_seen() {
    INCR.breaks_under(Planted::AddToImage);
}

const TWO_INCRS: Model = model("snapshot against two INCRs", 2, || {
    let (keyspace, replay) = holding("10");
    let incr: fn(&Keyspace, &Local) = |keyspace, local| {
        add(keyspace, local, K, 1);
    };
    against(&keyspace, replay, &[incr, incr]);
});

#[test]
fn a_snapshot_has_the_sum_between_two_incrs() {
    TWO_INCRS.holds();
}

const APPEND: Model = model("snapshot against APPEND", usize::MAX, || {
    let (keyspace, replay) = holding("old");
    against(
        &keyspace,
        replay,
        &[|keyspace, local| {
            append(keyspace, local, K, b"er");
        }],
    );
});

#[test]
fn a_snapshot_has_what_an_append_builds_on() {
    APPEND.holds();
}

const FLUSH: Model = model("snapshot against FLUSH", usize::MAX, || against_flush(flush));

fn against_flush(work: fn(&Keyspace, &Local)) {
    let (keyspace, mut replay) = holding("old");
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let local = keyspace.join();
    let other = spawn(&keyspace, work);
    let mut snapshot = keyspace.begin_snapshot(&local).expect("the first");
    // All earlier changes are over: their entries are published.
    let mark = std::iter::from_fn(|| replay.step(&mut consumer)).any(|is_mark| is_mark);
    assert!(mark, "an entry was not published");
    let wanted = replay.keys();
    snapshot.set_tables(&replay.live());
    // A step may wait for the table that is being flushed.
    let reported = walk(snapshot, loom::thread::yield_now);
    other.join().unwrap();
    assert_eq!(reported, wanted, "the snapshot is not the state at its mark");
    replay.compare(&mut consumer, &keyspace, &local);
}

#[test]
fn a_snapshot_has_the_keys_of_a_table_that_is_flushed() {
    FLUSH.holds();
}

/// Two changes with the ticket of their block, which is older than both.
const BLOCK: Model = model("snapshot against a block", usize::MAX, || {
    let (keyspace, replay) = holding("old");
    let work: fn(&Keyspace, &Local) = |keyspace, local| {
        let mut session = local.pin();
        session.begin_block();
        keyspace.database(0).set(&session, FIRST, NewValue::Copy(b"new"));
        session.renew();
        keyspace.database(0).set(&session, K, NewValue::Copy(b"new"));
        session.end_block();
    };
    against(&keyspace, replay, &[work]);
});

#[test]
fn a_snapshot_has_all_of_a_block_or_nothing() {
    BLOCK.holds();
}

#[test]
#[should_panic(expected = "the snapshot is not the state at its mark")]
fn a_block_whose_session_is_renewed_is_seen() {
    BLOCK.breaks_under(Planted::BlockRenewed);
}

const BLOCK_FLUSH: Model = model("snapshot against a block with a FLUSH", 3, || {
    against_flush(|keyspace, local| {
        let session = local.pin();
        session.begin_block();
        keyspace.database(0).set(&session, FIRST, NewValue::Copy(b"new"));
        keyspace.database(0).flush(&session);
        keyspace.database(0).set(&session, K, NewValue::Copy(b"newer"));
        session.end_block();
    });
});

#[test]
fn a_snapshot_has_the_keys_of_a_table_that_a_block_flushes() {
    BLOCK_FLUSH.holds();
}

const MIGRATION: Model = model("snapshot against SET in a migration", 2, || {
    let keyspace = migrating(b"old");
    let replay = Replay::new(1, &[(FIRST, "first"), (SECOND, "second"), (K, "old")]);
    against(&keyspace, replay, &[|keyspace, local| set(keyspace, local, K, b"new")]);
});

#[test]
fn a_snapshot_has_the_keys_of_a_table_that_migrates() {
    MIGRATION.holds();
}

/// A key of the second table changes while the walk goes on from the first table to it.
const TWO_TABLES: Model = model("snapshot of two tables against SET", 3, || {
    const OF_SECOND: Key<'static> = FIRST;
    let keyspace = databases(2, 4);
    let local = keyspace.join();
    set(&keyspace, &local, K, b"old");
    let value = NewValue::Copy(b"old");
    keyspace.database(1).set(&local.pin(), OF_SECOND, value);
    let mut replay = Replay::new(2, &[(K, "old")]);
    replay.add_table(1, &[(OF_SECOND, "old")]);
    let work: fn(&Keyspace, &Local) = |keyspace, local| {
        keyspace.database(1).set(&local.pin(), OF_SECOND, NewValue::Copy(b"new"));
    };
    against(&keyspace, replay, &[work]);
});

#[test]
fn a_walk_that_goes_on_to_the_next_table_misses_nothing() {
    TWO_TABLES.holds();
}

#[test]
#[should_panic(expected = "the snapshot is not the state at its mark")]
fn a_hash_of_the_table_before_is_seen() {
    TWO_TABLES.breaks_under(Planted::WalkedHashFirst);
}
