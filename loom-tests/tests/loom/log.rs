//! The log of the real keyspace: replayed in the order of the tickets it is what is in memory at
//! the end, and it goes through the states that replies have told of.

use crate::replay::*;
use crate::support::*;
use ferrum_kv::ring::Consumer;
use ferrum_kv::store::{Change, Keyspace, NewValue, Value};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;

/// A logged keyspace of one database where `k` holds a value.
fn logged(value: &str) -> (Arc<Keyspace>, Consumer, Replay) {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, K, value.as_bytes());
    let consumer = keyspace.start_log(RING_SLOTS);
    let replay = Replay::new(1, &[(K, value)]);
    (keyspace, consumer, replay)
}

const TWO_SETS: Model = Model { name: "log of two SETs", most: usize::MAX, run: two_sets };

fn two_sets() {
    let (keyspace, mut consumer, mut replay) = logged("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"one"));
    set(&keyspace, &local, K, b"two");
    other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    assert_eq!(replay.states.len(), 3, "a SET has one entry");
}

#[test]
fn two_sets_are_logged_in_their_order() {
    TWO_SETS.holds();
}

#[test]
#[should_panic(expected = "the log replays to another value")]
fn a_ticket_before_the_read_is_seen() {
    TWO_SETS.breaks_under(Planted::TicketBeforeRead);
}

#[test]
#[should_panic(expected = "the log replays to another value")]
fn a_ticket_after_the_change_is_seen() {
    TWO_SETS.breaks_under(Planted::TicketAfterChange);
}

const DELETE_AND_SETNX: Model =
    Model { name: "log of DEL and SETNX", most: usize::MAX, run: delete_and_setnx };

fn delete_and_setnx() {
    let (keyspace, mut consumer, mut replay) = logged("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| remove(keyspace, local, K));
    let made = set_if_absent(&keyspace, &local, K, b"new");
    assert!(other.join().unwrap(), "a present key was not removed");
    replay.compare(&mut consumer, &keyspace, &local);
    assert!(replay.went(Some("old"), None), "a DEL that was told is not in the log");
    assert_eq!(made, replay.went(None, Some("new")), "a SETNX is told as it is logged");
}

#[test]
fn a_delete_and_a_setnx_are_logged_as_they_were_told() {
    DELETE_AND_SETNX.holds();
}

const INCR_SET_DELETE: Model =
    Model { name: "log of INCR, SET, DEL", most: usize::MAX, run: incr_set_delete };

fn incr_set_delete() {
    let (keyspace, mut consumer, mut replay) = logged("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    set(&keyspace, &local, K, b"100");
    remove(&keyspace, &local, K);
    let sum = other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    assert_eq!(replay.sums, [sum], "a sum that no prefix explains");
}

#[test]
fn an_incr_is_logged_where_it_took_place() {
    INCR_SET_DELETE.holds();
}

const TURNS: Model = Model { name: "log of a counter that turns", most: usize::MAX, run: turns };

fn turns() {
    let (keyspace, mut consumer, mut replay) = logged("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 2));
    let mut told = vec![add(&keyspace, &local, K, 1), add(&keyspace, &local, K, -1)];
    told.push(other.join().unwrap());
    replay.compare(&mut consumer, &keyspace, &local);
    told.sort_unstable();
    replay.sums.sort_unstable();
    assert_eq!(replay.sums, told, "a sum that no prefix explains");
}

#[test]
fn every_sum_of_a_counter_that_turns_is_a_prefix() {
    TURNS.holds();
}

#[test]
#[should_panic(expected = "a sum that no prefix explains")]
fn a_counter_that_turns_in_place_is_seen() {
    TURNS.breaks_under(Planted::CounterTurns);
}

const THREE_ADDERS: Model =
    Model { name: "log of INCRs of three threads", most: 2, run: three_adders };

fn three_adders() {
    let (keyspace, mut consumer, mut replay) = logged("10");
    let local = keyspace.join();
    let up = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    let down = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, -1));
    let mut told = vec![add(&keyspace, &local, K, 2), up.join().unwrap(), down.join().unwrap()];
    replay.compare(&mut consumer, &keyspace, &local);
    told.sort_unstable();
    replay.sums.sort_unstable();
    assert_eq!(replay.sums, told, "a sum that no prefix explains");
}

#[test]
fn every_sum_of_three_threads_is_a_prefix() {
    THREE_ADDERS.holds();
}

const INCR_APPEND: Model =
    Model { name: "log of INCR and APPEND", most: usize::MAX, run: incr_append };

fn incr_append() {
    let (keyspace, mut consumer, mut replay) = logged("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    append(&keyspace, &local, K, b"5");
    let sum = other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    assert_eq!(replay.sums, [sum], "a sum that no prefix explains");
}

#[test]
fn an_incr_is_before_or_after_the_append_that_is_logged() {
    INCR_APPEND.holds();
}

#[test]
#[should_panic(expected = "the log replays to another value")]
fn a_logged_counter_that_is_not_frozen_is_seen() {
    INCR_APPEND.breaks_under(Planted::CounterNotFrozen);
}

const APPEND_SET: Model =
    Model { name: "log of APPEND and SET", most: usize::MAX, run: append_set };

fn append_set() {
    let (keyspace, mut consumer, mut replay) = logged("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| append(keyspace, local, K, b"er"));
    set(&keyspace, &local, K, b"brand-new");
    let length = other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    let told = replay.states.iter().flat_map(|state| &state.1).any(|text| text.len() == length);
    assert!(told, "a length that no prefix explains");
}

#[test]
fn an_append_builds_on_what_the_log_has() {
    APPEND_SET.holds();
}

/// `k` is past its deadline; the log still has it.
const EXPIRY_INCR: Model =
    Model { name: "log of expiry and INCR", most: usize::MAX, run: expiry_incr };

fn expiry_incr() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    keyspace.database(0).change(&local.pin(), K, |_| Change::Put {
        value: NewValue::Copy(b"10"),
        deadline: Some(NOW - 1),
        result: (),
    });
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let mut replay = Replay::new(1, &[(K, "10")]);
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    get(&keyspace, &local, K);
    assert_eq!(other.join().unwrap(), 1);
    replay.compare(&mut consumer, &keyspace, &local);
}

#[test]
fn an_incr_of_an_expired_key_is_logged_for_a_replay_that_expires_nothing() {
    EXPIRY_INCR.holds();
}

#[test]
#[should_panic(expected = "the log replays to another value")]
fn an_addition_to_an_expired_key_in_the_log_is_seen() {
    EXPIRY_INCR.breaks_under(Planted::ExpiredBuiltUpon);
}

const MIGRATION: Model =
    Model { name: "log of INCR and APPEND in a migration", most: 2, run: migration };

fn migration() {
    let keyspace = migrating(b"10");
    let local = keyspace.join();
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let mut replay = Replay::new(1, &[(K, "10")]);
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    append(&keyspace, &local, K, b"5");
    let sum = other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    assert_eq!(replay.sums, [sum], "a sum that no prefix explains");
}

#[test]
fn changes_of_a_key_that_moves_are_logged_in_their_order() {
    MIGRATION.holds();
}

const FLUSH_SET: Model = Model { name: "log of FLUSH and SET", most: usize::MAX, run: flush_set };

fn flush_set() {
    let (keyspace, mut consumer, mut replay) = logged("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, flush);
    set(&keyspace, &local, K, b"new");
    other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
}

#[test]
fn a_set_of_a_flushed_table_is_not_in_the_replay() {
    FLUSH_SET.holds();
}

const FLUSH_INCR: Model =
    Model { name: "log of FLUSH and INCR", most: usize::MAX, run: flush_incr };

fn flush_incr() {
    let (keyspace, mut consumer, mut replay) = logged("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, flush);
    let sum = add(&keyspace, &local, K, 1);
    other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    assert!(replay.sums.iter().all(|&logged| logged == sum), "a sum that was told to nobody");
    assert_eq!(replay.sums.contains(&1), sum == 1, "a sum of the new table is in the log");
}

#[test]
fn an_incr_of_a_flushed_table_is_not_in_the_replay() {
    FLUSH_INCR.holds();
}

const SWAP_SET: Model = Model { name: "log of SWAPDB and SET", most: usize::MAX, run: swap_set };

fn swap_set() {
    let keyspace = databases(2, 4);
    let local = keyspace.join();
    set(&keyspace, &local, K, b"old");
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let mut replay = Replay::new(2, &[(K, "old")]);
    let other = spawn(&keyspace, |keyspace, local| keyspace.database(0).swap(&local.pin(), 1));
    set(&keyspace, &local, K, b"new");
    other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
}

#[test]
fn a_set_is_logged_where_its_table_is() {
    SWAP_SET.holds();
}

/// A reader's position is past the entry that has made what it saw.
fn exposure(value: &str, change: fn(&Keyspace, &ferrum_kv::store::Local)) {
    let (keyspace, mut consumer, mut replay) = logged(value);
    let local = keyspace.join();
    keyspace.log().expect("a log").set_strict(true);
    let other = spawn(&keyspace, change);
    let seen = {
        let session = local.pin();
        let entry = keyspace.database(0).entry(&session, K);
        entry.map(|entry| match entry.value() {
            Value::Integer(number) => number.to_string(),
            value => String::from_utf8(value.to_vec()).expect("text"),
        })
    };
    let exposed = local.take_exposed();
    other.join().unwrap();
    replay.rest(&mut consumer);
    let explained = replay.states.iter().any(|(ticket, value)| *ticket < exposed && *value == seen);
    assert!(explained, "{seen:?} was exposed, but the log has not got to it at {exposed}");
}

const EXPOSED_SET: Model = Model {
    name: "exposure of a SET",
    most: usize::MAX,
    run: || exposure("old", |keyspace, local| set(keyspace, local, K, b"new")),
};

#[test]
fn a_value_exposes_its_set() {
    EXPOSED_SET.holds();
}

const EXPOSED_INCR: Model = Model {
    name: "exposure of an INCR",
    most: usize::MAX,
    run: || {
        exposure("10", |keyspace, local| {
            add(keyspace, local, K, 1);
        })
    },
};

#[test]
fn a_counter_exposes_the_additions_in_it() {
    EXPOSED_INCR.holds();
}

#[test]
#[should_panic(expected = "was exposed, but the log has not got to it")]
fn an_exposure_before_the_read_is_seen() {
    EXPOSED_INCR.breaks_under(Planted::ExposedEarly);
}

const EXPOSED_DELETE: Model = Model {
    name: "exposure of a DEL",
    most: usize::MAX,
    run: || {
        exposure("old", |keyspace, local| {
            remove(keyspace, local, K);
        })
    },
};

#[test]
fn an_absence_exposes_its_removal() {
    EXPOSED_DELETE.holds();
}

const EXPOSED_FLUSH: Model =
    Model { name: "exposure of a FLUSH", most: usize::MAX, run: || exposure("old", flush) };

#[test]
fn an_empty_database_exposes_its_flush() {
    EXPOSED_FLUSH.holds();
}
