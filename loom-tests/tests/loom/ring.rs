//! The ring of the log: what the consumer takes out is what producers put in, whole, in the order
//! of the tickets and once, and nobody sleeps while there is something to do.

use crate::support::*;
use bytes::Bytes;
use ferrum_kv::ring::{Boxed, Consumer, Read, Rest, Ring};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// As long as a model needs: in a model, a nap ends by a wake-up only.
const NAP: Rest = Rest::Nap(Duration::from_secs(1));

/// A payload that takes two slots.
const TWO_SLOTS: usize = 100;

/// A ring of four slots whose first entry begins in its last slot.
fn at_the_end() -> (Arc<Ring>, Consumer) {
    Ring::new(4, 7)
}

/// Runs `work` on a thread of the model.
fn produce<R: 'static>(
    ring: &Arc<Ring>,
    work: impl FnOnce(&Ring) -> R + 'static,
) -> loom::thread::JoinHandle<R> {
    let ring = ring.clone();
    loom::thread::spawn(move || work(&ring))
}

/// Publishes an entry of `length` bytes, all the same.
fn put(ring: &Ring, byte: u8, length: usize) -> u64 {
    let entry = ring.enter(&[&[byte][..], &[byte; TWO_SLOTS][1..length]]);
    let ticket = entry.ticket();
    entry.commit();
    ticket
}

/// What the consumer does at an entry that is not published.
#[derive(Clone, Copy)]
enum Wait {
    /// It lets others run. Nothing but the words of the ring orders it and the producers.
    Spin,
    /// It sleeps.
    Rest(Rest),
}

/// An entry taken out: its ticket, and the byte that all its payload is, or none if it is void.
type Taken = (u64, Option<u8>);

/// Takes out all entries before the ticket `end`, each of `length` bytes.
fn take(consumer: &mut Consumer, end: u64, length: usize, wait: Wait) -> Vec<Taken> {
    let mut taken = Vec::new();
    while consumer.position() < end {
        let ticket = consumer.position();
        match consumer.next() {
            Some(Read::Void) => taken.push((ticket, None)),
            Some(Read::Inline(bytes)) => {
                let byte = bytes[0];
                assert!(bytes[..length].iter().all(|other| *other == byte), "a torn payload");
                taken.push((ticket, Some(byte)));
            }
            Some(Read::Boxed(boxed)) => taken.push((ticket, boxed.head.first().copied())),
            None => match wait {
                Wait::Spin => {
                    consumer.release();
                    loom::thread::yield_now();
                }
                Wait::Rest(rest) => consumer.rest(rest),
            },
        }
    }
    taken
}

const PUBLICATION: Model =
    Model { name: "publication against consumption", most: usize::MAX, run: publication };

fn publication() {
    let (ring, mut consumer) = at_the_end();
    let producer = produce(&ring, |ring| put(ring, b'x', TWO_SLOTS));
    assert_eq!(take(&mut consumer, 9, TWO_SLOTS, Wait::Spin), [(7, Some(b'x'))]);
    assert_eq!(producer.join().unwrap(), 7);
}

