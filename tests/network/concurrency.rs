//! Many clients on the same keys: nothing lost, nothing twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::harness::{Random, Server, encode};

#[test]
fn increments_of_many_clients_add_up() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 100;
    const DEPTH: usize = 20;
    let server = Server::start();
    std::thread::scope(|scope| {
        for index in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.connect();
                for round in 0..ROUNDS {
                    // A hot key, and a key that is replaced all the time.
                    let step = (index + round) % 5;
                    let mut pipeline = encode(&["INCR", "hot"]).repeat(DEPTH);
                    pipeline.extend(encode(&["INCRBY", "steps", &step.to_string()]));
                    pipeline.extend(encode(&["SET", "noise", "x"]));
                    client.send(&pipeline);
                    let mut last = 0;
                    for _ in 0..DEPTH {
                        let reply = String::from_utf8(client.reply()).expect("text");
                        let now =
                            reply.trim_end().trim_start_matches(':').parse().expect("a number");
                        assert!(last < now, "a counter that only grows: {last}, then {now}");
                        last = now;
                    }
                    client.reply();
                    client.reply();
                }
            });
        }
    });
    let mut client = server.connect();
    let expected = CLIENTS * ROUNDS * DEPTH;
    assert_eq!(client.ask("INCRBY hot 0"), format!(":{expected}\r\n"));
    let steps: usize =
        (0..CLIENTS).flat_map(|index| (0..ROUNDS).map(move |round| (index + round) % 5)).sum();
    assert_eq!(client.ask("INCRBY steps 0"), format!(":{steps}\r\n"));
}

#[test]
fn a_lock_taken_with_setnx_has_one_owner() {
    const CLIENTS: usize = 8;
    const ENTRIES: usize = 60;
    let server = Server::start();
    let inside = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for index in 0..CLIENTS {
            let (server, inside) = (&server, &inside);
            scope.spawn(move || {
                let mut client = server.connect();
                for _ in 0..ENTRIES {
                    while client.ask(&format!("SETNX lock {index}")) == ":0\r\n" {
                        std::thread::yield_now();
                    }
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two owners");
                    // A read and a write that only the lock makes one.
                    let reply = client.ask("GET total");
                    let total =
                        reply.lines().nth(1).map_or(0, |text| text.parse().expect("digits"));
                    let next: usize = total + 1;
                    assert_eq!(client.ask(&format!("SET total {next}")), "+OK\r\n");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    assert_eq!(client.ask("DEL lock"), ":1\r\n", "the owner removes it");
                }
            });
        }
    });
    let total = (CLIENTS * ENTRIES).to_string();
    assert_eq!(server.connect().ask("GET total"), format!("${}\r\n{total}\r\n", total.len()));
}

#[test]
fn appends_of_many_clients_are_whole_and_in_each_clients_order() {
    const CLIENTS: u8 = 8;
    const PIECES: usize = 500;
    let server = Server::start();
    std::thread::scope(|scope| {
        for index in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let pieces = (0..PIECES).map(|piece| format!("{index}:{piece:03};"));
                let pipeline: Vec<_> =
                    pieces.flat_map(|piece| encode(&["APPEND", "log", &piece])).collect();
                server.connect().send_while(&pipeline, |client| {
                    (0..PIECES).for_each(|_| assert!(client.reply().starts_with(b":")));
                });
            });
        }
    });
    let log = server.connect().ask("GET log");
    let log = log.lines().nth(1).expect("the value");
    let mut next = [0; CLIENTS as usize];
    for piece in log.split_terminator(';') {
        let (client, number) = piece.split_once(':').expect("a whole piece");
        let client: usize = client.parse().expect("a client");
        assert_eq!(number.parse(), Ok(next[client]), "client {client} in its order");
        next[client] += 1;
    }
    assert_eq!(next, [PIECES; CLIENTS as usize]);
}

#[test]
fn readers_never_see_half_a_value() {
    const WRITES: usize = 400;
    let server = Server::start();
    let done = AtomicUsize::new(0);
    assert_eq!(server.connect().ask("SET k "), "+OK\r\n");
    std::thread::scope(|scope| {
        for index in 0..2_u8 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let mut client = server.connect();
                let mut random = Random(100 + u64::from(index));
                for _ in 0..WRITES {
                    // From a few bytes to the sizes that are received and sent without copies.
                    let size = [3, 500, 40_000, 300_000][random.below(4) as usize];
                    let value = vec![b'a' + random.below(26) as u8; size];
                    client.set("k", &value);
                }
                done.fetch_add(1, Ordering::Release);
            });
        }
        for _ in 0..2 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let mut client = server.connect();
                while done.load(Ordering::Acquire) < 2 {
                    let reply = client.call(&["GET", "k"]);
                    let start = reply.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
                    let value = &reply[start..reply.len() - 2];
                    assert!(value.iter().all(|byte| *byte == value[0]), "a mixture");
                }
            });
        }
    });
}
