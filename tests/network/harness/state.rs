//! All keys of a server, with their values and deadlines.

use std::collections::BTreeMap;

use super::{Client, encode, show};

/// By database and key: the value, and the deadline in milliseconds since 1970 if there is one.
pub(crate) type State = BTreeMap<(usize, Vec<u8>), (Vec<u8>, Option<u64>)>;

/// Keys asked for before their replies are read.
const BATCH: usize = 500;

/// Every key of the first `databases` databases of a server that nobody else changes; a key that
/// expires meanwhile is left out. The connection ends in database 0.
pub(crate) fn dump(client: &mut Client, databases: usize) -> State {
    let mut state = State::new();
    for database in 0..databases {
        assert_eq!(client.ask(&format!("SELECT {database}")), "+OK\r\n");
        let keys = scan(client);
        for batch in keys.chunks(BATCH) {
            let requests: Vec<u8> = batch
                .iter()
                .flat_map(|key| {
                    [encode(&[b"GET", key.as_slice()]), encode(&[b"PEXPIRETIME", key.as_slice()])]
                })
                .flatten()
                .collect();
            client.send(&requests);
            for key in batch {
                let value = strings_in(&client.reply()).pop();
                let reply = String::from_utf8(client.reply()).expect("a number");
                let deadline: i64 = reply[1..].trim().parse().expect("a number");
                if let (Some(value), -1..) = (value, deadline) {
                    let deadline = u64::try_from(deadline).ok();
                    state.insert((database, key.clone()), (value, deadline));
                }
            }
        }
    }
    assert_eq!(client.ask("SELECT 0"), "+OK\r\n");
    state
}

/// All keys of the selected database.
fn scan(client: &mut Client) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut cursor = b"0".to_vec();
    loop {
        let reply = client.call(&[b"SCAN", cursor.as_slice(), b"COUNT", b"1000"]);
        let mut strings = strings_in(&reply).into_iter();
        cursor = strings.next().expect("a cursor");
        keys.extend(strings);
        if cursor == b"0" {
            break;
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// All bulk strings of a reply, however nested, in order.
pub(crate) fn strings_in(reply: &[u8]) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    let mut rest = reply;
    while let Some(length) = rest.iter().position(|byte| *byte == b'\r') {
        let line = &rest[..length];
        rest = &rest[length + 2..];
        assert_ne!(line.first(), Some(&b'-'), "an error: {}", show(line));
        if line.first() == Some(&b'$') {
            let text = std::str::from_utf8(&line[1..]).expect("a length");
            if let Ok(length) = text.parse::<usize>() {
                strings.push(rest[..length].to_vec());
                rest = &rest[length + 2..];
            }
        }
    }
    strings
}

/// Panics with the first few keys that are not the same in two states.
#[track_caller]
pub(crate) fn assert_same(what: &str, one: &State, other: &State) {
    const SHOWN: usize = 5;
    let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
    let different: Vec<_> = keys.filter(|key| one.get(*key) != other.get(*key)).collect();
    let text = |entry: Option<&(Vec<u8>, Option<u64>)>| {
        entry.map(|(value, deadline)| (show(value), *deadline))
    };
    let lines: Vec<_> = different
        .iter()
        .take(SHOWN)
        .map(|key| {
            let name = (key.0, show(&key.1));
            format!("{name:?}: {:?} and {:?}", text(one.get(*key)), text(other.get(*key)))
        })
        .collect();
    let count = different.len();
    assert!(different.is_empty(), "{what}: {count} keys differ\n{}", lines.join("\n"));
}
