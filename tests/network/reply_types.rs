//! The types of replies: every command, in both protocols, answers with the types redis-server
//! answers with, however deep they are nested. `samples.txt` has the commands; one that it lacks
//! fails the test.

use std::collections::{BTreeMap, BTreeSet};

use super::harness::{Client, RedisServer, Server, Value};

/// See the top of the file.
const SAMPLES: &str = include_str!("reply_types/samples.txt");

/// A command that nobody has.
const UNKNOWN: &str = "nosuch";

/// The type of a reply. What a collection has of one type counts once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Type {
    Plain(&'static str),
    Collection(&'static str, BTreeSet<Type>),
    Map(BTreeSet<(String, Type)>),
}

impl Type {
    fn of(value: &Value) -> Type {
        match value {
            Value::Line(name, _) | Value::Text(name, _) => Type::Plain(name),
            Value::List(name, elements) => {
                Type::Collection(name, elements.iter().map(Type::of).collect())
            }
            Value::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key_of(key), Type::of(value)));
                Type::Map(pairs.collect())
            }
        }
    }

    /// Whether this has nothing that the other has not.
    fn is_within(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Collection(name, some), Type::Collection(other_name, all)) => {
                let is_there = |one: &Type| all.iter().any(|another| one.is_within(another));
                name == other_name && some.iter().all(is_there)
            }
            (Type::Map(some), Type::Map(all)) => some.iter().all(|(key, value)| {
                let same = |(name, _): &&(String, Type)| name == key;
                all.iter().filter(same).any(|(_, another)| value.is_within(another))
            }),
            _ => self == other,
        }
    }
}

/// The key of a map; numbers, which are data, are all alike.
fn key_of(value: &Value) -> String {
    let text = value.text();
    if text.bytes().all(|byte| byte.is_ascii_digit()) { "a number".to_owned() } else { text }
}

/// A line of the samples.
struct Sample {
    /// Why the types differ from those of redis-server, when they do.
    reason: Option<&'static str>,
    /// Whether there may be less than redis-server has.
    partial: bool,
    commands: Vec<&'static str>,
}

fn samples() -> Vec<Sample> {
    let lines = SAMPLES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (reason, rest) = match line.strip_prefix("- ") {
                Some(rest) => {
                    let (why, rest) = rest.split_once(": ").expect("a reason and commands");
                    (Some(why), rest)
                }
                None => (None, line),
            };
            let partial = rest.starts_with("~ ");
            let commands = rest.trim_start_matches("~ ").split(" | ").collect();
            Sample { reason, partial, commands }
        })
        .collect()
}

/// All commands and subcommands of a server, by full name.
fn names_of(client: &mut Client) -> BTreeSet<String> {
    let list = Value::parse(&client.ask_bytes("COMMAND LIST"));
    list.elements().iter().map(Value::text).collect()
}

/// The command's name, with its subcommand when it is one of these.
fn name_in(names: &BTreeSet<String>, command: &str) -> String {
    let lower = command.to_lowercase();
    let full: Vec<_> = lower.split(' ').take(2).collect();
    let full = full.join("|");
    if names.contains(&full) { full } else { lower.split(' ').next().unwrap_or("").to_owned() }
}

/// A new connection in this protocol, and what every sample finds in the databases.
fn prepared(mut client: Client, protocol: u8) -> Client {
    for command in ["FLUSHALL", "SET n 10", "SET timed v EX 1000"] {
        client.ask(command);
    }
    client.set("text", b"some text");
    client.ask(&format!("HELLO {protocol}"));
    client
}

#[test]
fn every_command_answers_with_the_types_of_redis() {
    let debug = ["--enable-debug-command", "yes"];
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let redis = RedisServer::with(folder, &[&["--save", ""], &debug[..]].concat());
    let ours = Server::with(&[&["--io-threads", "2"], &debug[..]].concat());
    let names = names_of(&mut ours.connect());
    let mut differences = Vec::new();
    for (sample, protocol) in samples().iter().flat_map(|sample| [(sample, 2), (sample, 3)]) {
        let mut expected = prepared(redis.connect(), protocol);
        let mut client = prepared(ours.connect(), protocol);
        let is_ours = |line: &&&str| {
            let name = name_in(&names, line);
            names.contains(&name) || name == UNKNOWN
        };
        for command in sample.commands.iter().filter(is_ours) {
            let reply = Type::of(&Value::parse(&client.ask_bytes(command)));
            if sample.reason.is_some() {
                continue;
            }
            let wanted = Type::of(&Value::parse(&expected.ask_bytes(command)));
            if reply != wanted && !(sample.partial && reply.is_within(&wanted)) {
                let shown = format!("  redis: {wanted:?}\n  ours:  {reply:?}");
                differences.push(format!("HELLO {protocol}, {command}\n{shown}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let all = samples();
    let sampled: BTreeSet<_> =
        all.iter().flat_map(|sample| &sample.commands).map(|line| name_in(&names, line)).collect();
    let has_sampled_subcommands =
        |name: &str| sampled.iter().any(|other| other.starts_with(&format!("{name}|")));
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !sampled.contains(*name) && !has_sampled_subcommands(name))
        .collect();
    assert!(missing.is_empty(), "without a sample: {missing:?}");
}

/// The comparison sees each difference of types, also deep inside.
#[test]
fn types_differ_by_what_is_nested() {
    let of = |reply: &str| Type::of(&Value::parse(reply.as_bytes()));
    let different = [
        ("+a\r\n", "$1\r\na\r\n"),
        ("$-1\r\n", "*-1\r\n"),
        ("*0\r\n", "~0\r\n"),
        ("*1\r\n>1\r\n:1\r\n", "*1\r\n*1\r\n:1\r\n"),
        ("%1\r\n+a\r\n:1\r\n", "%1\r\n+b\r\n:1\r\n"),
        ("%1\r\n+a\r\n:1\r\n", "%1\r\n+a\r\n,1\r\n"),
        ("%1\r\n+a\r\n:1\r\n", "*2\r\n+a\r\n:1\r\n"),
        ("=5\r\ntxt:a\r\n", "$1\r\na\r\n"),
        ("#t\r\n", ":1\r\n"),
        ("(1\r\n", ":1\r\n"),
    ];
    for (one, other) in different {
        assert_ne!(of(one), of(other));
        assert!(!of(one).is_within(&of(other)) || one.starts_with("*0"), "{one} {other}");
    }
    assert_eq!(of("*2\r\n:1\r\n:2\r\n"), of("*1\r\n:7\r\n"));
    assert_eq!(of("%1\r\n:1\r\n+a\r\n"), of("%1\r\n:2\r\n+b\r\n"));
    assert!(of("*1\r\n:1\r\n").is_within(&of("*2\r\n:1\r\n+a\r\n")));
    assert!(!of("*2\r\n:1\r\n+a\r\n").is_within(&of("*1\r\n:1\r\n")));
    let by_name: BTreeMap<_, _> =
        samples().into_iter().map(|sample| (sample.commands[0], sample.reason)).collect();
    assert!(by_name["BGREWRITEAOF"].is_some() && by_name["QUIT"].is_none());
}
