//! Transactions of the real keyspace, by many threads in one process: sums that must stay the same,
//! groups that must be equal, increments that must not be lost; in tables that grow and shrink.

use ferrum_kv::store::{Change, Keyspace, KeyspaceOptions, NewValue, Session, TableOptions, Value};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Few and small segments, so that keys are neighbours and arrays migrate often.
fn small() -> Keyspace {
    let table = TableOptions { segment_bits: 1, first_slots: 8 };
    Keyspace::new(KeyspaceOptions { databases: 2, table, ..KeyspaceOptions::default() })
}

fn number(keyspace: &Keyspace, session: &Session<'_>, key: &str) -> i64 {
    let key = keyspace.key(key.as_bytes());
    let read = |value: Value<'_>| match value {
        Value::Integer(number) => number,
        _ => panic!("not a number"),
    };
    keyspace.database(0).get(session, key, read).unwrap_or(0)
}

fn set(keyspace: &Keyspace, session: &Session<'_>, key: &str, number: i64) {
    let (key, text) = (keyspace.key(key.as_bytes()), number.to_string());
    keyspace.database(0).set(session, key, NewValue::Copy(text.as_bytes()));
}

/// Runs a transaction until it succeeds; returns how many attempts were lost.
fn transact<T>(session: &mut Session<'_>, run: impl Fn(&Session<'_>) -> T) -> (T, u64) {
    let mut lost = 0;
    loop {
        session.begin();
        let result = run(session);
        if session.commit() {
            return (result, lost);
        }
        lost += 1;
    }
}

/// A thread's own random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Makes the table grow and shrink until it is told to stop.
fn churn(keyspace: &Keyspace, stop: &AtomicBool) {
    let local = keyspace.join();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        for put in [true, false] {
            for index in 0..400 {
                let name = format!("churn{round}-{index}");
                let session = local.pin();
                match put {
                    true => set(keyspace, &session, &name, index),
                    false => {
                        let key = keyspace.key(name.as_bytes());
                        assert!(keyspace.database(0).remove(&session, key));
                    }
                }
            }
            keyspace.maintain(&local, false);
        }
    }
}

const ACCOUNTS: usize = 20;
const START: i64 = 1_000;

fn account(index: usize) -> String {
    format!("account{index}")
}

fn total(keyspace: &Keyspace, session: &Session<'_>) -> i64 {
    (0..ACCOUNTS).map(|index| number(keyspace, session, &account(index))).sum()
}

/// Moves money in three ways: by reading and setting, by additions, by additions and an addition in
/// place that is given back afterwards.
fn transfer(keyspace: &Keyspace, session: &mut Session<'_>, random: &mut Random) -> u64 {
    let database = keyspace.database(0);
    let (from, to) = (account(random.below(ACCOUNTS)), account(random.below(ACCOUNTS)));
    let amount = random.below(10) as i64;
    let way = random.below(3);
    let (from_key, to_key) = (keyspace.key(from.as_bytes()), keyspace.key(to.as_bytes()));
    let run = |session: &Session<'_>| {
        if way == 0 {
            let left = number(keyspace, session, &from) - amount;
            set(keyspace, session, &from, left);
            let right = number(keyspace, session, &to) + amount;
            set(keyspace, session, &to, right);
        } else {
            database.add(session, from_key, -amount).unwrap();
            database.add(session, to_key, amount).unwrap();
        }
    };
    let lost = transact(session, run).1;
    if way == 2 {
        // A common place for all money that is on its way would not keep the sum; so this is a pair
        // of additions in place to a key of its own.
        let key = keyspace.key(b"busy");
        database.add(session, key, 1).unwrap();
    }
    lost
}

