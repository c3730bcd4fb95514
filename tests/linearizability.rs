//! Is every operation on a key one instant? Histories of threads that work on the same keys at the
//! same time, while the table migrates, are recorded and given to a checker (Wing and Gong's
//! algorithm with Lowe's improvements, from the crate `todc-utils`).
//!
//! An operation's call is stamped before it begins and its response after it has ended, from one
//! sequentially consistent counter, so that a stamp order is a real-time order. Linearizability is
//! local: a history is checked key by key.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use ferrum_kv::store::{
    CounterError, Database, Keyspace, KeyspaceOptions, NewValue, Session, TableOptions,
};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

/// A value, or none.
type Value = Option<Vec<u8>>;

/// One operation with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    Get(Value),
    Set(Vec<u8>),
    SetNx(Vec<u8>, bool),
    Add(i64, Result<i64, CounterError>),
    Append(Vec<u8>, usize),
    Remove(bool),
}

use Operation::{Add, Append, Get, Remove, Set, SetNx};

/// What one key may do.
struct OneKey;

impl Specification for OneKey {
    type State = Value;
    type Operation = Operation;

    fn init() -> Value {
        None
    }

    fn apply(operation: &Operation, state: &Value) -> (bool, Value) {
        let present = state.is_some();
        match operation {
            Get(value) => (value == state, state.clone()),
            Set(value) => (true, Some(value.clone())),
            SetNx(value, true) if !present => (true, Some(value.clone())),
            SetNx(_, set) => (present && !set, state.clone()),
            Remove(removed) if *removed == present => (true, None),
            Remove(_) => (false, state.clone()),
            Append(tail, length) => {
                let joined = [state.as_deref().unwrap_or_default(), tail].concat();
                if joined.len() == *length { (true, Some(joined)) } else { (false, state.clone()) }
            }
            Add(delta, result) => match (number(state), result) {
                (Some(old), Ok(new)) if old.wrapping_add(*delta) == *new => {
                    (true, Some(new.to_string().into_bytes()))
                }
                (None, Err(CounterError::NotAnInteger)) => (true, state.clone()),
                _ => (false, state.clone()),
            },
        }
    }
}

/// The number that a value stands for; an absent one is 0.
fn number(value: &Value) -> Option<i64> {
    match value {
        None => Some(0),
        Some(text) => {
            let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            (number.to_string().as_bytes() == text).then_some(number)
        }
    }
}

/// An operation in real time.
#[derive(Clone, Debug)]
struct Event {
    key: usize,
    thread: usize,
    called: u64,
    answered: u64,
    operation: Operation,
}

/// Whether one key's events can be put into an order that explains them.
fn is_linearizable(events: &[Event]) -> bool {
    let mut actions: Vec<_> = events
        .iter()
        .flat_map(|event| {
            let Event { thread, called, answered, operation, .. } = event;
            [
                (*called, (*thread, Action::Call(operation.clone()))),
                (*answered, (*thread, Action::Response(operation.clone()))),
            ]
        })
        .collect();
    actions.sort_by_key(|(stamp, _)| *stamp);
    let actions: Vec<_> = actions.into_iter().map(|(_, action)| action).collect();
    actions.is_empty() || WGLChecker::<OneKey>::is_linearizable(History::from_actions(actions))
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

const THREADS: usize = 4;
const KEYS: u64 = 2;
/// Operations of one thread in one round. The checker's work may grow steeply with the length of a
/// history, so many short histories are better than few long ones.
const STEPS: usize = 60;

/// A random operation on the key, carried out now.
fn perform(
    database: Database<'_>,
    keyspace: &Keyspace,
    session: &Session<'_>,
    name: &[u8],
    random: &mut Random,
) -> Operation {
    let key = keyspace.key(name);
    // Values that tell one write from another: a number, or text of a size that is stored inline
    // or in a buffer of its own.
    let mark = random.below(1_000);
    let value = match random.below(8) {
        0 => vec![b'a' + (mark % 26) as u8; 200],
        1 => vec![b'a' + (mark % 26) as u8; 20_000],
        2 => format!("text {mark}").into_bytes(),
        _ => mark.to_string().into_bytes(),
    };
    match random.below(12) {
        0..4 => Get(database.get(session, key, |value| value.to_vec())),
        4..6 => {
            database.set(session, key, NewValue::Copy(&value));
            Set(value)
        }
        6 => {
            let set = database.set_if_absent(session, key, NewValue::Shared(value.clone().into()));
            SetNx(value, set)
        }
        7..9 => {
            let delta = random.below(9) as i64 - 4;
            Add(delta, database.add(session, key, delta))
        }
        9 => {
            let tail = mark.to_string().into_bytes();
            let length = database.append(session, key, &tail).expect("a short value");
            Append(tail, length)
        }
        _ => Remove(database.remove(session, key)),
    }
}

fn yield_sometimes(random: &mut Random) {
    if random.below(24) == 0 {
        std::thread::yield_now();
    }
}

/// One round: all threads at the same few keys of a new keyspace, with other keys that come and go
/// so that their segment migrates all the time.
fn record(seed: u64) -> (Vec<Event>, u64) {
    let table = TableOptions { segment_bits: 0, first_slots: 8 };
    let keyspace = Keyspace::new(KeyspaceOptions { table, ..KeyspaceOptions::default() });
    let (clock, start) = (AtomicU64::new(0), Barrier::new(THREADS));
    let mut events = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (keyspace, clock, start) = (&keyspace, &clock, &start);
                scope.spawn(move || {
                    let local = keyspace.join();
                    let database = keyspace.database(0);
                    let mut random = Random(seed * 64 + thread as u64 + 1);
                    let mut events = Vec::with_capacity(STEPS);
                    start.wait();
                    for step in 0..STEPS {
                        let session = local.pin();
                        let index = random.below(KEYS);
                        let name = format!("key:{index}");
                        // Now and then others come between a stamp and the operation, so that
                        // operations overlap even where one core runs all threads.
                        let called = clock.fetch_add(1, Ordering::SeqCst);
                        yield_sometimes(&mut random);
                        let operation =
                            perform(database, keyspace, &session, name.as_bytes(), &mut random);
                        yield_sometimes(&mut random);
                        let answered = clock.fetch_add(1, Ordering::SeqCst);
                        let key = index as usize;
                        events.push(Event { key, thread, called, answered, operation });
                        for other in 0..4 {
                            let name = format!("{thread}:{}", (step * 4 + other) % 97);
                            let key = keyspace.key(name.as_bytes());
                            if !database.remove(&session, key) {
                                database.set(&session, key, NewValue::Copy(b"filler"));
                            }
                        }
                    }
                    events
                })
            })
            .collect();
        for thread in threads {
            events.extend(thread.join().expect("no panic"));
        }
    });
    let local = keyspace.join();
    let report = keyspace.report(&local.pin());
    (events, report.migrations)
}

