//! The order of the ring's tickets against the order of the changes they tell of: a ticket is taken
//! between what a change builds on and the change itself, so the entries, replayed in their order,
//! go through the states that the keyspace went through.

use crate::support::*;
use ferrum_kv::ring::{Consumer, Read, Ring};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;
use loom::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A ring, and the word that is changed by those who have its tickets.
#[derive(Clone)]
struct Logged {
    ring: Arc<Ring>,
    word: Arc<AtomicU64>,
}

impl Logged {
    fn new(slots: usize) -> (Self, Consumer) {
        let (ring, consumer) = Ring::new(slots, 7);
        (Self { ring, word: Arc::new(AtomicU64::new(0)) }, consumer)
    }

    fn spawn<R: 'static>(
        &self,
        work: impl FnOnce(&Self) -> R + 'static,
    ) -> loom::thread::JoinHandle<R> {
        let logged = self.clone();
        loom::thread::spawn(move || work(&logged))
    }

    /// Changes the word as the table changes a slot: what was read is compared, and the ticket is
    /// taken between. Returns what the word was.
    fn change(&self, to: impl Fn(u64) -> u64, payload: impl Fn(u64) -> u64) -> u64 {
        loop {
            let was = self.word.load(Acquire);
            let entry = self.ring.enter(&[&payload(was).to_le_bytes()]);
            if self.word.compare_exchange(was, to(was), AcqRel, Relaxed).is_ok() {
                entry.commit();
                return was;
            }
        }
    }

    /// The same with the ticket taken too early, before what the change builds on is read.
    fn change_with_early_ticket(&self, to: impl Fn(u64) -> u64, payload: u64) {
        let entry = self.ring.enter(&[&payload.to_le_bytes()]);
        loop {
            let was = self.word.load(Acquire);
            if self.word.compare_exchange(was, to(was), AcqRel, Relaxed).is_ok() {
                entry.commit();
                return;
            }
        }
    }
}

/// The numbers in all entries, in the order of their tickets.
fn numbers(consumer: &mut Consumer) -> Vec<u64> {
    let mut numbers = Vec::new();
    let end = consumer.ring().tail();
    while consumer.position() < end {
        match consumer.next() {
            Some(Read::Inline(bytes)) => {
                numbers.push(u64::from_le_bytes(*bytes.first_chunk().expect("a slot")));
            }
            Some(Read::Void) => {}
            Some(Read::Boxed(_)) | None => panic!("not an entry of this model"),
        }
    }
    numbers
}

/// Marks a word that stands for an absent key.
const ABSENT: u64 = 1 << 32;
/// Words do not recur, as those of the table's slots do not.
const ONE_VERSION: u64 = 1 << 40;

/// What the word is after a change: the next version, and who changed it to what.
fn successor(was: u64, what: u64) -> u64 {
    (was & !(ONE_VERSION - 1)) + ONE_VERSION + what
}

/// Two threads set and delete a key. Each entry is the word that its change has left.
const SETS_AND_DELETES: Model =
    Model { name: "tickets of SETs and DELs", most: usize::MAX, run: sets_and_deletes };

fn sets_and_deletes() {
    let (logged, mut consumer) = Logged::new(16);
    let other = logged.spawn(|logged| {
        logged.change(|was| successor(was, 1), |was| successor(was, 1));
        logged.change(|was| successor(was, ABSENT | 1), |was| successor(was, ABSENT | 1));
    });
    logged.change(|was| successor(was, 2), |was| successor(was, 2));
    logged.change(|was| successor(was, ABSENT | 2), |was| successor(was, ABSENT | 2));
    other.join().unwrap();
    let states = numbers(&mut consumer);
    // Each change has its own version: in order and without a gap they are the word's own history.
    let versions = states.iter().map(|state| state / ONE_VERSION);
    assert!(versions.eq(1..=4), "a prefix that the word never was: {states:?}");
    assert_eq!(states.last(), Some(&logged.word.load(Relaxed)));
}

#[test]
fn tickets_of_sets_and_deletes_are_in_the_order_of_the_changes() {
    SETS_AND_DELETES.holds();
}

#[test]
#[should_panic]
fn tickets_that_two_may_have_are_out_of_order() {
    SETS_AND_DELETES.breaks_under(Planted::TicketNotExclusive);
}

/// What the log would be if a change took its ticket before it read: to show that the model sees.
const EARLY_TICKETS: Model =
    Model { name: "tickets taken too early", most: usize::MAX, run: early_tickets };

fn early_tickets() {
    let (logged, mut consumer) = Logged::new(16);
    let other = logged.spawn(|logged| logged.change_with_early_ticket(|was| successor(was, 1), 1));
    logged.change_with_early_ticket(|was| successor(was, 2), 2);
    other.join().unwrap();
    let last = *numbers(&mut consumer).last().expect("two entries");
    assert_eq!(last, logged.word.load(Relaxed) % ONE_VERSION, "replayed to another value");
}

#[test]
#[should_panic(expected = "replayed to another value")]
fn tickets_taken_before_the_read_are_seen() {
    EARLY_TICKETS.holds();
}

/// Two threads add to a number. Each entry is what was added.
const ADDITIONS: Model = Model { name: "tickets of INCRs", most: usize::MAX, run: additions };

