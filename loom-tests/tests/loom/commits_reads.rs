//! Transactions that read: all at one instant, also when they are protected, and watched keys.

use crate::commits::*;
use crate::support::*;
use ferrum_kv::store::{Key, Keyspace, Local, NewValue, Watched};
use ferrum_kv::sync::planted::Planted;
use std::sync::atomic::{AtomicBool, Ordering};

fn number(value: Option<String>) -> i64 {
    value.expect("present").parse().expect("digits")
}

fn numbers(keyspace: &Keyspace, local: &Local) -> [i64; 2] {
    get_both(keyspace, local).map(number)
}

const COUNTERS: Model = model("MGET of counters against INCRs", 3, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        add(keyspace, local, K, 1);
        add(keyspace, local, FIRST, 1);
    });
    let seen = numbers(&keyspace, &local);
    assert!([[10, 10], [10, 11], [11, 11]].contains(&seen), "{seen:?} was never so");
    other.join().unwrap();
});

#[test]
fn an_mget_of_counters_is_of_one_instant() {
    COUNTERS.holds();
}

/// Sums go up and down so that both counters are met at sums that they never had together: what is
/// added to one comes before what is taken from the other.
pub(crate) fn read_turning_counters(read: fn(&Keyspace, &Local) -> [i64; 2]) {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        let (session, database) = (local.pin(), keyspace.database(0));
        for [up, down] in [[FIRST, K], [K, FIRST], [FIRST, K]] {
            database.add(&session, up, 1).expect("an integer");
            database.add(&session, down, -1).expect("an integer");
            loom::thread::yield_now();
        }
    });
    let seen = read(&keyspace, &local);
    assert!(seen[0] + seen[1] >= 20, "{seen:?} was never so");
    other.join().unwrap();
}

const TURNS: Model = model("MGET of counters that turn", 2, || {
    read_turning_counters(|keyspace, local| get_both_slowly(keyspace, local).map(number));
});

#[test]
fn an_mget_of_counters_that_turn_is_of_one_instant() {
    TURNS.holds();
}

#[test]
#[should_panic(expected = "was never so")]
fn an_mget_of_counters_that_turn_in_place_is_seen() {
    TURNS.breaks_under(Planted::CounterTurns);
}

/// At all times one of two keys is present.
const ABSENCES: Model = model("MGET of absent keys against SET and DEL", 2, || {
    let keyspace = holding("here");
    let local = keyspace.join();
    remove(&keyspace, &local, FIRST);
    let other = spawn(&keyspace, |keyspace, local| {
        let (session, database) = (local.pin(), keyspace.database(0));
        for (number, [to, from]) in [[FIRST, K], [K, FIRST], [FIRST, K]].into_iter().enumerate() {
            database.set(&session, to, NewValue::Copy(b"here"));
            database.remove(&session, from);
            if number == 0 {
                loom::thread::yield_now();
            }
        }
    });
    let seen = get_both_slowly(&keyspace, &local);
    assert!(seen.iter().any(Option::is_some), "both keys were never absent at once");
    other.join().unwrap();
});

#[test]
fn an_mget_of_absent_keys_is_of_one_instant() {
    ABSENCES.holds();
}

#[test]
#[should_panic(expected = "both keys were never absent at once")]
fn an_absence_that_has_no_name_is_seen() {
    ABSENCES.breaks_under(Planted::AbsenceWithoutName);
}

/// After the first loss a transaction is protected.
const PROTECTED: Model = model("protected EXEC against SETs", 2, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        for value in ["20", "30"] {
            set(keyspace, local, FIRST, value.as_bytes());
        }
        text(keyspace, local, K)
    });
    let copied = atomically(&keyspace, &local, |step| {
        let value = step.get(FIRST).expect("present");
        step.set(K, &value);
        value
    });
    let seen = other.join().unwrap();
    assert_eq!(text(&keyspace, &local, FIRST), "30", "a SET was lost");
    assert_eq!(text(&keyspace, &local, K), copied, "a change was lost");
    assert!(seen == copied || seen == "10" && copied == "30", "an old value was copied");
});

#[test]
fn a_protected_transaction_takes_place_whole() {
    PROTECTED.holds();
}

const PROTECTED_READ: Model = model("protected MGET against MSETs", 2, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        for value in ["20", "30"] {
            set_both(keyspace, local, value);
        }
    });
    let [one, two] = numbers(&keyspace, &local);
    assert_eq!(one, two, "half of an MSET was seen");
    other.join().unwrap();
    assert_eq!(numbers(&keyspace, &local), [30, 30], "an MSET was lost");
});

#[test]
fn a_protected_read_is_of_one_instant() {
    PROTECTED_READ.holds();
}