#[test]
fn what_is_published_is_whole() {
    PUBLICATION.holds();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_entry_that_is_not_released_is_seen() {
    PUBLICATION.breaks_under(Planted::RelaxedEntry);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_entry_that_is_not_acquired_is_seen() {
    PUBLICATION.breaks_under(Planted::RelaxedTake);
}

const TWO_PRODUCERS: Model =
    Model { name: "two producers and the consumer", most: 3, run: two_producers };

fn two_producers() {
    let (ring, mut consumer) = at_the_end();
    let producers = [b'x', b'y'].map(|byte| {
        produce(&ring, move |ring| [(put(ring, byte, 1), Some(byte)), (put(ring, byte, 1), None)])
    });
    let taken = take(&mut consumer, 11, 1, Wait::Spin);
    assert_eq!(taken.len(), 4);
    for (producer, byte) in producers.into_iter().zip(*b"xy") {
        let tickets = producer.join().unwrap().map(|entry| entry.0);
        let own = taken.iter().filter(|entry| entry.1 == Some(byte)).map(|entry| entry.0);
        assert!(own.eq(tickets), "entries of a producer out of its order");
    }
}

#[test]
fn entries_of_two_producers_come_in_the_order_of_their_tickets() {
    TWO_PRODUCERS.holds();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_ticket_that_two_may_have_is_seen() {
    TWO_PRODUCERS.breaks_under(Planted::TicketNotExclusive);
}

/// Entries of two slots, the first and the third over the end of a ring of four, so that the third
/// has to wait until the slots of the first are free.
const WRAP: Model = Model { name: "slots used again", most: usize::MAX, run: wrap };

fn wrap() {
    let (ring, mut consumer) = at_the_end();
    let producer = produce(&ring, |ring| [b'x', b'y', b'z'].map(|byte| put(ring, byte, TWO_SLOTS)));
    let taken = take(&mut consumer, 13, TWO_SLOTS, Wait::Spin);
    assert_eq!(taken, [(7, Some(b'x')), (9, Some(b'y')), (11, Some(b'z'))]);
    assert_eq!(producer.join().unwrap(), [7, 9, 11]);
}

#[test]
fn slots_are_used_again_while_the_consumer_reads() {
    WRAP.holds();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn slots_given_back_without_release_are_seen() {
    WRAP.breaks_under(Planted::RelaxedRelease);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn slots_taken_again_without_acquire_are_seen() {
    WRAP.breaks_under(Planted::RelaxedRoom);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn slots_taken_again_before_they_are_free_are_seen() {
    WRAP.breaks_under(Planted::RoomNotAwaited);
}

/// A producer that fills the ring and tells nobody, and then waits for room while the consumer
/// sleeps.
const ROOM: Model = Model { name: "a producer without room", most: usize::MAX, run: room };

fn room() {
    let (ring, mut consumer) = at_the_end();
    let producer = produce(&ring, |ring| {
        for byte in *b"xyz" {
            put(ring, byte, TWO_SLOTS);
        }
        ring.wake();
    });
    let taken = take(&mut consumer, 13, TWO_SLOTS, Wait::Rest(Rest::UntilAny));
    assert_eq!(taken, [(7, Some(b'x')), (9, Some(b'y')), (11, Some(b'z'))]);
    producer.join().unwrap();
}

#[test]
fn a_producer_that_waits_for_room_comes_to_it() {
    ROOM.holds();
}

#[test]
#[should_panic(expected = "exceeded maximum number of branches")]
fn a_producer_that_waits_for_a_sleeper_is_seen() {
    ROOM.breaks_under(Planted::RoomWithoutWake);
}

/// A full ring, and two producers that wait for its slots, which are given back one by one.
const ROOM_FOR_TWO: Model =
    Model { name: "two producers without room", most: 1, run: room_for_two };

fn room_for_two() {
    let (ring, mut consumer) = at_the_end();
    let before = [b'a', b'b'].map(|byte| put(&ring, byte, TWO_SLOTS));
    assert_eq!(before, [7, 9]);
    assert!(!ring.has_room());
    let producers = [b'x', b'y'].map(|byte| produce(&ring, move |ring| put(ring, byte, TWO_SLOTS)));
    let mut taken = take(&mut consumer, 9, TWO_SLOTS, Wait::Spin);
    consumer.release();
    taken.extend(take(&mut consumer, 11, TWO_SLOTS, Wait::Spin));
    consumer.release();
    let [x, y] = producers.map(|producer| producer.join().unwrap());
    taken.extend(take(&mut consumer, 15, TWO_SLOTS, Wait::Spin));
    let mut expected = [(7, Some(b'a')), (9, Some(b'b')), (x, Some(b'x')), (y, Some(b'y'))];
    expected.sort_unstable();
    assert_eq!(taken, expected);
}

#[test]
fn two_producers_that_wait_for_room_come_to_it() {
    ROOM_FOR_TWO.holds();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn room_that_two_do_not_wait_for_is_seen() {
    ROOM_FOR_TWO.breaks_under(Planted::RoomNotAwaited);
}

/// The oldest entry comes to nothing; the consumer may have looked in vain at the one behind it.
const VOID: Model = Model { name: "an entry that comes to nothing", most: usize::MAX, run: void };

fn void() {
    let (ring, mut consumer) = at_the_end();
    let nothing = produce(&ring, |ring| {
        let entry = ring.enter(&[b"x"]);
        entry.ticket()
    });
    let something = produce(&ring, |ring| {
        let ticket = put(ring, b'y', 1);
        ring.wake();
        ticket
    });
    let taken = take(&mut consumer, 9, 1, Wait::Rest(Rest::UntilAny));
    let mut expected = [(nothing.join().unwrap(), None), (something.join().unwrap(), Some(b'y'))];
    expected.sort_unstable();
    assert_eq!(taken, expected);
}

#[test]
fn an_entry_that_comes_to_nothing_holds_nobody_up() {
    VOID.holds();
}

#[test]
#[should_panic(expected = "deadlock")]
fn an_entry_that_is_neither_committed_nor_void_is_seen() {
    VOID.breaks_under(Planted::VoidNotPublished);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_void_entry_that_leaves_the_consumer_asleep_is_seen() {
    VOID.breaks_under(Planted::VoidWithoutWake);
}

/// A boxed payload that counts how often it is freed.
fn counted(byte: u8, freed: &Arc<AtomicUsize>) -> Box<Boxed> {
    struct Tail(Arc<AtomicUsize>);
    impl AsRef<[u8]> for Tail {
        fn as_ref(&self) -> &[u8] {
            b"tail"
        }
    }
    impl Drop for Tail {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    Box::new(Boxed { head: vec![byte], tail: Bytes::from_owner(Tail(freed.clone())), more: vec![] })
}

/// Four boxes: one taken and given back, one taken and not given back, one void, one left behind.
const BOXES: Model = Model { name: "boxes handed over", most: usize::MAX, run: boxes };

fn boxes() {
    let freed = Arc::new(AtomicUsize::new(0));
    let (ring, mut consumer) = at_the_end();
    let counter = freed.clone();
    let producer = produce(&ring, move |ring| {
        ring.enter_boxed(counted(b'x', &counter)).commit();
        drop(ring.enter_boxed(counted(b'-', &counter)));
        ring.enter_boxed(counted(b'y', &counter)).commit();
        ring.enter_boxed(counted(b'z', &counter)).commit();
    });
    assert_eq!(take(&mut consumer, 8, 0, Wait::Spin), [(7, Some(b'x'))]);
    consumer.release();
    assert_eq!(take(&mut consumer, 10, 0, Wait::Spin), [(8, None), (9, Some(b'y'))]);
    producer.join().unwrap();
    assert_eq!(freed.load(Ordering::Relaxed), 3, "one is left in the ring");
    drop((consumer, ring));
    assert_eq!(freed.load(Ordering::Relaxed), 4, "each is freed once");
}

#[test]
fn a_box_is_handed_over_and_freed_once() {
    BOXES.holds();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_box_that_is_not_released_is_seen() {
    BOXES.breaks_under(Planted::RelaxedEntry);
}

/// Publishes an entry and wakes the consumer.
fn put_and_wake(ring: &Ring, byte: u8) {
    put(ring, byte, 1);
    ring.wake();
}

/// The consumer sleeps until any entry; two come, one after the other.
const SLEEP: Model = Model { name: "sleep against publication", most: usize::MAX, run: sleep };

fn sleep() {
    let (ring, mut consumer) = at_the_end();
    let producer = produce(&ring, |ring| [b'x', b'y'].map(|byte| put_and_wake(ring, byte)));
    let taken = take(&mut consumer, 9, 1, Wait::Rest(Rest::UntilAny));
    assert_eq!(taken, [(7, Some(b'x')), (8, Some(b'y'))]);
    producer.join().unwrap();
}

#[test]
fn no_wake_up_is_lost() {
    SLEEP.holds();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_without_another_look_is_seen() {
    SLEEP.breaks_under(Planted::SleepWithoutLook);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_without_a_fence_is_seen() {
    SLEEP.breaks_under(Planted::SleepWithoutFence);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_up_without_a_fence_is_seen() {
    SLEEP.breaks_under(Planted::WakeWithoutFence);
}

/// Two producers, whose entries may be published in either order and woken for by either.
const SLEEP_OF_TWO: Model =
    Model { name: "sleep against two producers", most: 3, run: sleep_of_two };

fn sleep_of_two() {
    let (ring, mut consumer) = at_the_end();
    let producers = [b'x', b'y'].map(|byte| produce(&ring, move |ring| put_and_wake(ring, byte)));
    let taken = take(&mut consumer, 9, 1, Wait::Rest(Rest::UntilAny));
    assert_eq!(taken.len(), 2);
    producers.into_iter().for_each(|producer| producer.join().unwrap());
}

#[test]
fn no_wake_up_by_either_of_two_is_lost() {
    SLEEP_OF_TWO.holds();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_up_by_either_of_two_without_a_fence_is_seen() {
    SLEEP_OF_TWO.breaks_under(Planted::WakeWithoutFence);
}

/// The consumer naps until a quarter of the ring, two slots, is taken by two producers.
const NAP_OF_TWO: Model = Model { name: "nap against two producers", most: 3, run: nap_of_two };

fn nap_of_two() {
    let (ring, mut consumer) = Ring::new(8, 7);
    let producers = [b'x', b'y'].map(|byte| produce(&ring, move |ring| put_and_wake(ring, byte)));
    // Once: what comes later may be too little to end another nap before its time.
    consumer.rest(NAP);
    assert_eq!(take(&mut consumer, 9, 1, Wait::Spin).len(), 2);
    producers.into_iter().for_each(|producer| producer.join().unwrap());
}

#[test]
fn a_nap_ends_when_a_quarter_of_the_ring_is_taken() {
    NAP_OF_TWO.holds();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_nap_without_a_fence_is_seen() {
    NAP_OF_TWO.breaks_under(Planted::SleepWithoutFence);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_nap_without_another_look_is_seen() {
    NAP_OF_TWO.breaks_under(Planted::SleepWithoutLook);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_up_from_a_nap_without_a_fence_is_seen() {
    NAP_OF_TWO.breaks_under(Planted::WakeWithoutFence);
}

/// One box that takes a quarter of the room for boxes, in a ring with slots to spare.
const NAP_OF_BOXES: Model =
    Model { name: "nap against a box", most: usize::MAX, run: nap_of_boxes };

fn nap_of_boxes() {
    let (ring, mut consumer) = Ring::new(16, 7);
    let producer = produce(&ring, |ring| {
        ring.enter_boxed(Box::new(Boxed { head: vec![b'x'; 60], ..Boxed::default() })).commit();
        ring.wake();
    });
    assert_eq!(take(&mut consumer, 8, 0, Wait::Rest(NAP)), [(7, Some(b'x'))]);
    producer.join().unwrap();
}

#[test]
fn a_nap_ends_when_boxes_take_the_room() {
    NAP_OF_BOXES.holds();
}
