//! Reading several keys at one instant by comparing slots (`table::glance`).

use crate::commits::*;
use crate::commits_reads::read_turning_counters;
use crate::support::*;
use ferrum_kv::store::{Keyspace, Local, NewValue};
use ferrum_kv::sync::planted::Planted;

/// MGET of both keys as the server runs it. Others run after the first look, and, if it is slow,
/// after the second one too.
fn look_at_both(keyspace: &Keyspace, local: &Local, slow: bool) -> [Option<String>; 2] {
    let mut session = local.pin();
    loop {
        session.begin_reading();
        let found = [FIRST, K].map(|key| {
            let value = keyspace.database(0).get(&session, key, |value| value.to_vec());
            if slow || key.hash == FIRST.hash {
                loom::thread::yield_now();
            }
            value.map(|text| String::from_utf8(text).expect("text"))
        });
        if session.commit() {
            return found;
        }
    }
}

fn numbers(keyspace: &Keyspace, local: &Local, slow: bool) -> [i64; 2] {
    look_at_both(keyspace, local, slow).map(|text| text.expect("present").parse().expect("digits"))
}

const MSET: Model = model("looks against MSET", 3, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| set_both(keyspace, local, "20"));
    let [one, two] = numbers(&keyspace, &local, false);
    assert_eq!(one, two, "half of an MSET was seen");
    other.join().unwrap();
    assert_eq!(numbers(&keyspace, &local, false), [20, 20], "an MSET was lost");
});

#[test]
fn looks_see_an_mset_whole() {
    MSET.holds();
}

#[test]
#[should_panic(expected = "half of an MSET was seen")]
fn looks_that_are_not_compared_are_seen() {
    MSET.breaks_under(Planted::LooksNotCompared);
}

#[test]
#[should_panic(expected = "half of an MSET was seen")]
fn an_intent_that_is_compared_by_its_word_is_seen() {
    MSET.breaks_under(Planted::IntentCompared);
}

/// Both keys are set one after the other, always the first one first.
const SETS: Model = model("looks against SETs", 2, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        set(keyspace, local, FIRST, b"20");
        set(keyspace, local, K, b"20");
    });
    let seen = numbers(&keyspace, &local, true);
    assert!([[10, 10], [20, 10], [20, 20]].contains(&seen), "{seen:?} was never so");
    other.join().unwrap();
});

#[test]
fn looks_at_values_are_of_one_instant() {
    SETS.holds();
}

#[test]
#[should_panic(expected = "was never so")]
fn looks_at_values_that_are_not_compared_are_seen() {
    SETS.breaks_under(Planted::LooksNotCompared);
}

const TURNS: Model = model("looks at counters that turn", 2, || {
    read_turning_counters(|keyspace, local| numbers(keyspace, local, true));
});

#[test]
fn looks_at_counters_are_of_one_instant() {
    TURNS.holds();
}

#[test]
#[should_panic(expected = "was never so")]
fn looks_at_counters_that_turn_in_place_are_seen() {
    TURNS.breaks_under(Planted::CounterTurns);
}

/// At all times one of two keys is present.
const ABSENCES: Model = model("looks at absent keys", 2, || {
    let keyspace = holding("here");
    let local = keyspace.join();
    remove(&keyspace, &local, FIRST);
    let other = spawn(&keyspace, |keyspace, local| {
        let (session, database) = (local.pin(), keyspace.database(0));
        for [to, from] in [[FIRST, K], [K, FIRST]] {
            database.set(&session, to, NewValue::Copy(b"here"));
            database.remove(&session, from);
        }
    });
    let seen = look_at_both(&keyspace, &local, true);
    assert!(seen.iter().any(Option::is_some), "both keys were never absent at once");
    other.join().unwrap();
});

#[test]
fn looks_at_absent_keys_are_of_one_instant() {
    ABSENCES.holds();
}

#[test]
#[should_panic(expected = "both keys were never absent at once")]
fn looks_at_absent_keys_that_are_not_compared_are_seen() {
    ABSENCES.breaks_under(Planted::LooksNotCompared);
}

/// Two keys are inserted one after the other in a table without an array.
const NEW: Model = model("looks at new keys", 2, || {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        set(keyspace, local, FIRST, b"1");
        set(keyspace, local, K, b"1");
    });
    let seen = look_at_both(&keyspace, &local, true).map(|value| value.is_some());
    assert_ne!(seen, [false, true], "the second key came before the first");
    other.join().unwrap();
});

#[test]
fn looks_at_new_keys_are_of_one_instant() {
    NEW.holds();
}

#[test]
#[should_panic(expected = "the second key came before the first")]
fn looks_at_new_keys_that_are_not_compared_are_seen() {
    NEW.breaks_under(Planted::LooksNotCompared);
}

const MOVING: Model = model("looks at keys that move", 2, || {
    let keyspace = migrating(b"10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        set(keyspace, local, FIRST, b"20");
        set(keyspace, local, K, b"20");
    });
    let seen = look_at_both(&keyspace, &local, true).map(|value| value.as_deref() == Some("20"));
    assert_ne!(seen, [false, true], "the second change came before the first");
    other.join().unwrap();
});

#[test]
fn looks_at_keys_that_move_are_of_one_instant() {
    MOVING.holds();
}
