//! Commands of a million arguments: complete and correct; and commands over a million keys, which
//! are no burden for the worker's other clients.

use std::time::{Duration, Instant, SystemTime};

use super::harness::{Client, LogFile, Server, encode, wait_until};

/// Keys of a long command; with the values of MSET and the name a command of 2^20 arguments.
const PAIRS: usize = 524_287;
const KEYS: usize = 1_048_575;

/// Requests that another client gets answered at least while a long command is received and runs:
/// over a thousand when it takes turns with the others, some twenty when it does not.
const SERVED_MIN: usize = 100;

/// The longest wait of the other client: usually ten milliseconds, more on a busy machine.
const WAIT_MAX: Duration = Duration::from_millis(150);

/// Noise of the machine can spoil a run, but not all of so many.
const RUNS: usize = 5;

fn name(index: usize) -> String {
    format!("k{index:07}")
}

/// A command over `count` keys.
fn over_keys(command: &str, count: usize) -> Vec<u8> {
    let names = (0..count).map(name);
    encode(&std::iter::once(command.to_owned()).chain(names).collect::<Vec<_>>())
}

fn mset() -> Vec<u8> {
    mset_of("k", PAIRS)
}

/// An MSET of names that begin with a letter.
fn mset_of(letter: &str, pairs: usize) -> Vec<u8> {
    let pairs = (0..pairs).flat_map(|index| [format!("{letter}{index:07}"), index.to_string()]);
    encode(&std::iter::once("MSET".to_owned()).chain(pairs).collect::<Vec<_>>())
}

/// What the other client saw while the long command ran.
#[derive(Debug)]
struct Wait {
    served: usize,
    longest: Duration,
}

impl Wait {
    fn is_fine(&self) -> bool {
        self.served >= SERVED_MIN && self.longest <= WAIT_MAX
    }
}

/// Runs a long command and expects `reply`, while another client of the same worker sends PING
/// after PING.
fn run(server: &Server, command: &[u8], reply: &[u8]) -> Wait {
    let mut long = server.connect();
    let mut other = server.connect();
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            long.send_while(command, |long| long.expect(reply));
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut wait = Wait { served: 0, longest: Duration::ZERO };
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let start = Instant::now();
            assert_eq!(other.ask("PING"), "+PONG\r\n");
            wait.longest = wait.longest.max(start.elapsed());
            wait.served += 1;
        }
        wait
    })
}

/// Runs a long command, again if the other client was not served as it should be.
fn check(server: &Server, command: &[u8], reply: &[u8]) {
    let mut waits = Vec::new();
    for _ in 0..RUNS {
        let wait = run(server, command, reply);
        if wait.is_fine() {
            return;
        }
        waits.push(wait);
    }
    panic!("the other client had to wait: {waits:?}");
}

#[test]
fn mset_mget_exists_and_del_of_a_million_arguments_are_complete() {
    let server = Server::single_worker();
    run(&server, &mset(), b"+OK\r\n");

    let mut values = format!("*{KEYS}\r\n");
    for index in 0..KEYS {
        if index < PAIRS {
            let value = index.to_string();
            values.push_str(&format!("${}\r\n{value}\r\n", value.len()));
        } else {
            values.push_str("$-1\r\n");
        }
    }
    run(&server, &over_keys("MGET", KEYS), values.as_bytes());

    let count = format!(":{PAIRS}\r\n");
    run(&server, &over_keys("EXISTS", KEYS), count.as_bytes());
    // Only the first of these finds keys.
    run(&server, &over_keys("DEL", KEYS), count.as_bytes());
    run(&server, &over_keys("DEL", KEYS), b":0\r\n");
    run(&server, &over_keys("UNLINK", KEYS), b":0\r\n");
    assert_eq!(server.connect().ask("DBSIZE"), ":0\r\n");
}

/// Bytes that the server holds for a client that has sent a part of a command.
fn held_for(server: &Server, part: &[u8]) -> u64 {
    let mut client = server.connect();
    client.send(part);
    let mut other = server.connect();
    let mut held = 0;
    // All of it has arrived when no more is counted.
    wait_until("the part has arrived", || {
        let list = other.ask("CLIENT LIST");
        let line = list.lines().find(|line| line.contains("cmd=NULL")).unwrap_or_default();
        let all = line.split(" tot-mem=").nth(1).and_then(|rest| rest.split(' ').next());
        let before = std::mem::replace(&mut held, all.map_or(0, |all| all.parse().unwrap_or(0)));
        std::thread::sleep(Duration::from_millis(20));
        held > part.len() as u64 && held == before
    });
    held
}

