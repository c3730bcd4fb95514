//! Commits over two keys against each other and against changes of one of the keys: all or
//! nothing, nothing lost, nothing brought back.

use crate::support::*;
use ferrum_kv::store::{Database, Key, Keyspace, Local, NewValue, Session};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;

pub(crate) const fn model(name: &'static str, most: usize, run: fn()) -> Model {
    Model { name, most, run }
}

/// What a transaction does its work with.
pub(crate) struct Step<'s> {
    database: Database<'s>,
    session: &'s Session<'s>,
}

impl Step<'_> {
    pub(crate) fn get(&self, key: Key<'_>) -> Option<String> {
        let value = self.database.get(self.session, key, |value| value.to_vec());
        value.map(|value| String::from_utf8(value).expect("text"))
    }

    pub(crate) fn set(&self, key: Key<'_>, value: &str) {
        self.database.set(self.session, key, NewValue::Copy(value.as_bytes()));
    }

    pub(crate) fn add(&self, key: Key<'_>, delta: i64) -> i64 {
        self.database.add(self.session, key, delta).expect("an integer")
    }

    pub(crate) fn remove(&self, key: Key<'_>) -> bool {
        self.database.remove(self.session, key)
    }
}

/// Runs a transaction until it succeeds.
pub(crate) fn atomically<R>(
    keyspace: &Keyspace,
    local: &Local,
    mut body: impl FnMut(Step<'_>) -> R,
) -> R {
    let mut session = local.pin();
    loop {
        session.begin();
        let result = body(Step { database: keyspace.database(0), session: &session });
        if session.commit() {
            return result;
        }
    }
}

/// Tries a transaction once.
pub(crate) fn attempt<R>(
    keyspace: &Keyspace,
    local: &Local,
    body: impl FnOnce(Step<'_>) -> R,
) -> Option<R> {
    let mut session = local.pin();
    session.begin();
    let result = body(Step { database: keyspace.database(0), session: &session });
    session.commit().then_some(result)
}

/// A transaction of the thread that has spawned `other`. It is tried once while that one works, and
/// if it is lost, until it succeeds when that one has ended: to try on and on against each other
/// takes too long to explore.
pub(crate) fn once_against<R, O>(
    keyspace: &Keyspace,
    local: &Local,
    other: loom::thread::JoinHandle<O>,
    mut body: impl FnMut(Step<'_>) -> R,
) -> (R, O) {
    let result = attempt(keyspace, local, &mut body);
    let other = other.join().unwrap();
    (result.unwrap_or_else(|| atomically(keyspace, local, body)), other)
}

/// MSET of both keys.
pub(crate) fn set_both(keyspace: &Keyspace, local: &Local, value: &str) {
    atomically(keyspace, local, |step| {
        step.set(FIRST, value);
        step.set(K, value);
    });
}

/// MGET of both keys.
pub(crate) fn get_both(keyspace: &Keyspace, local: &Local) -> [Option<String>; 2] {
    atomically(keyspace, local, |step| [FIRST, K].map(|key| step.get(key)))
}

/// MGET of both keys, between whose steps others run.
pub(crate) fn get_both_slowly(keyspace: &Keyspace, local: &Local) -> [Option<String>; 2] {
    atomically(keyspace, local, |step| {
        [FIRST, K].map(|key| {
            let value = step.get(key);
            loom::thread::yield_now();
            value
        })
    })
}

/// The value of a key, or `nil`.
pub(crate) fn text(keyspace: &Keyspace, local: &Local, key: Key<'_>) -> String {
    let value = get(keyspace, local, key);
    value.map_or("nil".into(), |value| String::from_utf8(value).expect("text"))
}

/// Four slots where both keys hold a value.
pub(crate) fn holding(value: &str) -> Arc<Keyspace> {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, FIRST, value.as_bytes());
    set(&keyspace, &local, K, value.as_bytes());
    keyspace
}

/// Slots enough that nothing makes an array grow.
const ROOMY: usize = 8;

/// One key is deleted and keeps its slot; the other never had one.
fn dead() -> Arc<Keyspace> {
    let keyspace = keyspace(ROOMY);
    let local = keyspace.join();
    set(&keyspace, &local, SECOND, b"stays");
    set(&keyspace, &local, FIRST, b"gone");
    remove(&keyspace, &local, FIRST);
    keyspace
}

fn two_msets(keyspace: &Arc<Keyspace>, keys: u64) {
    let local = keyspace.join();
    let other = spawn(keyspace, |keyspace, local| set_both(keyspace, local, "one"));
    set_both(keyspace, &local, "two");
    other.join().unwrap();
    let values = [text(keyspace, &local, FIRST), text(keyspace, &local, K)];
    assert!(values[0] == "one" || values[0] == "two", "{} is of nobody", values[0]);
    assert_eq!(values[0], values[1], "half of one MSET and half of the other");
    assert_eq!(keyspace.database(0).len(&local.pin()), keys);
}

const PRESENT: Model = model("two MSETs", 2, || two_msets(&holding("old"), 2));
const EMPTY: Model = model("two MSETs of new keys", 2, || two_msets(&keyspace(ROOMY), 2));
const DEAD: Model = model("two MSETs of deleted keys", 2, || two_msets(&dead(), 3));

#[test]
fn two_msets_do_not_mix() {
    PRESENT.holds();
}

#[test]
fn two_msets_of_new_keys_do_not_mix() {
    EMPTY.holds();
}

#[test]
fn two_msets_of_deleted_keys_do_not_mix() {
    DEAD.holds();
}

#[test]
#[should_panic]
fn a_status_that_is_read_before_the_word_is_seen() {
    PRESENT.breaks_under(Planted::StatusBeforeWord);
}

const READER: Model = model("MSET against GET and MGET", 3, || {
    let keyspace = holding("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| set_both(keyspace, local, "new"));
    let first = text(&keyspace, &local, K);
    let [one, two] = get_both(&keyspace, &local);
    assert_eq!(one, two, "half of an MSET was seen");
    let last = text(&keyspace, &local, FIRST);
    let seen = [first, one.expect("present"), last];
    assert!(seen.is_sorted_by(|a, b| a == "old" || b == "new"), "time goes back: {seen:?}");
    other.join().unwrap();
});

#[test]
fn an_mset_is_seen_whole() {
    READER.holds();
}

const THREE: Model = model("two MSETs and an MGET", 2, || {
    let keyspace = holding("old");
    let local = keyspace.join();
    let writers = ["one", "two"]
        .map(|value| spawn(&keyspace, move |keyspace, local| set_both(keyspace, local, value)));
    let [one, two] = get_both(&keyspace, &local);
    assert_eq!(one, two, "half of an MSET was seen");
    for writer in writers {
        writer.join().unwrap();
    }
    let [one, two] = get_both(&keyspace, &local);
    assert_eq!(one, two, "half of one MSET and half of the other");
});

#[test]
fn an_mget_sees_one_of_two_msets() {
    THREE.holds();
}

const SET: Model = model("MSET against SET", 3, || {
    let keyspace = holding("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| set_both(keyspace, local, "both"));
    set(&keyspace, &local, K, b"one");
    let first = text(&keyspace, &local, FIRST);
    other.join().unwrap();
    assert_eq!(text(&keyspace, &local, FIRST), "both", "a value was lost");
    let last = text(&keyspace, &local, K);
    assert!(last == "both" || (last == "one" && first == "both"), "{last} after {first}");
});

#[test]
fn a_set_comes_before_or_after_an_mset() {
    SET.holds();
}

const HELPERS: Model = model("MSET against two SETs", 2, || {
    let keyspace = holding("old");
    let local = keyspace.join();
    let setters = [(FIRST, "one"), (K, "two")].map(|(key, value)| {
        spawn(&keyspace, move |keyspace, local| set(keyspace, local, key, value.as_bytes()))
    });
    set_both(&keyspace, &local, "both");
    let [one, two] = get_both(&keyspace, &local).map(|value| value.expect("present"));
    for setter in setters {
        setter.join().unwrap();
    }
    assert!(["both", "one"].contains(&&*one), "{one}");
    assert!(["both", "two"].contains(&&*two), "{two}");
    let [one, two] = get_both(&keyspace, &local).map(|value| value.expect("present"));
    assert!(["both", "one"].contains(&&*one) && ["both", "two"].contains(&&*two), "{one} {two}");
});

#[test]
fn two_helpers_of_one_mset_agree() {
    HELPERS.holds();
}

/// MSETNX of both keys.
fn set_both_if_absent(step: &Step<'_>, value: &str) -> bool {
    let is_free = [FIRST, K].iter().all(|&key| step.get(key).is_none());
    if is_free {
        step.set(FIRST, value);
        step.set(K, value);
    }
    is_free
}

const TWO_MSETNX: Model = model("two MSETNX", 1, || {
    let keyspace = keyspace(ROOMY);
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        atomically(keyspace, local, |step| set_both_if_absent(&step, "theirs"))
    });
    let body = |step: Step<'_>| set_both_if_absent(&step, "mine");
    let (mine, theirs) = once_against(&keyspace, &local, other, body);
    assert!(mine != theirs, "one of two MSETNX wins");
    let winner = if mine { "mine" } else { "theirs" };
    assert_eq!([FIRST, K].map(|key| text(&keyspace, &local, key)), [winner, winner]);
});

#[test]
fn one_of_two_msetnx_wins() {
    TWO_MSETNX.holds();
}

const SETNX: Model = model("MSETNX against SETNX", 3, || {
    let keyspace = keyspace(ROOMY);
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| set_if_absent(keyspace, local, K, b"mine"));
    let body = |step: Step<'_>| set_both_if_absent(&step, "both");
    let (theirs, mine) = once_against(&keyspace, &local, other, body);
    assert!(mine != theirs, "one of an MSETNX and a SETNX wins");
    let values = [FIRST, K].map(|key| text(&keyspace, &local, key));
    assert_eq!(values, if mine { ["nil", "mine"] } else { ["both", "both"] });
    assert_eq!(keyspace.database(0).len(&local.pin()), if mine { 1 } else { 2 });
});

#[test]
fn one_of_an_msetnx_and_a_setnx_wins() {
    SETNX.holds();
}

const RENAME: Model = model("RENAME against DEL", 3, || {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, K, b"value");
    let other = spawn(&keyspace, |keyspace, local| remove(keyspace, local, K));
    let renamed = atomically(&keyspace, &local, |step| {
        let value = step.get(K);
        if let Some(value) = &value {
            step.set(FIRST, value);
            step.remove(K);
        }
        value.is_some()
    });
    let removed = other.join().unwrap();
    assert!(renamed != removed, "a key is renamed or deleted");
    assert_eq!(text(&keyspace, &local, K), "nil", "a deleted key came back");
    assert_eq!(text(&keyspace, &local, FIRST), if renamed { "value" } else { "nil" });
    assert_eq!(keyspace.database(0).len(&local.pin()), u64::from(renamed));
});

