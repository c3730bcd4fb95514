//! Claiming slots: two inserters of one key, and an insert against the freeze of the EMPTY slot
//! that it is about to claim.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

/// Two SETNX of one key while a third thread reads it.
const TWO_INSERTERS: Model = Model { name: "two inserters", most: usize::MAX, run: two_inserters };

fn two_inserters() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    let one = spawn(&keyspace, |keyspace, local| set_if_absent(keyspace, local, K, b"one"));
    let two = spawn(&keyspace, |keyspace, local| set_if_absent(keyspace, local, K, b"two"));
    let seen = get(&keyspace, &local, K);
    let (one, two) = (one.join().unwrap(), two.join().unwrap());
    assert!(one != two, "SETNX must have one winner");
    let winner = if one { b"one" } else { b"two" };
    assert!(seen.is_none_or(|seen| seen == winner), "a reader saw a value that lost");
    assert_eq!(get(&keyspace, &local, K).as_deref(), Some(&winner[..]));
}

#[test]
fn one_of_two_inserters_of_a_key_wins() {
    TWO_INSERTERS.holds();
}

#[test]
#[should_panic(expected = "SETNX must have one winner")]
fn a_lost_claim_that_is_ignored_is_seen() {
    TWO_INSERTERS.breaks_under(Planted::LostClaimIgnored);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_record_published_without_a_release_is_seen() {
    TWO_INSERTERS.breaks_under(Planted::RelaxedPublish);
}

/// Two inserters of different keys in a database that has no table yet.
const FIRST_INSERTERS: Model =
    Model { name: "first inserters", most: usize::MAX, run: first_inserters };

fn first_inserters() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    let one = spawn(&keyspace, |keyspace, local| set(keyspace, local, FIRST, b"one"));
    set(&keyspace, &local, K, b"two");
    one.join().unwrap();
    assert_eq!(get(&keyspace, &local, FIRST).as_deref(), Some(&b"one"[..]));
    assert_eq!(get(&keyspace, &local, K).as_deref(), Some(&b"two"[..]));
}

#[test]
fn the_first_two_inserters_make_one_table() {
    FIRST_INSERTERS.holds();
}

/// An insert into an array of which a migration begins, is carried out and is completed meanwhile.
const INSERT_AGAINST_FREEZE: Model =
    Model { name: "insert against freeze", most: usize::MAX, run: insert_against_freeze };

fn insert_against_freeze() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    let inserter = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"value"));
    // The array is now mostly dead, so this begins a migration.
    assert!(remove(&keyspace, &local, FIRST));
    maintain(&keyspace, &local);
    inserter.join().unwrap();
    assert_eq!(get(&keyspace, &local, K).as_deref(), Some(&b"value"[..]), "the key is lost");
    migrate_again(&keyspace, &local);
    assert_eq!(get(&keyspace, &local, K).as_deref(), Some(&b"value"[..]), "the key is lost");
}

#[test]
fn an_insert_survives_the_freeze_of_its_slot() {
    INSERT_AGAINST_FREEZE.holds();
}

#[test]
#[should_panic(expected = "the key is lost")]
fn an_empty_slot_left_unfrozen_is_seen() {
    INSERT_AGAINST_FREEZE.breaks_under(Planted::EmptyNotFrozen);
}

/// Two SETNX of one key, one of which may go to the old array and the other to the next.
const TWO_INSERTERS_ACROSS_A_MIGRATION: Model = Model {
    name: "two inserters across a migration",
    most: 2,
    run: two_inserters_across_a_migration,
};

fn two_inserters_across_a_migration() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    let one = spawn(&keyspace, |keyspace, local| set_if_absent(keyspace, local, K, b"one"));
    assert!(remove(&keyspace, &local, FIRST));
    let two = set_if_absent(&keyspace, &local, K, b"two");
    let one = one.join().unwrap();
    assert!(one != two, "SETNX must have one winner");
    maintain(&keyspace, &local);
    let winner: &[u8] = if one { b"one" } else { b"two" };
    assert_eq!(get(&keyspace, &local, K).as_deref(), Some(winner));
}

#[test]
fn one_of_two_inserters_wins_across_a_migration() {
    TWO_INSERTERS_ACROSS_A_MIGRATION.holds();
}

#[test]
#[should_panic]
fn an_empty_slot_left_unfrozen_gives_two_winners() {
    TWO_INSERTERS_ACROSS_A_MIGRATION.breaks_under(Planted::EmptyNotFrozen);
}
