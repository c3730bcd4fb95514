//! Random sequences of the data commands, compared reply by reply with a plain map.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::harness::{Client, Server, encode, show};

/// One command; keys are numbers of a few names.
#[derive(Clone, Debug)]
enum Operation {
    Get(u8),
    Set(u8, Vec<u8>),
    SetNx(u8, Vec<u8>),
    Append(u8, Vec<u8>),
    StrLen(u8),
    Type(u8),
    Add(&'static str, u8, i64),
    Remove(&'static str, Vec<u8>),
    Exists(Vec<u8>),
    MGet(Vec<u8>),
    MSet(Vec<(u8, Vec<u8>)>),
    Select(u8),
    DbSize,
    FlushDb,
    FlushAll,
}

fn key(index: u8) -> Vec<u8> {
    match index {
        0 => Vec::new(),
        1 => b"\0\r\n".to_vec(),
        // Longer than what the server receives as part of its input buffer.
        2 => vec![b'K'; 40_000],
        _ => format!("key:{index}").into_bytes(),
    }
}

fn keys() -> impl Strategy<Value = u8> + Clone {
    prop_oneof![1 => 0..3_u8, 8 => 3..8_u8]
}

/// Values: integers with the edges of every representation, what only looks like one, bytes of
/// many sizes.
fn values() -> impl Strategy<Value = Vec<u8>> + Clone {
    let edges: Vec<i64> = [0, i64::MAX, i64::MIN, 1 << 62, -(1 << 62)]
        .into_iter()
        .flat_map(|edge: i64| [edge.saturating_sub(1), edge, edge.saturating_add(1)])
        .collect();
    let lookalikes =
        vec!["", "-", "-0", "00", "+1", " 1", "1 ", "0x1", "1e3", "1.0", "9223372036854775808"];
    prop_oneof![
        3 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        3 => (-100..100_i64).prop_map(|number| number.to_string().into_bytes()),
        2 => prop::sample::select(edges).prop_map(|number| number.to_string().into_bytes()),
        1 => prop::sample::select(lookalikes).prop_map(|text| text.as_bytes().to_vec()),
        4 => vec(any::<u8>(), 0..80),
        1 => (any::<u8>(), 80..70_000_usize).prop_map(|(byte, size)| vec![byte; size]),
    ]
}

fn deltas() -> impl Strategy<Value = i64> + Clone {
    let edges = prop::sample::select(vec![i64::MIN, i64::MAX]);
    prop_oneof![4 => -3..4_i64, 1 => any::<i64>(), 1 => edges]
}

fn operations() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        4 => keys().prop_map(Get),
        4 => (keys(), values()).prop_map(|(key, value)| Set(key, value)),
        2 => (keys(), values()).prop_map(|(key, value)| SetNx(key, value)),
        3 => (keys(), values()).prop_map(|(key, tail)| Append(key, tail)),
        1 => keys().prop_map(StrLen),
        1 => keys().prop_map(Type),
        2 => keys().prop_map(|key| Add("INCR", key, 1)),
        2 => keys().prop_map(|key| Add("DECR", key, -1)),
        2 => (keys(), deltas()).prop_map(|(key, delta)| Add("INCRBY", key, delta)),
        2 => (keys(), deltas()).prop_map(|(key, delta)| Add("DECRBY", key, delta)),
        2 => vec(keys(), 1..5).prop_map(|keys| Remove("DEL", keys)),
        1 => vec(keys(), 1..5).prop_map(|keys| Remove("UNLINK", keys)),
        1 => vec(keys(), 1..5).prop_map(Exists),
        // Beyond 64 keys a command hashes them itself.
        2 => prop_oneof![vec(keys(), 1..5), vec(keys(), 60..200)].prop_map(MGet),
        2 => vec((keys(), values()), 1..5).prop_map(MSet),
        1 => (0..3_u8).prop_map(Select),
        1 => Just(DbSize),
        1 => prop_oneof![3 => Just(FlushDb), 1 => Just(FlushAll)],
    ]
}

impl Operation {
    /// As sent.
    fn encode(&self) -> Vec<u8> {
        use Operation::*;
        let on_keys = |name: &str, keys: &[u8]| {
            let keys = keys.iter().map(|index| key(*index));
            encode(&std::iter::once(name.into()).chain(keys).collect::<Vec<_>>())
        };
        let on_value =
            |name: &str, index: &u8, value: &[u8]| encode(&[name.as_bytes(), &key(*index), value]);
        match self {
            Get(index) => on_keys("GET", &[*index]),
            StrLen(index) => on_keys("STRLEN", &[*index]),
            Type(index) => on_keys("TYPE", &[*index]),
            Set(index, value) => on_value("SET", index, value),
            SetNx(index, value) => on_value("SETNX", index, value),
            Append(index, tail) => on_value("APPEND", index, tail),
            Add(name @ ("INCR" | "DECR"), index, _) => on_keys(name, &[*index]),
            Add(name, index, delta) => on_value(name, index, delta.to_string().as_bytes()),
            Remove(name, keys) => on_keys(name, keys),
            Exists(keys) => on_keys("EXISTS", keys),
            MGet(keys) => on_keys("MGET", keys),
            MSet(pairs) => {
                let pairs = pairs.iter().flat_map(|(index, value)| [key(*index), value.clone()]);
                encode(&std::iter::once(b"MSET".to_vec()).chain(pairs).collect::<Vec<_>>())
            }
            Select(index) => encode(&["SELECT", &index.to_string()]),
            DbSize => encode(&["DBSIZE"]),
            FlushDb => encode(&["FLUSHDB"]),
            FlushAll => encode(&["FLUSHALL"]),
        }
    }
}

