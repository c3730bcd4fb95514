//! Every database gives victims.

use std::time::Duration;

use super::crowd::Crowd;
use super::harness::Client;
use super::target::{Questions, Target, is_redis, wait_until_used_at_most};

const DATABASES: u64 = 4;

/// Of each database.
const KEYS: u64 = 1_000;

fn select(client: &mut Client, database: u64) {
    assert_eq!(client.ask(&format!("SELECT {database}")), "+OK\r\n");
}

#[test]
fn all_databases_give_victims() {
    let mut policies = vec![
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ];
    if !is_redis() {
        policies.extend(["allkeys-ahe", "volatile-ahe"]);
    }
    for policy in policies {
        let target = Target::start(&["--maxmemory-policy", policy]);
        let mut client = target.connect();
        let empty = client.used_bytes();
        let (old, young) =
            (Crowd::expiring("old", KEYS / 2, 100), Crowd::expiring("young", KEYS / 2, 9_000));
        for crowd in [old, young] {
            for database in 0..DATABASES {
                select(&mut client, database);
                crowd.fill(&mut client);
            }
            std::thread::sleep(Duration::from_millis(1_100));
            if crowd.name == old.name {
                continue;
            }
            // So that each of the policies would rather keep them.
            for database in 0..DATABASES {
                select(&mut client, database);
                (0..20).for_each(|_| crowd.read(&mut client));
            }
        }
        let used = client.used_bytes();
        // The tables themselves stay, so it is a larger part of the keys that has to go.
        let bound = used - (used - empty) * 3 / 10;
        client.configure("maxmemory", &bound.to_string());
        wait_until_used_at_most(&mut client, bound);
        // No more goes while keys are counted.
        client.configure("maxmemory", "0");
        let mut left = Vec::new();
        for database in 0..DATABASES {
            select(&mut client, database);
            left.push(client.keys());
        }
        // Redis asks the first ones more.
        let most = if is_redis() { 1_000 } else { 990 };
        assert!(left.iter().all(|left| (150..=most).contains(left)), "{policy}: {left:?}");
        let evicted = client.info("evicted_keys");
        assert_eq!(left.iter().sum::<u64>() + evicted, DATABASES * KEYS, "{policy}");
    }
}

#[test]
fn a_database_that_was_not_selected_gives_way_to_one_that_is() {
    let target = Target::start(&["--maxmemory-policy", "allkeys-random"]);
    let mut client = target.connect();
    select(&mut client, 3);
    Crowd::new("other", 2_000).fill(&mut client);
    let bound = client.used_bytes();
    client.configure("maxmemory", &bound.to_string());
    select(&mut client, 0);
    Crowd::new("flood", 1_000).fill(&mut client);
    client.configure("maxmemory", "0");
    let here = client.keys();
    select(&mut client, 3);
    let there = client.keys();
    assert!(there < 1_900 && here > 300, "{here} and {there}");
    assert_eq!(here + there + client.info("evicted_keys"), 3_000);
}
