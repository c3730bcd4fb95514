//! Is the order of the log one that explains what every client saw?
//!
//! Each command of the log is given to the operation that it came from, by values that are unique.
//! Then:
//!
//! * every operation that changed something is in the log once, and no other is;
//! * its reply is the one that it must have at its place: GETSET and GETDEL the value before,
//!   APPEND the length and INCRBY the number after, SETNX that set something no value before;
//! * what had ended before another began is before it in the log, whatever their keys, and
//!   the operations of one client are in its order;
//! * what only read has a place, between the operations on its key that had ended before it began
//!   and those that began after it had ended, at which the key has what it read; and reads of a key
//!   go one way.
//!
//! The last rule is per key: a write takes its place in the log a little before it is seen, so a
//! reader of two keys may still see one as it was when the other is already as it will be.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use super::harness::{Commands, LogFile, Model, Server, assert_same, dump, setting, show};
use super::recorded::{Kind, Operation, Reply, record};

const CLIENTS: usize = 5;

/// Operations of each client.
const OPERATIONS: usize = 4_000;

/// Prefixes that a server is started on.
const STARTS: usize = 10;

/// A key's value after each change, with the number of commands up to and with that change.
type Story = Vec<(usize, Option<Vec<u8>>)>;

/// The log, with the operation of each command.
#[derive(Default)]
struct Order {
    /// By operation: the number of commands up to and with its own.
    places: HashMap<usize, usize>,
    stories: HashMap<String, Story>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Operations that a command of the log can have come from.
struct Sources<'a> {
    all: &'a [Operation],
    by_value: HashMap<String, usize>,
    /// By key and value before: what GETDEL answered.
    by_removed: HashMap<(String, Vec<u8>), usize>,
}

