//! What is counted comes to nothing when everything has gone.

use super::crowd::Crowd;
use super::harness::{Client, Random, encode};
use super::target::{Questions, Target, wait_until_used_at_most};

/// What may be held more than at the start: pools, buffers, a table's first arrays.
const SLACK_BYTES: u64 = 2_000_000;

/// Keys of all sizes, some changed after they were set.
fn fill(client: &mut Client, random: &mut Random) {
    let mut commands = Vec::new();
    for number in 0..20_000 {
        let key = format!("key:{number}");
        let length = 1 << random.below(13);
        let value = vec![b'v'; length + random.below(length as u64) as usize];
        commands.push(match random.below(5) {
            0 => encode(&[b"SET".as_slice(), key.as_bytes(), &value, b"EX", b"1000"]),
            1 => encode(&[b"APPEND".as_slice(), key.as_bytes(), &value]),
            2 => encode(&["INCRBY", &key, "77"]),
            3 => encode(&["SETRANGE", &key, &(length / 2).to_string(), "text"]),
            _ => encode(&[b"SET".as_slice(), key.as_bytes(), &value]),
        });
        let other = format!("key:{}", random.below(number + 1));
        commands.push(match random.below(4) {
            0 => encode(&["EXPIRE", &other, "2000"]),
            1 => encode(&["APPEND", &other, "more"]),
            2 => encode(&["PERSIST", &other]),
            _ => encode(&["GET", &other]),
        });
    }
    for reply in client.replies(&commands) {
        assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
    }
}

#[test]
fn after_a_flush_as_much_is_used_as_before_everything() {
    let target = Target::start(&[]);
    let mut client = target.connect();
    let start = client.used_bytes();
    let mut random = Random(3);
    for flush in ["FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB", "FLUSHALL"] {
        fill(&mut client, &mut random);
        let full = client.used_bytes();
        assert!(full > start + 10_000_000, "{full} after {start}");
        assert_eq!(client.ask(flush), "+OK\r\n");
        wait_until_used_at_most(&mut client, start + SLACK_BYTES);
    }
}

#[test]
fn after_the_last_key_is_deleted_little_is_used() {
    let target = Target::start(&[]);
    let mut client = target.connect();
    let start = client.used_bytes();
    fill(&mut client, &mut Random(4));
    let delete = |number| encode(&["DEL", &format!("key:{number}")]);
    client.all(&(0..20_000).map(delete).collect::<Vec<_>>(), b":1");
    assert_eq!(client.keys(), 0);
    wait_until_used_at_most(&mut client, start + SLACK_BYTES);
}

#[test]
fn eviction_counts_what_it_frees() {
    let target = Target::start(&["--maxmemory-policy", "allkeys-random"]);
    let mut client = target.connect();
    let start = client.used_bytes();
    let crowd = Crowd::new("k", 20_000);
    crowd.fill(&mut client);
    let used = client.used_bytes();
    let bound = (start + used) / 2;
    client.configure("maxmemory", &bound.to_string());
    wait_until_used_at_most(&mut client, bound);
    client.configure("maxmemory", "0");
    let left = client.keys();
    assert!((8_000..12_000).contains(&left), "{left} of 20,000 in half the memory");
    // Nobody has counted twice or not at all: the rest goes as well.
    assert_eq!(client.ask("FLUSHALL"), "+OK\r\n");
    wait_until_used_at_most(&mut client, start + SLACK_BYTES);
    crowd.fill(&mut client);
    let again = client.used_bytes();
    assert!(again.abs_diff(used) < used / 20, "{used}, and the same again {again}");
}
