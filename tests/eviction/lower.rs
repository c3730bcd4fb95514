//! A lower bound comes into force by itself, and meanwhile requests are quick.

use std::time::{Duration, Instant};

use super::crowd::Crowd;
use super::harness::wait_until;
use super::target::{Questions, Target, is_redis, wait_until_used_at_most};

/// What the reply to INFO itself may take, and connections.
const SLACK_BYTES: u64 = 128 * 1024;

#[test]
fn a_lower_bound_is_reached_without_traffic() {
    let policies = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-ttl"];
    for policy in policies.into_iter().chain((!is_redis()).then_some("allkeys-ahe")) {
        let target = Target::start(&["--maxmemory-policy", policy]);
        let mut client = target.connect();
        let empty = client.used_bytes();
        Crowd::expiring("k", 30_000, 1_000).fill(&mut client);
        let used = client.used_bytes();
        for parts in [3, 2, 1] {
            let bound = empty + (used - empty) * parts / 4;
            client.configure("maxmemory", &bound.to_string());
            let begin = Instant::now();
            let mut slow = 0;
            wait_until("the lower bound is reached", || {
                let sent = Instant::now();
                assert_eq!(client.ask("PING"), "+PONG\r\n");
                slow += u64::from(sent.elapsed() > Duration::from_millis(100));
                client.used_bytes() <= bound + SLACK_BYTES
            });
            let lasted = begin.elapsed();
            assert!(lasted < Duration::from_secs(10), "{policy}: {lasted:?}");
            // A busy machine holds one up now and then, the eviction must not hold up many.
            assert!(slow <= 2, "{policy}: {slow} requests took more than 100 ms");
            // And not more than needed goes. What a table takes goes in larger pieces.
            let left = client.used_bytes();
            assert!(left > empty + (used - empty) * parts / 5, "{policy}: {left} of {bound}");
        }
        client.configure("maxmemory", "0");
        assert_eq!(client.keys() + client.info("evicted_keys"), 30_000);
        assert_eq!(client.ask("SET k:new v"), "+OK\r\n");
    }
}

#[test]
fn a_bound_that_is_lifted_ends_eviction() {
    let target = Target::start(&["--maxmemory-policy", "allkeys-lru"]);
    let mut client = target.connect();
    Crowd::new("k", 5_000).fill(&mut client);
    let bound = client.used_bytes() - 1_000_000;
    client.configure("maxmemory", &bound.to_string());
    wait_until_used_at_most(&mut client, bound);
    client.configure("maxmemory", "0");
    let evicted = client.info("evicted_keys");
    assert!((500..1_500).contains(&evicted), "{evicted}");
    Crowd::new("more", 5_000).fill(&mut client);
    assert_eq!(client.info("evicted_keys"), evicted);
    assert_eq!(client.keys(), 10_000 - evicted);
}
