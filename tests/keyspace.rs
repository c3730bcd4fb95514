//! The keyspace under many threads: the real table, through its public interface.

use ferrum_kv::memory::keyspace_bytes;
use ferrum_kv::store::{
    CounterError, Keyspace, KeyspaceOptions, Local, NewValue, Session, TableOptions,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn small(segment_bits: u32, first_slots: usize) -> Keyspace {
    let table = TableOptions { segment_bits, first_slots };
    Keyspace::new(KeyspaceOptions { table, ..KeyspaceOptions::default() })
}

fn get(keyspace: &Keyspace, session: &Session<'_>, key: &[u8]) -> Option<Vec<u8>> {
    keyspace.database(0).get(session, keyspace.key(key), |value| value.to_vec())
}

fn set(keyspace: &Keyspace, session: &Session<'_>, key: &[u8], value: &[u8]) {
    keyspace.database(0).set(session, keyspace.key(key), NewValue::Copy(value));
}

/// A small fast generator (Marsaglia's xorshift), so that a run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn a_long_random_run_agrees_with_a_map() {
    for (bits, slots) in [(0, 8), (2, 64), (10, 64)] {
        let keyspace = small(bits, slots);
        let local = keyspace.join();
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut session = local.pin();
        let database = keyspace.database(0);
        for step in 0..300_000u64 {
            // The working set swells and shrinks, so that arrays grow, are cleaned and shrink.
            let range = if (step / 50_000).is_multiple_of(2) { 20_000 } else { 200 };
            let name = format!("key:{}", random.below(range)).into_bytes();
            let key = keyspace.key(&name);
            match random.below(10) {
                0..3 => {
                    let size = [3, 40, 200, 20_000][random.below(100) as usize / 33];
                    let value = vec![b'a' + (step % 26) as u8; size];
                    database.set(&session, key, NewValue::Copy(&value));
                    model.insert(name, value);
                }
                3..5 => {
                    let was = model.remove(&name).is_some();
                    assert_eq!(database.remove(&session, key), was, "DEL at step {step}");
                }
                5 => {
                    let delta = random.below(1000) as i64 - 500;
                    let now = model.get(&name).map_or(Some(0), |text| {
                        std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok())
                    });
                    let result = database.add(&session, key, delta);
                    match now {
                        None => assert_eq!(result, Err(CounterError::NotAnInteger)),
                        Some(number) => {
                            assert_eq!(result, Ok(number + delta), "INCRBY at step {step}");
                            model.insert(name, (number + delta).to_string().into_bytes());
                        }
                    }
                }
                6 => {
                    let tail = vec![b'z'; random.below(90) as usize];
                    let text = model.entry(name.clone()).or_default();
                    text.extend_from_slice(&tail);
                    assert_eq!(database.append(&session, key, &tail), Ok(text.len()));
                }
                7 => {
                    let fresh = !model.contains_key(&name);
                    let value = random.below(1000).to_string().into_bytes();
                    let was = database.set_if_absent(&session, key, NewValue::Copy(&value));
                    assert_eq!(was, fresh, "SETNX at step {step}");
                    if fresh {
                        model.insert(name, value);
                    }
                }
                _ => {
                    let value = database.get(&session, key, |value| value.to_vec());
                    assert_eq!(value.as_ref(), model.get(&name), "GET at step {step}");
                }
            }
            session.renew();
        }
        assert_eq!(database.len(&session), model.len() as u64);
        for (name, value) in &model {
            assert_eq!(get(&keyspace, &session, name).as_ref(), Some(value));
        }
        let report = keyspace.report(&session);
        // 20,000 keys fit the first arrays of 1,024 segments.
        let enough = if bits < 10 { 5 } else { 0 };
        assert!(report.migrations >= enough, "the run was meant to migrate: {report:?}");
    }
}

#[test]
fn counters_of_many_threads_lose_nothing_while_segments_migrate() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 40_000;
    let keyspace = small(1, 8);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let keyspace = &keyspace;
            scope.spawn(move || {
                let local = keyspace.join();
                let mut session = local.pin();
                let database = keyspace.database(0);
                for round in 0..ROUNDS {
                    let counter = format!("counter:{}", round % 7);
                    let key = keyspace.key(counter.as_bytes());
                    assert!(database.add(&session, key, 1).is_ok());
                    // Fillers make the counters' segments grow and be cleaned all the time.
                    let filler = format!("filler:{thread}:{}", round % 1000);
                    let key = keyspace.key(filler.as_bytes());
                    if round / 1000 % 2 == 0 {
                        database.set(&session, key, NewValue::Copy(b"x"));
                    } else {
                        assert!(database.remove(&session, key));
                    }
                    session.renew();
                }
            });
        }
    });
    let local = keyspace.join();
    let session = local.pin();
    let sum: usize = (0..7)
        .map(|index| get(&keyspace, &session, format!("counter:{index}").as_bytes()))
        .map(|value| String::from_utf8(value.expect("present")).expect("digits"))
        .map(|text| text.parse::<usize>().expect("a number"))
        .sum();
    assert_eq!(sum, THREADS * ROUNDS);
    assert!(keyspace.report(&session).migrations > 20);
}

