//! A walk (SCAN, KEYS, the sweep) over a segment that migrates under it.

use crate::support::*;
use ferrum_kv::store::ScanPosition;
use ferrum_kv::sync::planted::Planted;

const AGAINST_MIGRATION: Model =
    Model { name: "walk against migration", most: usize::MAX, run: against_migration };

fn against_migration() {
    let keyspace = migrating(b"value");
    let local = keyspace.join();
    // An insert moves a chunk and the chain of its own key.
    let other = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"newer"));
    let mut found = Vec::new();
    let visit = |key: &[u8], _: ferrum_kv::store::Entry<'_>| found.push(key.to_vec());
    let end = keyspace.database(0).scan(&local.pin(), ScanPosition::default(), 100, visit);
    assert_eq!(end, None);
    other.join().unwrap();
    found.sort();
    assert_eq!(found, [b"f", b"k", b"s"], "not each key once");
}

#[test]
fn every_key_that_stays_is_met_once() {
    AGAINST_MIGRATION.holds();
}

#[test]
#[should_panic(expected = "not each key once")]
fn a_walk_in_the_wrong_order_is_seen() {
    AGAINST_MIGRATION.breaks_under(Planted::WalkNextFirst);
}
