//! Keys go between transactions, never in the middle of one.

use std::sync::atomic::{AtomicBool, Ordering};

use super::crowd::Crowd;
use super::harness::{Random, encode, strings_in, wait_until};
use super::target::{Questions, Target, is_redis};

/// Pairs of keys that always have the same value.
const PAIRS: u64 = 3_000;

const WRITERS: u64 = 3;

const READERS: u64 = 2;

fn pair(number: u64) -> (String, String) {
    (format!("left:{number}"), format!("right:{number}"))
}

/// Sets a pair, in one of the ways there are.
fn set_pair(random: &mut Random) -> Vec<Vec<u8>> {
    let (left, right) = pair(random.below(PAIRS));
    let value = format!("{}:{}", random.below(u64::MAX), "v".repeat(random.below(2_000) as usize));
    match random.below(3) {
        0 => vec![encode(&["MSET", &left, &value, &right, &value])],
        // Only if neither is there.
        1 => vec![encode(&["MSETNX", &left, &value, &right, &value])],
        _ => vec![
            encode(&["MULTI"]),
            encode(&["SET", &left, &value]),
            encode(&["COPY", &left, &right, "REPLACE"]),
            encode(&["EXEC"]),
        ],
    }
}

fn halves_agree(policy: &str) {
    let target = Target::start(&["--maxmemory-policy", policy]);
    let mut client = target.connect();
    let bound = client.used_bytes() + 3_000_000;
    client.configure("maxmemory", &bound.to_string());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (target, is_over) = (&target, &is_over);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    let mut client = target.connect();
                    let mut random = Random(writer + 1);
                    for _ in 0..800 {
                        let commands: Vec<_> = (0..5).flat_map(|_| set_pair(&mut random)).collect();
                        for reply in client.replies(&commands) {
                            assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
                        }
                    }
                })
            })
            .collect();
        for reader in 0..READERS {
            scope.spawn(move || {
                let mut client = target.connect();
                let mut random = Random(reader + 100);
                let mut both = 0_u64;
                // Relaxed: nothing but the flag itself.
                while !is_over.load(Ordering::Relaxed) {
                    let (left, right) = pair(random.below(PAIRS));
                    let values = strings_in(&client.call(&["MGET", &left, &right]));
                    if let [left, right] = values.as_slice() {
                        assert!(left == right, "a pair's halves differ");
                        both += 1;
                    }
                }
                assert!(both > 0, "no pair was ever there");
            });
        }
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a writer failed");
    });
    assert!(client.info("evicted_keys") > 0);
    assert!(client.used_bytes() < bound + bound / 10);
}

#[test]
fn the_halves_of_a_pair_agree_while_either_may_go() {
    halves_agree("allkeys-random");
    halves_agree("allkeys-lru");
    if !is_redis() {
        halves_agree("allkeys-ahe");
    }
}

#[test]
fn a_watched_key_that_is_evicted_has_changed() {
    let target = Target::start(&["--maxmemory-policy", "allkeys-random"]);
    let (mut client, mut other) = (target.connect(), target.connect());
    Crowd::new("k", 100).fill(&mut other);
    assert_eq!(client.ask("WATCH k:7"), "+OK\r\n");
    other.configure("maxmemory", "1");
    wait_until("all keys are evicted", || other.keys() == 0);
    other.configure("maxmemory", "0");
    // The same again is not what was watched.
    Crowd::new("k", 100).fill(&mut other);
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("SET k:7 v"), "+QUEUED\r\n");
    assert_eq!(client.ask("EXEC"), "*-1\r\n");
    assert_eq!(other.ask("STRLEN k:7"), ":1000\r\n");
}

#[test]
fn a_watched_key_that_stays_while_others_go_has_not_changed() {
    let target = Target::start(&["--maxmemory-policy", "volatile-random"]);
    let (mut client, mut other) = (target.connect(), target.connect());
    other.set("k", b"v");
    Crowd::expiring("gone", 100, 1_000).fill(&mut other);
    assert_eq!(client.ask("WATCH k"), "+OK\r\n");
    other.configure("maxmemory", "1");
    wait_until("all others are evicted", || other.keys() == 1);
    other.configure("maxmemory", "0");
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("SET k w"), "+QUEUED\r\n");
    assert_eq!(client.ask("EXEC"), "*1\r\n+OK\r\n");
}

#[test]
fn many_keys_are_set_at_one_instant_when_none_of_them_fits() {
    const KEYS: u64 = 1_000;
    let target = Target::start(&["--maxmemory-policy", "allkeys-lru"]);
    let mut client = target.connect();
    Crowd::new("old", 3_000).fill(&mut client);
    let bound = client.used_bytes();
    client.configure("maxmemory", &bound.to_string());
    let value = "v".repeat(1_000);
    for round in 0..5 {
        let keys: Vec<_> = (0..KEYS).map(|number| format!("new:{round}:{number}")).collect();
        let mut words = vec!["MSET"];
        words.extend(keys.iter().flat_map(|key| [key.as_str(), value.as_str()]));
        assert_eq!(client.call(&words), b"+OK\r\n");
        // As in Redis, room is made before a command, not within it.
        assert!(client.used_bytes() < bound + 2_500_000);
        super::target::wait_until_used_at_most(&mut client, bound + bound / 10);
    }
    assert!(client.info("evicted_keys") > 3_000);
}
