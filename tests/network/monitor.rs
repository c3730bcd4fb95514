//! MONITOR: what is shown to whom.

use std::time::Duration;

use super::harness::{Client, RedisServer, Server, encode};

/// A line without its time and address.
fn shown(line: &str) -> String {
    let (head, rest) = line.trim_end().split_once('[').expect("a place");
    let (seconds, micros) = head[1..].trim().split_once('.').expect("a time");
    assert_eq!((&head[..1], seconds.len(), micros.len()), ("+", 10, 6), "{line}");
    let (place, command) = rest.split_once(']').expect("a place");
    let (database, address) = place.split_once(' ').expect("a place");
    assert!(address.parse::<std::net::SocketAddr>().is_ok(), "{line}");
    format!("{database}{command}")
}

/// What a monitor is shown of these commands of another client; the last one is `ECHO end`.
fn monitored(address: std::net::SocketAddr, protocol: &str) -> Vec<String> {
    let mut monitor = Client::connect(address);
    monitor.ask(&format!("HELLO {protocol}"));
    assert_eq!(monitor.ask("MONITOR"), "+OK\r\n");
    let mut client = Client::connect(address);
    for command in [
        "set k v",
        "GET k",
        "SELECT 3",
        "GET",
        "unknown command",
        "CONFIG GET port",
        "CLIENT ID",
        "COMMAND COUNT",
        "MULTI",
        "SET a 1",
        "INCR a",
        "EXEC",
        "MULTI",
        "DISCARD",
        "KEYS *",
        "HELLO 3 AUTH default secret SETNAME me",
        "HELLO 2",
        "PUBLISH c m",
        "EXEC",
        "INCR k",
    ] {
        client.ask(command);
    }
    client.call(&[b"SET".as_slice(), b"odd", b"a \"q\" \\ \n\r\t\x07\x08\x00\xff~"]);
    client.ask("ECHO end");
    let mut lines = Vec::new();
    loop {
        let line = String::from_utf8(monitor.reply()).expect("ASCII");
        lines.push(shown(&line));
        if line.contains("\"end\"") {
            return lines;
        }
    }
}

#[test]
fn commands_are_shown_as_redis_shows_them() {
    let (server, redis) = (Server::start(), RedisServer::start());
    for protocol in ["2", "3"] {
        let ours = monitored(server.address, protocol);
        assert_eq!(ours, monitored(redis.address, protocol));
    }
}

#[test]
fn a_monitor_sees_clients_of_all_workers_and_its_own_commands() {
    let server = Server::start();
    let mut monitor = server.connect();
    monitor.send(b"MONITOR\r\nPING\r\nGET k\r\nMONITOR\r\n");
    monitor.expect(b"+OK\r\n+PONG\r\n");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    assert_eq!(shown(&text(monitor.reply())), "0 \"PING\"");
    monitor.expect(b"-ERR Replica can't interact with the keyspace\r\n");
    for number in 0..8 {
        server.connect().ask(&format!("ECHO {number}"));
        assert_eq!(shown(&text(monitor.reply())), format!("0 \"ECHO\" \"{number}\""));
    }
    assert_eq!(monitor.ask("RESET"), "+RESET\r\n");
    server.connect().ask("ECHO unseen");
    assert_eq!(monitor.ask("GET k"), "$-1\r\n");
    assert_eq!(monitor.ask("MULTI"), "+OK\r\n");
    monitor.ask("MONITOR");
    let refused = "*1\r\n-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n";
    assert_eq!(monitor.ask("EXEC"), refused);
}

#[test]
fn a_monitor_that_wants_no_replies_is_shown_nothing_meanwhile() {
    let (server, redis) = (Server::start(), RedisServer::start());
    for address in [server.address, redis.address] {
        let mut monitor = Client::connect(address);
        monitor.send(b"MONITOR\r\nCLIENT REPLY OFF\r\n");
        monitor.expect(b"+OK\r\n");
        // Its own command and another's.
        monitor.send(b"PING\r\n");
        std::thread::sleep(Duration::from_millis(20));
        Client::connect(address).ask("ECHO unseen");
        monitor.send(b"CLIENT REPLY ON\r\n");
        monitor.expect(b"+OK\r\n");
        let line = String::from_utf8(monitor.reply()).expect("ASCII");
        assert_eq!(shown(&line), "0 \"CLIENT\" \"REPLY\" \"ON\"");
        Client::connect(address).ask("ECHO seen");
        let line = String::from_utf8(monitor.reply()).expect("ASCII");
        assert_eq!(shown(&line), "0 \"ECHO\" \"seen\"");
    }
}

#[test]
fn a_monitor_that_does_not_read_is_disconnected() {
    let server = Server::start();
    let mut client = server.connect();
    let limits = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0"];
    assert_eq!(client.call(&limits), b"+OK\r\n");
    let mut monitor = server.connect();
    assert_eq!(monitor.ask("MONITOR"), "+OK\r\n");
    let value = vec![b'x'; 1024 * 1024];
    let command = encode(&[b"SET".as_slice(), b"k", &value]);
    let mut sent = 0;
    while !server.has_logged("for overcoming of output buffer limits.") {
        client.send(&command);
        client.expect(b"+OK\r\n");
        sent += 1;
        assert!(sent < 500, "a monitor that does not read is kept");
    }
    assert_eq!(client.ask("STRLEN k"), ":1048576\r\n");
}
