//! When what is written is safe, by policy.

use super::disk::Disk;
use super::{AppendFsync, Bench, commands, until};
use crate::sync::plain::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn everything_is_on_the_disk_after_a_stop_whatever_the_policy() {
    for policy in AppendFsync::ALL {
        let disk = Disk::default();
        let bench = Bench::new(&disk, policy);
        for number in 0..5000 {
            bench.set(&format!("key:{number}"), "value");
        }
        bench.stop();
        let commands = commands(&disk.safe());
        assert_eq!(commands.len(), 5001, "under {}", policy.name());
        assert_eq!(commands[5000], "SET key:4999 value");
        assert_eq!(bench.log.durable(), bench.tail());
        assert_eq!(bench.log.status().current_bytes, disk.safe().len() as u64);
    }
}

#[test]
fn a_second_stop_does_nothing() {
    let bench = Bench::new(&Disk::default(), AppendFsync::Always);
    bench.stop();
    bench.stop();
}

#[test]
fn under_always_what_is_settled_is_safe() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::Always);
    for number in 0..200 {
        let position = bench.set(&format!("key:{number}"), "value");
        until("it is settled", || bench.log.is_settled(position));
        let last = commands(&disk.safe()).pop();
        assert_eq!(last, Some(format!("SET key:{number} value")));
    }
}

/// Whenever `durable` moves, everything before it is on the disk, also when syncs fail now and then
/// and the policy changes.
#[test]
fn durable_never_passes_what_syncs_have_covered() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::Always);
    // The position after each change.
    let positions: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (worst, moves) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    {
        let (disk, positions) = (disk.clone(), positions.clone());
        let (worst, moves) = (worst.clone(), moves.clone());
        let log = Arc::downgrade(&bench.log);
        bench.log.on_progress(Box::new(move || {
            let Some(log) = log.upgrade() else { return };
            let durable = log.durable();
            let safe = commands(&disk.safe()).len().saturating_sub(1);
            let positions = positions.lock().unwrap();
            let promised = positions.iter().take_while(|position| **position <= durable).count();
            // A panic here would end the flusher: remember instead.
            worst.fetch_max(promised.saturating_sub(safe) as u64, Ordering::Relaxed);
            moves.fetch_add(1, Ordering::Relaxed);
        }));
    }
    for number in 0..3000 {
        match number % 300 {
            50 => disk.set_sync_error(Some(super::disk::EIO)),
            100 => disk.set_sync_error(None),
            150 => disk.set_room(Some(disk.cached().len() + 100)),
            200 => disk.set_room(None),
            250 => bench.log.set_policy(AppendFsync::ALL[number / 300 % 3]),
            _ => {}
        }
        let mut positions = positions.lock().unwrap();
        positions.push(bench.set(&format!("key:{number}"), "value"));
        drop(positions);
        std::thread::sleep(Duration::from_micros(300));
    }
    disk.set_sync_error(None);
    disk.set_room(None);
    bench.stop();
    assert_eq!(worst.load(Ordering::Relaxed), 0, "changes were promised and not safe");
    assert!(moves.load(Ordering::Relaxed) > 10);
    let commands = commands(&disk.safe());
    assert_eq!(commands.len(), 3001);
    for (number, command) in commands[1..].iter().enumerate() {
        assert_eq!(*command, format!("SET key:{number} value"));
    }
}

#[test]
fn under_always_many_changes_share_a_sync() {
    let disk = Disk::default();
    disk.set_sync_time(Duration::from_millis(20));
    let bench = Bench::new(&disk, AppendFsync::Always);
    let positions: Vec<_> = (0..300).map(|number| bench.set(&number.to_string(), "v")).collect();
    until("all are settled", || bench.log.is_settled(positions[299]));
    assert!(disk.syncs() <= 100, "{} syncs", disk.syncs());
}

