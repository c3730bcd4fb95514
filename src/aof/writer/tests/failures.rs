//! The whole writer on a disk that fails.

use super::disk::{Disk, EIO, ENOSPC};
use super::{AppendFsync, Bench, commands, until};
use crate::aof::writer::WriteError;
use std::time::{Duration, Instant};

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_again() {
    for policy in AppendFsync::ALL {
        let disk = Disk::default();
        let bench = Bench::new(&disk, policy);
        let before = bench.set("before", "1");
        until("it is written", || commands(&disk.cached()).len() == 2);
        until("it is settled", || bench.log.is_settled(before));
        disk.set_room(Some(disk.cached().len() + 10));
        let during = bench.set("during", "2");
        until("writes are refused", || bench.log.refusal().is_some());
        let text = bench.log.refusal().unwrap();
        assert_eq!(&*text, "MISCONF Errors writing to the AOF file: No space left on device");
        assert!(!bench.log.status().is_writing);
        assert_eq!(commands(&disk.cached()), ["SELECT 0", "SET before 1"]);
        let is_cut_back = || disk.cached().ends_with(b"\r\nbefore\r\n$1\r\n1\r\n");
        until("the file ends with a whole command", is_cut_back);
        assert!(policy != AppendFsync::Always || !bench.log.is_settled(during));
        disk.set_room(None);
        until("writes are taken", || bench.log.refusal().is_none());
        let after = bench.set("after", "3");
        until("it is settled", || bench.log.is_settled(after));
        bench.stop();
        let expected = ["SELECT 0", "SET before 1", "SET during 2", "SET after 3"];
        assert_eq!(commands(&disk.safe()), expected, "under {}", policy.name());
    }
}

#[test]
fn a_sync_that_fails_refuses_writes_and_what_it_has_lost_is_written_again() {
    for policy in [AppendFsync::Always, AppendFsync::EverySecond] {
        let disk = Disk::default();
        let bench = Bench::new(&disk, policy);
        let before = bench.set("before", "1");
        until("it is safe", || bench.log.durable() == before);
        disk.set_sync_error(Some(EIO));
        bench.set("during", "2");
        until("writes are refused", || bench.log.refusal().is_some());
        let text = bench.log.refusal().unwrap();
        assert_eq!(&*text, "MISCONF Errors writing to the AOF file: Input/output error");
        assert_eq!(bench.log.durable(), before);
        let tries = disk.syncs();
        until("it is tried again", || disk.syncs() > tries + 1);
        assert_eq!(bench.log.durable(), before);
        disk.set_sync_error(None);
        until("writes are taken", || bench.log.refusal().is_none());
        assert_eq!(bench.log.durable(), bench.tail());
        let expected = ["SELECT 0", "SET before 1", "SET during 2"];
        assert_eq!(commands(&disk.safe()), expected, "under {}", policy.name());
        assert!(disk.opened() > 0);
    }
}

#[test]
fn tries_are_not_many_while_the_disk_fails() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::Always);
    disk.set_write_error(Some(EIO));
    bench.set("key", "value");
    until("writes are refused", || bench.log.refusal().is_some());
    std::thread::sleep(Duration::from_millis(2000));
    assert!(disk.writes() <= 8, "{} tries", disk.writes());
    assert!(bench.log.status().turns < 100, "{} turns", bench.log.status().turns);
}

#[test]
fn what_still_comes_while_the_disk_fails_waits_in_a_bounded_space() {
    let disk = Disk::default();
    disk.set_write_error(Some(ENOSPC));
    let bench = Bench::with_slots(&disk, AppendFsync::EverySecond, 256);
    let value = vec![b'v'; 1 << 20];
    let (begin, mut count) = (Instant::now(), 0);
    // Nobody asks whether writes are refused.
    while begin.elapsed() < Duration::from_secs(3) {
        if bench.keyspace.log().unwrap().has_room() {
            bench.set_bytes(format!("key:{count}").as_bytes(), &value);
            count += 1;
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert!((20..160).contains(&count), "{count} of 1 MiB were taken");
    assert!(bench.log.status().buffered_bytes < 66 << 20);
    disk.set_write_error(None);
    until("writes are taken", || bench.log.refusal().is_none());
    bench.stop();
    assert_eq!(commands(&disk.safe()).len(), count + 1);
}

#[test]
fn a_stop_while_the_disk_fails_says_so() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::Always);
    disk.set_write_error(Some(ENOSPC));
    bench.set("key", "value");
    let error = bench.log.stop(Duration::from_secs(10)).unwrap_err();
    assert!(matches!(error, WriteError::Disk { .. }), "{error}");
    assert!(error.to_string().contains("No space left on device"));
}

#[test]
fn a_stop_tries_once_more() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::Always);
    disk.set_write_error(Some(ENOSPC));
    bench.set("key", "value");
    until("writes are refused", || bench.log.refusal().is_some());
    disk.set_write_error(None);
    bench.stop();
    assert_eq!(commands(&disk.safe()), ["SELECT 0", "SET key value"]);
}

#[test]
fn a_stop_does_not_wait_longer_than_it_is_told_to() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::Always);
    disk.set_sync_time(Duration::from_secs(6));
    bench.set("key", "value");
    let begin = Instant::now();
    let error = bench.log.stop(Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, WriteError::TooSlow), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5));
}
