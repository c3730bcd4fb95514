//! SLOWLOG and LATENCY, with replies as redis-server gives them.

use super::harness::{RedisServer, Server, wait_until};

/// A reply with every number and the client's port made one.
fn shape(reply: &str) -> String {
    let mut text = String::new();
    for line in reply.lines() {
        let plain = match line.as_bytes().first() {
            Some(b':') => ":0",
            Some(b'$') => "$",
            _ if line.starts_with("127.0.0.1:") => "127.0.0.1",
            _ => line,
        };
        text += plain;
        text.push('\n');
    }
    text
}

#[test]
fn slow_commands_are_told_as_redis_tells_them() {
    // The settings of a running server are another test's; a slow log from 0 on has everything.
    let server = Server::start();
    let redis = RedisServer::start();
    let [ours, theirs] = [server.connect(), redis.connect()].map(|mut client| {
        let long = "x".repeat(300);
        let many = " k".repeat(50);
        [
            "SLOWLOG GET".to_owned(),
            "SLOWLOG LEN".to_owned(),
            "SLOWLOG RESET".to_owned(),
            "SLOWLOG GET x".to_owned(),
            "SLOWLOG GET 1 2".to_owned(),
            format!("SLOWLOG {long}"),
            format!("DEL{many}"),
            "LATENCY LATEST".to_owned(),
            "LATENCY HISTORY command".to_owned(),
            "LATENCY GRAPH command".to_owned(),
            "LATENCY RESET".to_owned(),
            "LATENCY RESET command".to_owned(),
            "LATENCY HISTORY".to_owned(),
            "LATENCY NOSUCH".to_owned(),
            "LATENCY HISTOGRAM nosuch".to_owned(),
        ]
        .map(|command| shape(&client.ask(&command)))
    });
    assert_eq!(ours, theirs);
}

#[test]
fn a_command_that_takes_long_is_in_the_slow_log() {
    const KEYS: usize = 300_000;
    let server = Server::single_worker();
    let mut client = server.connect();
    for first in (0..KEYS).step_by(10_000) {
        let mut command = "MSET".to_owned();
        (first..first + 10_000).for_each(|key| command += &format!(" key:{key} v"));
        assert_eq!(client.ask(&command), "+OK\r\n");
    }
    // In debug builds ten milliseconds, in fast ones a few more times.
    wait_until("KEYS is slow", || {
        client.ask("KEYS *no-such*");
        client.ask("SLOWLOG GET -1").contains("*no-such*")
    });
    let entries = client.ask("SLOWLOG GET -1");
    assert!(entries.contains("*2\r\n$4\r\nKEYS\r\n$9\r\n*no-such*\r\n"), "{entries}");
    let stats = client.ask("LATENCY HISTOGRAM keys");
    assert!(stats.starts_with("*2\r\n$4\r\nkeys\r\n*4\r\n$5\r\ncalls\r\n:"), "{stats}");
}
