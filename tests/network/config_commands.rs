//! CONFIG GET and SET, compared with redis-server.

use std::collections::BTreeMap;

use super::harness::{Client, RedisServer, Server, show, strings_in};

fn all(client: &mut Client) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let strings = strings_in(&client.call(&["CONFIG", "GET", "*"]));
    strings.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// Where the two begin with other values, and why.
const OTHER_DEFAULTS: [&str; 4] = [
    // Ours listens to this machine and to a port of its own unless it is told otherwise.
    "bind",
    "port",
    // Each has a folder of its own.
    "dir",
    // Ours has as many as there are cores.
    "io-threads",
];

/// Settings that only ours has.
const OURS: [&str; 1] = ["aof-path"];

#[test]
fn all_settings_of_redis_are_there_with_its_defaults() {
    let redis = RedisServer::start();
    let theirs = all(&mut redis.connect());
    let server = Server::start();
    let ours = all(&mut server.connect());
    for (name, value) in &theirs {
        let found = ours.get(name).unwrap_or_else(|| panic!("{} is missing", show(name)));
        if !OTHER_DEFAULTS.iter().any(|other| other.as_bytes() == name) {
            assert_eq!(show(found), show(value), "{}", show(name));
        }
    }
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        assert!(OURS.iter().any(|other| other.as_bytes() == name), "{}", show(name));
    }
}

/// Settings whose values are not compared, and why.
const NOT_COMPARED: [&str; 7] = [
    // Changes where they listen.
    "bind",
    "port",
    "tls-port",
    // Would need a password from then on.
    "requirepass",
    // Ours keeps to its bound of 512mb, has policies of its own, and no snapshots.
    "proto-max-bulk-len",
    "maxmemory-policy",
    "save",
];

#[test]
fn values_are_refused_in_the_words_of_redis() {
    let redis = RedisServer::start();
    let server = Server::start();
    let (mut theirs, mut ours) = (redis.connect(), server.connect());
    let names = all(&mut theirs);
    for (name, start) in &names {
        if NOT_COMPARED.iter().any(|other| other.as_bytes() == name) {
            continue;
        }
        for value in ["abc", "-9999999999", "", "1 2", "100000000000", "-1"] {
            let words = [&b"CONFIG"[..], b"SET", name, value.as_bytes()];
            let expected = theirs.call(&words);
            let found = ours.call(&words);
            let is_refused = |reply: &[u8]| reply.starts_with(b"-");
            if is_refused(&expected) || is_refused(&found) {
                // The limit of open files decides how many clients there can be.
                let is_limit = name == b"maxclients" && !expected.ends_with(b"inclusive\r\n");
                // Templates and names of hosts without effect are not looked at here.
                let is_free = [&b"proc-title-template"[..], b"cluster-announce-hostname"];
                if !is_limit && !is_free.contains(&name.as_slice()) {
                    assert_eq!(show(&found), show(&expected), "{} '{value}'", show(name));
                }
            } else {
                let get = [&b"CONFIG"[..], b"GET", name];
                assert_eq!(show(&ours.call(&get)), show(&theirs.call(&get)), "'{value}'");
            }
            for client in [&mut theirs, &mut ours] {
                let _ = client.call(&[&b"CONFIG"[..], b"SET", name, start]);
            }
        }
    }
}

#[test]
fn several_settings_change_together_or_not_at_all() {
    let redis = RedisServer::start();
    let server = Server::start();
    let (mut theirs, mut ours) = (redis.connect(), server.connect());
    for line in [
        "CONFIG SET hz 20 timeout 5",
        "CONFIG GET hz timeout",
        "CONFIG SET hz 30 timeout x",
        "CONFIG SET hz 30 nothing 1",
        "CONFIG SET nothing 1 daemonize yes",
        "CONFIG SET hz 30 daemonize yes",
        "CONFIG SET hz 30 dir x",
        "CONFIG SET hz 30 HZ 31",
        "CONFIG SET slave-priority 5 replica-priority 6",
        "CONFIG SET slave-priority x",
        "CONFIG SET SLAVE-priority x",
        "CONFIG SET rename-command x",
        "CONFIG SET include x",
        "CONFIG SET hz",
        "CONFIG SET hz 30 timeout",
        "CONFIG SET hz 1000",
        "CONFIG GET hz",
        "CONFIG GET HZ",
        "CONFIG GET slave-priority replica-priority",
        "CONFIG GET timeout timeout",
        "CONFIG GET \\hz",
        "CONFIG SET maxmemory-clients 101%",
        "CONFIG SET maxmemory-clients 100%",
        "CONFIG SET maxmemory-clients 9223372036854775808",
        "CONFIG SET latency-tracking-info-percentiles nan",
        "CONFIG SET latency-tracking-info-percentiles 99.123456789",
        "CONFIG GET latency-tracking-info-percentiles",
        "CONFIG SET shutdown-on-sigterm FORCE",
        "CONFIG SET shutdown-on-sigint NOSAVE",
        "CONFIG GET shutdown-on-*",
        "CONFIG GET user",
        "CONFIG REWRITE",
        "CONFIG REWRITE x",
        "CONFIG NOTHING",
    ] {
        let expected = theirs.ask(line);
        let found = ours.ask(line);
        let sorted = |reply: &str| {
            let mut lines: Vec<_> = reply.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        // The order of several settings means nothing.
        assert_eq!(sorted(&found), sorted(&expected), "{line}");
    }
}

#[test]
fn what_changes_at_the_start_only_says_so() {
    let server = Server::with(&["--enable-protected-configs", "yes"]);
    let mut client = server.connect();
    let reply = client.ask("CONFIG SET dir /");
    assert!(reply.contains("at its start only"), "{reply}");
    assert_eq!(client.ask("CONFIG SET appendonly no bind 127.0.0.1"), "+OK\r\n");
}
