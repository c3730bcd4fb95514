//! The order of the log, on the real keyspace with many threads: what a log of all entries replays
//! to is what is in memory, every prefix of it is a state that there was, and a snapshot is the
//! state at its mark.

use ferrum_kv::ring::{Consumer, Rest};
use ferrum_kv::store::{
    Change, ClockSource, Effect, Keyspace, KeyspaceOptions, Local, Logged, NewValue, ScanPosition,
    TableOptions,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WRITERS: u64 = 4;
const DATABASES: usize = 2;
const NOW: u64 = 1_000_000;

/// What a key holds: its value and its deadline.
type Held = (Vec<u8>, Option<u64>);
type Keys = BTreeMap<Vec<u8>, Held>;

/// An interpreter of entries.
#[derive(Default)]
struct Replay {
    /// The keys of each table, by number.
    tables: HashMap<u64, Keys>,
    /// The live table of each place, and the place of each database.
    live: Vec<u64>,
    order: Vec<usize>,
    /// The sum after each addition, by key.
    sums: HashMap<Vec<u8>, Vec<i64>>,
    /// The state at each mark: each database's keys.
    marks: Vec<(u64, Vec<Keys>)>,
    entries: u64,
}

impl Replay {
    fn new() -> Replay {
        let live = (0..DATABASES as u64).collect();
        Replay { live, order: (0..DATABASES).collect(), ..Replay::default() }
    }

    fn database(&self, index: usize) -> Keys {
        let number = self.live[self.order[index]];
        self.tables.get(&number).cloned().unwrap_or_default()
    }

    fn apply(&mut self, ticket: u64, logged: Logged<'_>) {
        self.entries += 1;
        match logged {
            Logged::Mark => {
                let state = (0..DATABASES).map(|index| self.database(index)).collect();
                self.marks.push((ticket, state));
            }
            Logged::Block(block) => block.for_each(|part| self.apply(ticket, part)),
            Logged::Swap(one, other) => self.order.swap(one as usize, other as usize),
            Logged::Flush(table) => {
                let place = (table % DATABASES as u64) as usize;
                assert_eq!(self.live[place], table, "a table is flushed once, in order");
                self.live[place] = table + DATABASES as u64;
                self.tables.remove(&table);
            }
            Logged::Key { table, key, effect } => {
                let place = (table % DATABASES as u64) as usize;
                if table < self.live[place] {
                    return;
                }
                assert_eq!(self.live[place], table, "no entry of a table before it is there");
                self.change(table, key, effect);
            }
        }
    }

    fn change(&mut self, table: u64, key: &[u8], effect: Effect<'_>) {
        let keys = self.tables.entry(table).or_default();
        let held = keys.entry(key.to_vec()).or_insert_with(|| (Vec::new(), None));
        match effect {
            Effect::Set(value, deadline) => *held = (value.to_vec(), deadline),
            Effect::Append(tail) => held.0.extend_from_slice(tail),
            Effect::Range(from, bytes) => {
                let end = from as usize + bytes.len();
                held.0.resize(held.0.len().max(end), 0);
                held.0[from as usize..end].copy_from_slice(bytes);
            }
            Effect::Add(delta) => {
                let text = std::str::from_utf8(&held.0).unwrap();
                let old: i64 = if text.is_empty() { 0 } else { text.parse().unwrap() };
                held.0 = (old + delta).to_string().into_bytes();
                self.sums.entry(key.to_vec()).or_default().push(old + delta);
            }
            Effect::Expire(deadline) => held.1 = Some(deadline),
            Effect::Persist => held.1 = None,
            Effect::Remove => {
                keys.remove(key);
            }
        }
    }
}

fn keyspace() -> Keyspace {
    let table = TableOptions { segment_bits: 1, first_slots: 16 };
    let clock = ClockSource::Manual(NOW);
    Keyspace::new(KeyspaceOptions {
        databases: DATABASES,
        table,
        clock,
        ..KeyspaceOptions::default()
    })
}

/// The live tables at each mark, by ticket.
type Marks = Mutex<HashMap<u64, Vec<u64>>>;

/// Reads entries until `over`, and to the end then.
fn replay(mut consumer: Consumer, over: &AtomicBool, marks: &Marks) -> Replay {
    let mut replay = Replay::new();
    loop {
        let last = over.load(Ordering::SeqCst);
        loop {
            let ticket = consumer.position();
            let Some(read) = consumer.next() else { break };
            if let Some(logged) = Logged::decode(&read) {
                replay.apply(ticket, logged);
                if logged == Logged::Mark {
                    marks.lock().unwrap().insert(ticket, replay.live.clone());
                }
            }
        }
        consumer.release();
        if last {
            return replay;
        }
        consumer.rest(Rest::Nap(Duration::from_micros(200)));
    }
}

/// All keys of a database as they are in memory.
fn in_memory(keyspace: &Keyspace, local: &Local, index: usize) -> Keys {
    let session = local.pin();
    let mut keys = Keys::new();
    let mut from = Some(ScanPosition::default());
    while let Some(position) = from {
        from = keyspace.database(index).scan(&session, position, 100, |key, entry| {
            keys.insert(key.to_vec(), (entry.value().to_vec(), entry.deadline()));
        });
    }
    keys
}

/// One random change; a sum that was returned is noted by key.
fn act(
    keyspace: &Keyspace,
    local: &Local,
    random: &mut fastrand::Rng,
    sums: &mut HashMap<Vec<u8>, Vec<i64>>,
) {
    let session = local.pin();
    let database = keyspace.database(random.usize(..DATABASES));
    let number = random.u32(..12);
    let name = match number {
        0..6 => format!("counter{}", number % 3),
        _ => format!("text{}", random.u32(..40)),
    };
    let key = keyspace.key(name.as_bytes());
    match (number, random.u32(..100)) {
        (_, 0) if random.u32(..40) == 0 => database.flush(&session),
        (_, 0) if random.u32(..40) == 0 => keyspace.database(0).swap(&session, 1),
        (_, 1..4) => {
            database.remove(&session, key);
        }
        (0..6, _) => {
            let delta = random.i64(-3..=3);
            let sum = database.add(&session, key, delta).unwrap();
            sums.entry(key.bytes.to_vec()).or_default().push(sum);
        }
        (_, 4..20) => {
            let value = vec![b'a' + random.u8(..26); random.usize(..400)];
            database.set(&session, key, NewValue::Copy(&value));
        }
        (_, 20..60) => {
            let tail = vec![b'A' + random.u8(..26); random.usize(1..30)];
            database.append(&session, key, &tail).unwrap();
        }
        (_, 60..75) => {
            let deadline = random.bool().then(|| NOW + random.u64(1..1000));
            database.change(&session, key, |entry| match entry {
                Some(entry) => Change::Deadline { entry, deadline, result: () },
                None => Change::Keep(()),
            });
        }
        // Past already: whoever meets it removes it.
        (_, 75..80) => database.change(&session, key, |_| Change::Put {
            value: NewValue::Copy(b"over"),
            deadline: Some(NOW - 1),
            result: (),
        }),
        _ => {
            let deadline = random.bool().then_some(NOW + 5000);
            let value = NewValue::Copy(b"with a deadline");
            database.change(&session, key, |_| Change::Put {
                value: value.clone(),
                deadline,
                result: (),
            });
        }
    }
}

/// The first key that differs, for a message.
fn difference(snapshot: &[Keys], log: &[Keys]) -> String {
    for (one, other) in snapshot.iter().zip(log) {
        for key in one.keys().chain(other.keys()) {
            if one.get(key) != other.get(key) {
                let (one, other) = (one.get(key), other.get(key));
                return format!("{}: {one:?} for {other:?}", key.escape_ascii());
            }
        }
    }
    format!("{} tables for {}", snapshot.len(), log.len())
}

struct End<'o>(&'o AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs the writers, and `beside` on a thread of its own meanwhile; returns the replayed log and
/// the sums that additions have returned.
fn race(
    keyspace: &Keyspace,
    rounds: u64,
    beside: impl Fn(&AtomicBool, &Marks) + Sync,
) -> (Replay, HashMap<Vec<u8>, Vec<i64>>) {
    let consumer = keyspace.start_log(1 << 12);
    let (over, wrote) = (AtomicBool::new(false), AtomicBool::new(false));
    let marks = Marks::default();
    std::thread::scope(|scope| {
        // However this ends, the reader has to.
        let _end = End(&over);
        let reader = scope.spawn(|| replay(consumer, &over, &marks));
        let beside = scope.spawn(|| beside(&wrote, &marks));
        let writers: Vec<_> = (0..WRITERS)
            .map(|seed| {
                scope.spawn(move || {
                    let (local, mut sums) = (keyspace.join(), HashMap::new());
                    let mut random = fastrand::Rng::with_seed(seed + rounds);
                    for _ in 0..rounds {
                        act(keyspace, &local, &mut random, &mut sums);
                    }
                    sums
                })
            })
            .collect();
        let mut sums: HashMap<Vec<u8>, Vec<i64>> = HashMap::new();
        for writer in writers {
            for (key, more) in writer.join().unwrap() {
                sums.entry(key).or_default().extend(more);
            }
        }
        wrote.store(true, Ordering::SeqCst);
        beside.join().unwrap();
        over.store(true, Ordering::SeqCst);
        keyspace.log().unwrap().ring().rouse();
        (reader.join().unwrap(), sums)
    })
}

#[test]
fn a_log_replays_to_what_is_in_memory_and_shows_every_sum_that_was_told() {
    let keyspace = keyspace();
    let (replay, mut told) = race(&keyspace, 150_000, |_, _| ());
    let local = keyspace.join();
    for index in 0..DATABASES {
        let mut logged = replay.database(index);
        // What is past is still in the log until somebody meets it; the scan has just done so.
        logged.retain(|_, held| held.1.is_none_or(|deadline| deadline >= NOW));
        assert!(logged == in_memory(&keyspace, &local, index), "database {index}");
    }
    assert!(replay.entries > 300_000);
    // Additions to a table that was flushed are not in the log: what is there was told.
    for (key, mut logged) in replay.sums {
        let told = told.remove(&key).unwrap();
        let mut counts: HashMap<i64, i64> = HashMap::new();
        told.into_iter().for_each(|sum| *counts.entry(sum).or_default() += 1);
        logged.sort_unstable();
        for sum in logged {
            let count = counts.entry(sum).or_default();
            *count -= 1;
            assert!(*count >= 0, "{} was {sum} in the log, told to nobody", key.escape_ascii());
        }
    }
}

#[test]
fn a_snapshot_is_the_state_at_its_mark() {
    let keyspace = keyspace();
    let snapshots = Mutex::new(Vec::new());
    let (replay, _) = race(&keyspace, 60_000, |wrote, marks| {
        let local = keyspace.join();
        while !wrote.load(Ordering::SeqCst) {
            let mut snapshot = keyspace.begin_snapshot(&local).unwrap();
            assert!(keyspace.begin_snapshot(&local).is_err(), "one at a time");
            let tables = loop {
                if let Some(tables) = marks.lock().unwrap().remove(&snapshot.ticket()) {
                    break tables;
                }
                std::thread::yield_now();
            };
            let mut keys: HashMap<u64, Keys> = HashMap::new();
            let mut report = |it: ferrum_kv::store::SnapshotKey<'_>| {
                let held = (it.value.to_vec(), it.deadline);
                let table = keys.entry(it.table).or_default();
                let before = table.insert(it.key.to_vec(), held.clone());
                assert!(before.is_none_or(|before| before == held), "reported with two values");
            };
            snapshot.set_tables(&tables);
            while snapshot.step(&mut report) {
                std::thread::yield_now();
            }
            let ticket = snapshot.ticket();
            snapshot.finish(&mut report);
            snapshots.lock().unwrap().push((ticket, keys));
        }
        assert_eq!(keyspace.image_bytes(), 0);
    });
    let snapshots = snapshots.into_inner().unwrap();
    assert!(snapshots.len() > 3, "{} snapshots", snapshots.len());
    assert_eq!(snapshots.len(), replay.marks.len());
    for ((ticket, keys), (mark, state)) in snapshots.into_iter().zip(replay.marks) {
        assert_eq!(ticket, mark);
        let mut tables: Vec<Keys> = keys.into_values().filter(|keys| !keys.is_empty()).collect();
        let mut state: Vec<Keys> = state.into_iter().filter(|keys| !keys.is_empty()).collect();
        tables.sort();
        state.sort();
        assert!(tables == state, "the snapshot at {ticket}: {}", difference(&tables, &state));
    }
}

