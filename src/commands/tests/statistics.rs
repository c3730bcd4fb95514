//! What is counted of commands, the slow log, and what is set back.

use super::server_info::field;
use super::{Connection, Server, encode};
use crate::config::Config;

/// A server that enters every command in its slow log.
fn attentive() -> Server {
    Server::with(Config { slowlog_log_slower_than_us: 0, ..Config::default() })
}

/// A field of INFO's section without the times: `calls`, `rejected_calls`, `failed_calls`.
fn counts(server: &mut Server, connection: &mut Connection, name: &str) -> [String; 3] {
    let info = server.line(connection, "INFO commandstats");
    let stats = field(&info, &format!("cmdstat_{name}")).to_owned();
    ["calls", "rejected_calls", "failed_calls"].map(|wanted| {
        let found = stats.split(',').find_map(|part| part.strip_prefix(wanted)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {wanted} in {stats}")).to_owned()
    })
}

#[test]
fn commands_are_counted_by_name_with_what_went_wrong() {
    let mut server = Server::new();
    let mut connection = server.connect();
    server.line(
        &mut connection,
        "SET a x\r\nGET a\r\nGET a\r\nGET\r\nINCR a\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\n\
         NOSUCH\r\nCLIENT NOSUCH\r\nKEYS *\r\nDEL a b c\r\nRENAME a b",
    );
    for (name, expected) in [
        ("set", ["1", "0", "0"]),
        ("get", ["2", "1", "0"]),
        ("incr", ["1", "0", "1"]),
        ("client|setname", ["1", "0", "0"]),
        ("client|getname", ["1", "0", "0"]),
        ("keys", ["1", "0", "0"]),
        ("del", ["1", "0", "0"]),
        ("rename", ["1", "0", "1"]),
    ] {
        assert_eq!(counts(&mut server, &mut connection, name), expected, "{name}");
    }
    let info = server.line(&mut connection, "INFO errorstats");
    assert_eq!(field(&info, "errorstat_ERR"), "count=5");
    let info = server.line(&mut connection, "INFO latencystats");
    let percentiles = field(&info, "latency_percentiles_usec_get");
    let names = percentiles.split(',').map(|part| part.split_once('=').expect("a value").0);
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["p50", "p99", "p99.9"]);
    // As in Redis, INFO then says nothing, and LATENCY HISTOGRAM what there was before.
    server.state.tunables.latency_tracking.set(0);
    let info = server.line(&mut connection, "INFO latencystats");
    assert!(info.ends_with("# Latencystats\r\n\r\n"), "{info}");
    assert!(server.line(&mut connection, "LATENCY HISTOGRAM get").contains(":2\r\n"));
}

#[test]
fn commands_of_a_transaction_count_when_they_run() {
    let mut server = Server::new();
    let mut connection = server.connect();
    server.line(&mut connection, "MULTI\r\nSET a x\r\nINCR a\r\nGET a\r\nGET a\r\nDISCARD");
    let info = server.line(&mut connection, "INFO commandstats");
    assert!(!info.contains("cmdstat_get:"), "{info}");
    server.line(&mut connection, "MULTI\r\nSET a x\r\nINCR a\r\nGET a\r\nKEYS *\r\nEXEC\r\nEXEC");
    for (name, expected) in [
        ("multi", ["2", "0", "0"]),
        ("set", ["1", "0", "0"]),
        ("incr", ["1", "0", "1"]),
        ("get", ["1", "0", "0"]),
        ("keys", ["1", "0", "0"]),
        ("exec", ["2", "0", "1"]),
    ] {
        assert_eq!(counts(&mut server, &mut connection, name), expected, "{name}");
    }
}

#[test]
fn a_long_pipeline_of_many_commands_is_counted_whole() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let round = "SET a 1\r\nGET a\r\nSTRLEN a\r\nPING\r\nECHO a\r\nTYPE a\r\nTTL a\r\nINCR a\r\n\
                 DECR a\r\nAPPEND b 1\r\nEXISTS a";
    let lines = vec![round; 100].join("\r\n");
    server.line(&mut connection, &lines);
    for name in ["set", "get", "ping", "type", "incr", "append", "exists"] {
        assert_eq!(counts(&mut server, &mut connection, name)[0], "100", "{name}");
    }
    let reply = server.line(&mut connection, "LATENCY HISTOGRAM get");
    let start = "*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:100\r\n$14\r\nhistogram_usec\r\n*";
    assert!(reply.starts_with(start) && reply.ends_with(":100\r\n"), "{reply}");
}