const PROTECTED_INCRS: Model = model("protected MGET against INCRs", 2, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other =
        spawn(&keyspace, |keyspace, local| [K, FIRST, K].map(|key| add(keyspace, local, key, 1)));
    let seen = numbers(&keyspace, &local);
    assert!([[10, 10], [10, 11], [11, 11], [11, 12]].contains(&seen), "{seen:?} was never so");
    assert_eq!(other.join().unwrap(), [11, 11, 12], "an INCR was lost");
    assert_eq!(numbers(&keyspace, &local), [11, 12], "an INCR was lost");
});

#[test]
fn a_protected_read_loses_no_incr() {
    PROTECTED_INCRS.holds();
}

/// `k` with the hash that the keyspace gives it, since a watched key is hashed again.
fn watched_key(keyspace: &Keyspace) -> Key<'static> {
    keyspace.key(K.bytes)
}

fn watch(keyspace: &Keyspace, local: &Local) -> Watched {
    keyspace.database(0).watch(&local.pin(), watched_key(keyspace))
}

/// EXEC of a SET of `f`, if `k` is as it was.
fn exec(keyspace: &Keyspace, local: &Local, watched: &Watched) -> bool {
    let mut session = local.pin();
    loop {
        session.begin();
        if !session.is_unchanged(keyspace, watched) {
            session.abandon();
            return false;
        }
        keyspace.database(0).set(&session, FIRST, NewValue::Copy(b"exec"));
        if session.commit() {
            return true;
        }
    }
}

/// `change` of a watched key: who sees it and not yet the EXEC, has seen it in time to prevent
/// that.
fn watched(value: Option<&'static str>, change: fn(&Keyspace, &Local)) {
    let keyspace = keyspace(6);
    let local = keyspace.join();
    set(&keyspace, &local, SECOND, b"stays");
    if let Some(value) = value {
        set(&keyspace, &local, watched_key(&keyspace), value.as_bytes());
    }
    // Not of the model: it says only what came first in this execution.
    let is_watched = std::sync::Arc::new(AtomicBool::new(false));
    let told = is_watched.clone();
    let other = spawn(&keyspace, move |keyspace, local| {
        let is_late = told.load(Ordering::SeqCst);
        change(keyspace, local);
        is_late && text(keyspace, local, FIRST) == "nil"
    });
    let watched = watch(&keyspace, &local);
    is_watched.store(true, Ordering::SeqCst);
    let done = exec(&keyspace, &local, &watched);
    let came_between = other.join().unwrap();
    assert!(!(done && came_between), "a change of a watched key was overlooked");
    assert_eq!(text(&keyspace, &local, FIRST), if done { "exec" } else { "nil" });
}

const WATCHED_ABSENCE: Model = model("WATCH against SET and DEL", 2, || {
    watched(None, |keyspace, local| {
        set(keyspace, local, watched_key(keyspace), b"brief");
        remove(keyspace, local, watched_key(keyspace));
    });
});

#[test]
fn a_watched_absence_is_that_very_one() {
    WATCHED_ABSENCE.holds();
}

const WATCHED_COUNTER: Model = model("WATCH against INCR", 3, || {
    watched(Some("10"), |keyspace, local| {
        add(keyspace, local, watched_key(keyspace), 1);
    });
});

#[test]
fn a_watched_counter_is_at_its_value() {
    WATCHED_COUNTER.holds();
}

const WATCHED_VALUE: Model = model("WATCH against SET of the same value", 3, || {
    watched(Some("old"), |keyspace, local| set(keyspace, local, watched_key(keyspace), b"old"));
});

#[test]
fn a_watched_value_is_that_very_one() {
    WATCHED_VALUE.holds();
}

/// Without other threads: nothing changes, and then all that does.
const ALONE: Model = model("WATCH alone", 3, || {
    let keyspace = keyspace(6);
    let local = keyspace.join();
    set(&keyspace, &local, SECOND, b"stays");
    let watched = watch(&keyspace, &local);
    assert!(exec(&keyspace, &local, &watched), "nothing has changed");
    let watched = watch(&keyspace, &local);
    set(&keyspace, &local, watched_key(&keyspace), b"10");
    assert!(!exec(&keyspace, &local, &watched));
    remove(&keyspace, &local, watched_key(&keyspace));
    assert!(!exec(&keyspace, &local, &watched), "another absence");
    set(&keyspace, &local, watched_key(&keyspace), b"10");
    let watched = watch(&keyspace, &local);
    add(&keyspace, &local, watched_key(&keyspace), 1);
    add(&keyspace, &local, watched_key(&keyspace), -1);
    assert!(!exec(&keyspace, &local, &watched), "another ten");
});

#[test]
fn a_watched_key_is_told_from_its_likes() {
    ALONE.holds();
}
