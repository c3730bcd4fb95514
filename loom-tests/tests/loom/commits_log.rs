//! Commits over two keys in the log, and under a snapshot: the order of the tickets explains what
//! is in memory, and a walk has a commit whole or not at all.

use crate::commits::{Step, atomically, model, once_against, set_both};
use crate::replay::*;
use crate::snapshot::{against, holding};
use crate::support::*;
use ferrum_kv::store::{Keyspace, Local};
use ferrum_kv::sync::planted::Planted;

/// Replays the log of what `other` and then `mine` do to `f` and `k`.
fn logged<R: 'static, O>(
    value: &'static str,
    other: fn(&Keyspace, &Local) -> R,
    mine: fn(&Keyspace, &Local) -> O,
) -> (Replay, R, O) {
    let (keyspace, mut replay) = holding(value);
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let local = keyspace.join();
    let other = spawn(&keyspace, other);
    let mine = mine(&keyspace, &local);
    let theirs = other.join().unwrap();
    replay.compare(&mut consumer, &keyspace, &local);
    let first = get(&keyspace, &local, FIRST);
    let replayed = replay.keys().get(&0).and_then(|keys| keys.get(FIRST.bytes).cloned());
    assert_eq!(replayed, first, "the log replays to another value");
    (replay, theirs, mine)
}

const SET: Model = model("log of MSET and SET", 3, || {
    let (replay, ..) = logged(
        "old",
        |keyspace, local| set_both(keyspace, local, "both"),
        |keyspace, local| set(keyspace, local, K, b"one"),
    );
    assert_eq!(replay.states.len(), 3, "an MSET is one entry, whoever carries it out");
});

#[test]
fn an_mset_is_logged_where_it_took_place() {
    SET.holds();
}

#[test]
#[should_panic(expected = "the log replays to another value")]
fn a_ticket_after_the_decision_is_seen() {
    SET.breaks_under(Planted::TicketAfterDecision);
}

const TWO_MSETS: Model = model("log of two MSETs", 3, || {
    let (replay, ..) = logged(
        "old",
        |keyspace, local| set_both(keyspace, local, "one"),
        |keyspace, local| set_both(keyspace, local, "two"),
    );
    assert_eq!(replay.states.len(), 3, "an MSET is one entry, whoever carries it out");
});

#[test]
fn two_msets_are_logged_in_their_order() {
    TWO_MSETS.holds();
}

fn add_both(keyspace: &Keyspace, local: &Local) -> [i64; 2] {
    atomically(keyspace, local, |step| [FIRST, K].map(|key| step.add(key, 1)))
}

const INCR: Model = model("log of two INCRs at once and of one", 3, || {
    let (mut replay, theirs, mine) =
        logged("10", |keyspace, local| add(keyspace, local, K, 1), add_both);
    let mut told = vec![theirs, mine[0], mine[1]];
    told.sort_unstable();
    replay.sums.sort_unstable();
    assert_eq!(replay.sums, told, "a sum that no prefix explains");
});

#[test]
fn additions_at_once_are_logged_where_they_took_place() {
    INCR.holds();
}

#[test]
#[should_panic]
fn a_logged_counter_that_a_commit_does_not_stop_is_seen() {
    INCR.breaks_under(Planted::CommitWithoutFreeze);
}

/// A commit builds on what another one changes: one attempt of two is lost, and void in the log.
const LOST: Model = model("log of a commit that is lost", 1, || {
    let (keyspace, mut replay) = holding("10");
    let mut consumer = keyspace.start_log(RING_SLOTS);
    let local = keyspace.join();
    let other = spawn(&keyspace, add_both);
    let body = |step: Step<'_>| [FIRST, K].map(|key| step.add(key, 1));
    let (mine, theirs) = once_against(&keyspace, &local, other, body);
    replay.compare(&mut consumer, &keyspace, &local);
    let mut told = [mine, theirs];
    told.sort_unstable();
    assert_eq!(told, [[11, 11], [12, 12]], "a change was lost");
    assert_eq!(replay.sums, [11, 11, 12, 12], "a commit that was lost is in the log");
});

#[test]
fn a_commit_that_is_lost_is_not_in_the_log() {
    LOST.holds();
}

const SNAPSHOT: Model = model("snapshot against MSET", 2, || {
    let (keyspace, replay) = holding("old");
    against(&keyspace, replay, &[|keyspace, local| set_both(keyspace, local, "new")]);
});

#[test]
fn a_snapshot_has_all_of_an_mset_or_nothing() {
    SNAPSHOT.holds();
}

#[test]
#[should_panic(expected = "the snapshot is not the state at its mark")]
fn a_walk_that_takes_what_came_later_is_seen() {
    SNAPSHOT.breaks_under(Planted::WalkTakesNew);
}

const SNAPSHOT_HELPED: Model = model("snapshot against MSET and SET", 2, || {
    let (keyspace, replay) = holding("old");
    let workers: [fn(&Keyspace, &Local); 2] = [
        |keyspace, local| set_both(keyspace, local, "both"),
        |keyspace, local| set(keyspace, local, K, b"one"),
    ];
    against(&keyspace, replay, &workers);
});

#[test]
fn a_snapshot_has_all_of_an_mset_that_is_helped_or_nothing() {
    SNAPSHOT_HELPED.holds();
}

const SNAPSHOT_LOST: Model = model("snapshot against two INCRs at once and one", 2, || {
    let (keyspace, replay) = holding("10");
    let workers: [fn(&Keyspace, &Local); 2] = [
        |keyspace, local| {
            add_both(keyspace, local);
        },
        |keyspace, local| {
            add(keyspace, local, K, 1);
        },
    ];
    against(&keyspace, replay, &workers);
});

#[test]
fn a_snapshot_has_counters_as_they_were_at_its_mark() {
    SNAPSHOT_LOST.holds();
}
