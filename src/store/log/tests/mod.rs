//! What is written into the ring is what is read from it.

mod blocks;
mod captures;

use super::*;
use crate::ring::Consumer;

/// What each entry says, as text.
fn told(consumer: &mut Consumer) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(read) = consumer.next() {
        told.push(format!("{:?}", Logged::decode(&read)));
    }
    consumer.release();
    told
}

fn log() -> (Log, Consumer) {
    let (ring, consumer) = Ring::new(64, 1);
    (Log::new(ring), consumer)
}

#[test]
fn entries_of_every_kind_and_length_are_read_as_they_were_written() {
    let (log, mut consumer) = log();
    for key in [0, 1, 40, 48, 49, 200, 224, 225, 300, 70_000] {
        for value in [0, 1, 40, 48, 208, 224, 225, 5000] {
            let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
            let table = (1 << 40) - 1;
            log.enter(Start::new(Code::SetWithDeadline, table, u64::MAX), &key, &value).commit();
            log.enter(Start::new(Code::Append, 7, 0), &key, &value).commit();
            let read = consumer.next().unwrap();
            let effect = Effect::Set(&value, Some(u64::MAX));
            assert_eq!(Logged::decode(&read), Some(Logged::Key { table, key: &key, effect }));
            let read = consumer.next().unwrap();
            let effect = Effect::Append(&value);
            assert_eq!(Logged::decode(&read), Some(Logged::Key { table: 7, key: &key, effect }));
            consumer.release();
        }
    }
}

#[test]
fn flushes_swaps_and_marks_are_read_as_they_were_written() {
    let (log, mut consumer) = log();
    log.enter_plain(Code::Flush, 35, 0).commit();
    log.enter_plain(Code::Swap, 3, 9).commit();
    drop(log.enter_mark());
    log.enter_mark().commit();
    assert_eq!(told(&mut consumer), ["Some(Flush(35))", "Some(Swap(3, 9))", "None", "Some(Mark)"]);
}
