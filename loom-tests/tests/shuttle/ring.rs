//! Eight producers on a small ring, whose slots are used over and over: entries of one and of
//! several slots, boxes, and entries that come to nothing, while the consumer sleeps between.

use crate::support::*;
use ferrum_kv::ring::{Boxed, Consumer, Read, Rest, Ring};
use ferrum_kv::sync::Arc;
use ferrum_kv::sync::planted::Planted;

/// Entries of a producer.
const ENTRIES: u8 = 12;

/// Slots of the ring: fewer than the producers can take at once.
const SLOTS: usize = 8;

const PRODUCERS: Model = Model(producers);

/// The payload of an entry: who, which, and a tail whose length tells how it travels.
fn payload(producer: u8, number: u8) -> Vec<u8> {
    let length = match number % 4 {
        0 => 150,
        1 => 60,
        _ => 3,
    };
    let mut payload = vec![producer ^ number; length];
    payload[..2].copy_from_slice(&[producer, number]);
    payload
}

fn produce(ring: &Ring, producer: u8) {
    for number in 0..ENTRIES {
        let payload = payload(producer, number);
        if (number + producer).is_multiple_of(5) {
            drop(ring.enter(&[b"to nothing"]));
        }
        match number % 4 {
            3 => {
                ring.enter_boxed(Box::new(Boxed { head: payload, ..Boxed::default() })).commit();
            }
            _ => ring.enter(&[&payload[..1], &payload[1..]]).commit(),
        }
        // Now and then for two entries together.
        if number % 3 != 1 {
            ring.wake();
        }
    }
}

/// Takes out everything until each producer's last entry has come.
fn consume(mut consumer: Consumer) {
    let mut next = [0_u8; THREADS];
    while next.iter().any(|number| *number < ENTRIES) {
        let entry = match consumer.next() {
            Some(Read::Inline(bytes)) => bytes.to_vec(),
            Some(Read::Boxed(boxed)) => boxed.head,
            Some(Read::Void) => continue,
            None => {
                consumer.rest(Rest::UntilAny);
                continue;
            }
        };
        let [producer, number] = [entry[0], entry[1]];
        let whole = payload(producer, number);
        assert_eq!(&entry[..whole.len()], &whole[..], "a torn entry");
        let expected = &mut next[producer as usize];
        assert_eq!(number, *expected, "an entry out of its producer's order");
        *expected += 1;
        // Several at a time.
        if number.is_multiple_of(2) {
            consumer.release();
        }
    }
}

fn producers() {
    let (ring, consumer) = Ring::new(SLOTS, 1);
    let ring: Arc<Ring> = ring;
    let threads: Vec<_> = (0..THREADS as u8)
        .map(|producer| {
            let ring = ring.clone();
            shuttle::thread::spawn(move || produce(&ring, producer))
        })
        .collect();
    consume(consumer);
    for thread in threads {
        thread.join().expect("a thread of the schedule");
    }
    assert_eq!(ring.occupied(), 0, "all slots are given back");
}

#[test]
fn entries_of_eight_producers_come_whole_and_in_order() {
    PRODUCERS.holds();
}

#[test]
#[should_panic]
fn slots_that_are_not_awaited_are_seen() {
    PRODUCERS.breaks_under(Planted::RoomNotAwaited);
}

#[test]
#[should_panic]
fn a_ticket_that_two_may_have_is_seen() {
    PRODUCERS.breaks_under(Planted::TicketNotExclusive);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_sleep_without_another_look_is_seen() {
    PRODUCERS.breaks_under(Planted::SleepWithoutLook);
}

#[test]
#[should_panic]
fn an_entry_that_is_neither_committed_nor_void_is_seen() {
    PRODUCERS.breaks_under(Planted::VoidNotPublished);
}
