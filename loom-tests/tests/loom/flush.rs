//! FLUSH swaps the generation under readers and writers.

use crate::support::*;
use ferrum_kv::sync::planted::Planted;

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
    explore("flush against writer and reader", flush_against_writer_and_reader);
}

#[test]
#[should_panic(expected = "use after free")]
fn a_generation_freed_at_once_is_seen() {
    expose(Planted::FlushWithoutGrace, flush_against_writer_and_reader);
}

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
    explore("two flushes", two_flushes);
}

#[test]
#[should_panic]
fn a_flush_in_two_steps_is_seen() {
    expose(Planted::FlushBySeparateSteps, two_flushes);
}