impl<'a> Sources<'a> {
    fn new(all: &'a [Operation]) -> Sources<'a> {
        let mut sources = Sources { all, by_value: HashMap::new(), by_removed: HashMap::new() };
        for (index, operation) in all.iter().enumerate() {
            let key = operation.key.clone();
            match (&operation.kind, &operation.reply) {
                (Kind::Set(value) | Kind::GetSet(value), _)
                | (Kind::SetNx(value), Reply::Number(1))
                | (Kind::Append(value) | Kind::IncrBy(value), _) => {
                    sources.by_value.insert(value.clone(), index);
                }
                (Kind::GetDel, Reply::Value(value)) => {
                    let twice = sources.by_removed.insert((key, value.clone()), index);
                    assert!(twice.is_none(), "removed twice: {operation:?}");
                }
                _ => {}
            }
        }
        sources
    }

    /// The operation of a command; each is given out once.
    fn take(&mut self, name: &str, words: &[&[u8]], before: Option<&[u8]>) -> Option<usize> {
        match name {
            "DEL" => self.by_removed.remove(&(text(words[1]), before?.to_vec())),
            _ => self.by_value.remove(&text(words.get(2)?)),
        }
    }
}

/// Whether the reply is the one that the operation must have between these values.
fn is_explained(operation: &Operation, before: Option<&[u8]>, after: Option<&[u8]>) -> bool {
    let old = before.map_or(Reply::Absent, |value| Reply::Value(value.to_vec()));
    match operation.kind {
        Kind::Set(_) => operation.reply == Reply::Done,
        Kind::GetSet(_) | Kind::GetDel => operation.reply == old,
        Kind::SetNx(_) => before.is_none(),
        Kind::Append(_) => {
            operation.reply == Reply::Number(after.map_or(0, |value| value.len() as i64))
        }
        Kind::IncrBy(_) => {
            let number = |bytes: &[u8]| text(bytes).parse().ok();
            after.and_then(number).is_some_and(|sum| operation.reply == Reply::Number(sum))
        }
        Kind::Get | Kind::FlushAll => false,
    }
}

/// Goes through the log once.
fn order_of(log: &[u8], operations: &[Operation]) -> Order {
    let mut sources = Sources::new(operations);
    let mut order = Order::default();
    let mut model = Model::default();
    for (at, command) in Commands::all(log).iter().enumerate() {
        let (name, words) = (command.name(), &command.arguments);
        match name.as_str() {
            "SELECT" | "MULTI" | "EXEC" => model.apply(command),
            "FLUSHDB" | "FLUSHALL" => {
                model.apply(command);
                for story in order.stories.values_mut() {
                    story.push((at + 1, None));
                }
            }
            _ => {
                assert_eq!(model.selected(), 0, "{}", command.line());
                let value = |model: &Model| model.get(0, words[1]).map(|entry| entry.0.clone());
                let before = value(&model);
                model.apply(command);
                let after = value(&model);
                let found = sources.take(&name, words, before.as_deref());
                let index = found.unwrap_or_else(|| {
                    let before = before.as_deref().map(show);
                    panic!("no operation for '{}' after {before:?}", command.line())
                });
                let operation = &sources.all[index];
                let fits = is_explained(operation, before.as_deref(), after.as_deref());
                assert!(fits, "{operation:?} at '{}' after {before:?}", command.line());
                order.places.insert(index, at + 1);
                order.stories.entry(text(words[1])).or_default().push((at + 1, after));
            }
        }
    }
    order
}

/// Whether a FLUSHALL was under way at the same time. A change may then have been made in what was
/// flushed: it came before the flush, which has undone it, and the log does not have it.
fn meets_flush(operation: &Operation, operations: &[Operation]) -> bool {
    operations.iter().any(|other| {
        let overlaps = other.begun <= operation.ended && operation.begun <= other.ended;
        other.kind == Kind::FlushAll && overlaps
    })
}

/// Every change is in the log, and in an order that time allows.
fn check_changes(operations: &[Operation], order: &Order) {
    for (index, operation) in operations.iter().enumerate() {
        let is_there = order.places.contains_key(&index);
        if !is_there && meets_flush(operation, operations) {
            continue;
        }
        assert_eq!(is_there, operation.is_effective(), "in the log: {operation:?}");
    }
    let mut by_place: Vec<_> = order.places.iter().map(|(index, place)| (*place, *index)).collect();
    by_place.sort_unstable();
    let mut latest: Option<&Operation> = None;
    let mut of_client: HashMap<usize, &Operation> = HashMap::new();
    for (_, index) in by_place {
        let operation = &operations[index];
        if let Some(latest) = latest {
            assert!(operation.ended >= latest.begun, "{operation:?} is logged after {latest:?}");
        }
        if latest.is_none_or(|latest| latest.begun < operation.begun) {
            latest = Some(operation);
        }
        let previous = of_client.insert(operation.client, operation);
        let in_order = previous.is_none_or(|previous| previous.begun < operation.begun);
        assert!(in_order, "{operation:?} is logged after {previous:?}");
    }
}

/// Whether a key that has this value explains the reply of an operation that changed nothing.
fn is_seen(operation: &Operation, value: Option<&Vec<u8>>) -> bool {
    match operation.kind {
        Kind::SetNx(_) => value.is_some(),
        _ => match &operation.reply {
            Reply::Value(seen) => value == Some(seen),
            _ => value.is_none(),
        },
    }
}

/// Everything that was read was there at a time that fits.
fn check_reads(operations: &[Operation], order: &Order) {
    let mut by_key: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        by_key.entry(&operation.key).or_default().push(index);
    }
    for (key, mut indices) in by_key {
        indices.sort_by_key(|index| operations[*index].begun);
        let empty = Story::new();
        let story = order.stories.get(key).unwrap_or(&empty);
        // The earliest place of each operation that has ended, and the greatest of these.
        let mut ended = BinaryHeap::new();
        let mut least = 0;
        let mut own: HashMap<usize, usize> = HashMap::new();
        for (nth, index) in indices.iter().enumerate() {
            let operation = &operations[*index];
            while let Some(Reverse((time, place))) = ended.peek().copied()
                && time < operation.begun
            {
                least = least.max(place);
                ended.pop();
            }
            let from = least.max(own.get(&operation.client).copied().unwrap_or(0));
            let place = match order.places.get(index) {
                Some(place) => *place,
                None if operation.kind == Kind::FlushAll => continue,
                None if operation.is_effective() => continue,
                None => {
                    // Places of later operations of this key bound it from above.
                    let later = indices[nth + 1..].iter().filter(|later| {
                        let later = &operations[**later];
                        later.begun > operation.ended || later.client == operation.client
                    });
                    let until = later.take(200).filter_map(|later| order.places.get(later)).min();
                    let until = until.copied().unwrap_or(usize::MAX);
                    let place = place_of(operation, story, from, until);
                    let excused = place.is_none() && meets_flush(operation, operations);
                    place.or(excused.then_some(from)).unwrap_or_else(|| {
                        panic!("no place from {from} to {until} explains {operation:?}")
                    })
                }
            };
            ended.push(Reverse((operation.ended, place)));
            own.insert(operation.client, place);
        }
    }
}

