//! Commits over keys of which some are counters that others add to in place.

use crate::commits::*;
use crate::support::*;
use ferrum_kv::store::{Keyspace, Local, NewValue};
use ferrum_kv::sync::planted::Planted;

/// SET of `f` to what `k` holds.
fn copy(keyspace: &Keyspace, local: &Local) -> String {
    atomically(keyspace, local, |step| {
        let value = step.get(K).expect("present");
        step.set(FIRST, &value);
        value
    })
}

const COPY: Model = model("copy of a counter against INCR", 3, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| {
        (add(keyspace, local, K, 1), text(keyspace, local, FIRST))
    });
    copy(&keyspace, &local);
    let (sum, seen) = other.join().unwrap();
    assert_eq!(sum, 11);
    assert_eq!(text(&keyspace, &local, K), "11", "an INCR was lost");
    let copied = text(&keyspace, &local, FIRST);
    assert!(copied == "10" || copied == "11", "{copied}");
    assert!(seen == copied || copied == "11", "an old sum was copied after the INCR");
});

#[test]
fn a_counter_is_copied_as_it_is() {
    COPY.holds();
}

#[test]
#[should_panic(expected = "an INCR was lost")]
fn a_commit_that_does_not_stop_a_counter_is_seen() {
    COPY.breaks_under(Planted::CommitWithoutFreeze);
}

const MSET: Model = model("MSET of a counter against INCR", 3, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    set_both(&keyspace, &local, "100");
    let sum = other.join().unwrap();
    assert!(sum == 11 || sum == 101, "{sum}");
    assert_eq!(text(&keyspace, &local, K), if sum == 11 { "100" } else { "101" });
    assert_eq!(text(&keyspace, &local, FIRST), "100");
});

#[test]
fn an_incr_comes_before_or_after_an_mset() {
    MSET.holds();
}

fn add_both(keyspace: &Keyspace, local: &Local) -> [i64; 2] {
    atomically(keyspace, local, |step| [step.add(FIRST, 1), step.add(K, 1)])
}

const ADD: Model = model("two INCRs at once against INCR", 3, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, |keyspace, local| add(keyspace, local, K, 1));
    let sums = add_both(&keyspace, &local);
    let sum = other.join().unwrap();
    assert_eq!(sums[0], 11);
    assert_eq!(sums[1] + sum, 11 + 12, "{} and {sum}", sums[1]);
    assert_eq!(text(&keyspace, &local, K), "12", "an INCR was lost");
    assert_eq!(text(&keyspace, &local, FIRST), "11", "an INCR was lost");
});

#[test]
fn an_incr_comes_before_or_after_two_at_once() {
    ADD.holds();
}

const ADD_TWICE: Model = model("two INCRs at once, twice", 1, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let other = spawn(&keyspace, add_both);
    let body = |step: Step<'_>| [step.add(FIRST, 1), step.add(K, 1)];
    let (mine, theirs) = once_against(&keyspace, &local, other, body);
    assert_eq!(mine[0], mine[1]);
    assert_eq!(theirs[0], theirs[1]);
    assert_eq!(mine[0] + theirs[0], 11 + 12);
    assert_eq!([FIRST, K].map(|key| text(&keyspace, &local, key)), ["12", "12"]);
});

#[test]
fn two_by_two_incrs_are_all_counted() {
    ADD_TWICE.holds();
}

/// A commit over `f` and `k` that a SET of `f` makes fail, and an INCR of the counter `k`.
const BACK: Model = model("commit that fails against INCR", 1, || {
    let keyspace = holding("10");
    let local = keyspace.join();
    let adder = spawn(&keyspace, |keyspace, local| add(keyspace, local, FIRST, 1));
    let setter = spawn(&keyspace, |keyspace, local| set(keyspace, local, K, b"20"));
    let sums = add_both(&keyspace, &local);
    let sum = adder.join().unwrap();
    setter.join().unwrap();
    assert_eq!(sums[0] + sum, 11 + 12, "an INCR was lost");
    assert_eq!(text(&keyspace, &local, FIRST), "12", "an INCR was lost");
    let last = text(&keyspace, &local, K);
    assert_eq!(last, if sums[1] == 21 { "21" } else { "20" });
});

#[test]
fn a_commit_that_fails_loses_no_incr() {
    BACK.holds();
}

/// A transaction that installs its intents first, and is aborted by one of those who add.
const ABORTED: Model = model("protected EXEC aborted by INCR", 2, || {
    let keyspace = holding("10");
    let [local, rival] = [keyspace.join(), keyspace.join()];
    let mut session = local.pin();
    session.begin();
    let database = keyspace.database(0);
    let number = |key| database.get(&session, key, |value| value.to_vec());
    let _ = [FIRST, K].map(number);
    add(&keyspace, &rival, K, 1);
    database.set(&session, K, NewValue::Copy(b"100"));
    assert!(!session.commit(), "what was read has changed");
    let adders =
        [(); 2].map(|()| spawn(&keyspace, |keyspace, local| add(keyspace, local, FIRST, 1)));
    // Installs, and gives up.
    session.begin();
    drop(session);
    let sums = adders.map(|adder| adder.join().unwrap());
    assert_eq!(sums[0] + sums[1], 11 + 12, "an INCR was lost");
    assert_eq!([FIRST, K].map(|key| text(&keyspace, &local, key)), ["12", "11"]);
});

#[test]
fn a_protected_commit_that_is_aborted_loses_no_incr() {
    ABORTED.holds();
}

#[test]
#[should_panic(expected = "an INCR was lost")]
fn a_roll_back_that_does_not_stop_a_counter_is_seen() {
    ABORTED.breaks_under(Planted::RollBackWithoutFreeze);
}

/// Each changes a key if the other key is as it was, which the other changes.
const SKEW: Model = model("write skew", 1, || {
    let keyspace = holding("0");
    let local = keyspace.join();
    let take = |step: &Step<'_>, [other, own]: [_; 2]| {
        let is_free = step.get(other).as_deref() == Some("0");
        if is_free {
            step.set(own, "1");
        }
        is_free
    };
    let other = spawn(&keyspace, move |keyspace, local| {
        atomically(keyspace, local, |step| take(&step, [FIRST, K]))
    });
    let (mine, theirs) = once_against(&keyspace, &local, other, |step| take(&step, [K, FIRST]));
    assert!(mine || theirs, "neither has taken place");
    assert!(!(mine && theirs), "each has overlooked the other");
});

#[test]
fn what_a_transaction_has_read_is_so_when_it_changes_things() {
    SKEW.holds();
}

#[test]
#[should_panic(expected = "each has overlooked the other")]
fn a_commit_that_leaves_out_what_was_read_is_seen() {
    SKEW.breaks_under(Planted::ReadsNotInstalled);
}
