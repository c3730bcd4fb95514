//! Commands of a million arguments: complete, correct, and no burden for the worker's other
//! clients.

use std::time::{Duration, Instant};

use super::harness::{Client, Server, encode};

/// Keys of a long command; with the values of MSET and the name just within the limit.
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
    let pairs = (0..PAIRS).flat_map(|index| [name(index), index.to_string()]);
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
fn mset_mget_exists_and_del_of_a_million_arguments_let_others_in_between() {
    let server = Server::single_worker();
    check(&server, &mset(), b"+OK\r\n");

    let mut values = format!("*{KEYS}\r\n");
    for index in 0..KEYS {
        if index < PAIRS {
            let value = index.to_string();
            values.push_str(&format!("${}\r\n{value}\r\n", value.len()));
        } else {
            values.push_str("$-1\r\n");
        }
    }
    check(&server, &over_keys("MGET", KEYS), values.as_bytes());

    let count = format!(":{PAIRS}\r\n");
    check(&server, &over_keys("EXISTS", KEYS), count.as_bytes());
    // Only the first of these finds keys.
    run(&server, &over_keys("DEL", KEYS), count.as_bytes());
    check(&server, &over_keys("DEL", KEYS), b":0\r\n");
    check(&server, &over_keys("UNLINK", KEYS), b":0\r\n");
    assert_eq!(server.connect().ask("DBSIZE"), ":0\r\n");
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