fn bank(keyspace: &Keyspace, rounds: usize) {
    {
        let local = keyspace.join();
        let session = local.pin();
        (0..ACCOUNTS).for_each(|index| set(keyspace, &session, &account(index), START));
    }
    let stop = AtomicBool::new(false);
    let lost = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| churn(keyspace, &stop));
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let lost = &lost;
                scope.spawn(move || {
                    let local = keyspace.join();
                    let mut random = Random(worker + 1);
                    for round in 0..rounds {
                        let mut session = local.pin();
                        match round % 4 {
                            0 => {
                                let read = |session: &Session<'_>| total(keyspace, session);
                                let sum = transact(&mut session, read).0;
                                assert_eq!(sum, START * ACCOUNTS as i64);
                            }
                            _ => {
                                let times = transfer(keyspace, &mut session, &mut random);
                                lost.fetch_add(times, Ordering::Relaxed);
                            }
                        }
                        session.renew();
                    }
                })
            })
            .collect();
        let results: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
    println!("lost attempts: {}", lost.load(Ordering::Relaxed));
    let local = keyspace.join();
    let session = local.pin();
    assert_eq!(total(keyspace, &session), START * ACCOUNTS as i64);
}

#[test]
fn transfers_among_accounts_keep_the_sum() {
    bank(&small(), 20_000);
}

#[test]
fn all_keys_of_a_blind_transaction_change_at_one_instant() {
    const KEYS: usize = 12;
    let keyspace = small();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (keyspace, stop) = (&keyspace, &stop);
        scope.spawn(|| churn(keyspace, stop));
        let workers: Vec<_> = (0..4_i64)
            .map(|worker| {
                scope.spawn(move || {
                    let local = keyspace.join();
                    for round in 0..20_000 {
                        let mut session = local.pin();
                        let name = |index: usize| format!("group{index}");
                        if worker % 2 == 0 {
                            let value = worker + 4 * round;
                            transact(&mut session, |session| {
                                (0..KEYS).for_each(|i| set(keyspace, session, &name(i), value));
                            });
                        } else {
                            let read = |session: &Session<'_>| -> Vec<i64> {
                                (0..KEYS).map(|i| number(keyspace, session, &name(i))).collect()
                            };
                            let found = transact(&mut session, read).0;
                            assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
                        }
                    }
                })
            })
            .collect();
        let results: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
}

/// Transactions over counters that others add to in place all the time: nothing is lost, and no
/// transaction starves.
#[test]
fn counters_under_fire_lose_nothing() {
    const ROUNDS: i64 = 10_000;
    let keyspace = small();
    thread::scope(|scope| {
        for worker in 0..4 {
            let keyspace = &keyspace;
            scope.spawn(move || {
                let local = keyspace.join();
                let database = keyspace.database(0);
                let (one, two) = (keyspace.key(b"one"), keyspace.key(b"two"));
                for _ in 0..ROUNDS {
                    let mut session = local.pin();
                    if worker < 2 {
                        database.add(&session, one, 1).unwrap();
                        database.add(&session, two, 1).unwrap();
                    } else {
                        transact(&mut session, |session| {
                            database.add(session, one, 1).unwrap();
                            database.add(session, two, 1).unwrap();
                            database.add(session, one, 1).unwrap();
                        });
                    }
                }
            });
        }
    });
    let local = keyspace.join();
    let session = local.pin();
    assert_eq!(number(&keyspace, &session, "one"), 6 * ROUNDS);
    assert_eq!(number(&keyspace, &session, "two"), 4 * ROUNDS);
}

/// A lock by "set both unless one is there", and its release by removing both.
#[test]
fn two_names_are_taken_together_or_not_at_all() {
    let keyspace = small();
    let inside = AtomicU64::new(0);
    thread::scope(|scope| {
        for worker in 0..4_u64 {
            let (keyspace, inside) = (&keyspace, &inside);
            scope.spawn(move || {
                let local = keyspace.join();
                let database = keyspace.database(0);
                let mut random = Random(worker + 7);
                let mut taken = 0;
                while taken < 3_000 {
                    // Any two of three names: any two pairs meet in one.
                    let first = random.below(3);
                    let names = [format!("lock{first}"), format!("lock{}", (first + 1) % 3)];
                    let keys = || names.iter().map(|name| keyspace.key(name.as_bytes()));
                    let mut session = local.pin();
                    let take = |session: &Session<'_>| {
                        if keys().any(|key| database.contains(session, key)) {
                            return false;
                        }
                        for key in keys() {
                            assert!(database.set_if_absent(session, key, NewValue::Copy(b"x")));
                        }
                        true
                    };
                    if !transact(&mut session, take).0 {
                        thread::yield_now();
                        continue;
                    }
                    taken += 1;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are inside");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    let free = |session: &Session<'_>| {
                        keys().filter(|key| database.remove(session, *key)).count()
                    };
                    assert_eq!(transact(&mut session, free).0, 2);
                }
            });
        }
    });
}

