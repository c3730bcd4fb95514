//! INCR in place against everything that replaces the record.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

fn counter() -> ferrum_kv::sync::Arc<ferrum_kv::store::Keyspace> {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    set(&keyspace, &local, K, b"10");
    keyspace
}

fn text(keyspace: &ferrum_kv::store::Keyspace, local: &ferrum_kv::store::Local) -> String {
    get(keyspace, local, K).map_or("nil".into(), |text| String::from_utf8(text).expect("digits"))
}

const TWO_INCRS: Model = Model { name: "two INCRs", most: usize::MAX, run: two_incrs };

fn two_incrs() {
    let keyspace = counter();
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    let mut replies = [add(&keyspace, &local, K, 1), other.join().unwrap()];
    replies.sort_unstable();
    assert_eq!(replies, [11, 12], "an INCR was lost");
    assert_eq!(text(&keyspace, &local), "12");
}

#[test]
fn two_incrs_both_count() {
    TWO_INCRS.holds();
}

#[test]
#[should_panic(expected = "an INCR was lost")]
fn a_counter_without_compare_and_swap_is_seen() {
    TWO_INCRS.breaks_under(Planted::CounterNotExclusive);
}

const INCR_AGAINST_SET: Model =
    Model { name: "INCR against SET", most: usize::MAX, run: incr_against_set };

fn incr_against_set() {
    let keyspace = counter();
    let local = keyspace.join();
    let incr = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    set(&keyspace, &local, K, b"100");
    let reply = incr.join().unwrap();
    match text(&keyspace, &local).as_str() {
        "100" => assert_eq!(reply, 11),
        "101" => assert_eq!(reply, 101),
        other => panic!("{other} after INCR replied {reply}"),
    }
}

#[test]
fn an_incr_comes_before_or_after_a_set() {
    INCR_AGAINST_SET.holds();
}

const INCR_AGAINST_DELETE: Model =
    Model { name: "INCR against DEL", most: usize::MAX, run: incr_against_delete };

fn incr_against_delete() {
    let keyspace = counter();
    let local = keyspace.join();
    let incr = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    assert!(remove(&keyspace, &local, K));
    let reply = incr.join().unwrap();
    match text(&keyspace, &local).as_str() {
        "nil" => assert_eq!(reply, 11),
        "1" => assert_eq!(reply, 1),
        other => panic!("{other} after INCR replied {reply}"),
    }
}

#[test]
fn an_incr_comes_before_or_after_a_delete() {
    INCR_AGAINST_DELETE.holds();
}

/// APPEND builds on the value, so the freeze must stop an INCR that comes too late to be in it.
const INCR_AGAINST_APPEND: Model =
    Model { name: "INCR against APPEND", most: usize::MAX, run: incr_against_append };

fn incr_against_append() {
    let keyspace = counter();
    let local = keyspace.join();
    let incr = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    append(&keyspace, &local, K, b"5");
    let reply = incr.join().unwrap();
    match text(&keyspace, &local).as_str() {
        "115" => assert_eq!(reply, 11),
        "106" => assert_eq!(reply, 106),
        other => panic!("an INCR was lost: {other} after it replied {reply}"),
    }
}

#[test]
fn an_incr_is_in_the_value_that_an_append_builds_on() {
    INCR_AGAINST_APPEND.holds();
}

#[test]
#[should_panic(expected = "an INCR was lost")]
fn a_counter_replaced_without_a_freeze_is_seen() {
    INCR_AGAINST_APPEND.breaks_under(Planted::CounterNotFrozen);
}

/// Two INCRs while the counter moves to the next array.
const INCRS_AGAINST_MIGRATION: Model =
    Model { name: "INCRs against migration", most: usize::MAX, run: incrs_against_migration };

fn incrs_against_migration() {
    let keyspace = migrating(b"10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    let mut replies = [add(&keyspace, &local, K, 1), other.join().unwrap()];
    replies.sort_unstable();
    assert_eq!(replies, [11, 12], "an INCR was lost");
    assert_eq!(text(&keyspace, &local), "12");
}

#[test]
fn incrs_count_while_the_counter_moves() {
    INCRS_AGAINST_MIGRATION.holds();
}

/// An INCR that found the record before the migration began, against SET in the next array.
const INCR_AGAINST_MIGRATION_AND_SET: Model = Model {
    name: "INCR against migration and APPEND",
    most: usize::MAX,
    run: incr_against_migration_and_set,
};

fn incr_against_migration_and_set() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    set(&keyspace, &local, K, b"10");
    let incr = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    // Begins a migration; the SET then moves the counter and replaces it.
    set(&keyspace, &local, SECOND, b"second");
    append(&keyspace, &local, K, b"5");
    let reply = incr.join().unwrap();
    match text(&keyspace, &local).as_str() {
        "115" => assert_eq!(reply, 11),
        "106" => assert_eq!(reply, 106),
        other => panic!("an INCR was lost: {other} after it replied {reply}"),
    }
}

#[test]
fn an_incr_in_the_old_array_is_in_the_value_replaced_in_the_next() {
    INCR_AGAINST_MIGRATION_AND_SET.holds();
}

#[test]
#[should_panic(expected = "an INCR was lost")]
fn a_counter_replaced_in_the_next_array_without_a_freeze_is_seen() {
    INCR_AGAINST_MIGRATION_AND_SET.breaks_under(Planted::CounterNotFrozen);
}
