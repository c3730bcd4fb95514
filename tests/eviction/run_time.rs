//! Settings change while keys come and go.

use std::sync::atomic::{AtomicBool, Ordering};

use super::crowd::Crowd;
use super::harness::{Random, encode};
use super::target::{Questions, Target, is_redis};

const POLICIES: [&str; 10] = [
    "allkeys-lru",
    "volatile-ttl",
    "allkeys-lfu",
    "volatile-random",
    "noeviction",
    "allkeys-random",
    "volatile-lfu",
    "volatile-lru",
    "allkeys-ahe",
    "volatile-ahe",
];

#[test]
fn policies_change_while_clients_write() {
    let target = Target::start(&["--maxmemory", "8mb"]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 1..4 {
            let (target, is_over) = (&target, &is_over);
            scope.spawn(move || {
                let mut client = target.connect();
                let mut random = Random(seed);
                // Relaxed: nothing but the flag itself.
                while !is_over.load(Ordering::Relaxed) {
                    let commands: Vec<_> = (0..20)
                        .map(|_| {
                            let crowd = if random.below(2) == 0 {
                                Crowd::new("fixed", 1)
                            } else {
                                Crowd::expiring("expiring", 1, 100 + random.below(100))
                            };
                            let number = random.below(20_000);
                            match random.below(3) {
                                0 => encode(&["GET", &crowd.key(number)]),
                                _ => crowd.set_one(number),
                            }
                        })
                        .collect();
                    for reply in client.replies(&commands) {
                        let is_good = !reply.starts_with(b"-") || reply.starts_with(b"-OOM");
                        assert!(is_good, "{}", reply.escape_ascii());
                    }
                }
            });
        }
        let mut client = target.connect();
        for round in 0..40 {
            let policy = POLICIES[round % if is_redis() { 8 } else { 10 }];
            client.configure("maxmemory-policy", policy);
            let bound = [8, 6, 9][round % 3] * 1_048_576;
            client.configure("maxmemory", &bound.to_string());
            std::thread::sleep(std::time::Duration::from_millis(40));
        }
        client.configure("maxmemory-policy", "allkeys-lru");
        super::target::wait_until_used_at_most(&mut client, 9_500_000);
        is_over.store(true, Ordering::Relaxed);
    });
    let mut client = target.connect();
    assert!(client.info("evicted_keys") > 0);
    assert!(client.keys() > 1_000, "{} keys", client.keys());
}

#[test]
fn without_a_bound_a_policy_evicts_nothing() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let target = Target::start(&["--maxmemory-policy", policy]);
        let mut client = target.connect();
        Crowd::expiring("k", 10_000, 1_000).fill(&mut client);
        assert_eq!(client.keys(), 10_000);
        assert_eq!(client.info("evicted_keys"), 0);
    }
}

#[test]
fn keys_past_their_deadline_go_before_any_that_live() {
    let mut policies = vec!["allkeys-lru", "allkeys-lfu", "volatile-ttl"];
    if !is_redis() {
        policies.push("allkeys-ahe");
    }
    for policy in policies {
        let target = Target::start(&["--maxmemory-policy", policy]);
        let mut client = target.connect();
        let living = Crowd::expiring("living", 2_000, 1_000);
        living.fill(&mut client);
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        // Fresher and used as often as the living.
        let dying = Crowd::expiring("dying", 2_000, 1);
        dying.fill(&mut client);
        let bound = client.used_bytes();
        std::thread::sleep(std::time::Duration::from_millis(1_050));
        client.configure("maxmemory", &bound.to_string());
        let flood = Crowd::expiring("flood", 1_000, 2_000);
        flood.fill(&mut client);
        client.configure("maxmemory", "0");
        let left = living.present(&mut client);
        // Redis looks at deadlines only when it has nothing else to do.
        assert!(left >= 850 || is_redis(), "{policy}: {left} of 1,000 living ones");
        assert_eq!(dying.present(&mut client), 0, "{policy}");
        let (evicted, expired) = (client.info("evicted_keys"), client.info("expired_keys"));
        assert_eq!(client.keys() + evicted + expired, 5_000, "{policy}: {evicted}, {expired}");
    }
}