#[test]
fn setnx_has_one_winner_and_del_one_remover_in_every_round() {
    const THREADS: usize = 8;
    let keyspace = small(0, 8);
    let barrier = std::sync::Barrier::new(THREADS);
    let (won, removed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (keyspace, barrier, won, removed) = (&keyspace, &barrier, &won, &removed);
            scope.spawn(move || {
                let local = keyspace.join();
                let database = keyspace.database(0);
                for round in 0..3000 {
                    let name = format!("lock:{}", round % 50);
                    let key = keyspace.key(name.as_bytes());
                    let owner = [b'a' + thread as u8; 9];
                    barrier.wait();
                    if database.set_if_absent(&local.pin(), key, NewValue::Copy(&owner)) {
                        won.fetch_add(1, Ordering::Relaxed);
                    }
                    barrier.wait();
                    if database.remove(&local.pin(), key) {
                        removed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(won.into_inner(), 3000);
    assert_eq!(removed.into_inner(), 3000);
    assert_eq!(keyspace.database(0).len(&keyspace.join().pin()), 0);
}

#[test]
fn appends_of_many_threads_are_all_there_and_whole() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2000;
    let keyspace = small(0, 8);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let keyspace = &keyspace;
            scope.spawn(move || {
                let local = keyspace.join();
                let tail = [b'a' + thread as u8; 13];
                for _ in 0..ROUNDS {
                    let session = local.pin();
                    let result = keyspace.database(0).append(&session, keyspace.key(b"log"), &tail);
                    assert!(result.is_ok());
                }
            });
        }
    });
    let local = keyspace.join();
    let value = get(&keyspace, &local.pin(), b"log").expect("present");
    assert_eq!(value.len(), THREADS * ROUNDS * 13);
    let mut counts = [0; THREADS];
    for piece in value.chunks(13) {
        assert!(piece.iter().all(|&byte| byte == piece[0]), "a torn piece: {piece:?}");
        counts[(piece[0] - b'a') as usize] += 1;
    }
    assert_eq!(counts, [ROUNDS; THREADS]);
}

#[test]
fn readers_see_every_stable_key_at_all_times_while_others_churn() {
    let keyspace = small(2, 16);
    let stable: Vec<_> = (0..2000).map(|index| format!("stable:{index}").into_bytes()).collect();
    {
        let local = keyspace.join();
        let session = local.pin();
        stable.iter().for_each(|name| set(&keyspace, &session, name, name));
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (keyspace, stable, stop) = (&keyspace, &stable, &stop);
        let churners: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    let local = keyspace.join();
                    let database = keyspace.database(0);
                    let mut random = Random(77 + thread);
                    for step in 0..200_000u64 {
                        let session = local.pin();
                        let range = if step / 20_000 % 2 == 0 { 20_000 } else { 100 };
                        let name = format!("churn:{thread}:{}", random.below(range));
                        let key = keyspace.key(name.as_bytes());
                        if random.below(2) == 0 {
                            database.set(&session, key, NewValue::Copy(&[b'v'; 50]));
                        } else {
                            database.remove(&session, key);
                        }
                    }
                })
            })
            .collect();
        for thread in 0..2 {
            scope.spawn(move || {
                let local = keyspace.join();
                let mut random = Random(3 + thread);
                while !stop.load(Ordering::Relaxed) {
                    let session = local.pin();
                    let name = &stable[random.below(2000) as usize];
                    assert_eq!(get(keyspace, &session, name).as_ref(), Some(name));
                }
            });
        }
        for churner in churners {
            churner.join().expect("churner");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(keyspace.report(&keyspace.join().pin()).migrations > 10);
}

fn fill(keyspace: &Keyspace, local: &Local, keys: usize) {
    let session = local.pin();
    for index in 0..keys {
        let name = format!("key:{index}");
        set(keyspace, &session, name.as_bytes(), &vec![b'v'; index % 300]);
    }
}

#[test]
fn flush_is_one_instant_and_later_keys_stay() {
    let keyspace = small(4, 64);
    let local = keyspace.join();
    fill(&keyspace, &local, 10_000);
    let session = local.pin();
    set(&keyspace, &session, b"counter", b"5");
    keyspace.database(0).flush(&session);
    assert_eq!(keyspace.database(0).len(&session), 0);
    assert_eq!(get(&keyspace, &session, b"counter"), None);
    set(&keyspace, &session, b"after", b"1");
    assert_eq!(get(&keyspace, &session, b"after").as_deref(), Some(&b"1"[..]));
    assert_eq!(keyspace.database(1).len(&session), 0);
}

/// The only test that looks at the process-wide count of bytes runs in a process of its own.
#[test]
fn every_record_is_freed_at_shutdown() {
    if std::env::var_os("FERRUM_LEAK_CHECK").is_none() {
        let me = std::env::current_exe().expect("own path");
        let status = std::process::Command::new(me)
            .args(["--exact", "every_record_is_freed_at_shutdown", "--nocapture"])
            .env("FERRUM_LEAK_CHECK", "1")
            .status()
            .expect("the test runs itself");
        assert!(status.success());
        return;
    }
    for round in 0..3 {
        let keyspace = small(2, 8);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let keyspace = &keyspace;
                scope.spawn(move || {
                    let local = keyspace.join();
                    let database = keyspace.database(0);
                    let mut random = Random(1 + thread + 10 * round);
                    for _ in 0..50_000 {
                        let session = local.pin();
                        let name = format!("key:{}", random.below(3000));
                        let key = keyspace.key(name.as_bytes());
                        match random.below(6) {
                            0 => drop(database.remove(&session, key)),
                            1 => drop(database.add(&session, key, 1)),
                            2 => drop(database.append(&session, key, &[b'x'; 60])),
                            3 if random.below(10_000) == 0 => database.flush(&session),
                            _ => {
                                let value = vec![b'v'; random.below(400) as usize];
                                database.set(&session, key, NewValue::Shared(value.into()));
                            }
                        }
                    }
                });
            }
        });
        drop(keyspace);
        // The reaper may still be at a flushed generation.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while keyspace_bytes() != 0 && std::time::Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(keyspace_bytes(), 0, "bytes leaked in round {round}");
    }
}
