//! INFO, field by field, against what redis-server says.

use std::time::{Duration, Instant};

use super::harness::{Client, RedisServer, Server, wait_until};

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

/// What a client sends of which something is refused; each on a connection of its own.
const REFUSED: [&str; 8] = [
    "SUBSCRIBE c|GET a|EXEC|CLIENT ID|INFO|SET a",
    "MONITOR|GET a|SET a 1|PUBLISH a b|RESET",
    "MULTI|SAVE|SHUTDOWN|DEBUG SLEEP 0|GET|FOO|EXEC|EXEC",
    "DEBUG SLEEP 0|DEBUG FOO|DEBUG|OBJECT ENCODING a|OBJECT ENCODING none|OBJECT FREQ a",
    "*x",
    "AUTH x y|AUTH z|HELLO 3 AUTH x y|HELLO 9|CLIENT KILL|CLIENT FOO",
    "SET a x|INCR a|MULTI|INCR a|INCR a|EXEC",
    "WAIT 1 x|CLIENT PAUSE -1|SLOWLOG GET -2|LATENCY GRAPH foo",
];

#[test]
fn what_goes_wrong_is_counted_as_in_redis() {
    let (ours, redis) = (Server::start(), RedisServer::start());
    let counted = |connect: &dyn Fn() -> Client| {
        for commands in REFUSED {
            let mut client = connect();
            client.send(format!("{}\r\n", commands.replace('|', "\r\n")).as_bytes());
            client.finish_sending();
            client.rest();
        }
        let mut client = connect();
        let text = client.ask("INFO commandstats") + &client.ask("INFO errorstats");
        let mut lines: Vec<_> = text.lines().map(untimed).collect();
        lines.sort();
        let stats = client.ask("INFO stats");
        let wanted = ["total_error_replies:", "keyspace_hits:", "keyspace_misses:"];
        let is_wanted = |line: &&str| wanted.iter().any(|name| line.starts_with(name));
        lines.extend(stats.lines().filter(is_wanted).map(str::to_owned));
        // A redis-server is sent some to see whether it is there.
        lines.retain(|line| line.contains(':') && !line.starts_with("cmdstat_ping"));
        lines
    };
    let (ours, theirs) = (counted(&|| ours.connect()), counted(&|| redis.connect()));
    assert_eq!(ours, theirs);
}

/// A line of commandstats without times.
fn untimed(line: &str) -> String {
    match (line.find("usec="), line.find("rejected_calls=")) {
        (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to..]),
        _ => line.to_owned(),
    }
}

#[test]
fn attempts_to_come_in_that_failed_are_counted() {
    let server = Server::with(&["--requirepass", "pw"]);
    let mut client = server.connect();
    for command in ["AUTH x", "HELLO 3 AUTH default y", "AUTH nobody pw", "GET a"] {
        assert!(client.ask(command).starts_with('-'));
    }
    client.ask("AUTH pw");
    assert!(client.ask("INFO stats").contains("\r\nacl_access_denied_auth:3\r\n"));
}

#[test]
fn how_busy_each_worker_is_is_told() {
    const BATCH: usize = 500;
    let server = Server::with(&["--io-threads", "2"]);
    let (mut busy, mut idle) = (server.connect(), server.connect());
    let figure = |line: &str, name: &str| {
        let found = line.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|text| text.parse::<f64>().ok()).unwrap_or_else(|| panic!("{name}: {line}"))
    };
    let start = Instant::now();
    // The rates are those of the last 1.6 seconds.
    while start.elapsed() < Duration::from_millis(1_800) {
        busy.send("SET a b\r\n".repeat(BATCH).as_bytes());
        busy.expect("+OK\r\n".repeat(BATCH).as_bytes());
    }
    let text = idle.ask("INFO ferrum");
    let shares: Vec<_> = (text.lines().filter(|line| line.starts_with("worker")))
        .map(|line| (figure(line, "commands"), figure(line, "busy_percent")))
        .collect();
    let [(first, one), (second, other)] = shares[..] else { panic!("{text}") };
    let (most, least) = if first > second { (one, other) } else { (other, one) };
    assert!(most > 2.0 && most <= 100.0 && most > 2.0 * least, "{text}");
    wait_until("it rests", || {
        let text = idle.ask("INFO ferrum");
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("worker")).collect();
        lines.iter().all(|line| figure(line, "busy_percent") < most / 2.0)
    });
}