/// The first place from `from` on, and before `until`, at which a key has what was read.
fn place_of(operation: &Operation, story: &Story, from: usize, until: usize) -> Option<usize> {
    let next = story.partition_point(|(place, _)| *place <= from);
    let before = next.checked_sub(1).and_then(|at| story[at].1.as_ref());
    if is_seen(operation, before) {
        return Some(from);
    }
    let later = story[next..].iter().take_while(|(place, _)| *place < until);
    later.filter(|(_, value)| is_seen(operation, value.as_ref())).map(|(place, _)| *place).next()
}

#[test]
fn the_order_of_the_log_explains_every_reply() {
    let seed = setting("FERRUM_LOG_SEED", 1);
    for round in seed..seed + setting("FERRUM_LOG_ROUNDS", 3) {
        let policy = ["everysec", "always", "no"][(round % 3) as usize];
        let log = LogFile::new();
        let mut server = Server::with(&log.flags(policy));
        let start = Instant::now();
        let operations: Vec<Operation> = std::thread::scope(|scope| {
            let server = &server;
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let seed =
                        (round * 100 + client as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let count = if policy == "always" { OPERATIONS / 8 } else { OPERATIONS };
                    scope.spawn(move || record(server, client, count, seed, start))
                })
                .collect();
            clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
        });
        let memory = dump(&mut server.connect(), 1);
        server.signal("TERM");
        assert!(server.wait().success());
        let bytes = log.bytes();
        let order = order_of(&bytes, &operations);
        check_changes(&operations, &order);
        check_reads(&operations, &order);
        assert_same("memory and the log", &memory, &Model::of(&bytes).state(0));
        starts_on_prefixes(&bytes);
    }
}

/// Servers started on prefixes have what the interpreter makes of them.
fn starts_on_prefixes(bytes: &[u8]) {
    let ends: Vec<_> = Commands::all(bytes).iter().map(|command| command.end).collect();
    for number in 1..=STARTS {
        let prefix = &bytes[..ends[ends.len() * number / STARTS - 1]];
        let log = LogFile::of(prefix);
        let server = Server::with(&log.flags("no"));
        let loaded = dump(&mut server.connect(), 1);
        assert_same("a prefix", &loaded, &Model::of(prefix).state(0));
    }
}

/// An operation of the example below.
fn operation(client: usize, kind: Kind, reply: Reply, begun: u128, ended: u128) -> Operation {
    Operation { client, kind, key: "s".to_owned(), reply, begun, ended }
}

/// Two sets and a read, and the log that has the sets in this order.
fn judge_example(first: &str, second: &str, read: &str) -> std::thread::Result<()> {
    let operations = [
        operation(0, Kind::Set("a".into()), Reply::Done, 0, 10),
        operation(1, Kind::Set("b".into()), Reply::Done, 20, 30),
        operation(2, Kind::Get, Reply::Value(read.as_bytes().to_vec()), 40, 50),
    ];
    let log: Vec<u8> = [&["SELECT", "0"][..], &["SET", "s", first], &["SET", "s", second]]
        .iter()
        .flat_map(|words| super::harness::encode(words))
        .collect();
    std::panic::catch_unwind(|| {
        let order = order_of(&log, &operations);
        check_changes(&operations, &order);
        check_reads(&operations, &order);
    })
}

#[test]
fn the_checker_sees_a_wrong_order_a_stale_read_and_a_missing_write() {
    assert!(judge_example("a", "b", "b").is_ok());
    assert!(judge_example("b", "a", "a").is_err(), "the order of time");
    assert!(judge_example("a", "b", "a").is_err(), "a stale read");
    assert!(judge_example("a", "a", "a").is_err(), "twice in the log");
    assert!(judge_example("a", "c", "a").is_err(), "nobody wrote this");
}
