//! Clients that stop in the middle of something, and what they cost.

use std::time::Duration;

use super::harness::{Server, encode};

const MIB: u64 = 1024 * 1024;

#[test]
fn half_a_command_delays_nobody_and_can_be_completed_later() {
    let server = Server::single_worker();
    let command = encode(&["SET", "half", "complete"]);
    let mut halves: Vec<_> = (1..command.len()).map(|split| (server.connect(), split)).collect();
    for (client, split) in &mut halves {
        client.send(&command[..*split]);
    }
    let mut other = server.connect();
    for index in 1..=100 {
        assert_eq!(other.ask("INCR n"), format!(":{index}\r\n"));
    }
    assert_eq!(other.ask("EXISTS half"), ":0\r\n");
    for (client, split) in &mut halves {
        client.send(&command[*split..]);
        client.expect(b"+OK\r\n");
        assert_eq!(other.ask("DEL half"), ":1\r\n");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_command_leaves_nothing_behind() {
    let server = Server::start();
    for _ in 0..100 {
        server.connect().send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nonly the beginning");
    }
    let mut client = server.connect();
    assert_eq!(client.ask("EXISTS k"), ":0\r\n");
}

#[test]
fn a_length_that_is_only_announced_costs_nothing() {
    let server = Server::single_worker();
    let mut other = server.connect();
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    let before = server.resident_bytes();
    let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(b"*2147483647\r\n$3\r\nSET\r\n$536870912\r\nx");
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 150 * MIB, "50 clients that announce 512 MiB cost {grown} bytes");
}

/// Sends requests whose replies come to hundreds of megabytes, reads none of them, and returns by
/// how much the server has grown.
fn growth_while_not_reading(value_bytes: usize, requests: &[u8]) -> u64 {
    let server = Server::single_worker();
    let mut other = server.connect();
    let value = vec![b'v'; value_bytes];
    other.set("k", &value);
    let before = server.resident_bytes();
    let mut silent = server.connect();
    // The server stops receiving after a while, so the requests are few enough for the sockets'
    // buffers.
    silent.send(requests);
    let mut grown = 0;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(other.ask("PING"), "+PONG\r\n");
        grown = grown.max(server.resident_bytes().saturating_sub(before));
    }
    // What was asked for is still there for the taking.
    let start = format!("${value_bytes}\r\n");
    let reply = silent.reply();
    assert!(reply.starts_with(start.as_bytes()) || reply.starts_with(b"*"));
    drop(silent);
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    grown
}

#[test]
fn a_client_that_never_reads_costs_a_bounded_amount() {
    // 2,000 replies of 200 kB, and of 20 kB: sent from the value itself, and copied.
    for value_bytes in [200_000, 20_000] {
        let grown = growth_while_not_reading(value_bytes, &encode(&["GET", "k"]).repeat(2_000));
        assert!(grown < 32 * MIB, "values of {value_bytes}: grown by {grown} bytes");
    }
}

#[test]
fn one_huge_reply_that_is_not_read_costs_what_it_has_to() {
    // One MGET of 200 MB, which shows one instant: copied, and sent from the value itself.
    for (count, value_bytes, most) in [(10_000, 20_000, 240 * MIB), (1_000, 200_000, 32 * MIB)] {
        let keys = std::iter::repeat_n("k", count);
        let mget: Vec<_> = std::iter::once("MGET").chain(keys).collect();
        let grown = growth_while_not_reading(value_bytes, &encode(&mget));
        assert!(grown < most, "values of {value_bytes}: grown by {grown} bytes");
    }
}

#[test]
fn many_clients_that_never_read_do_not_stop_the_others() {
    let server = Server::single_worker();
    let mut other = server.connect();
    let value = vec![b'v'; 100_000];
    other.set("k", &value);
    let mut silent: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut silent {
        client.send(&encode(&["GET", "k"]).repeat(300));
    }
    for index in 1..=200 {
        assert_eq!(other.ask("INCR n"), format!(":{index}\r\n"));
    }
    assert!(server.resident_bytes() < 300 * MIB);
}

#[test]
fn a_slow_sender_of_a_large_value_keeps_nobody_waiting() {
    let server = Server::single_worker();
    let (mut slow, mut other) = (server.connect(), server.connect());
    let value = vec![b'v'; 400_000];
    let command = encode(&[b"SET".as_slice(), b"k", &value]);
    for piece in command.chunks(7_000) {
        slow.send(piece);
        assert_eq!(other.ask("PING"), "+PONG\r\n");
    }
    slow.expect(b"+OK\r\n");
    assert_eq!(other.ask("STRLEN k"), ":400000\r\n");
}