fn additions() {
    let (logged, mut consumer) = Logged::new(16);
    let add = |logged: &Logged, delta| logged.change(|was| was + delta, |_| delta) + delta;
    let other = logged.spawn(move |logged| [add(logged, 1), add(logged, 10)]);
    let own = [add(&logged, 100), add(&logged, 1000)];
    let mut held = [own, other.join().unwrap()].concat();
    held.sort_unstable();
    let prefixes: Vec<u64> = numbers(&mut consumer)
        .into_iter()
        .scan(0, |sum, delta| {
            *sum += delta;
            Some(*sum)
        })
        .collect();
    assert_eq!(prefixes, held, "a prefix that the number never was");
    assert_eq!(prefixes.last(), Some(&logged.word.load(Relaxed)));
}

#[test]
fn tickets_of_additions_are_in_the_order_of_the_changes() {
    ADDITIONS.holds();
}

#[test]
#[should_panic]
fn tickets_of_additions_that_two_may_have_are_out_of_order() {
    ADDITIONS.breaks_under(Planted::TicketNotExclusive);
}

/// Marks the counter of a record that is being replaced.
const FROZEN: u64 = 1 << 63;

/// INCR in place against SET, which freezes the counter and then replaces the record. `early` is
/// whether SET takes its ticket before it has frozen the counter. An entry is a delta, or 100 for
/// the SET.
fn incr_against_set(early: bool) {
    let (logged, mut consumer) = Logged::new(16);
    let replacing = Arc::new(AtomicU64::new(0));
    let replaced = replacing.clone();
    let other = logged.spawn(move |logged| {
        let set = |ring: &Ring| {
            // The table's slot: in this model nobody else replaces the record.
            let entry = ring.enter(&[&100_u64.to_le_bytes()]);
            if !early {
                replaced.store(100, Release);
            }
            entry.commit();
        };
        if early {
            set(&logged.ring);
        }
        logged.word.fetch_or(FROZEN, AcqRel);
        match early {
            true => replaced.store(100, Release),
            false => set(&logged.ring),
        }
    });
    loop {
        let was = logged.word.load(Acquire);
        let replaced = replacing.load(Acquire);
        if was & FROZEN == 0 {
            let entry = logged.ring.enter(&[&1_u64.to_le_bytes()]);
            if logged.word.compare_exchange(was, was + 1, AcqRel, Relaxed).is_ok() {
                entry.commit();
                break;
            }
        } else if replaced != 0 {
            let entry = logged.ring.enter(&[&1_u64.to_le_bytes()]);
            if replacing.compare_exchange(replaced, replaced + 1, AcqRel, Relaxed).is_ok() {
                entry.commit();
                break;
            }
        }
        loom::thread::yield_now();
    }
    other.join().unwrap();
    let replayed = numbers(&mut consumer).into_iter().fold(0, |number, entry| match entry {
        100 => 100,
        delta => number + delta,
    });
    assert_eq!(replayed, replacing.load(Relaxed), "replayed to another value");
}

const INCR_AGAINST_SET: Model =
    Model { name: "tickets of INCR and SET", most: usize::MAX, run: || incr_against_set(false) };

const INCR_AGAINST_EARLY_SET: Model = Model {
    name: "tickets of INCR and a SET that takes its own too early",
    most: usize::MAX,
    run: || incr_against_set(true),
};

#[test]
fn a_ticket_taken_after_the_counter_is_frozen_is_behind_all_additions_to_it() {
    INCR_AGAINST_SET.holds();
}

#[test]
#[should_panic(expected = "replayed to another value")]
fn a_ticket_taken_before_the_counter_is_frozen_is_seen() {
    INCR_AGAINST_EARLY_SET.holds();
}

/// A reader of a value takes the tail for the ticket to wait for: it is behind the value's own.
const EXPOSED: Model =
    Model { name: "the tail a reader waits for", most: usize::MAX, run: exposed };

fn exposed() {
    let (logged, mut consumer) = Logged::new(16);
    let other = logged.spawn(|logged| {
        logged.change(|_| 1, |_| 1);
        logged.change(|_| 2, |_| 2);
    });
    let seen = logged.word.load(Acquire);
    let tail = logged.ring.tail();
    other.join().unwrap();
    let before = numbers(&mut consumer).into_iter().take((tail - 7) as usize).max();
    assert!(before.unwrap_or(0) >= seen, "a value whose ticket is not awaited");
}

#[test]
fn the_tail_is_behind_the_ticket_of_every_value_that_can_be_seen() {
    EXPOSED.holds();
}

/// One thread announces something and takes a ticket: who has a later ticket knows of it.
const ANNOUNCEMENT: Model =
    Model { name: "an announcement by ticket", most: usize::MAX, run: announcement };

fn announcement() {
    let (logged, _consumer) = Logged::new(16);
    let enter = |logged: &Logged| {
        let entry = logged.ring.enter(&[b"x"]);
        let ticket = entry.ticket();
        entry.commit();
        ticket
    };
    let other = logged.spawn(move |logged| {
        logged.word.store(1, Relaxed);
        enter(logged)
    });
    let between = logged.spawn(move |logged| enter(logged));
    let own = enter(&logged);
    let knows = logged.word.load(Relaxed) == 1;
    between.join().unwrap();
    assert!(knows || own < other.join().unwrap(), "a later ticket that does not know");
}

#[test]
fn who_has_a_later_ticket_knows_what_was_announced() {
    ANNOUNCEMENT.holds();
}

#[test]
#[should_panic(expected = "a later ticket that does not know")]
fn a_ticket_that_does_not_acquire_is_seen() {
    ANNOUNCEMENT.breaks_under(Planted::RelaxedTicket);
}