/// A strict log of a keyspace with one key, and a reader that has been told of it.
fn strict(value: &[u8]) -> (Keyspace, Consumer, Local) {
    let keyspace = keyspace();
    let consumer = keyspace.start_log(64);
    keyspace.log().unwrap().set_strict(true);
    let local = keyspace.join();
    let key = keyspace.key(b"key");
    keyspace.database(0).set(&local.pin(), key, NewValue::Copy(value));
    let local = keyspace.join();
    (keyspace, consumer, local)
}

#[test]
fn a_counter_exposes_what_was_added_to_it_after_it_was_found() {
    let (keyspace, _consumer, local) = strict(b"10");
    let key = keyspace.key(b"key");
    let session = local.pin();
    let entry = keyspace.database(0).entry(&session, key).unwrap();
    let adder = keyspace.join();
    keyspace.database(0).add(&adder.pin(), key, 1).unwrap();
    assert_eq!(entry.value().to_vec(), b"11");
    drop(session);
    assert!(local.take_exposed() >= adder.take_exposed());
    assert_eq!(local.take_exposed(), 0);
}

#[test]
fn a_key_in_a_database_that_was_exchanged_exposes_the_exchange() {
    let (keyspace, _consumer, local) = strict(b"text");
    let key = keyspace.key(b"key");
    let swapper = keyspace.join();
    keyspace.database(0).swap(&swapper.pin(), 1);
    assert!(keyspace.database(1).contains(&local.pin(), key));
    assert_eq!(local.take_exposed(), swapper.take_exposed());
}

#[test]
fn a_snapshot_begins_when_the_last_one_has_given_everything_back() {
    let (keyspace, mut consumer, local) = strict(b"old");
    let other = keyspace.join();
    let mut snapshot = keyspace.begin_snapshot(&local).unwrap();
    assert_eq!(snapshot.ticket(), keyspace.log().unwrap().ring().tail() - 1);
    while consumer.next().is_some() {}
    snapshot.set_tables(&[0, 1]);
    while snapshot.step(&mut |_| ()) {}
    let key = keyspace.key(b"key");
    keyspace.database(0).set(&other.pin(), key, NewValue::Copy(b"new"));
    let mut images = Vec::new();
    snapshot.finish(&mut |it| {
        images.push(it.value.to_vec());
        assert!(keyspace.begin_snapshot(&other).is_err(), "one at a time");
    });
    assert_eq!(images, [b"old"]);
    assert!(keyspace.begin_snapshot(&other).is_ok());
}
