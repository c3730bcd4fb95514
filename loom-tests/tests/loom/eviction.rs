//! A victim of eviction, judged and then removed, against those who change the key in between.

use crate::replay::*;
use crate::support::*;
use ferrum_kv::store::{
    Change, Evictor, Keyspace, Local, NewValue, Policy, Room, Scope, Score, TENACITY_MAX,
};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;

/// A keyspace of two keys, of which one has to go: `k`, which holds a value and has a deadline.
fn over(value: &'static str) -> Arc<Keyspace> {
    over_until(value, NOW + 1_000)
}

/// The same with another deadline.
fn over_until(value: &'static str, deadline: u64) -> Arc<Keyspace> {
    let keyspace = keyspace(4);
    let settings = keyspace.eviction().settings();
    settings.set_policy(Policy::Evict(Scope::Volatile, Score::Ttl));
    // No clock of the machine is asked, so that each execution can be repeated.
    settings.set_tenacity(TENACITY_MAX);
    settings.set_max_keys(1);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    keyspace.database(0).change(&local.pin(), K, |_| Change::Put {
        value: NewValue::Copy(value.as_bytes()),
        deadline: Some(deadline),
        result: (),
    });
    keyspace
}

/// Keys that were evicted to make room.
fn make_room(keyspace: &Keyspace, local: &Local) -> u64 {
    let mut evictor = Evictor::with_seed(1);
    let room = evictor.make_room(keyspace, &mut local.pin());
    let evicted = evictor.take_evicted().keys;
    assert!(room != Room::Enough || len(keyspace, local) <= 2, "there is no room");
    evicted
}

fn len(keyspace: &Keyspace, local: &Local) -> u64 {
    keyspace.database(0).len(&local.pin())
}

fn text(keyspace: &Keyspace, local: &Local) -> String {
    get(keyspace, local, K).map_or("nil".into(), |text| String::from_utf8(text).expect("text"))
}

/// The key without a deadline is never touched.
fn assert_first(keyspace: &Keyspace, local: &Local) {
    assert_eq!(get(keyspace, local, FIRST).as_deref(), Some(b"first".as_slice()));
}

const AGAINST_SET: Model = Model { name: "eviction against SET", most: 2, run: against_set };

fn against_set() {
    let keyspace = over("old");
    let local = keyspace.join();
    // It takes the deadline away: from then on the key may not go.
    let other = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"new"));
    let evicted = make_room(&keyspace, &local);
    other.join().unwrap();
    assert!(evicted <= 1, "{evicted} went");
    assert_eq!(text(&keyspace, &local), "new", "a new value was lost");
    assert_first(&keyspace, &local);
    assert_eq!(len(&keyspace, &local), 2);
    assert_eq!(keyspace.database(0).expiring(&local.pin()), 0);
}

#[test]
fn a_set_outlives_the_eviction_of_what_it_replaces() {
    AGAINST_SET.holds();
}

#[test]
#[should_panic(expected = "a new value was lost")]
fn an_eviction_that_does_not_look_again_is_seen() {
    AGAINST_SET.breaks_under(Planted::EvictWithoutLook);
}

const AGAINST_INCR: Model = Model { name: "eviction against INCR", most: 2, run: against_incr };

fn against_incr() {
    let keyspace = over("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    let evicted = make_room(&keyspace, &local);
    let sum = other.join().unwrap();
    let seen = text(&keyspace, &local);
    match sum {
        // The increment came first and went along, or the key was spared.
        11 => assert!(seen == if evicted == 0 { "11" } else { "nil" }, "{seen} after 11"),
        // The key had gone: a new one, without a deadline.
        1 => assert_eq!((seen.as_str(), evicted), ("1", 1)),
        other => panic!("a sum of {other}"),
    }
    assert_first(&keyspace, &local);
}

#[test]
fn an_increment_comes_before_an_eviction_or_begins_anew() {
    AGAINST_INCR.holds();
}

const AGAINST_ANOTHER: Model =
    Model { name: "eviction against eviction", most: 2, run: against_another };

fn against_another() {
    let keyspace = over("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, make_room);
    let mine = make_room(&keyspace, &local);
    let theirs = other.join().unwrap();
    assert_eq!(mine + theirs, 1, "one key went, {mine} and {theirs} were counted");
    assert_eq!(text(&keyspace, &local), "nil");
    assert_first(&keyspace, &local);
    assert_eq!(len(&keyspace, &local), 1);
}

#[test]
fn a_victim_of_two_is_counted_once() {
    AGAINST_ANOTHER.holds();
}

const AGAINST_EXPIRY: Model =
    Model { name: "eviction against expiry", most: 2, run: against_expiry };

fn against_expiry() {
    let keyspace = over_until("old", NOW - 1);
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        assert_eq!(text(keyspace, local), "nil", "seen after its deadline");
        local.take_expired()
    });
    let evicted = make_room(&keyspace, &local);
    let expired = local.take_expired() + other.join().unwrap();
    assert_eq!((evicted, expired), (0, 1), "a key past its deadline goes once, and by that");
    assert_first(&keyspace, &local);
    assert_eq!(len(&keyspace, &local), 1);
    assert_eq!(keyspace.database(0).expiring(&local.pin()), 0);
}

#[test]
fn a_key_past_its_deadline_expires_once_whoever_finds_it() {
    AGAINST_EXPIRY.holds();
}

const LOGGED: Model = Model { name: "log of eviction and SET", most: 2, run: logged };

fn logged() {
    let keyspace = over("old");
    let local = keyspace.join();
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let mut replay = Replay::new(1, &[(FIRST, "first"), (K, "old")]);
    let other = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"new"));
    let evicted = make_room(&keyspace, &local);
    other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    assert_eq!(replay.went(Some("old"), None), evicted == 1, "told otherwise than logged");
}

#[test]
fn an_eviction_is_logged_if_it_has_taken_place() {
    LOGGED.holds();
}

#[test]
#[should_panic(expected = "the log replays to another value")]
fn an_eviction_without_a_ticket_in_time_is_seen() {
    LOGGED.breaks_under(Planted::RemovalTicketLate);
}