#[test]
fn a_key_is_renamed_or_deleted() {
    RENAME.holds();
}

const DELETE: Model = model("MSET against DEL", 3, || {
    let keyspace = holding("old");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| set_both(keyspace, local, "new"));
    assert!(remove(&keyspace, &local, K), "a present key was not there");
    other.join().unwrap();
    assert_eq!(text(&keyspace, &local, FIRST), "new");
    let last = text(&keyspace, &local, K);
    assert!(last == "nil" || last == "new", "{last} came back");
    assert_eq!(keyspace.database(0).len(&local.pin()), 1 + u64::from(last == "new"));
});

#[test]
fn a_delete_comes_before_or_after_an_mset() {
    DELETE.holds();
}

/// Each expects what the other changes, so one of two attempts fails and is rolled back.
const BACK: Model = model("commits that fail, with a helper", 1, || {
    let keyspace = holding("0");
    let local = keyspace.join();
    let append = |step: &Step<'_>, mark: &str| {
        for key in [FIRST, K] {
            let value = step.get(key).expect("present");
            step.set(key, &(value + mark));
        }
    };
    let other = spawn(&keyspace, move |keyspace, local| {
        atomically(keyspace, local, |step| append(&step, "a"));
    });
    once_against(&keyspace, &local, other, |step| append(&step, "b"));
    let [one, two] = get_both(&keyspace, &local).map(|value| value.expect("present"));
    assert!(one == "0ab" || one == "0ba", "a change was lost: {one}");
    assert_eq!(one, two, "half of a change was lost");
});

#[test]
fn a_commit_that_fails_leaves_nothing() {
    BACK.holds();
}
