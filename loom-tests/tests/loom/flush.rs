//! FLUSH swaps the generation under readers and writers.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

const FLUSH_AGAINST_WRITER_AND_READER: Model = Model {
    name: "flush against writer and reader",
    most: usize::MAX,
    run: flush_against_writer_and_reader,
};

fn flush_against_writer_and_reader() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, K, b"old");
    let flusher = spawn(&keyspace, flush);
    let writer = spawn(&keyspace, |keyspace, local| {
        set(keyspace, local, K, b"new");
        get(keyspace, local, K)
    });
    let seen = get(&keyspace, &local, K);
    assert!(seen.is_none_or(|seen| seen == b"old" || seen == b"new"));
    let read = writer.join().unwrap();
    flusher.join().unwrap();
    let last = get(&keyspace, &local, K);
    assert!(last.as_ref().is_none_or(|last| last == b"new"), "a value survived its FLUSH");
    assert!(read.is_some() || last.is_none(), "a flushed value came back");
}

#[test]
fn a_flush_comes_before_or_after_a_write() {
    FLUSH_AGAINST_WRITER_AND_READER.holds();
}

#[test]
#[should_panic(expected = "use after free")]
fn a_generation_freed_at_once_is_seen() {
    FLUSH_AGAINST_WRITER_AND_READER.breaks_under(Planted::FlushWithoutGrace);
}

const TWO_FLUSHES: Model = Model { name: "two flushes", most: usize::MAX, run: two_flushes };

fn two_flushes() {
    let keyspace = keyspace(4);
    let local = keyspace.join();
    set(&keyspace, &local, K, b"old");
    let flusher = spawn(&keyspace, flush);
    flush(&keyspace, &local);
    set(&keyspace, &local, K, b"new");
    flusher.join().unwrap();
    let last = get(&keyspace, &local, K);
    assert!(last.is_none_or(|last| last == b"new"));
}

#[test]
fn two_flushes_free_one_generation_once() {
    TWO_FLUSHES.holds();
}

#[test]
#[should_panic]
fn a_flush_in_two_steps_is_seen() {
    TWO_FLUSHES.breaks_under(Planted::FlushBySeparateSteps);
}
