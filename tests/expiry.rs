//! Deadlines and walks over the keyspace, on the real table under many threads.

use ferrum_kv::store::{
    Change, ClockSource, Database, Keyspace, KeyspaceOptions, NewValue, ScanPosition, Session,
    Sweeper, TableOptions,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const START: u64 = 1_700_000_000_000;

fn keyspace(segment_bits: u32, first_slots: usize) -> Keyspace {
    let table = TableOptions { segment_bits, first_slots };
    let clock = ClockSource::Manual(START);
    Keyspace::new(KeyspaceOptions { table, clock, ..KeyspaceOptions::default() })
}

fn set(keyspace: &Keyspace, session: &Session<'_>, name: &[u8], deadline: Option<u64>) {
    keyspace.database(0).change(session, keyspace.key(name), |_| Change::Put {
        value: NewValue::Copy(b"17"),
        deadline,
        result: (),
    });
}

#[test]
fn a_key_past_its_deadline_is_absent_for_every_operation() {
    type Operation = fn(&Keyspace, &Session<'_>) -> bool;
    let operations: [Operation; 6] = [
        |k, s| k.database(0).get(s, k.key(b"k"), |_| ()).is_none(),
        |k, s| !k.database(0).contains(s, k.key(b"k")),
        |k, s| !k.database(0).remove(s, k.key(b"k")),
        |k, s| k.database(0).add(s, k.key(b"k"), 1) == Ok(1),
        |k, s| k.database(0).append(s, k.key(b"k"), b"xyz") == Ok(3),
        |k, s| k.database(0).set_if_absent(s, k.key(b"k"), NewValue::Copy(b"new")),
    ];
    for operation in operations {
        let keyspace = keyspace(0, 8);
        let local = keyspace.join();
        set(&keyspace, &local.pin(), b"k", Some(START + 10));
        keyspace.clock().advance(10);
        assert!(keyspace.database(0).contains(&local.pin(), keyspace.key(b"k")), "its last moment");
        keyspace.clock().advance(1);
        assert!(operation(&keyspace, &local.pin()));
        assert_eq!(local.take_expired(), 1);
        assert_eq!(keyspace.database(0).expiring(&local.pin()), 0);
    }
}

#[test]
fn an_in_place_counter_keeps_its_deadline() {
    let keyspace = keyspace(0, 8);
    let local = keyspace.join();
    let session = local.pin();
    set(&keyspace, &session, b"k", Some(START + 10));
    let database = keyspace.database(0);
    let look =
        || database.peek(&session, keyspace.key(b"k"), |entry| (entry.version(), entry.deadline()));
    let before = look();
    assert_eq!(database.add(&session, keyspace.key(b"k"), 5), Ok(22));
    assert_eq!(look(), before, "no new record");
    assert_eq!(database.append(&session, keyspace.key(b"k"), b"0"), Ok(3));
    assert_eq!(look().and_then(|(_, deadline)| deadline), Some(START + 10));
}

#[test]
fn the_sweep_removes_what_nobody_asks_for_and_nothing_else() {
    let keyspace = keyspace(6, 64);
    let local = keyspace.join();
    let keys = 60_000u64;
    for number in 0..keys {
        let deadline = [None, Some(START + 5), Some(START + 1_000_000)][(number % 3) as usize];
        set(&keyspace, &local.pin(), &number.to_le_bytes(), deadline);
    }
    let database = keyspace.database(0);
    keyspace.clock().advance(6);
    let mut sweeper = Sweeper::default();
    let mut slices = 0;
    while database.expiring(&local.pin()) > keys / 3 {
        let _ = keyspace.sweep(&local, &mut sweeper, 10);
        slices += 1;
        assert!(slices < 100_000, "the sweep does not come to an end");
    }
    assert_eq!(local.take_expired(), keys / 3);
    assert_eq!(database.len(&local.pin()), keys * 2 / 3);
    for number in 0..keys {
        let found = database.contains(&local.pin(), keyspace.key(&number.to_le_bytes()));
        assert_eq!(found, number % 3 != 1);
    }
}

/// Adds and deletes `others`, in swells, until told to stop.
fn churn(keyspace: &Keyspace, number: u64, stop: &AtomicBool) {
    let local = keyspace.join();
    let mut round = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let present = round.is_multiple_of(2);
        for other in 0..4_000u64 {
            let name = (1 << 32 | number << 16 | other).to_le_bytes();
            let (session, key) = (local.pin(), keyspace.key(&name));
            match present {
                true => keyspace.database(0).set(&session, key, NewValue::Copy(b"other")),
                false => drop(keyspace.database(0).remove(&session, key)),
            }
        }
        round += 1;
        keyspace.maintain(&local, true);
    }
}

fn scan_all(database: Database<'_>, session: &mut Session<'_>) -> Vec<Vec<u8>> {
    let (mut found, mut at) = (Vec::new(), ScanPosition::default());
    loop {
        let next = database.scan(session, at, 10, |key, _| found.push(key.to_vec()));
        session.renew();
        match next {
            None => return found,
            Some(next) => {
                assert_eq!(ScanPosition::from_cursor(next.cursor()), next, "a cursor says it all");
                assert!(next.cursor() > at.cursor(), "a scan goes on");
                at = next;
            }
        }
    }
}

#[test]
fn a_scan_meets_every_key_that_stays_while_the_table_grows_cleans_and_shrinks() {
    let keyspace = keyspace(2, 16);
    let local = keyspace.join();
    let stays: HashSet<Vec<u8>> =
        (0..3_000u64).map(|number| number.to_le_bytes().to_vec()).collect();
    for name in &stays {
        keyspace.database(0).set(&local.pin(), keyspace.key(name), NewValue::Copy(b"stays"));
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (keyspace, stop) = (&keyspace, &stop);
            scope.spawn(move || churn(keyspace, number, stop));
        }
        for _ in 0..30 {
            let found = scan_all(keyspace.database(0), &mut local.pin());
            let mine: Vec<_> = found.iter().filter(|key| stays.contains(*key)).collect();
            let distinct: HashSet<_> = mine.iter().collect();
            if distinct.len() != stays.len() || mine.len() != stays.len() {
                stop.store(true, Ordering::Relaxed);
            }
            assert_eq!(distinct.len(), stays.len(), "a key that stayed was not met");
            assert_eq!(mine.len(), stays.len(), "a key that stayed was met twice");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(keyspace.database(0).migrations(&local.pin()).1 > 10, "the table did not move");
}

#[test]
fn random_keys_are_uniform() {
    let keyspace = keyspace(4, 16);
    let local = keyspace.join();
    let (keys, draws) = (500u64, 200_000);
    for number in 0..keys {
        set(&keyspace, &local.pin(), &number.to_le_bytes(), None);
    }
    let mut counts = vec![0u64; keys as usize];
    for _ in 0..draws {
        let drawn = keyspace.database(0).random_key(&local.pin(), |key, _| key.to_vec());
        let bytes = drawn.expect("there are keys").try_into().expect("eight bytes");
        counts[u64::from_le_bytes(bytes) as usize] += 1;
    }
    // Pearson's chi-square with 499 degrees of freedom: mean 499, standard deviation 31.6; six of
    // them above the mean come once in a hundred million runs.
    let expected = draws as f64 / keys as f64;
    let chi: f64 = counts.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
    assert!(chi < 499.0 + 6.0 * 31.6, "chi-square {chi}");
}

#[test]
fn nobody_sees_a_key_after_somebody_saw_it_gone() {
    let keyspace = keyspace(2, 16);
    let rounds = 2_000u64;
    let gone_until = AtomicUsize::new(0);
    let local = keyspace.join();
    for number in 0..rounds {
        set(&keyspace, &local.pin(), &number.to_le_bytes(), Some(START + number));
    }
    let is_gone = |session: &Session<'_>, number: u64| {
        let key = number.to_le_bytes();
        !keyspace.database(0).contains(session, keyspace.key(&key))
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let local = keyspace.join();
                loop {
                    // Everything below this had been seen gone before the session began, whose
                    // time may be older than that of whoever saw it.
                    let before = gone_until.load(Ordering::SeqCst);
                    let session = local.pin();
                    let number = before.saturating_sub(1) as u64;
                    assert!(before == 0 || is_gone(&session, number), "a key came back");
                    if before as u64 == rounds {
                        return;
                    }
                    if is_gone(&session, before as u64) {
                        gone_until.fetch_max(before + 1, Ordering::SeqCst);
                    }
                    keyspace.clock().advance(1);
                }
            });
        }
    });
}

