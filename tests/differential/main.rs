//! Random sequences of commands, answered by redis-server 7.0 and by the server under test: every
//! reply must be the same, byte for byte but for the few rules of `rules.rs`.
//!
//! A run is made of rounds. Each begins with empty databases and new connections, in RESP2 and
//! RESP3 by turns, and follows from its seed alone; at a difference its steps are shrunk to the
//! few that matter. In the environment:
//!
//! - `FERRUM_DIFFERENTIAL_COMMANDS`: how many commands, 30,000 if not set;
//! - `FERRUM_DIFFERENTIAL_SEED`: the seed of the first round, 1 if not set; each further round has
//!   the next number;
//! - `FERRUM_DIFFERENTIAL_FAMILIES`: names of families in `commands.rs`, with commas, all
//!   if not set.

mod commands;
mod grammar;
mod pair;
mod payload;
mod pool;
mod report;
mod rules;
mod transaction;

#[expect(dead_code, unused_imports, reason = "shared with tests/network, which uses all of it")]
#[path = "../network/harness/mod.rs"]
mod harness;

use std::collections::HashMap;
use std::net::TcpStream;
use std::time::Instant;

use commands::{all_rows, rows_of};
use grammar::{Generator, Row, Step};
use harness::{RedisServer, Server};
use pair::{Addresses, BATCH, Pair};
use report::Report;

/// Commands of one round: enough for long histories of the few keys, few enough to be shrunk.
const ROUND: usize = 2_000;

/// Differences after which a run ends.
const REPORTS_MAX: usize = 25;

/// Differences of one kind that are shown.
const SAME_KIND_MAX: usize = 3;

/// A number of the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| match text.parse() {
        Ok(number) => number,
        Err(error) => panic!("{name}={text}: {error}"),
    })
}

/// One round; returns its first difference.
fn round(addresses: Addresses, rows: &[&'static Row], seed: u64, count: usize) -> Option<Report> {
    let protocol = if seed % 2 == 1 { 2 } else { 3 };
    let mut generator = Generator::new(seed, rows);
    let mut pair = Pair::new(addresses, protocol);
    let mut steps: Vec<Step> = Vec::new();
    while steps.len() < count {
        let start = steps.len();
        while steps.len() < start + BATCH {
            generator.next_steps(&mut steps);
        }
        if let Some(mut difference) = pair.run(&steps[start..]) {
            difference.at += start;
            let origin = format!("seed {seed}, HELLO {protocol}");
            return Some(Report::new(addresses, protocol, &steps, difference, origin));
        }
        for payload in pair.payloads.drain(..) {
            generator.remember(payload);
        }
    }
    None
}

/// All rounds of so many commands; returns differences, a few of each kind.
fn run(addresses: Addresses, rows: &[&'static Row], seed: u64, count: u64) -> Vec<Report> {
    let began = Instant::now();
    let mut kinds: HashMap<_, usize> = HashMap::new();
    let mut reports = Vec::new();
    let mut left = count as usize;
    for seed in seed.. {
        // Nothing can be compared any more when a difference was the end of the server.
        let is_over = !reports.is_empty() && TcpStream::connect(addresses.ours).is_err();
        if left == 0 || reports.len() == REPORTS_MAX || is_over {
            break;
        }
        let size = left.min(ROUND);
        left -= size;
        // Shown when the test fails, or with --nocapture.
        println!("seed {seed}, {left} commands left, {:.1} s", began.elapsed().as_secs_f64());
        if let Some(report) = round(addresses, rows, seed, size) {
            let same = kinds.entry(report.kind()).or_default();
            *same += 1;
            if *same <= SAME_KIND_MAX {
                reports.push(report);
            }
        }
    }
    reports
}

fn assert_none(reports: &[Report]) {
    let texts: Vec<_> = reports.iter().map(Report::text).collect();
    assert!(texts.is_empty(), "{} differences:\n{}", texts.len(), texts.join("\n"));
}

#[test]
fn random_commands_are_answered_as_redis_does() {
    let count = setting("FERRUM_DIFFERENTIAL_COMMANDS", 30_000);
    let seed = setting("FERRUM_DIFFERENTIAL_SEED", 1);
    let (redis, ours) = (RedisServer::start(), Server::start());
    let addresses = Addresses { redis: redis.address, ours: ours.address };
    let families = std::env::var("FERRUM_DIFFERENTIAL_FAMILIES");
    let rows = families.map_or_else(|_| all_rows(), |list| rows_of(&list));
    assert_none(&run(addresses, &rows, seed, count));
}

/// Under another policy other things are told and refused. Nothing is evicted: there is no cap.
#[test]
fn the_policy_decides_what_is_told_as_in_redis() {
    for policy in ["allkeys-lru", "volatile-lfu"] {
        let (redis, ours) = (RedisServer::start(), Server::start());
        let line = format!("CONFIG SET maxmemory-policy {policy}");
        assert_eq!(redis.connect().ask(&line), "+OK\r\n");
        assert_eq!(ours.connect().ask(&line), "+OK\r\n");
        let addresses = Addresses { redis: redis.address, ours: ours.address };
        let rows = rows_of("basics,keyspace,inspection,serialization");
        assert_none(&run(addresses, &rows, 1, 6_000));
    }
}

/// What the rules forgive is enough for a server that is right.
#[test]
fn redis_agrees_with_itself() {
    let count = setting("FERRUM_DIFFERENTIAL_ITSELF_COMMANDS", 6_000);
    let seed = setting("FERRUM_DIFFERENTIAL_SEED", 1);
    let (one, other) = (RedisServer::start(), RedisServer::start());
    let addresses = Addresses { redis: one.address, ours: other.address };
    assert_none(&run(addresses, &all_rows(), seed, count));
}

/// A server of another policy knows OBJECT FREQ: SET and OBJECT are all it takes to see that.
#[test]
fn a_difference_is_found_and_shrunk() {
    let (one, other) = (RedisServer::start(), RedisServer::start());
    let policy = "CONFIG SET maxmemory-policy allkeys-lfu";
    assert_eq!(other.connect().ask(policy), "+OK\r\n");
    let addresses = Addresses { redis: one.address, ours: other.address };
    let reports = run(addresses, &all_rows(), 1, 30_000);
    let shortest = reports.iter().map(Report::len).min();
    assert!(shortest.is_some_and(|steps| steps <= 3), "{shortest:?}");
    let is_told = |report: &Report| report.text().contains("LFU maxmemory policy is not selected");
    assert!(reports.iter().any(is_told));
}

/// A server that closes the connection instead of sending a value of 20 KB, as after a panic.
#[test]
fn a_connection_that_breaks_is_a_difference() {
    let (one, other) = (RedisServer::start(), RedisServer::start());
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "normal 18000 0 0"];
    assert_eq!(other.connect().call(&limit), b"+OK\r\n");
    let addresses = Addresses { redis: one.address, ours: other.address };
    let reports = run(addresses, &rows_of("basics"), 1, 2_000);
    let is_told = |report: &Report| report.text().contains("ours:  (the connection is broken)");
    assert!(reports.iter().any(is_told));
}
