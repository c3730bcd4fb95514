//! Clients that mean no good: web browsers, half commands, garbage before the password.

use std::os::unix::fs::PermissionsExt;

use super::harness::{Client, LogFile, Random, Server, wait_until};

const KIB: u64 = 1024;

const WARNING: &str = "Possible SECURITY ATTACK detected. It looks like somebody is sending POST \
    or Host: commands to Redis.";

fn guarded() -> Server {
    let server = Server::launch(&["--io-threads", "2", "--requirepass", "sesame"], &[]);
    server.wait_until_ready();
    server
}

/// A figure of INFO, asked for by a client that is in.
fn figure(client: &mut Client, field: &str) -> u64 {
    let text = client.ask("INFO");
    let start = format!("{field}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&start)).expect("the field");
    line.trim().parse().expect("a number")
}

fn known(server: &Server) -> Client {
    let mut client = server.connect();
    assert_eq!(client.ask("AUTH sesame"), "+OK\r\n");
    client
}

#[test]
fn a_web_browser_that_was_made_to_talk_to_the_server_is_cut_off() {
    let mut server = Server::start();
    for request in ["POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut client = server.connect();
        client.send(format!("{request}\r\nSET k v\r\n").as_bytes());
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(server.connect().ask("EXISTS k"), ":0\r\n");
    server.signal("TERM");
    assert!(server.wait().success());
    let warnings = server.log().iter().filter(|line| line.contains(WARNING)).count();
    assert_eq!(warnings, 1, "once a minute");
}

#[test]
fn half_commands_cost_little_more_than_their_bytes_and_are_counted() {
    const CLIENTS: u64 = 200;
    const BYTES: u64 = 8 * KIB;
    let server = guarded();
    let mut observer = known(&server);
    let before = figure(&mut observer, "used_memory");
    let mut half = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$16384\r\n".to_vec();
    half.resize(BYTES as usize, b'x');
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = server.connect();
            client.send(&half);
            client
        })
        .collect();
    let mut taken = 0;
    wait_until("they are counted", || {
        taken = figure(&mut observer, "used_memory").saturating_sub(before);
        taken >= CLIENTS * BYTES
    });
    // A connection takes under 2 KiB.
    assert!(taken < CLIENTS * (BYTES + 4 * KIB), "{taken} bytes");
    drop(clients);
    wait_until("they are gone", || {
        figure(&mut observer, "used_memory").saturating_sub(before) < CLIENTS * KIB
    });
}

#[test]
fn no_garbage_of_strangers_makes_the_server_hold_much() {
    const CLIENTS: usize = 40;
    const GARBAGE_MAX: u64 = 400 * KIB;
    /// Ten arguments of 16 KiB in an input buffer that doubles, and what a desk takes beside it.
    const EACH_MAX: u64 = 400 * KIB;
    let server = guarded();
    let mut observer = known(&server);
    let before = figure(&mut observer, "used_memory");
    let mut random = Random(0x5eed);
    let mut clients = Vec::new();
    for round in 0..CLIENTS {
        let length = random.below(GARBAGE_MAX) as usize;
        let start: &[u8] = match round % 4 {
            0 => b"",
            1 => b"*3\r\n$3\r\nSET\r\n$16384\r\n",
            2 => b"*10\r\n$16384\r\n",
            _ => b"GET ",
        };
        let mut garbage = start.to_vec();
        let mut bytes = random.bytes(length);
        if round % 2 == 0 {
            // One long line, so that nothing is wrong with it for long.
            bytes.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
        }
        garbage.extend(bytes);
        let mut client = server.connect();
        let _ = client.try_send(&garbage);
        clients.push(client);
        let taken = figure(&mut observer, "used_memory").saturating_sub(before);
        assert!(taken < clients.len() as u64 * EACH_MAX, "{taken} bytes after {round} clients");
    }
    assert_eq!(known(&server).ask("PING"), "+PONG\r\n");
}

#[test]
fn an_announcement_of_a_stranger_costs_nothing() {
    let server = guarded();
    let mut observer = known(&server);
    let before = figure(&mut observer, "used_memory");
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let mut client = server.connect();
            client.send(b"*10\r\n$16384\r\n");
            client
        })
        .collect();
    wait_until("all are there", || figure(&mut observer, "connected_clients") > 100);
    let taken = figure(&mut observer, "used_memory").saturating_sub(before);
    assert!(taken < clients.len() as u64 * 4 * KIB, "{taken} bytes");
}

#[test]
fn a_new_log_is_for_its_owner_and_a_rewrite_keeps_what_the_operator_has_made_of_it() {
    let log = LogFile::new();
    let server = Server::with(&log.flags("no"));
    let mode = || {
        let metadata = std::fs::metadata(log.path()).expect("the log is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(log.path(), std::fs::Permissions::from_mode(0o640)).expect("a mode");
    let mut client = server.connect();
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    assert_eq!(client.ask("BGREWRITEAOF"), "+Background append only file rewriting started\r\n");
    wait_until("the rewrite is done", || {
        let info = client.ask("INFO persistence");
        info.contains("aof_rewrite_in_progress:0\r\n")
    });
    assert_eq!(mode(), 0o640);
}
