//! INFO, field by field, against what redis-server says.

use super::harness::{RedisServer, Server};

/// Fields of redis-server 7.0.15 that this server does not have, and why.
const MISSING: [(&str, &str); 0] = [];

/// Fields whose values are the same on both, whatever happened before.
const SAME: [&str; 15] = [
    "redis_version",
    "redis_mode",
    "os",
    "arch_bits",
    "multiplexing_api",
    "monotonic_clock",
    "process_supervised",
    "maxclients",
    "maxmemory_policy",
    "loading",
    "aof_enabled",
    "role",
    "master_failover_state",
    "repl_backlog_size",
    "cluster_enabled",
];

/// The sections and fields of an INFO text, in order; a section as `# Title`.
fn names(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('$'));
    lines.map(|line| line.split(':').next().unwrap_or(line).to_owned()).collect()
}

/// Commands after which every section has fields. (redis-server has been sent a PING already.)
const BEFORE: [&str; 5] = ["PING", "SET a 1 EX 1000", "GET a", "INCR b", "INCR"];

#[test]
fn every_field_of_redis_is_there_in_its_section() {
    let (server, redis) = (Server::start(), RedisServer::start());
    let [ours, theirs] = [server.connect(), redis.connect()].map(|mut client| {
        BEFORE.iter().for_each(|command| drop(client.ask(command)));
        client.ask("INFO everything")
    });
    let (our_names, mut section) = (names(&ours), String::new());
    let position = |name: &str| our_names.iter().position(|own| own == name);
    for name in names(&theirs) {
        if name.starts_with('#') {
            section = name;
            assert!(position(&section).is_some(), "no section {section} in {ours}");
            continue;
        }
        if MISSING.iter().any(|(missing, _)| *missing == name) {
            assert_eq!(position(&name), None, "{name} is not missing any more");
            continue;
        }
        let place = position(&name).unwrap_or_else(|| panic!("no field {name} in {ours}"));
        let own_section = our_names[..place].iter().rev().find(|own| own.starts_with('#'));
        assert_eq!(own_section, Some(&section), "the section of {name}");
    }
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    for name in SAME {
        assert_eq!(value(&ours, name), value(&theirs, name), "{name}");
    }
}

#[test]
fn sections_are_those_of_redis_for_every_request() {
    let (server, redis) = (Server::start(), RedisServer::start());
    let (mut ours, mut theirs) = (server.connect(), redis.connect());
    for request in [
        "",
        " default",
        " all",
        " everything",
        " server clients",
        " KEYSPACE",
        " modules",
        " nosuch",
    ] {
        let titles = |text: String| {
            let titles = names(&text).into_iter();
            titles.filter(|name| name.starts_with('#') && name != "# Ferrum").collect::<Vec<_>>()
        };
        let request = format!("INFO{request}");
        assert_eq!(titles(ours.ask(&request)), titles(theirs.ask(&request)), "{request}");
    }
}

#[test]
fn figures_move_with_what_happens() {
    let server = Server::with(&["--io-threads", "1"]);
    let mut client = server.connect();
    (0..10).for_each(|_| drop(client.ask("SET a 1")));
    assert!(server.info("total_reads_processed") >= 10);
    assert!(server.info("total_writes_processed") >= 10);
    assert!(server.info("table_slots") >= server.info("table_slots_claimed"));
    assert!(server.info("table_slots_claimed") >= 1);
    let worker = server.info_text("worker0").expect("a worker");
    assert!(worker.starts_with("connections="), "{worker}");
    let calls = client.ask("INFO commandstats");
    assert!(calls.contains("cmdstat_set:calls=10,usec="), "{calls}");
}