#[test]
fn recorded_histories_are_linearizable_key_by_key() {
    const ROUNDS: u64 = 300;
    let (mut overlapping, mut migrations) = (0, 0);
    for seed in 0..ROUNDS {
        let (events, migrated) = record(seed);
        migrations += migrated;
        for key in 0..KEYS as usize {
            let mut history: Vec<_> =
                events.iter().filter(|event| event.key == key).cloned().collect();
            history.sort_by_key(|event| event.called);
            overlapping +=
                history.windows(2).filter(|pair| pair[1].called < pair[0].answered).count();
            assert!(is_linearizable(&history), "seed {seed}, key {key}:\n{history:#?}");
        }
    }
    assert!(migrations > ROUNDS, "the tables were meant to migrate: {migrations}");
    assert!(overlapping > 100, "operations were meant to overlap: {overlapping}");
}

/// Events from (thread, called, answered, operation).
fn history(events: &[(usize, u64, u64, Operation)]) -> Vec<Event> {
    events
        .iter()
        .cloned()
        .map(|(thread, called, answered, operation)| Event {
            key: 0,
            thread,
            called,
            answered,
            operation,
        })
        .collect()
}

fn text(value: &str) -> Vec<u8> {
    value.as_bytes().to_vec()
}

#[test]
fn the_checker_accepts_what_some_order_explains() {
    // The reader saw the later call's write first.
    assert!(is_linearizable(&history(&[
        (0, 0, 9, Set(text("a"))),
        (1, 1, 8, Set(text("b"))),
        (2, 2, 3, Get(Some(text("b")))),
        (2, 4, 5, Get(Some(text("a")))),
    ])));
    assert!(is_linearizable(&history(&[
        (0, 0, 3, Add(1, Ok(2))),
        (1, 1, 2, Add(1, Ok(1))),
        (0, 4, 5, Append(text("0"), 2)),
        (1, 6, 7, Add(1, Ok(21))),
        (1, 8, 9, Remove(true)),
    ])));
}

#[test]
fn the_checker_rejects_lost_updates_stale_reads_and_second_winners() {
    let wrong = [
        // A lost increment: two results the same.
        vec![(0, 0, 3, Add(1, Ok(1))), (1, 1, 2, Add(1, Ok(1)))],
        // A read of what was replaced before it began.
        vec![(0, 0, 1, Set(text("a"))), (0, 2, 3, Set(text("b"))), (1, 4, 5, Get(Some(text("a"))))],
        // Two readers in different orders.
        vec![(0, 0, 9, Set(text("a"))), (1, 1, 2, Get(Some(text("a")))), (2, 3, 4, Get(None))],
        // Two winners of SETNX, and two removers.
        vec![(0, 0, 3, SetNx(text("a"), true)), (1, 1, 2, SetNx(text("b"), true))],
        vec![(0, 0, 1, Set(text("a"))), (1, 2, 5, Remove(true)), (2, 3, 4, Remove(true))],
        // A key that comes back.
        vec![(0, 0, 1, Set(text("a"))), (0, 2, 3, Remove(true)), (1, 4, 5, Get(Some(text("a"))))],
        // An append that overwrote another.
        vec![(0, 0, 3, Append(text("ab"), 2)), (1, 1, 2, Append(text("cd"), 2))],
        // A number where there is none.
        vec![(0, 0, 1, Set(text("x"))), (0, 2, 3, Add(1, Ok(1)))],
    ];
    for events in wrong {
        assert!(!is_linearizable(&history(&events)), "{events:?}");
    }
}

#[test]
fn the_checker_rejects_a_recorded_history_with_one_result_changed() {
    let (events, _) = record(1);
    let mut changed = 0;
    for place in 0..events.len() {
        let mut key: Vec<_> = events.clone();
        key[place].operation = match &key[place].operation {
            // A value that nobody has written, a length that nobody has made.
            Get(_) => Get(Some(text("never written"))),
            Append(tail, length) => Append(tail.clone(), length + 1_000_000),
            _ => continue,
        };
        key.retain(|event| event.key == events[place].key);
        assert!(!is_linearizable(&key), "{:?} was changed", events[place]);
        changed += 1;
        if changed == 20 {
            return;
        }
    }
    panic!("only {changed} results were changed");
}
