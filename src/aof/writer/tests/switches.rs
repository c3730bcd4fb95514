//! Marks, and the way of the log into another file.

use super::disk::Disk;
use super::files::{Folder, start};
use super::{AppendFsync, Bench, DATABASES, commands, keyspace, until};
use crate::ring::Ring;
use crate::store::{Keyspace, Local, NewValue};
use std::time::Duration;

/// The code of a mark, as the store writes it; it has no other part that is read.
const MARK: [u8; 8] = [11, 8, 0, 0, 0, 0, 0, 0];

fn enter_mark(ring: &Ring) {
    ring.enter(&[&MARK]).commit();
    ring.wake();
}

fn set(keyspace: &Keyspace, local: &Local, database: usize, key: &str, value: &str) {
    let key = keyspace.key(key.as_bytes());
    keyspace.database(database).set(&local.pin(), key, NewValue::Copy(value.as_bytes()));
}

#[test]
fn a_mark_tells_its_place_and_the_order_of_the_databases() {
    for policy in AppendFsync::ALL {
        let disk = Disk::default();
        let bench = Bench::new(&disk, policy);
        bench.set("before", "1");
        set(&bench.keyspace, &bench.local, 1, "gone", "0");
        {
            let session = bench.local.pin();
            bench.keyspace.database(1).swap(&session, 2);
            bench.keyspace.database(2).flush(&session);
        }
        bench.set("before", "2");
        let mark = bench.log.expect_mark();
        enter_mark(bench.keyspace.log().unwrap().ring());
        bench.set("after", "3");
        let marked = mark.recv_timeout(Duration::from_secs(10)).unwrap();
        bench.stop();
        let safe = disk.safe();
        let (before, after) = safe.split_at(marked.place as usize);
        assert_eq!(
            commands(before),
            [
                "SELECT 0",
                "SET before 1",
                "SELECT 1",
                "SET gone 0",
                "SWAPDB 1 2",
                "SELECT 2",
                "FLUSHDB",
                "SELECT 0",
                "SET before 2"
            ]
        );
        assert_eq!(commands(after), ["SELECT 0", "SET after 3"]);
        let places: Vec<_> = marked.places.iter().collect();
        assert_eq!(places, [(0, 0), (2, 1 + DATABASES), (1, 2), (3, 3)]);
    }
}

#[test]
fn all_who_wait_are_told_of_a_mark_and_those_who_have_gone_are_no_hindrance() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::No);
    drop(bench.log.expect_mark());
    let marks = [bench.log.expect_mark(), bench.log.expect_mark()];
    enter_mark(bench.keyspace.log().unwrap().ring());
    for mark in marks {
        assert_eq!(mark.recv_timeout(Duration::from_secs(10)).unwrap().place, 0);
    }
}

#[test]
fn what_was_copied_cannot_lie_behind_the_end() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"");
    let other = folder.file("log.aof.rewrite", b"");
    let keyspace = keyspace();
    let log = start(&keyspace, &path, AppendFsync::No);
    assert!(log.switch(&other, 0, 1).is_err());
    assert_eq!(log.switch(&other, 0, 0).unwrap(), 0);
    assert!(log.switch(&other, 0, 0).is_err(), "it is in another file by now");
}

/// The old file's sync may still run, and its end says nothing of the new file.
#[test]
fn a_switch_does_not_wait_for_the_next_sync_and_the_one_after_it_counts() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"");
    let keyspace = keyspace();
    let log = start(&keyspace, &path, AppendFsync::EverySecond);
    let local = keyspace.join();
    for round in 0..5 {
        set(&keyspace, &local, 0, "key", "value");
        let length = log.status().current_bytes;
        until("it is written", || log.status().current_bytes > length);
        let written = log.status().current_bytes;
        let other = folder.file("log.aof.rewrite", b"");
        assert_eq!(log.switch(&other, round, 0).unwrap(), written, "in round {round}");
    }
    set(&keyspace, &local, 0, "key", "last");
    let tail = keyspace.log().unwrap().ring().tail();
    until("all is safe", || log.durable() == tail);
    log.stop(Duration::from_secs(10)).unwrap();
    let commands = commands(&std::fs::read(&path).unwrap());
    assert_eq!(commands.len(), 7);
    assert_eq!(commands[6], "SET key last");
}

#[test]
fn the_log_goes_on_in_another_file() {
    for policy in AppendFsync::ALL {
        let folder = Folder::new();
        let path = folder.file("log.aof", b"");
        let keyspace = keyspace();
        let log = start(&keyspace, &path, policy);
        let local = keyspace.join();
        set(&keyspace, &local, 0, "old", "1");
        set(&keyspace, &local, 0, "old", "2");
        let mark = log.expect_mark();
        enter_mark(keyspace.log().unwrap().ring());
        let marked = mark.recv_timeout(Duration::from_secs(10)).unwrap();
        set(&keyspace, &local, 1, "since", "3");
        // What stands for the log up to the mark.
        let image = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$3\r\nold\r\n$1\r\n2\r\n";
        let other = folder.file("log.aof.rewrite", image);
        let length = log.switch(&other, marked.number, marked.place).unwrap();
        assert!(!other.exists());
        let status = log.status();
        assert_eq!(status.base_bytes, length);
        assert!(status.is_writing);
        set(&keyspace, &local, 1, "later", "4");
        until("the file has grown", || log.status().current_bytes > length);
        log.stop(Duration::from_secs(10)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            commands(&bytes),
            ["SELECT 0", "SET old 2", "SELECT 1", "SET since 3", "SET later 4"],
            "under {}",
            policy.name()
        );
        assert_eq!(log.status().current_bytes, bytes.len() as u64);
        assert_eq!(log.durable(), keyspace.log().unwrap().ring().tail());
    }
}

#[test]
fn a_switch_that_fails_leaves_the_log_as_it_is() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"");
    let keyspace = keyspace();
    let log = start(&keyspace, &path, AppendFsync::Always);
    let local = keyspace.join();
    set(&keyspace, &local, 0, "one", "1");
    let error = log.switch(&path.with_extension("missing"), 0, 0).unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    assert!(log.refusal().is_none());
    set(&keyspace, &local, 0, "two", "2");
    log.stop(Duration::from_secs(10)).unwrap();
    let commands = commands(&std::fs::read(&path).unwrap());
    assert_eq!(commands, ["SELECT 0", "SET one 1", "SET two 2"]);
}

#[test]
fn a_switch_after_the_stop_is_refused() {
    let folder = Folder::new();
    let path = folder.file("log.aof", b"");
    let keyspace = keyspace();
    let log = start(&keyspace, &path, AppendFsync::No);
    log.stop(Duration::from_secs(10)).unwrap();
    assert!(log.switch(&path, 0, 0).is_err());
}