#[test]
fn a_command_may_have_more_than_a_million_pairs_also_in_the_log() {
    const PAIRS: usize = 1_000_000;
    let log = LogFile::new();
    // As Redis writes it.
    std::fs::write(log.path(), mset_of("k", PAIRS)).expect("a file");
    let server = Server::with(&log.flags("everysec"));
    let mut client = server.connect();
    assert_eq!(client.ask("DBSIZE"), format!(":{PAIRS}\r\n"));
    let mset = mset_of("k", PAIRS);
    // Not more than what has arrived asks for: the bytes, and eight for each argument.
    let part = &mset[..mset.len() / 2];
    let held = held_for(&server, part);
    assert!(held < 4 * part.len() as u64, "{held} bytes for {}", part.len());
    client.send_while(&mset, |client| client.expect(b"+OK\r\n"));
    for (command, count) in [("EXISTS", 2 * PAIRS), ("DEL", PAIRS)] {
        let names = (0..PAIRS).chain(0..PAIRS).map(name);
        let words: Vec<_> = std::iter::once(command.to_owned()).chain(names).collect();
        let reply = format!(":{count}\r\n");
        client.send_while(&encode(&words), |client| client.expect(reply.as_bytes()));
    }
}

#[test]
fn flushing_a_million_keys_keeps_nobody_waiting() {
    let server = Server::single_worker();
    server.connect().send_while(&mset(), |client| client.expect(b"+OK\r\n"));
    assert_eq!(server.connect().ask("DBSIZE"), format!(":{PAIRS}\r\n"));
    let wait = run(&server, b"FLUSHALL\r\n", b"+OK\r\n");
    assert!(wait.longest < Duration::from_secs(1), "{:?}", wait.longest);
    assert_eq!(server.connect().ask("DBSIZE"), ":0\r\n");
}

#[test]
fn keys_and_scan_over_a_million_keys_let_others_in_between() {
    let server = Server::single_worker();
    server.connect().send_while(&mset(), |client| client.expect(b"+OK\r\n"));
    server.connect().send_while(&mset_of("l", PAIRS), |client| client.expect(b"+OK\r\n"));
    assert_eq!(server.connect().ask("DBSIZE"), format!(":{}\r\n", 2 * PAIRS));
    check(&server, b"KEYS k0000042\r\n", b"*1\r\n$8\r\nk0000042\r\n");
    check(&server, b"SCAN 0 COUNT 10000000 MATCH z*\r\n", b"*2\r\n$1\r\n0\r\n*0\r\n");
}

#[test]
fn keys_that_nobody_asks_for_go_and_others_are_served_meanwhile() {
    let server = Server::single_worker();
    let mut client = server.connect();
    let keys = 200_000;
    // Long enough for a slow machine to write them all before.
    let deadline = SystemTime::now() + Duration::from_secs(8);
    let millis = deadline.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
    for first in (0..keys).step_by(1_000) {
        let batch: Vec<u8> = (first..first + 1_000)
            .flat_map(|index| encode(&["SET", &name(index), "v", "PXAT", &millis.to_string()]))
            .collect();
        client.send_while(&batch, |client| client.expect(&b"+OK\r\n".repeat(1_000)));
    }
    assert_eq!(client.ask("SET kept v"), "+OK\r\n");
    std::thread::sleep(deadline.duration_since(SystemTime::now()).unwrap_or_default());
    let (start, mut served) = (Instant::now(), 0);
    while client.ask("DBSIZE") != ":1\r\n" {
        served += 1;
        assert!(start.elapsed() < Duration::from_secs(20), "{}", client.ask("DBSIZE"));
    }
    assert!(served >= SERVED_MIN, "{served} replies in {:?}", start.elapsed());
    let stats = client.ask("INFO stats");
    assert!(stats.contains(&format!("expired_keys:{keys}\r\n")), "{stats}");
}

#[test]
fn the_buffers_of_a_long_command_are_given_back() {
    let server = Server::single_worker();
    let mget = over_keys("MGET", KEYS);
    let reply = [format!("*{KEYS}\r\n").as_bytes(), &b"$-1\r\n".repeat(KEYS)].concat();
    let exchange = |client: &mut Client| client.send_while(&mget, |client| client.expect(&reply));
    let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
    exchange(&mut clients[0]);
    let before = server.resident_bytes();
    clients[1..].iter_mut().for_each(exchange);
    // Had each connection kept its input, that would be 150 MiB.
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 60 << 20, "grown by {grown} bytes");
}