#[test]
fn under_everysec_a_write_comes_soon_and_a_sync_within_about_a_second() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::EverySecond);
    let begin = Instant::now();
    let position = bench.set("key", "value");
    assert!(bench.log.is_settled(position), "replies do not wait");
    until("it is written", || commands(&disk.cached()).len() == 2);
    assert!(disk.syncs() == 0 || begin.elapsed() > Duration::from_millis(900));
    until("it is synced", || bench.log.durable() == position);
    assert_eq!(commands(&disk.safe()).len(), 2);
    // Nothing new: no more syncs.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(disk.syncs(), 1);
}

#[test]
fn under_everysec_much_that_is_not_safe_is_synced_early() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::EverySecond);
    let begin = Instant::now();
    let value = vec![b'v'; 8 << 20];
    for _ in 0..5 {
        bench.set_bytes(b"key", &value);
    }
    until("it is synced", || disk.syncs() > 0);
    assert!(begin.elapsed() < Duration::from_secs(10));
    bench.stop();
    assert_eq!(commands(&disk.safe()).len(), 6);
}

#[test]
fn under_no_nothing_is_synced_before_the_stop() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::No);
    bench.set("key", "value");
    until("it is written", || commands(&disk.cached()).len() == 2);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(disk.syncs(), 0);
    bench.stop();
    assert_eq!(commands(&disk.safe()).len(), 2);
}

#[test]
fn a_change_to_always_makes_safe_what_was_not() {
    for policy in [AppendFsync::EverySecond, AppendFsync::No] {
        let disk = Disk::default();
        let bench = Bench::new(&disk, policy);
        let position = bench.set("key", "value");
        until("it is written", || !disk.cached().is_empty());
        assert!(bench.log.is_settled(position));
        bench.log.set_policy(AppendFsync::Always);
        assert_eq!(bench.log.policy(), AppendFsync::Always);
        until("it is settled", || bench.log.is_settled(position));
        assert_eq!(commands(&disk.safe()).len(), 2);
    }
}

#[test]
fn who_waits_is_told_when_the_policy_changes() {
    let disk = Disk::default();
    disk.set_sync_error(Some(super::disk::EIO));
    let bench = Bench::new(&disk, AppendFsync::Always);
    let position = bench.set("key", "value");
    let told = Arc::new(AtomicU64::new(0));
    let counter = told.clone();
    bench.log.on_progress(Box::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    assert!(!bench.log.is_settled(position));
    bench.log.set_policy(AppendFsync::No);
    assert!(bench.log.is_settled(position));
    until("it is told", || told.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_slow_sync_stops_the_writing_after_a_while_and_loses_nothing() {
    let disk = Disk::default();
    disk.set_sync_time(Duration::from_millis(5500));
    let bench = Bench::with_slots(&disk, AppendFsync::EverySecond, 64);
    bench.set("key", "value");
    let begin = Instant::now();
    until("the writing waits", || {
        if bench.keyspace.log().unwrap().has_room() {
            bench.set("key", "value");
        }
        bench.log.status().delayed_syncs == 1
    });
    assert!(begin.elapsed() > Duration::from_millis(2500), "it goes on for two seconds");
    assert!(bench.log.refusal().is_none());
    let written = disk.cached().len();
    until("the ring is full", || {
        let has_room = bench.keyspace.log().unwrap().has_room();
        if has_room {
            bench.set("key", "value");
        }
        !has_room
    });
    assert_eq!(disk.cached().len(), written);
    disk.set_sync_time(Duration::ZERO);
    until("there is room again", || bench.keyspace.log().unwrap().has_room());
    bench.stop();
    assert_eq!(disk.safe(), disk.cached());
    assert_eq!(bench.log.status().delayed_syncs, 1);
}

#[test]
fn an_idle_flusher_sleeps() {
    let disk = Disk::default();
    let bench = Bench::new(&disk, AppendFsync::No);
    bench.set("key", "value");
    until("it is written", || commands(&disk.cached()).len() == 2);
    std::thread::sleep(Duration::from_millis(200));
    let turns = bench.log.status().turns;
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bench.log.status().turns, turns);
    bench.set("key", "other");
    until("it is written", || commands(&disk.cached()).len() == 3);
}
