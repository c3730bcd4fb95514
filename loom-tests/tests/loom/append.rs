//! Claiming room in a shared buffer.

use crate::support::*;
use ferrum_kv::store::{Keyspace, Local};
use ferrum_kv::sync::planted::Planted;

/// A value long enough for a buffer that appends grow.
const HEAD: [u8; 129] = [b'.'; 129];

fn tail(keyspace: &Keyspace, local: &Local) -> String {
    let value = get(keyspace, local, K).expect("present");
    assert!(value.starts_with(&HEAD));
    String::from_utf8(value[HEAD.len()..].to_vec()).expect("letters")
}

fn address(keyspace: &Keyspace, local: &Local) -> usize {
    let address = |value: ferrum_kv::store::Value<'_>| match value {
        ferrum_kv::store::Value::Bytes(bytes) => bytes.as_ptr().addr(),
        _ => panic!("bytes"),
    };
    keyspace.database(0).get(&local.pin(), K, address).expect("present")
}

const TWO_APPENDERS: Model = Model { name: "two appenders", most: usize::MAX, run: two_appenders };

fn two_appenders() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    append(&keyspace, &local, K, &HEAD);
    let other = spawn(&keyspace, |keyspace, local| append(keyspace, local, K, b"x"));
    let mut lengths = [append(&keyspace, &local, K, b"y"), other.join().unwrap()];
    lengths.sort_unstable();
    assert_eq!(lengths, [130, 131], "an APPEND was lost");
    let tail = tail(&keyspace, &local);
    assert!(tail == "xy" || tail == "yx", "an APPEND was lost: {tail}");
}

#[test]
fn two_appenders_both_append() {
    TWO_APPENDERS.holds();
}

#[test]
#[should_panic(expected = "an APPEND was lost")]
fn a_claim_that_two_may_have_is_seen() {
    TWO_APPENDERS.breaks_under(Planted::ClaimNotExclusive);
}

/// The record moves between an append's claim and its publication: the room is given back and
/// claimed again, in the same buffer.
const APPEND_AGAINST_MIGRATION: Model =
    Model { name: "append against migration", most: 2, run: append_against_migration };

fn append_against_migration() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    append(&keyspace, &local, K, &HEAD);
    let before = address(&keyspace, &local);
    let other = spawn(&keyspace, |keyspace, local| append(keyspace, local, K, b"x"));
    set(&keyspace, &local, SECOND, b"second");
    maintain(&keyspace, &local);
    assert_eq!(other.join().unwrap(), 130);
    assert_eq!(tail(&keyspace, &local), "x");
    assert_eq!(append(&keyspace, &local, K, b"y"), 131);
    assert_eq!(address(&keyspace, &local), before, "the value was copied");
}

#[test]
fn a_claim_whose_record_moved_is_given_back() {
    APPEND_AGAINST_MIGRATION.holds();
}

#[test]
#[should_panic(expected = "the value was copied")]
fn a_claim_that_is_not_given_back_is_seen() {
    APPEND_AGAINST_MIGRATION.breaks_under(Planted::ClaimNotGivenBack);
}

/// Appending nothing claims no room that could be given back.
const EMPTY_APPENDER: Model =
    Model { name: "empty appender", most: usize::MAX, run: empty_appender };

fn empty_appender() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    append(&keyspace, &local, K, &HEAD);
    let other = spawn(&keyspace, |keyspace, local| append(keyspace, local, K, b""));
    assert_eq!(append(&keyspace, &local, K, b"y"), 130);
    let length = other.join().unwrap();
    assert!(length == 129 || length == 130);
    assert_eq!(tail(&keyspace, &local), "y");
}

#[test]
fn an_empty_append_disturbs_nobody() {
    EMPTY_APPENDER.holds();
}