/// What was watched is told from everything that came after.
#[test]
fn a_watched_key_shows_every_change() {
    let keyspace = small();
    let local = keyspace.join();
    let database = keyspace.database(0);
    let key = keyspace.key(b"watched");
    type Change = fn(&Keyspace, &Session<'_>);
    let changes: [(&str, bool, Change); 6] = [
        ("nothing", true, |_, _| ()),
        ("set", false, |keyspace, session| set(keyspace, session, "watched", 1)),
        ("added", false, |keyspace, session| {
            keyspace.database(0).add(session, keyspace.key(b"watched"), 1).unwrap();
        }),
        ("removed and set", false, |keyspace, session| {
            let key = keyspace.key(b"watched");
            let _ = keyspace.database(0).remove(session, key);
            set(keyspace, session, "watched", 1);
        }),
        ("set and removed", false, |keyspace, session| {
            set(keyspace, session, "watched", 1);
            assert!(keyspace.database(0).remove(session, keyspace.key(b"watched")));
        }),
        ("flushed", false, |keyspace, session| keyspace.database(0).flush(session)),
    ];
    for start in ["absent", "removed", "number", "text"] {
        for (name, same, change) in &changes {
            let mut session = local.pin();
            database.flush(&session);
            match start {
                "absent" => {}
                "removed" => {
                    set(&keyspace, &session, "watched", 1);
                    assert!(database.remove(&session, key));
                }
                "number" => set(&keyspace, &session, "watched", 1),
                _ => database.set(&session, key, NewValue::Copy(b"text")),
            }
            let watched = database.watch(&session, key);
            if !(start == "text" && *name == "added") {
                change(&keyspace, &session);
            } else {
                continue;
            }
            session.begin();
            assert_eq!(session.is_unchanged(&keyspace, &watched), *same, "{start}, {name}");
            set(&keyspace, &session, "watched", 9);
            set(&keyspace, &session, "other", 9);
            if *same {
                assert!(session.commit());
                assert_eq!(number(&keyspace, &session, "watched"), 9);
            } else {
                session.abandon();
                assert!(!database.contains(&session, keyspace.key(b"other")));
            }
        }
    }
}

/// A transaction of more new keys than its segments hold succeeds at the first attempt.
#[test]
fn many_new_keys_come_at_one_instant() {
    const KEYS: usize = 50_000;
    for options in [TableOptions::default(), TableOptions { segment_bits: 2, first_slots: 8 }] {
        let keyspace = Keyspace::new(KeyspaceOptions { table: options, ..Default::default() });
        let local = keyspace.join();
        let mut session = local.pin();
        let lost = transact(&mut session, |session| {
            (0..KEYS).for_each(|index| set(&keyspace, session, &format!("many{index}"), 1));
        });
        assert_eq!(lost.1, 0);
        assert_eq!(keyspace.database(0).len(&session), KEYS as u64);
        let removed = transact(&mut session, |session| {
            (0..KEYS)
                .filter(|index| {
                    let name = format!("many{index}");
                    keyspace.database(0).remove(session, keyspace.key(name.as_bytes()))
                })
                .count()
        });
        assert_eq!(removed, (KEYS, 0));
        assert!(keyspace.database(0).is_empty(&session));
    }
}

/// Loses four attempts over `lock` (absent) and `busy`.
fn lose(keyspace: &Keyspace, session: &mut Session<'_>) {
    let db = keyspace.database(0);
    let other = keyspace.join();
    let (lock, busy, out) = (keyspace.key(b"lock"), keyspace.key(b"busy"), keyspace.key(b"out"));
    for _ in 0..4 {
        session.begin();
        assert!(!db.contains(session, lock));
        db.contains(session, busy);
        db.set(&other.pin(), busy, NewValue::Copy(b"x"));
        db.set(session, out, NewValue::Copy(b"1"));
        assert!(!session.commit());
    }
}

/// `lock` is absent and watched by one who then wants to know of it, while another one holds it
/// still or has done so.
fn watch_beside_a_reader(read: fn(&Keyspace, &mut Session<'_>)) {
    let keyspace = small();
    let (local, second) = (keyspace.join(), keyspace.join());
    let (mut other, mut mine) = (local.pin(), second.pin());
    let watched = keyspace.database(0).watch(&mine, keyspace.key(b"lock"));
    lose(&keyspace, &mut other);
    other.begin();
    read(&keyspace, &mut other);
    mine.begin();
    assert!(mine.is_unchanged(&keyspace, &watched), "nobody has touched it");
}

#[test]
fn a_watched_absence_is_unchanged_while_others_read_it() {
    watch_beside_a_reader(|_, _| ());
}

#[test]
fn a_watched_absence_is_unchanged_after_others_have_read_it() {
    watch_beside_a_reader(|keyspace, session| {
        let database = keyspace.database(0);
        assert!(!database.contains(session, keyspace.key(b"lock")));
        database.set(session, keyspace.key(b"out"), NewValue::Copy(b"1"));
        assert!(session.commit());
    });
}

#[test]
fn a_watched_absence_is_unchanged_under_its_own_protection() {
    let keyspace = small();
    let local = keyspace.join();
    let mut session = local.pin();
    let watched = keyspace.database(0).watch(&session, keyspace.key(b"lock"));
    lose(&keyspace, &mut session);
    session.begin();
    assert!(session.is_unchanged(&keyspace, &watched), "nobody has touched it");
}

/// Fails if `run` does not end.
fn ends(run: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    assert!(wait.recv_timeout(Duration::from_secs(3)).is_ok(), "it goes on for ever");
}

#[test]
fn watch_of_an_expired_key_ends_while_the_log_has_no_room() {
    ends(|| {
        let keyspace = small();
        let _consumer = keyspace.start_log(64);
        let local = keyspace.join();
        let db = keyspace.database(0);
        let key = keyspace.key(b"over");
        db.change(&local.pin(), key, |_| Change::Put {
            value: NewValue::Copy(b"v"),
            deadline: Some(1),
            result: (),
        });
        while keyspace.log().unwrap().has_room() {
            db.set(&local.pin(), keyspace.key(b"fill"), NewValue::Copy(b"v"));
        }
        let _ = db.watch(&local.pin(), key);
    });
}

#[test]
fn blocks_of_reads_end_while_the_log_has_no_room() {
    ends(|| {
        let keyspace = small();
        let _consumer = keyspace.start_log(64);
        let local = keyspace.join();
        for _ in 0..100 {
            let session = local.pin();
            session.begin_block();
            let _ = keyspace.database(0).len(&session);
            session.end_block();
        }
    });
}

#[test]
fn many_keys_past_their_deadlines_are_no_burden() {
    const KEYS: usize = 50_000;
    let keyspace = Keyspace::new(KeyspaceOptions::default());
    let local = keyspace.join();
    let database = keyspace.database(0);
    let names: Vec<_> = (0..KEYS).map(|number| format!("key{number}")).collect();
    for name in &names {
        database.change(&local.pin(), keyspace.key(name.as_bytes()), |_| Change::Put {
            value: NewValue::Copy(b"v"),
            deadline: Some(1),
            result: (),
        });
    }
    let mut session = local.pin();
    let removed = transact(&mut session, |session| {
        let keys = names.iter().map(|name| keyspace.key(name.as_bytes()));
        keys.filter(|key| database.remove(session, *key)).count()
    });
    assert_eq!(removed.0, 0);
    assert_eq!(database.len(&session), 0);
}
