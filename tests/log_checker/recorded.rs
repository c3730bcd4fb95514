//! Operations with their times and replies, as clients saw them.

use std::time::Instant;

use super::harness::{Random, Server, encode};

/// Keys of strings and of counters: few, so that clients meet.
const KEYS: u64 = 3;

/// Operations in flight of one client, at most: more than one, so that batches are seen too.
const PIPELINE: u64 = 4;

/// What an operation is. Values, tails and differences are unique in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Set(String),
    GetSet(String),
    SetNx(String),
    Append(String),
    GetDel,
    IncrBy(String),
    Get,
    FlushAll,
}

/// What it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    Absent,
    Value(Vec<u8>),
    Number(i64),
}

/// One operation. Times are in nanoseconds from the beginning of the run; no two operations of one
/// client begin or end at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    pub(crate) kind: Kind,
    pub(crate) key: String,
    pub(crate) reply: Reply,
    pub(crate) begun: u128,
    pub(crate) ended: u128,
}

impl Operation {
    /// Whether it changed the key, so that the log must have it.
    pub(crate) fn is_effective(&self) -> bool {
        match self.kind {
            Kind::Set(_) | Kind::GetSet(_) | Kind::Append(_) | Kind::IncrBy(_) => true,
            Kind::SetNx(_) => self.reply == Reply::Number(1),
            Kind::GetDel => self.reply != Reply::Absent,
            Kind::Get | Kind::FlushAll => false,
        }
    }
}

/// The words of an operation.
fn words<'a>(kind: &'a Kind, key: &'a str) -> Vec<&'a str> {
    match kind {
        Kind::Set(value) => vec!["SET", key, value],
        Kind::GetSet(value) => vec!["GETSET", key, value],
        Kind::SetNx(value) => vec!["SETNX", key, value],
        Kind::Append(tail) => vec!["APPEND", key, tail],
        Kind::GetDel => vec!["GETDEL", key],
        Kind::IncrBy(difference) => vec!["INCRBY", key, difference],
        Kind::Get => vec!["GET", key],
        Kind::FlushAll => vec!["FLUSHALL"],
    }
}

/// A random operation, with a value of its own.
fn random_operation(random: &mut Random, client: usize, number: usize) -> (Kind, String) {
    let unique = format!("{client}.{number};");
    if client == 0 && number % 50 == 49 {
        return (Kind::FlushAll, String::new());
    }
    // The mark by which flushes are told apart.
    if client == 0 && number > 0 && number.is_multiple_of(50) {
        return (Kind::Set(format!("flushed {}", number / 50)), "mark".to_owned());
    }
    if random.below(3) == 0 {
        let kind = match random.below(3) {
            0 => Kind::Get,
            _ => Kind::IncrBy((client * 1_000_000 + number + 1).to_string()),
        };
        return (kind, format!("n{}", random.below(KEYS)));
    }
    let kind = match random.below(9) {
        0..=1 => Kind::Set(unique),
        2 => Kind::GetSet(unique),
        3 => Kind::SetNx(unique),
        4..=5 => Kind::Append(unique),
        6 => Kind::GetDel,
        _ => Kind::Get,
    };
    (kind, format!("s{}", random.below(KEYS)))
}

fn parse(reply: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(reply);
    match reply[0] {
        b'$' if reply.starts_with(b"$-1") => Reply::Absent,
        b'$' => Reply::Value(super::harness::strings_in(reply).remove(0)),
        b':' => Reply::Number(text[1..].trim().parse().expect("a number")),
        b'+' => Reply::Done,
        _ => panic!("{text}"),
    }
}

/// Runs a number of operations of a client and records them.
pub(crate) fn record(
    server: &Server,
    client: usize,
    operations: usize,
    seed: u64,
    start: Instant,
) -> Vec<Operation> {
    let mut connection = server.connect();
    let mut random = Random(seed);
    let mut done = Vec::with_capacity(operations);
    while done.len() < operations {
        let first = done.len();
        for number in first..first + 1 + random.below(PIPELINE) as usize {
            let (kind, key) = random_operation(&mut random, client, number);
            let request = encode(&words(&kind, &key));
            let begun = start.elapsed().as_nanos();
            connection.send(&request);
            done.push(Operation { client, kind, key, reply: Reply::Done, begun, ended: 0 });
        }
        for operation in &mut done[first..] {
            operation.reply = parse(&connection.reply());
            operation.ended = start.elapsed().as_nanos();
        }
    }
    done
}