#[test]
fn whatever_reads_or_writes_a_key_uses_it() {
    type Operation = fn(&Keyspace, &Session<'_>);
    let operations: [Operation; 6] = [
        |k, s| _ = k.database(0).get(s, k.key(b"k"), |_| ()),
        |k, s| k.database(0).set(s, k.key(b"k"), NewValue::Copy(b"other")),
        |k, s| _ = k.database(0).set_if_absent(s, k.key(b"k"), NewValue::Copy(b"other")),
        |k, s| _ = k.database(0).add(s, k.key(b"k"), 1),
        |k, s| _ = k.database(0).append(s, k.key(b"k"), b"1"),
        |k, s| _ = k.database(0).touch(s, k.key(b"k")),
    ];
    for operation in operations {
        let keyspace = keyspace(0, 8);
        let local = keyspace.join();
        set(&keyspace, &local.pin(), b"k", None);
        keyspace.clock().advance(7_000);
        let session = local.pin();
        let idle = || {
            let now = session.seconds();
            keyspace.database(0).peek(&session, keyspace.key(b"k"), |entry| entry.idle_seconds(now))
        };
        assert_eq!(idle(), Some(7), "a look is no use");
        operation(&keyspace, &session);
        assert_eq!(idle(), Some(0));
    }
}