#[test]
fn the_slow_log_has_commands_with_their_clients() {
    let mut server = attentive();
    let mut connection = server.connect();
    server
        .line(&mut connection, "CLIENT SETNAME me\r\nSET a 1\r\nGET a\r\nMULTI\r\nINCR a\r\nEXEC");
    let entries = server.line(&mut connection, "SLOWLOG GET -1");
    assert!(entries.starts_with("*5\r\n*6\r\n:4\r\n:"), "{entries}");
    assert!(entries.ends_with("$11\r\n127.0.0.1:1\r\n$0\r\n\r\n") || entries.contains("me"));
    for command in [["SET", "a", "1"].as_slice(), &["GET", "a"], &["MULTI"], &["INCR", "a"]] {
        let command: Vec<_> = command.iter().map(|word| word.as_bytes()).collect();
        let encoded = String::from_utf8(encode(&command)).expect("text");
        let entry = format!("{encoded}$11\r\n127.0.0.1:1\r\n$2\r\nme\r\n");
        assert!(entries.contains(&entry), "{entries}");
    }
    assert!(!entries.contains("EXEC"), "{entries}");
    // SLOWLOG itself has been slow too.
    assert_eq!(server.line(&mut connection, "SLOWLOG LEN"), ":6\r\n");
    assert_eq!(server.line(&mut connection, "SLOWLOG RESET"), "+OK\r\n");
    let entries = server.line(&mut connection, "SLOWLOG GET");
    assert!(entries.starts_with("*1\r\n*6\r\n:7\r\n"), "{entries}");
    server.state.tunables.slowlog_max_len.set(2);
    server.line(&mut connection, "PING\r\nPING\r\nPING\r\nPING");
    assert_eq!(server.line(&mut connection, "SLOWLOG LEN"), ":2\r\n");
    server.state.tunables.slowlog_log_slower_than_us.set((-1_i64).cast_unsigned());
    server.line(&mut connection, "SLOWLOG RESET\r\nPING\r\nKEYS *");
    assert_eq!(server.line(&mut connection, "SLOWLOG LEN"), ":0\r\n");
    for line in ["SLOWLOG GET x", "SLOWLOG GET -2"] {
        let text = "-ERR count should be greater than or equal to -1\r\n";
        assert_eq!(server.line(&mut connection, line), text);
    }
    assert_eq!(
        server.line(&mut connection, "SLOWLOG GET 1 2"),
        "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n"
    );
}

#[test]
fn a_reset_sets_statistics_back_and_leaves_the_slow_log() {
    let mut server = attentive();
    let mut connection = server.connect();
    server.line(&mut connection, "SET a 1\r\nGET a\r\nGET b\r\nINCR x y");
    server.state.reset_stats();
    let info = server.line(&mut connection, "INFO everything");
    assert_eq!(field(&info, "total_commands_processed"), "0");
    assert_eq!(field(&info, "keyspace_hits"), "0");
    assert_eq!(field(&info, "total_error_replies"), "0");
    assert!(!info.contains("cmdstat_") && !info.contains("errorstat_"), "{info}");
    assert!(!info.contains("latency_percentiles"), "{info}");
    assert_eq!(field(&info, "db0"), "keys=1,expires=0,avg_ttl=0");
    assert_eq!(server.line(&mut connection, "SLOWLOG LEN"), ":4\r\n");
    assert_eq!(counts(&mut server, &mut connection, "info")[0], "1");
}

#[test]
fn events_are_noted_from_the_threshold_on() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let second = std::time::Duration::from_secs(1);
    server.state.note_latency("expire-cycle", second);
    assert_eq!(server.line(&mut connection, "LATENCY LATEST"), "*0\r\n");
    server.state.tunables.latency_monitor_threshold_ms.set(500);
    server.state.note_latency("expire-cycle", second);
    server.state.note_latency("aof-write", second / 10);
    let latest = server.line(&mut connection, "LATENCY LATEST");
    assert!(latest.starts_with("*1\r\n*4\r\n$12\r\nexpire-cycle\r\n:"), "{latest}");
    assert!(latest.ends_with("\r\n:1000\r\n:1000\r\n"), "{latest}");
    let history = server.line(&mut connection, "LATENCY HISTORY expire-cycle");
    assert!(
        history.starts_with("*1\r\n*2\r\n:") && history.ends_with("\r\n:1000\r\n"),
        "{history}"
    );
    assert_eq!(server.line(&mut connection, "LATENCY HISTORY EXPIRE-CYCLE"), "*0\r\n");
    let graph = server.line(&mut connection, "LATENCY GRAPH expire-cycle");
    assert!(graph.contains("expire-cycle - high 1000 ms, low 1000 ms (all time high"), "{graph}");
    let advice = server.line(&mut connection, "LATENCY DOCTOR");
    assert!(advice.contains("1. expire-cycle: 1 slow seconds"), "{advice}");
    assert_eq!(server.line(&mut connection, "LATENCY RESET command"), ":0\r\n");
    assert_eq!(server.line(&mut connection, "LATENCY RESET"), ":1\r\n");
    let none = "-ERR No samples available for event 'expire-cycle'\r\n";
    assert_eq!(server.line(&mut connection, "LATENCY GRAPH expire-cycle"), none);
}

#[test]
fn times_to_live_are_estimated() {
    let mut server = Server::new();
    let mut connection = server.connect();
    for key in 0..100 {
        server.line(&mut connection, &format!("SET k{key} v EX 1000\r\nSET forever{key} v"));
    }
    let info = server.line(&mut connection, "INFO keyspace");
    let (counts, ttl) = field(&info, "db0").rsplit_once(",avg_ttl=").expect("a field");
    assert_eq!(counts, "keys=200,expires=100");
    let ttl: u64 = ttl.parse().expect("a number");
    assert!((900_000..=1_000_000).contains(&ttl), "{ttl}");
}
