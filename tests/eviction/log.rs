//! What is evicted is gone from the log as well.

use super::crowd::Crowd;
use super::harness::{Client, Random, assert_same, dump, encode};
use super::target::{Questions, Target, is_redis, wait_until_used_at_most};

const DATABASES: usize = 3;

/// Clients that set keys of their own, read some and delete some, in three databases.
fn write(target: &Target, seed: u64) {
    std::thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                let mut client = target.connect();
                let mut random = Random(seed * 10 + writer + 1);
                for batch in 0..150 {
                    let mut commands = vec![encode(&["SELECT", &(batch % DATABASES).to_string()])];
                    for _ in 0..50 {
                        let number = random.below(2_000);
                        let crowd = match random.below(3) {
                            0 => Crowd::expiring("expiring", 1, 5_000),
                            _ => Crowd::new("fixed", 1),
                        };
                        commands.push(match random.below(8) {
                            0 => encode(&["GET", &crowd.key(number)]),
                            1 => encode(&["DEL", &crowd.key(number)]),
                            2 => encode(&["INCR", &format!("counter:{number}")]),
                            3 => encode(&["APPEND", &crowd.key(number), "some more"]),
                            _ => crowd.set_one(number),
                        });
                    }
                    for reply in client.replies(&commands) {
                        assert!(!reply.starts_with(b"-"), "{}", reply.escape_ascii());
                    }
                }
            });
        }
    });
}

fn bound(client: &mut Client, policy: &str) {
    client.configure("maxmemory-policy", policy);
    // Of which the tables of the databases take the larger half, however few keys they have.
    let bytes = client.used_bytes() + 3_000_000;
    client.configure("maxmemory", &bytes.to_string());
}

#[test]
fn what_was_there_before_a_kill_is_there_after_it() {
    let mut policies = vec!["allkeys-lru", "volatile-ttl"];
    if !is_redis() {
        policies.push("allkeys-ahe");
    }
    // One server for all: each round begins with what the last one left.
    let mut target = Target::with_log("always", &[]);
    for (round, policy) in policies.into_iter().enumerate() {
        let mut client = target.connect();
        bound(&mut client, if policy == "volatile-ttl" { "allkeys-random" } else { policy });
        write(&target, round as u64);
        client.configure("maxmemory-policy", policy);
        assert!(client.info("evicted_keys") > 0);
        // No more goes while it is read.
        client.configure("maxmemory", "0");
        let before = dump(&mut client, DATABASES);
        target.kill_and_restart();
        let after = dump(&mut target.connect(), DATABASES);
        assert!(before.len() > 100, "{} keys", before.len());
        assert_same(policy, &before, &after);
    }
}

#[test]
fn what_was_there_before_an_orderly_end_is_there_after_it() {
    let mut target = Target::with_log("everysec", &[]);
    let mut client = target.connect();
    bound(&mut client, "allkeys-lfu");
    write(&target, 5);
    assert!(client.info("evicted_keys") > 0);
    client.configure("maxmemory", "0");
    let before = dump(&mut client, DATABASES);
    target.stop_and_restart();
    assert_same("after a restart", &before, &dump(&mut target.connect(), DATABASES));
}

#[test]
fn a_lower_bound_is_logged_as_deletions() {
    let mut target = Target::with_log("always", &[]);
    let mut client = target.connect();
    Crowd::new("k", 5_000).fill(&mut client);
    let bytes = client.used_bytes() - 2_000_000;
    client.configure("maxmemory-policy", "allkeys-lru");
    client.configure("maxmemory", &bytes.to_string());
    wait_until_used_at_most(&mut client, bytes);
    client.configure("maxmemory", "0");
    let evicted = client.info("evicted_keys");
    assert!(evicted > 1_000, "{evicted}");
    assert_eq!(client.keys(), 5_000 - evicted);
    if let (false, Some(log)) = (is_redis(), target.log()) {
        let bytes = log.bytes();
        let deletions = bytes.windows(9).filter(|bytes| *bytes == b"$3\r\nDEL\r\n").count();
        assert_eq!(deletions as u64, evicted);
    }
    let before = dump(&mut client, 1);
    target.kill_and_restart();
    assert_same("after a kill", &before, &dump(&mut target.connect(), 1));
}

#[test]
fn what_was_set_and_is_not_there_was_evicted() {
    let target = Target::start(&["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-random"]);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let target = &target;
            scope.spawn(move || Crowd::new(name, 5_000).fill(&mut target.connect()));
        }
    });
    let mut client = target.connect();
    client.configure("maxmemory", "0");
    let (keys, evicted) = (client.keys(), client.info("evicted_keys"));
    assert_eq!(keys + evicted, 20_000, "{keys} there, {evicted} evicted");
    assert!(keys > 2_000, "{keys}");
}
