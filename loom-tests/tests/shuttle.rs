//! The real table under random schedules: more threads and longer runs than loom can enumerate.
//!
//! `RUSTFLAGS="--cfg shuttle -C debug-assertions" cargo test -p loom-tests --release`
#![cfg(shuttle)]

use ferrum_kv::store::{Keyspace, KeyspaceOptions, Local, NewValue, TableOptions};
use ferrum_kv::sync::graveyard;
use std::sync::Arc;

const THREADS: usize = 8;
const ROUNDS: usize = 12;

fn keyspace() -> Arc<Keyspace> {
    let table = TableOptions { segment_bits: 0, first_slots: 4 };
    Arc::new(Keyspace::new(KeyspaceOptions { databases: 1, hash_seed: Some([3, 4]), table }))
}

/// Runs `work` on eight threads of one schedule.
fn on_all(keyspace: &Arc<Keyspace>, work: fn(usize, &Keyspace, &Local)) {
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let keyspace = keyspace.clone();
            shuttle::thread::spawn(move || work(number, &keyspace, &keyspace.join()))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread of the schedule");
    }
}

fn read(keyspace: &Keyspace, local: &Local, name: &str) -> Option<Vec<u8>> {
    let key = keyspace.key(name.as_bytes());
    keyspace.database(0).get(&local.pin(), key, |value| value.to_vec())
}

/// INCR, SETNX and DEL of a lock, APPEND, and fillers that make the segment migrate.
fn mixed(number: usize, keyspace: &Keyspace, local: &Local) {
    let database = keyspace.database(0);
    for round in 0..ROUNDS {
        let counter = database.add(&local.pin(), keyspace.key(b"counter"), 1);
        assert!(counter.is_ok());
        let filler = format!("filler:{number}:{}", round % 4);
        let filler = keyspace.key(filler.as_bytes());
        if round % 8 < 4 {
            database.set(&local.pin(), filler, NewValue::Copy(b"x"));
        } else {
            assert!(database.remove(&local.pin(), filler), "a filler was lost");
        }
        if database.set_if_absent(&local.pin(), keyspace.key(b"lock"), NewValue::Copy(b"held")) {
            let inside = database.add(&local.pin(), keyspace.key(b"inside"), 1);
            assert_eq!(inside, Ok(1), "two threads hold the lock");
            assert_eq!(database.add(&local.pin(), keyspace.key(b"inside"), -1), Ok(0));
            assert!(database.remove(&local.pin(), keyspace.key(b"lock")));
        }
        let tail = [b'a' + number as u8; 40];
        assert!(database.append(&local.pin(), keyspace.key(b"log"), &tail).is_ok());
        assert_eq!(read(keyspace, local, "stable").as_deref(), Some(&b"stays"[..]));
    }
}

fn one_schedule() {
    let keyspace = keyspace();
    let local = keyspace.join();
    keyspace.database(0).set(&local.pin(), keyspace.key(b"stable"), NewValue::Copy(b"stays"));
    on_all(&keyspace, mixed);
    let counter = read(&keyspace, &local, "counter").expect("present");
    assert_eq!(counter, (THREADS * ROUNDS).to_string().into_bytes(), "an INCR was lost");
    let log = read(&keyspace, &local, "log").expect("present");
    assert_eq!(log.len(), THREADS * ROUNDS * 40, "an APPEND was lost");
    assert!(log.chunks(40).all(|piece| piece.iter().all(|&byte| byte == piece[0])));
    assert!(keyspace.database(0).migrations(&local.pin()).1 > 1, "the segment must migrate");
    drop(local);
    drop(keyspace);
    assert_eq!(graveyard::clear(), 0, "records or arrays were leaked");
}

#[test]
fn eight_threads_agree_under_random_schedules() {
    shuttle::check_random(one_schedule, 1_000);
}

#[test]
fn eight_threads_agree_under_schedules_with_few_preemptions() {
    shuttle::check_pct(one_schedule, 1_000, 3);
}
