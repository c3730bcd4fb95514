//! The count of memory: after whatever threads do, what is left is what is there.
//!
//! A process of its own: the counts are the process's.

use ferrum_kv::memory::{self, Counted, Kind};
use ferrum_kv::store::{Change, Keyspace, KeyspaceOptions, Local, NewValue, TableOptions};
use ferrum_kv::sync::epoch::{limbo_bytes, set_limbo_target};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The tests of this file run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

const KEYS: u64 = 300;

/// A small fast generator (Marsaglia's xorshift), so that a run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn name(number: u64) -> Vec<u8> {
    format!("key:{number}:{}", "n".repeat(number as usize % 150)).into_bytes()
}

/// One random change of a random key.
fn step(keyspace: &Keyspace, local: &Local, random: &mut Random) {
    let session = local.pin();
    let database = keyspace.database(random.below(2) as usize);
    let name = name(random.below(KEYS));
    let key = keyspace.key(&name);
    let value = || vec![b'v'; [3, 40, 200, 3000][name.len() % 4]];
    match random.below(12) {
        0..3 => database.set(&session, key, NewValue::Copy(&value())),
        3..5 => {
            let bytes = vec![b's'; 1 << random.below(17)];
            database.set(&session, key, NewValue::Shared(bytes.into()));
        }
        5 => drop(database.append(&session, key, &value())),
        6 => drop(database.add(&session, key, random.below(100) as i64 - 50)),
        7 => database.set(&session, key, NewValue::Edited(value().into())),
        8 => {
            let deadline = session.now() + random.below(30);
            database.change(&session, key, |entry| match entry {
                Some(entry) => Change::Deadline { entry, deadline: Some(deadline), result: () },
                None => Change::Keep(()),
            });
        }
        9..11 => drop(database.remove(&session, key)),
        _ if random.below(400) == 0 => database.flush(&session),
        _ => drop(database.get(&session, key, |value| value.to_vec())),
    }
}

/// Waits until a figure is 0, collecting what waits.
fn await_none(what: &str, round: u64, local: Option<(&Keyspace, &Local)>, figure: fn() -> u64) {
    let end = Instant::now() + Duration::from_secs(20);
    while figure() != 0 && Instant::now() < end {
        if let Some((keyspace, local)) = local {
            keyspace.maintain(local, false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(figure(), 0, "{what} in round {round}");
}

#[test]
fn what_threads_have_taken_is_all_given_back() {
    let _alone = ALONE.lock();
    for round in 0..100 {
        let table = TableOptions { segment_bits: 2, first_slots: 8 };
        let options = KeyspaceOptions { table, databases: 2, ..KeyspaceOptions::default() };
        let keyspace = Keyspace::new(options);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let keyspace = &keyspace;
                scope.spawn(move || {
                    let local = keyspace.join();
                    let mut random = Random::new(3 * round + thread);
                    (0..3000).for_each(|_| step(keyspace, &local, &mut random));
                });
            }
        });
        let local = keyspace.join();
        for number in 0..2 * KEYS {
            let (session, name) = (local.pin(), name(number / 2));
            let database = keyspace.database(number as usize % 2);
            database.remove(&session, keyspace.key(&name));
        }
        let here = Some((&keyspace, &local));
        await_none("limbo", round, here, limbo_bytes);
        // Dead records stay for their names, but none with a buffer.
        await_none("buffers", round, here, || memory::bytes(Kind::Buffers));
        (0..2).for_each(|index| keyspace.database(index).flush(&local.pin()));
        await_none("flushed tables", round, here, memory::reaping_bytes);
        await_none("limbo after a flush", round, here, limbo_bytes);
        await_none("records", round, here, || memory::bytes(Kind::Records));
        let arrays = memory::bytes(Kind::Arrays);
        assert!(arrays < 100_000, "two empty tables have {arrays} bytes");
        drop(local);
        drop(keyspace);
        await_none("all", round, None, memory::used_bytes);
    }
}

#[test]
fn a_flush_tells_about_how_much_it_gives_up() {
    let _alone = ALONE.lock();
    let keyspace = Keyspace::new(KeyspaceOptions::default());
    let local = keyspace.join();
    for index in 0..2 {
        for number in 0..20_000_u64 {
            let session = local.pin();
            let name = format!("key:{number}");
            let key = keyspace.key(name.as_bytes());
            keyspace.database(index).set(&session, key, NewValue::Copy(&[b'v'; 100]));
        }
    }
    keyspace.maintain(&local, false);
    let (used, keys) = (memory::used_bytes(), memory::reaped_keys());
    keyspace.database(0).flush(&local.pin());
    let told = memory::reaping_bytes();
    // The new, empty table is not worth mentioning.
    assert!(told.abs_diff(used / 2) < used / 50, "{told} of {used} bytes");
    await_none("flushed tables", 0, Some((&keyspace, &local)), memory::reaping_bytes);
    assert_eq!(memory::reaped_keys() - keys, 20_000);
    let left = memory::used_bytes();
    assert!(left.abs_diff(used - told) < used / 50, "{left} of {used} bytes, {told} told");
    drop(local);
    drop(keyspace);
    await_none("all", 0, None, memory::used_bytes);
}

#[test]
fn what_is_counted_is_given_back_by_its_owner() {
    let _alone = ALONE.lock();
    let (total, own) = (memory::used_bytes(), memory::thread_bytes());
    let kinds = [Kind::Eviction, Kind::Log, Kind::Records];
    let mut counted = kinds.map(Counted::new);
    for owner in &mut counted {
        owner.set(1000);
        owner.set(600);
    }
    assert_eq!(kinds.map(memory::bytes), [600; 3]);
    assert_eq!(memory::thread_bytes() - own, 1800);
    assert_eq!(memory::used_bytes() - total, 1800);
    assert_eq!((memory::counted_bytes() - total, memory::keyspace_bytes() - total), (1200, 600));
    drop(counted);
    assert_eq!((memory::thread_bytes(), memory::used_bytes()), (own, total));
}

#[test]
fn a_memory_cap_bounds_what_waits_to_be_freed() {
    const VALUE: usize = 4 << 10;
    let _alone = ALONE.lock();
    let keyspace = Keyspace::new(KeyspaceOptions::default());
    let local = keyspace.join();
    let waiting = |cap_bytes| {
        set_limbo_target(cap_bytes);
        let mut most = 0;
        for round in 0..10_000_u64 {
            let session = local.pin();
            let name = (round % 10).to_le_bytes();
            let key = keyspace.key(&name);
            keyspace.database(0).set(&session, key, NewValue::Copy(&[b'v'; VALUE]));
            most = most.max(limbo_bytes());
        }
        most
    };
    let free = waiting(0);
    let bound = waiting(8 << 20);
    set_limbo_target(0);
    // A part of 128, and what comes between two flushes; some epochs of the latter.
    assert!(bound <= (8 << 20) / 128 + 4 * (16 << 10) + 2 * VALUE as u64, "{bound} bytes");
    assert!(free > 2 * bound, "{free} bytes without a cap");
    drop(local);
    drop(keyspace);
    await_none("all", 0, None, memory::used_bytes);
}
