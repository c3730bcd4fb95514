//! The ring on hardware.

use super::{Boxed, Consumer, ENTRY_BYTES, Read, Rest, Ring};
use crate::sync::Arc;
use bytes::Bytes;
use std::cell::Cell;
use std::time::Duration;

fn payload(read: &Read<'_>, length: usize) -> Vec<u8> {
    match read {
        Read::Void => Vec::new(),
        Read::Inline(bytes) => bytes[..length].to_vec(),
        Read::Boxed(boxed) => {
            let more = boxed.more.iter().flatten().copied();
            boxed.head.iter().copied().chain(boxed.tail.iter().copied()).chain(more).collect()
        }
    }
}

#[test]
fn entries_come_out_in_the_order_of_their_tickets() {
    let (ring, mut consumer) = Ring::new(16, 100);
    let first = ring.enter(&[b"first"]);
    let second = ring.enter(&[b"second"]);
    assert_eq!((first.ticket(), second.ticket()), (100, 101));
    second.commit();
    assert!(consumer.next().is_none(), "the first is not published");
    first.commit();
    assert_eq!(payload(&consumer.next().unwrap(), 5), b"first");
    assert_eq!(payload(&consumer.next().unwrap(), 6), b"second");
    assert!(consumer.next().is_none());
}

#[test]
fn an_entry_that_is_dropped_is_void() {
    let (ring, mut consumer) = Ring::new(16, 1);
    drop(ring.enter(&[&[7; 100]]));
    drop(ring.enter_boxed(Box::default()));
    ring.enter(&[b"x"]).commit();
    assert!(matches!(consumer.next(), Some(Read::Void)));
    assert!(matches!(consumer.next(), Some(Read::Void)));
    assert_eq!(payload(&consumer.next().unwrap(), 1), b"x");
}

#[test]
fn payloads_of_all_lengths_come_out_whole_round_after_round() {
    let (ring, mut consumer) = Ring::new(8, 1);
    for round in 0..4 {
        for length in 0..=ENTRY_BYTES {
            let bytes: Vec<u8> = (0..length).map(|at| (at + round) as u8).collect();
            let (head, tail) = bytes.split_at(length / 3);
            ring.enter(&[head, tail]).commit();
            assert_eq!(payload(&consumer.next().unwrap(), length), bytes);
            consumer.release();
        }
    }
}

#[test]
fn boxed_bytes_count_as_room() {
    let (ring, mut consumer) = Ring::new(8, 1);
    let tail = Bytes::from(vec![0; 65 << 20]);
    ring.enter_boxed(Box::new(Boxed { head: vec![1], tail, more: vec![] })).commit();
    assert!(!ring.has_room());
    assert!(matches!(consumer.next(), Some(Read::Boxed(_))));
    consumer.release();
    assert!(ring.has_room());
}

#[test]
fn what_nobody_takes_is_freed_with_the_ring() {
    let (ring, consumer) = Ring::new(8, 1);
    let shared = Bytes::from(vec![0; 4096]);
    ring.enter(&[b"x"]).commit();
    ring.enter_boxed(Box::new(Boxed {
        head: Vec::new(),
        tail: shared.clone(),
        ..Boxed::default()
    }))
    .commit();
    assert!(!shared.is_unique());
    drop((ring, consumer));
    assert!(shared.is_unique());
}

#[test]
fn a_box_that_was_taken_but_not_given_back_is_freed_once() {
    let (ring, mut consumer) = Ring::new(8, 1);
    let shared = Bytes::from(vec![0; 4096]);
    ring.enter_boxed(Box::new(Boxed { head: vec![1], tail: shared.clone(), ..Boxed::default() }))
        .commit();
    let Some(Read::Boxed(taken)) = consumer.next() else { panic!("a box") };
    drop((ring, consumer));
    assert_eq!((&taken.head[..], taken.tail.len()), (&[1][..], 4096));
    drop(taken);
    assert!(shared.is_unique());
}

#[test]
#[should_panic(expected = "slots >= slot::SLOTS_MAX")]
fn a_ring_holds_at_least_the_longest_entry() {
    drop(Ring::new(2, 1));
}

/// Takes out `count` entries; returns each producer's numbers in the order they came.
fn collect(mut consumer: Consumer, count: usize, producers: usize, rest: Rest) -> Vec<Vec<u64>> {
    let mut numbers = vec![Vec::new(); producers];
    let mut taken = 0;
    while taken < count {
        match consumer.next() {
            None => {
                consumer.release();
                consumer.rest(rest);
            }
            Some(Read::Void) => {}
            Some(read) => {
                let bytes = payload(&read, 16);
                let word = |at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
                numbers[word(0) as usize].push(word(8));
                taken += 1;
            }
        }
    }
    numbers
}

fn produce(ring: &Ring, producer: u64, count: u64) {
    for number in 0..count {
        let bytes = [producer.to_le_bytes(), number.to_le_bytes()].concat();
        if number % 7 == 0 {
            drop(ring.enter(&[b"to nothing"]));
        }
        match number % 5 {
            0 => ring.enter(&[&bytes, &[0; 150]]).commit(),
            1 => ring.enter_boxed(Box::new(Boxed { head: bytes, ..Boxed::default() })).commit(),
            _ => ring.enter(&[&bytes]).commit(),
        }
        ring.wake();
    }
}

fn race(rest: Rest) {
    const PRODUCERS: usize = 4;
    const COUNT: u64 = 50_000;
    let (ring, consumer) = Ring::new(64, 1);
    let ring: Arc<Ring> = ring;
    let numbers = std::thread::scope(|scope| {
        for producer in 0..PRODUCERS as u64 {
            let ring = &ring;
            scope.spawn(move || produce(ring, producer, COUNT));
        }
        collect(consumer, PRODUCERS * COUNT as usize, PRODUCERS, rest)
    });
    for numbers in numbers {
        assert!(numbers.iter().copied().eq(0..COUNT), "each producer's entries in its order");
    }
}

#[test]
fn producers_that_race_lose_nothing_while_the_consumer_sleeps_between() {
    race(Rest::UntilAny);
}

#[test]
fn producers_that_race_lose_nothing_while_the_consumer_naps() {
    race(Rest::Nap(Duration::from_millis(1)));
}

#[test]
fn a_part_takes_no_place_and_says_whether_it_was_committed() {
    let (ring, mut consumer) = Ring::new(8, 1);
    let happened = Cell::new(false);
    let whole = ring.hold();
    let part = ring.enter_part(whole.ticket(), &happened);
    assert_eq!(part.ticket(), whole.ticket());
    drop(part);
    assert!(!happened.get());
    ring.enter_part(whole.ticket(), &happened).commit();
    assert!(happened.get());
    assert!(consumer.next().is_none(), "nothing is published");
    let more = vec![Bytes::from_static(b"b"), Bytes::from_static(b"c")];
    whole.commit(Box::new(Boxed { head: vec![b'-'], tail: Bytes::from_static(b"a"), more }));
    assert_eq!(payload(&consumer.next().unwrap(), 4), b"-abc");
    drop(ring.hold());
    assert!(matches!(consumer.next(), Some(Read::Void)));
    assert!(consumer.next().is_none());
}
