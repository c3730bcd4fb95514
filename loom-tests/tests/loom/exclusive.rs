//! Exclusive mode: a client that has all others out is alone with what batches change.

use crate::support::*;
use ferrum_kv::store::{Exclusion, Member};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::atomic::{AtomicU64, Ordering};
use ferrum_kv::sync::planted::Planted;

/// What batches change, and an owner of the exclusion.
type Counter = Arc<AtomicU64>;

/// Not one step, and it orders nothing: a change is lost if another comes between, or if it is not
/// seen here.
fn raise(counter: &Counter) {
    counter.store(read(counter) + 1, Ordering::Relaxed);
}

fn read(counter: &Counter) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Runs a batch of two commands as client 2; returns how many of them ran.
fn batch(member: &Member, counter: &Counter) -> u64 {
    let Some(attendance) = member.enter(2) else {
        return 0;
    };
    raise(counter);
    if attendance.is_called_out() {
        return 1;
    }
    raise(counter);
    2
}

/// Runs as client 1 alone, once nobody else is in; returns what it found.
fn alone(exclusion: &Arc<Exclusion>, own: &Member, counter: &Counter) -> u64 {
    let mut ownership = exclusion.try_take(1).expect("nobody else takes it");
    while !ownership.try_be_alone(own) {
        loom::thread::yield_now();
    }
    let found = read(counter);
    raise(counter);
    found
}

/// A member of the main thread and one that is to run batches, with the latter's counter. Shared:
/// a member stays one to the end of the model, which does not know what the list's lock orders.
fn two() -> (Arc<Exclusion>, Arc<Member>, Arc<Member>, Counter) {
    let exclusion = Arc::new(Exclusion::default());
    let (own, other) = (Arc::new(exclusion.join()), Arc::new(exclusion.join()));
    (exclusion, own, other, Arc::new(AtomicU64::new(0)))
}

const OWNER_AGAINST_BATCH: Model =
    Model { name: "exclusion against batches", most: usize::MAX, run: owner_against_batch };

fn owner_against_batch() {
    let (exclusion, own, other, counter) = two();
    let (member, changed) = (other.clone(), counter.clone());
    let batches = loom::thread::spawn(move || batch(&member, &changed) + batch(&member, &changed));
    let found = alone(&exclusion, &own, &counter);
    let ran = batches.join().unwrap();
    assert!(found <= ran, "it found more than was done");
    assert_eq!(read(&counter), ran + 1, "a change was lost");
}

#[test]
fn an_owner_is_alone() {
    OWNER_AGAINST_BATCH.holds();
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_look_before_the_word_is_set_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::LookBeforeWord);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_batch_without_its_fence_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::BatchWithoutFence);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn an_owner_without_its_fence_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::OwnerWithoutFence);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_batch_that_leaves_without_a_release_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::RelaxedLeave);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_batch_turned_away_without_a_release_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::RelaxedTurnAway);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn an_owner_that_does_not_acquire_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::BatchNotAcquired);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn an_exclusion_given_back_without_a_release_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::RelaxedGiveBack);
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_batch_that_does_not_acquire_is_seen() {
    OWNER_AGAINST_BATCH.breaks_under(Planted::OwnerNotAcquired);
}

const TWO_OWNERS: Model =
    Model { name: "two that take the exclusion", most: usize::MAX, run: two_owners };

/// Each takes it if it can, as after a batch of its own.
fn two_owners() {
    let (exclusion, own, other, counter) = two();
    let (again, member, changed) = (exclusion.clone(), other.clone(), counter.clone());
    let rival = loom::thread::spawn(move || take(&again, 2, &member, &changed));
    let ran = take(&exclusion, 1, &own, &counter) + rival.join().unwrap();
    assert!(ran > 0, "nobody could take it");
    assert_eq!(read(&counter), ran, "a change was lost");
    assert!(exclusion.is_free());
}

/// Takes the exclusion for a client and raises the counter, if it is free; returns how often.
fn take(exclusion: &Arc<Exclusion>, client: u64, own: &Member, counter: &Counter) -> u64 {
    let Some(attendance) = own.enter(client) else {
        return 0;
    };
    let Some(mut ownership) = exclusion.try_take(client) else {
        return 0;
    };
    let mut is_alone = ownership.try_be_alone(own);
    drop(attendance);
    while !is_alone {
        loom::thread::yield_now();
        is_alone = ownership.try_be_alone(own);
    }
    raise(counter);
    1
}

#[test]
fn of_two_one_at_a_time_is_alone() {
    TWO_OWNERS.holds();
}

const THREE: Model = Model { name: "exclusion against two members", most: 2, run: three };

fn three() {
    let (exclusion, own, other, counter) = two();
    let third = Arc::new(exclusion.join());
    let members = [other.clone(), third.clone()];
    let their_counter = Arc::new(AtomicU64::new(0));
    let changed = (counter.clone(), their_counter.clone());
    let batches = [
        loom::thread::spawn(move || batch(&other, &changed.0)),
        loom::thread::spawn(move || batch(&third, &changed.1)),
    ];
    {
        let mut ownership = exclusion.try_take(1).expect("nobody else takes it");
        while !ownership.try_be_alone(&own) {
            loom::thread::yield_now();
        }
        raise(&counter);
        raise(&their_counter);
    }
    let ran: Vec<_> = batches.into_iter().map(|batches| batches.join().unwrap()).collect();
    assert_eq!([read(&counter), read(&their_counter)], [ran[0] + 1, ran[1] + 1]);
    drop(members);
}

#[test]
fn an_owner_is_alone_among_three() {
    THREE.holds();
}
