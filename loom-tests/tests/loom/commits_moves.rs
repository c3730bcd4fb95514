//! Commits while their keys move to another array.

use crate::commits::*;
use crate::support::*;
use ferrum_kv::sync::planted::Planted;

/// The chunk of `k` and what it takes to complete the migration move under a commit.
const MOVER: Model = model("MSET in a migration", 2, || {
    let keyspace = migrating(b"old");
    let local = keyspace.join();
    let other = spawn(&keyspace, maintain);
    set_both(&keyspace, &local, "new");
    other.join().unwrap();
    migrate_again(&keyspace, &local);
    assert_eq!([FIRST, K].map(|key| text(&keyspace, &local, key)), ["new", "new"]);
    assert_eq!(text(&keyspace, &local, SECOND), "second");
});

#[test]
fn an_mset_goes_with_its_keys() {
    MOVER.holds();
}

/// The segment begins to move while the intents stand.
const GROWTH: Model = model("MSET against growth", 1, || {
    let keyspace = holding("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        // The array takes no third key.
        set(keyspace, local, SECOND, b"second");
        maintain(keyspace, local);
    });
    set_both(&keyspace, &local, "new");
    other.join().unwrap();
    migrate_again(&keyspace, &local);
    let values = [FIRST, K, SECOND].map(|key| text(&keyspace, &local, key));
    assert_eq!(values, ["new", "new", "second"], "a value was lost");
});

#[test]
fn an_mset_survives_growth() {
    GROWTH.holds();
}

#[test]
#[should_panic]
fn an_intent_that_is_moved_is_seen() {
    GROWTH.breaks_under(Planted::IntentFrozen);
}

/// A counter whose commit a migration aborts.
const COUNTER: Model = model("two INCRs at once against growth", 1, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let grower = spawn(&keyspace, |keyspace, local| set(keyspace, local, SECOND, b"second"));
    let adder = spawn(&keyspace, |keyspace, local| add(keyspace, local, FIRST, 1));
    let done = attempt(&keyspace, &local, |step| [FIRST, K].map(|key| step.add(key, 1)));
    grower.join().unwrap();
    adder.join().unwrap();
    let sums = if done.is_some() { ["12", "11"] } else { ["11", "10"] };
    assert_eq!([FIRST, K].map(|key| text(&keyspace, &local, key)), sums, "an INCR was lost");
});

#[test]
fn a_commit_that_a_migration_aborts_loses_no_incr() {
    COUNTER.holds();
}

/// New keys for which the array has no room.
const NEW: Model = model("MSET of keys without room against GET", 3, || {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    let other = spawn(&keyspace, |keyspace, local| {
        let one = text(keyspace, local, SECOND);
        (one, text(keyspace, local, TWIN))
    });
    atomically(&keyspace, &local, |step| {
        step.set(SECOND, "new");
        step.set(TWIN, "new");
    });
    let (one, two) = other.join().unwrap();
    assert!(one == "nil" || two == "new", "half of an MSET was seen");
    assert_eq!(text(&keyspace, &local, FIRST), "first");
    assert_eq!([SECOND, TWIN].map(|key| text(&keyspace, &local, key)), ["new", "new"]);
});

#[test]
fn an_mset_makes_room_for_its_keys() {
    NEW.holds();
}

const TWO_NEW: Model = model("MSET of keys without room against SET of one", 1, || {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, b"first");
    let other = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"one"));
    let body = |step: Step<'_>| {
        step.set(SECOND, "two");
        step.set(TWIN, "two");
    };
    once_against(&keyspace, &local, other, body);
    migrate_again(&keyspace, &local);
    let values = [FIRST, K, TWIN].map(|key| text(&keyspace, &local, key));
    assert_eq!(values, ["first", "one", "two"], "a value was lost");
});

#[test]
fn an_mset_makes_room_while_others_take_it() {
    TWO_NEW.holds();
}

/// A deletion that makes the array one to be cleaned, under a commit.
const CLEANING: Model = model("RENAME against cleaning", 1, || {
    let keyspace = holding("value");
    let local = keyspace.join();
    remove(&keyspace, &local, FIRST);
    set(&keyspace, &local, SECOND, b"second");
    maintain(&keyspace, &local);
    let other = spawn(&keyspace, |keyspace, local| {
        assert!(remove(keyspace, local, SECOND), "a key was lost");
        maintain(keyspace, local);
    });
    let body = |step: Step<'_>| {
        let value = step.get(K).expect("present");
        step.set(TWIN, &value);
        step.remove(K);
    };
    once_against(&keyspace, &local, other, body);
    let values = [SECOND, TWIN, K].map(|key| text(&keyspace, &local, key));
    assert_eq!(values, ["nil", "value", "nil"], "a key was lost or came back");
});

#[test]
fn a_rename_survives_cleaning() {
    CLEANING.holds();
}
