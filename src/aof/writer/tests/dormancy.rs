//! A log that is turned off and on again.

use super::disk::{Disk, ENOSPC};
use super::files::Folder;
use super::{AppendFsync, Bench, LogHandle, Places, commands, keyspace, until};
use crate::aof::writer::Interim;
use crate::store::{Keyspace, Local, NewValue};
use crate::sync::Arc;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn set(keyspace: &Keyspace, local: &Local, database: usize, key: &str, value: &str) {
    let key = keyspace.key(key.as_bytes());
    keyspace.database(database).set(&local.pin(), key, NewValue::Copy(value.as_bytes()));
}

fn lie_down(log: &LogHandle) {
    log.lie_down().recv_timeout(PATIENCE).unwrap();
}

#[test]
fn what_came_before_is_safe_and_what_comes_after_is_forgotten() {
    for policy in AppendFsync::ALL {
        let disk = Disk::default();
        let bench = Bench::with_slots(&disk, policy, 64);
        bench.set("before", "1");
        lie_down(&bench.log);
        assert_eq!(commands(&disk.safe()), ["SELECT 0", "SET before 1"]);
        for number in 0..1_000 {
            until("there is room", || bench.keyspace.log().unwrap().has_room());
            bench.set_bytes(b"after", &[b'x'; 5_000]);
            assert!(bench.log.is_settled(bench.tail()), "change {number}");
        }
        lie_down(&bench.log);
        assert!(bench.log.expect_mark().recv_timeout(PATIENCE).is_err(), "there is no place");
        assert_eq!(bench.log.status().current_bytes, 0);
        bench.stop();
        assert_eq!(commands(&disk.safe()), ["SELECT 0", "SET before 1"]);
    }
}

#[test]
fn a_disk_that_fails_is_given_up() {
    for policy in AppendFsync::ALL {
        let disk = Disk::default();
        let bench = Bench::new(&disk, policy);
        disk.set_write_error(Some(ENOSPC));
        let position = bench.set("lost", "1");
        until("writes are refused", || bench.log.refusal().is_some());
        lie_down(&bench.log);
        assert!(bench.log.refusal().is_none() && bench.log.is_settled(position));
        bench.set("lost", "2");
        bench.stop();
        assert_eq!(disk.cached(), b"");
    }
}

#[test]
fn a_disk_that_works_again_gets_everything() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::EverySecond);
    disk.set_write_error(Some(ENOSPC));
    bench.set("kept", "1");
    until("writes are refused", || bench.log.refusal().is_some());
    disk.set_write_error(None);
    bench.set("kept", "2");
    lie_down(&bench.log);
    assert_eq!(commands(&disk.safe()), ["SELECT 0", "SET kept 1", "SET kept 2"]);
    bench.stop();
}

#[test]
fn on_again_it_knows_which_database_is_which() {
    let folder = Folder::new();
    let name = folder.file("log.aof", b"old");
    let keyspace = keyspace();
    let (ready, consumer) = keyspace.prepare_log(64);
    let places = Places::new(super::DATABASES);
    let log: Arc<LogHandle> = LogHandle::start_off(name.clone(), places, consumer).unwrap();
    keyspace.begin_log(ready);
    let local = keyspace.join();
    keyspace.database(1).swap(&local.pin(), 2);
    set(&keyspace, &local, 3, "gone", "1");
    keyspace.database(3).flush(&local.pin());
    until("they are taken", || keyspace.log().unwrap().ring().occupied() == 0);
    let interim = Interim::create(&name).unwrap();
    log.begin(interim, AppendFsync::Always).unwrap();
    assert!(log.begin(Interim::create(&name).unwrap(), AppendFsync::No).is_err(), "it is on");
    assert!(!log.is_whole() && log.durable() <= keyspace.log().unwrap().ring().tail());
    // Out of its tables, not of its places.
    set(&keyspace, &local, 2, "two", "1");
    set(&keyspace, &local, 3, "three", "1");
    let mark = log.expect_mark();
    keyspace.mark_log();
    let marked = mark.recv_timeout(PATIENCE).unwrap();
    let written = std::fs::read(&marked.file).unwrap();
    assert_eq!(commands(&written), ["SELECT 2", "SET two 1", "SELECT 3", "SET three 1"]);
    assert_eq!(std::fs::read(&name).unwrap(), b"old");

    let other = folder.file("log.aof.rewrite", b"");
    assert!(log.switch(&other, marked.number + 1, marked.place).is_err());
    log.switch(&other, marked.number, marked.place).unwrap();
    assert!(log.is_whole() && !Path::new(&marked.file).exists());
    assert_eq!(std::fs::read(&name).unwrap(), b"");
    lie_down(&log);
    log.begin(Interim::create(&name).unwrap(), AppendFsync::Always).unwrap();
    set(&keyspace, &local, 0, "interim", "1");
    log.stop(PATIENCE).unwrap();
    let left = std::fs::read_dir(name.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "nothing of what has not got its name");
}

#[test]
fn a_mark_of_somebody_who_has_given_up_is_not_told_to_the_next() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::EverySecond);
    disk.set_write_error(Some(ENOSPC));
    bench.set("first", "1");
    until("writes are refused", || bench.log.refusal().is_some());
    drop(bench.log.expect_mark());
    // It stands between the two while nothing is taken.
    bench.keyspace.mark_log();
    bench.set("second", "2");
    let mark = bench.log.expect_mark();
    bench.keyspace.mark_log();
    disk.set_write_error(None);
    let place = mark.recv_timeout(PATIENCE).unwrap().place;
    bench.stop();
    let safe = disk.safe();
    let before = commands(&safe[..place as usize]);
    assert_eq!(before, ["SELECT 0", "SET first 1", "SELECT 0", "SET second 2"]);
}
