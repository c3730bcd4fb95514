//! What COMMAND tells clients and proxies of each command is what redis-server tells: arity,
//! flags, keys, categories, and the arguments that hints are made of. Only the words that describe
//! a command are our own.

use std::collections::BTreeMap;

use super::harness::{Client, RedisServer, Server, Value};

/// The parts of a command's row, in the order of COMMAND INFO.
const PARTS: [&str; 10] = [
    "name",
    "arity",
    "flags",
    "first key",
    "last key",
    "step",
    "categories",
    "tips",
    "key specifications",
    "subcommands",
];

/// Commands that redis-server 7.0 does not have, and why we have them.
const OURS_ALONE: [(&str, &str); 2] = [
    ("client|setinfo", "in Redis since 7.2; libraries send it when they connect"),
    ("client|no-touch", "in Redis since 7.2"),
];

/// What differs, and why: command, part, reason.
const DIFFERENT: [(&str, &str, &str); 0] = [];

/// Commands of redis-server that ours, of which it has the container, does without.
const SUBCOMMANDS_MISSING: [(&str, &str); 0] = [];

/// All rows by full name, subcommands too.
fn rows(client: &mut Client) -> BTreeMap<String, Value> {
    client.ask("HELLO 3");
    let mut rows = BTreeMap::new();
    let mut waiting = Value::parse(&client.ask_bytes("COMMAND")).elements().to_vec();
    while let Some(row) = waiting.pop() {
        waiting.extend_from_slice(row.elements()[9].elements());
        rows.insert(row.elements()[0].text(), row);
    }
    rows
}

/// A part of a row as it is compared: sets have no order, subcommands are compared by themselves.
fn part(row: &Value, index: usize) -> Value {
    match (&row.elements()[index], index) {
        (Value::List(name, _), 9) => Value::List(name, Vec::new()),
        (value, _) => sorted(value),
    }
}

/// Sets and maps in one order, and without the notes of key specifications: they are in words of
/// our own.
fn sorted(value: &Value) -> Value {
    match value {
        Value::List(name, elements) => {
            let mut elements: Vec<_> = elements.iter().map(sorted).collect();
            if *name == "set" {
                elements.sort();
            }
            Value::List(name, elements)
        }
        Value::Map(pairs) => {
            let facts = pairs.iter().filter(|(key, _)| key.text() != "notes");
            let mut pairs: Vec<_> = facts.map(|(k, v)| (k.clone(), sorted(v))).collect();
            pairs.sort();
            Value::Map(pairs)
        }
        other => other.clone(),
    }
}

#[test]
fn every_row_is_that_of_redis() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let (redis, ours) = (rows(&mut redis.connect()), rows(&mut ours.connect()));
    let mut differences = Vec::new();
    let is_excused = |name: &str, part: &str| {
        DIFFERENT.iter().any(|(other, what, _)| *other == name && *what == part)
    };
    for (name, row) in &ours {
        let Some(expected) = redis.get(name) else {
            if !OURS_ALONE.iter().any(|(known, _)| known == name) {
                differences.push(format!("{name} is not in redis-server"));
            }
            continue;
        };
        for (index, what) in PARTS.iter().enumerate() {
            let (expected, ours) = (part(expected, index), part(row, index));
            if expected != ours && !is_excused(name, what) {
                differences
                    .push(format!("{name}, {what}\n  redis: {expected:?}\n  ours:  {ours:?}"));
            }
        }
    }
    for name in redis.keys().filter(|name| !ours.contains_key(*name)) {
        let container = name.split_once('|').map(|(container, _)| container);
        let is_known = SUBCOMMANDS_MISSING.iter().any(|(known, _)| known == name);
        if container.is_some_and(|container| ours.contains_key(container)) && !is_known {
            differences.push(format!("{name} is missing"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What COMMAND DOCS has in words of our own.
const OWN_WORDS: [&str; 2] = ["summary", "complexity"];

/// Facts in the documentation that differ, and why. Those of a whole container stand under its
/// name with a bar.
const DOCS_DIFFERENT: [(&str, &str); 9] = [
    ("lcs arguments", "redis-server calls two arguments by the same name"),
    ("restore history", "redis-server tells of two changes in one version"),
    ("client|kill history", "redis-server tells of two changes in one version"),
    ("client|kill arguments", "the old form is not called obsolete"),
    ("acl|getuser history", "what changed is about users beyond the one there is"),
    ("acl|setuser history", "what changed is about users beyond the one there is"),
    ("cluster|", "all are refused: hints would be of no use"),
    ("debug doc_flags", "that it is for the system is said by its other flags"),
    ("replconf doc_flags", "that it is for the system is said by its other flags"),
];

/// Flattens documentation to facts: one text for each path.
fn facts(path: &str, docs: &Value, found: &mut BTreeMap<String, String>) {
    let Value::Map(pairs) = docs else { panic!("no map: {docs:?}") };
    for (key, value) in pairs {
        let key = key.text();
        if OWN_WORDS.contains(&key.as_str()) {
            continue;
        }
        let place = format!("{path} {key}");
        match (key.as_str(), value) {
            ("subcommands", Value::Map(pairs)) => {
                pairs.iter().for_each(|(name, docs)| facts(&name.text(), docs, found));
            }
            // The versions; what changed is told in our own words.
            ("history", changes) => {
                let version = |change: &Value| change.elements()[0].text();
                let versions: Vec<_> = changes.elements().iter().map(version).collect();
                found.insert(place, versions.join(" "));
            }
            _ => {
                found.insert(place, format!("{:?}", sorted(value)));
            }
        }
    }
}

/// Whether a place is the known one, or one of the container known by its name and a bar.
fn is_under(place: &str, known: &str) -> bool {
    place == known || known.ends_with('|') && place.starts_with(known)
}

fn all_facts(client: &mut Client) -> BTreeMap<String, String> {
    client.ask("HELLO 3");
    let Value::Map(pairs) = Value::parse(&client.ask_bytes("COMMAND DOCS")) else {
        panic!("COMMAND DOCS is a map")
    };
    let mut found = BTreeMap::new();
    pairs.iter().for_each(|(name, docs)| facts(&name.text(), docs, &mut found));
    found
}

#[test]
fn the_documentation_has_the_facts_of_redis() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let names = rows(&mut ours.connect());
    let (redis, ours) = (all_facts(&mut redis.connect()), all_facts(&mut ours.connect()));
    let mut differences = Vec::new();
    for place in redis.keys().chain(ours.keys()) {
        let name = place.split(' ').next().unwrap_or_default();
        let is_compared = names.contains_key(name)
            && !OURS_ALONE.iter().any(|(known, _)| *known == name)
            && !DOCS_DIFFERENT.iter().any(|(known, _)| is_under(place, known));
        let (expected, got) = (redis.get(place), ours.get(place));
        if is_compared && expected != got {
            differences.push(format!("{place}\n  redis: {expected:?}\n  ours:  {got:?}"));
        }
    }
    differences.sort();
    differences.dedup();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
