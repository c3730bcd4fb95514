//! A key past its deadline, made absent by a reader or by the sweep, against those who write the
//! key anew.

use crate::support::*;
use ferrum_kv::store::{Change, Keyspace, Local, NewValue};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;

/// A keyspace where `k` holds 10 and its deadline has passed.
fn over() -> Arc<Keyspace> {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    keyspace.database(0).change(&local.pin(), K, |_| Change::Put {
        value: NewValue::Copy(b"10"),
        deadline: Some(NOW - 1),
        result: (),
    });
    keyspace
}

fn text(keyspace: &Keyspace, local: &Local) -> String {
    get(keyspace, local, K).map_or("nil".into(), |text| String::from_utf8(text).expect("text"))
}

const AGAINST_SET: Model = Model { name: "expiry against SET", most: usize::MAX, run: against_set };

fn against_set() {
    let keyspace = over();
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"new"));
    let seen = text(&keyspace, &local);
    assert!(seen == "nil" || seen == "new", "{seen} was seen after its deadline");
    other.join().unwrap();
    assert_eq!(text(&keyspace, &local), "new", "a new value was lost");
    assert_eq!(keyspace.database(0).len(&local.pin()), 2);
    assert_eq!(keyspace.database(0).expiring(&local.pin()), 0);
}

#[test]
fn a_set_outlives_the_expiry_of_what_it_replaces() {
    AGAINST_SET.holds();
}

#[test]
#[should_panic(expected = "a new value was lost")]
fn an_expiry_that_does_not_look_again_is_seen() {
    AGAINST_SET.breaks_under(Planted::ExpireWithoutLook);
}

const AGAINST_INCR: Model =
    Model { name: "expiry against INCR", most: usize::MAX, run: against_incr };

fn against_incr() {
    let keyspace = over();
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    let seen = text(&keyspace, &local);
    assert!(seen == "nil" || seen == "1", "{seen} was seen after its deadline");
    assert_eq!(other.join().unwrap(), 1, "an INCR built on an expired value");
    assert_eq!(text(&keyspace, &local), "1", "an INCR was lost");
}

#[test]
fn an_incr_begins_anew_after_the_deadline() {
    AGAINST_INCR.holds();
}

#[test]
#[should_panic(expected = "an INCR was lost")]
fn an_expiry_that_takes_an_incr_along_is_seen() {
    AGAINST_INCR.breaks_under(Planted::ExpireWithoutLook);
}

const AGAINST_INSERT: Model =
    Model { name: "expiry against SETNX", most: usize::MAX, run: against_insert };

fn against_insert() {
    let keyspace = over();
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        keyspace.database(0).set_if_absent(&local.pin(), K, NewValue::Copy(b"theirs"))
    });
    let mine = keyspace.database(0).set_if_absent(&local.pin(), K, NewValue::Copy(b"mine"));
    let theirs = other.join().unwrap();
    assert!(mine != theirs, "one of two SETNX wins");
    let winner = if mine { "mine" } else { "theirs" };
    assert_eq!(text(&keyspace, &local), winner);
}

#[test]
fn one_setnx_wins_after_the_deadline() {
    AGAINST_INSERT.holds();
}

const SWEEP: Model =
    Model { name: "sweep against INCR", most: usize::MAX, run: sweep_against_incr };

fn sweep_against_incr() {
    let keyspace = over();
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    let (looked, removed) = keyspace.database(0).sweep_range(&local.pin(), 0, None);
    assert!(removed <= looked && looked <= 1, "{looked} with deadlines, {removed} removed");
    assert_eq!(other.join().unwrap(), 1, "an INCR built on an expired value");
    assert_eq!(text(&keyspace, &local), "1", "an INCR was lost");
    assert_eq!(keyspace.database(0).len(&local.pin()), 2, "a key without a deadline went");
    assert_eq!(keyspace.database(0).expiring(&local.pin()), 0);
}

#[test]
fn a_sweep_spares_the_counter_that_begins_anew() {
    SWEEP.holds();
}

#[test]
#[should_panic(expected = "an INCR was lost")]
fn a_sweep_that_does_not_look_again_is_seen() {
    SWEEP.breaks_under(Planted::ExpireWithoutLook);
}