/// What the server should be: plain maps.
#[derive(Default)]
struct Model {
    databases: [HashMap<u8, Vec<u8>>; 3],
    selected: usize,
}

impl Model {
    /// Carries out one operation and returns its reply.
    fn apply(&mut self, operation: &Operation) -> Vec<u8> {
        use Operation::*;
        if matches!(operation, FlushAll) {
            self.databases = Default::default();
            return b"+OK\r\n".to_vec();
        }
        let map = &mut self.databases[self.selected];
        match operation {
            Get(key) => bulk(map.get(key)),
            Set(key, value) => {
                map.insert(*key, value.clone());
                b"+OK\r\n".to_vec()
            }
            SetNx(key, value) => {
                let fresh = !map.contains_key(key);
                map.entry(*key).or_insert_with(|| value.clone());
                integer(i64::from(fresh))
            }
            Append(key, tail) => {
                let value = map.entry(*key).or_default();
                value.extend_from_slice(tail);
                count(value.len())
            }
            StrLen(key) => count(map.get(key).map_or(0, Vec::len)),
            Type(key) if map.contains_key(key) => b"+string\r\n".to_vec(),
            Type(_) => b"+none\r\n".to_vec(),
            Add(name, key, delta) => add(map, name, *key, *delta),
            Remove(_, keys) => count(keys.iter().filter(|key| map.remove(key).is_some()).count()),
            Exists(keys) => count(keys.iter().filter(|key| map.contains_key(key)).count()),
            MGet(keys) => {
                let mut reply = format!("*{}\r\n", keys.len()).into_bytes();
                keys.iter().for_each(|key| reply.extend(bulk(map.get(key))));
                reply
            }
            MSet(pairs) => {
                map.extend(pairs.iter().cloned());
                b"+OK\r\n".to_vec()
            }
            Select(index) => {
                self.selected = usize::from(*index);
                b"+OK\r\n".to_vec()
            }
            DbSize => count(map.len()),
            FlushDb | FlushAll => {
                map.clear();
                b"+OK\r\n".to_vec()
            }
        }
    }
}

fn add(map: &mut HashMap<u8, Vec<u8>>, name: &str, key: u8, delta: i64) -> Vec<u8> {
    let delta = match name {
        "DECRBY" if delta == i64::MIN => return b"-ERR decrement would overflow\r\n".to_vec(),
        "DECRBY" => -delta,
        _ => delta,
    };
    let old = match map.get(&key) {
        None => Some(0),
        // Only the shortest form of a number counts as one.
        Some(value) => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i64>().ok().filter(|number| number.to_string() == text)),
    };
    let Some(old) = old else {
        return b"-ERR value is not an integer or out of range\r\n".to_vec();
    };
    match old.checked_add(delta) {
        None => b"-ERR increment or decrement would overflow\r\n".to_vec(),
        Some(new) => {
            map.insert(key, new.to_string().into_bytes());
            integer(new)
        }
    }
}

fn integer(value: i64) -> Vec<u8> {
    format!(":{value}\r\n").into_bytes()
}

fn count(value: usize) -> Vec<u8> {
    format!(":{value}\r\n").into_bytes()
}

fn bulk(value: Option<&Vec<u8>>) -> Vec<u8> {
    match value {
        None => b"$-1\r\n".to_vec(),
        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
    }
}

/// Runs one sequence on emptied databases, `depth` operations per pipeline.
fn run(client: &mut Client, operations: &[Operation], depth: usize) -> Result<(), TestCaseError> {
    client.send(b"SELECT 0\r\nFLUSHALL\r\n");
    client.expect(b"+OK\r\n+OK\r\n");
    let mut model = Model::default();
    for pipeline in operations.chunks(depth) {
        let encoded: Vec<_> = pipeline.iter().flat_map(Operation::encode).collect();
        let replies = client.send_while(&encoded, |client| {
            pipeline.iter().map(|_| client.reply()).collect::<Vec<_>>()
        });
        for (operation, reply) in pipeline.iter().zip(replies) {
            let expected = model.apply(operation);
            prop_assert!(
                reply == expected,
                "{}: got {}, expected {}",
                show(format!("{operation:?}").as_bytes()),
                show(&reply),
                show(&expected)
            );
        }
    }
    Ok(())
}

#[test]
fn random_sequences_agree_with_a_map() {
    let server = Server::start();
    // No file of failures: the sequence that fails is printed, shortened.
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let client = std::cell::RefCell::new(server.connect());
    let sequences = (vec(operations(), 1..150), prop::sample::select(vec![1_usize, 7, 150]));
    let result = runner
        .run(&sequences, |(operations, depth)| run(&mut client.borrow_mut(), &operations, depth));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn the_model_itself_knows_the_rules_of_numbers() {
    let mut model = Model::default();
    let mut check = |operation: Operation, reply: &str| {
        assert_eq!(show(&model.apply(&operation)), show(reply.as_bytes()), "{operation:?}");
    };
    check(Operation::Add("INCR", 3, 1), ":1\r\n");
    check(Operation::Append(3, b"0".to_vec()), ":2\r\n");
    check(Operation::Add("DECRBY", 3, 3), ":7\r\n");
    check(Operation::Add("INCRBY", 3, i64::MAX), "-ERR increment or decrement would overflow\r\n");
    check(Operation::Set(3, b"007".to_vec()), "+OK\r\n");
    check(Operation::Add("INCR", 3, 1), "-ERR value is not an integer or out of range\r\n");
    check(Operation::Remove("DEL", vec![3, 3]), ":1\r\n");
}
