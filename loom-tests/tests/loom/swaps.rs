//! SWAPDB exchanges two databases under readers and another SWAPDB.

use crate::support::*;
use ferrum_kv::store::{Keyspace, Local, NewValue};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;

/// Two databases, of which the first has `k`.
fn two() -> Arc<Keyspace> {
    let keyspace = databases(2, 4);
    let local = keyspace.join();
    keyspace.database(0).set(&local.pin(), K, NewValue::Copy(b"k"));
    keyspace
}

fn swap(keyspace: &Keyspace, local: &Local) {
    keyspace.database(0).swap(&local.pin(), 1);
}

fn has(keyspace: &Keyspace, local: &Local, database: usize) -> bool {
    keyspace.database(database).contains(&local.pin(), K)
}

const AGAINST_READER: Model =
    Model { name: "SWAPDB against reader", most: usize::MAX, run: against_reader };

fn against_reader() {
    let keyspace = two();
    let local = keyspace.join();
    let other = spawn(&keyspace, swap);
    let there = has(&keyspace, &local, 1);
    let still_here = has(&keyspace, &local, 0);
    assert!(!(there && still_here), "a key was in two databases");
    other.join().unwrap();
    assert!(has(&keyspace, &local, 1) && !has(&keyspace, &local, 0));
}

#[test]
fn a_reader_sees_a_swap_as_one_instant() {
    AGAINST_READER.holds();
}

#[test]
#[should_panic(expected = "use after free")]
fn an_order_freed_at_once_is_seen() {
    AGAINST_READER.breaks_under(Planted::SwapWithoutGrace);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_order_that_is_not_released_is_seen() {
    AGAINST_READER.breaks_under(Planted::RelaxedSwap);
}

const TWO_SWAPS: Model = Model { name: "two SWAPDBs", most: usize::MAX, run: two_swaps };

fn two_swaps() {
    let keyspace = two();
    let local = keyspace.join();
    let other = spawn(&keyspace, swap);
    swap(&keyspace, &local);
    other.join().unwrap();
    assert!(has(&keyspace, &local, 0) && !has(&keyspace, &local, 1), "a SWAPDB was lost");
}

#[test]
fn two_swaps_undo_each_other() {
    TWO_SWAPS.holds();
}

#[test]
#[should_panic(expected = "freed twice")]
fn a_swap_by_a_store_is_seen() {
    TWO_SWAPS.breaks_under(Planted::SwapNotExclusive);
}
