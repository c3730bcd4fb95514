//! MULTI and EXEC through the engine: batches, the queue, counts, replays.

use super::super::{Client, Engine, Position, Progress};
use super::{Connection, Server, encode};
use crate::config::Config;
use crate::resp::{Batch, Decoder, LARGE_ARG, Limits, Protocol, ReplyBuffer};

/// Sends each line by itself; returns the last reply.
fn lines(server: &mut Server, connection: &mut Connection, lines: &[&str]) -> String {
    let mut replies: Vec<String> = lines.iter().map(|line| server.line(connection, line)).collect();
    replies.pop().expect("a line")
}

#[test]
fn a_transaction_is_the_same_in_one_batch_and_in_many() {
    let sent = ["SET a 1", "MULTI", "INCR a", "MGET a b", "SET b x", "MGET a b", "EXEC", "GET b"];
    let queued = "+QUEUED\r\n".repeat(4);
    let result = "*4\r\n:2\r\n*2\r\n$1\r\n2\r\n$-1\r\n+OK\r\n*2\r\n$1\r\n2\r\n$1\r\nx\r\n";
    let expected = ["+OK\r\n+OK\r\n", &queued, result, "$1\r\nx\r\n"].concat();
    let mut server = Server::new();
    let mut connection = server.connect();
    assert_eq!(server.line(&mut connection, &sent.join("\r\n")), expected);
    server.line(&mut connection, "FLUSHALL");
    let replies: String = sent.iter().map(|line| server.line(&mut connection, line)).collect();
    assert_eq!(replies, expected);
}

#[test]
fn a_queue_outlives_what_its_commands_came_in() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let large = vec![b'l'; 2 * LARGE_ARG];
    server.line(&mut connection, "MULTI");
    for number in 0..100 {
        let key = format!("key:{number}");
        let value = format!("{number}").repeat(number);
        server.command(&mut connection, &[b"SET", key.as_bytes(), value.as_bytes()]);
        server.line(&mut connection, &format!("APPEND '{key}' \"\\x00 x\""));
    }
    server.command(&mut connection, &[b"SET", b"large", &large]);
    let exec = server.line(&mut connection, "EXEC");
    assert!(exec.starts_with("*201\r\n+OK\r\n:3\r\n+OK\r\n:4\r\n"), "{exec}");
    for number in 0..100 {
        let value = format!("{}\0 x", format!("{number}").repeat(number));
        let reply = server.line(&mut connection, &format!("GET key:{number}"));
        assert_eq!(reply, format!("${}\r\n{value}\r\n", value.len()));
    }
    let reply = server.line(&mut connection, "GET large");
    assert_eq!(reply.len(), "$65536\r\n\r\n".len() + large.len());
}

#[test]
fn commands_are_counted_when_they_run() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let count = |server: &Server| server.engine.stats().commands_processed.get();
    server.line(&mut connection, "MULTI\r\nGET a\r\nSET a x\r\nINCR a\r\nDISCARD");
    assert_eq!(count(&server), 2);
    server.line(&mut connection, "MULTI\r\nGET a\r\nSET a x\r\nINCR a\r\nGET a\r\nEXEC");
    assert_eq!(count(&server), 8);
    let stats = server.engine.stats();
    assert_eq!(stats.error_replies.get(), 1);
    assert_eq!((stats.keyspace_hits.get(), stats.keyspace_misses.get()), (1, 1));
}

#[test]
fn long_works_are_queued_and_run_to_their_ends() {
    let mut server = Server::new();
    let mut connection = server.connect();
    for number in 0..5000 {
        server.line(&mut connection, &format!("SET k{number} v"));
    }
    let sent = "MULTI\r\nLCS k1 k2\r\nKEYS k1*\r\nSCAN 0 COUNT 10000\r\nLCS a b LEN IDX\r\nEXEC";
    let replies = server.line(&mut connection, sent);
    assert!(replies.starts_with(&["+OK\r\n", &"+QUEUED\r\n".repeat(4), "*4\r\n"].concat()));
    assert!(replies.contains("*4\r\n$1\r\nv\r\n*1111\r\n$"), "keys that begin with k1");
    assert!(replies.contains("*2\r\n$1\r\n0\r\n*5000\r\n"), "the whole scan");
    assert!(
        replies.ends_with("-ERR If you want both the length and indexes, please just use IDX.\r\n")
    );
    assert_eq!(server.line(&mut connection, "PING"), "+PONG\r\n");
}

#[test]
fn many_keys_and_many_commands_are_brought_near_and_found() {
    let mut server = Server::new();
    let mut connection = server.connect();
    for count in [1, 15, 16, 17, 64, 65, 500] {
        server.line(&mut connection, "FLUSHALL\r\nMULTI");
        let keys: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
        for key in &keys {
            server.line(&mut connection, &format!("SET {key} {key}"));
        }
        server.line(&mut connection, "PING");
        server.line(&mut connection, &format!("EXISTS {}", keys.join(" ")));
        server.line(&mut connection, "RENAME k0 other");
        server.line(&mut connection, &format!("DEL {} other", keys.join(" ")));
        let expected =
            [&format!("*{}\r\n", count + 4), &"+OK\r\n".repeat(count), "+PONG\r\n"].concat();
        let counts = format!(":{count}\r\n+OK\r\n:{count}\r\n");
        assert_eq!(server.line(&mut connection, "EXEC"), expected + &counts, "{count}");
        assert_eq!(server.line(&mut connection, "DBSIZE"), ":0\r\n");
    }
}

#[test]
fn what_a_transaction_selects_and_names_stays() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let sent = "MULTI\r\nSELECT 3\r\nSET a x\r\nCLIENT SETNAME me\r\nHELLO 3\r\nGET none\r\nEXEC";
    let replies = server.line(&mut connection, sent);
    assert!(replies.ends_with("*0\r\n_\r\n"), "{replies}");
    assert_eq!((connection.client.database, &connection.client.name[..]), (3, &b"me"[..]));
    assert_eq!(connection.client.protocol, Protocol::Resp3);
    assert_eq!(lines(&mut server, &mut connection, &["MULTI", "PING", "RESET"]), "+RESET\r\n");
    assert_eq!((connection.client.database, &connection.client.name[..]), (0, &b""[..]));
    assert_eq!(server.line(&mut connection, "GET a"), "$-1\r\n");
    let without = "-ERR EXEC without MULTI\r\n";
    assert_eq!(server.line(&mut connection, "EXEC"), without);
}

#[test]
fn reset_forgets_what_was_watched() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let sent = ["WATCH a", "RESET", "SET a x", "MULTI", "PING", "EXEC"];
    assert_eq!(lines(&mut server, &mut connection, &sent), "*1\r\n+PONG\r\n");
}

#[test]
fn a_queue_is_bounded_and_its_client_loses_the_connection() {
    let config = Config { client_query_buffer_limit_bytes: 1 << 20, ..Config::default() };
    let mut server = Server::with(config);
    let mut connection = server.connect();
    let value = vec![b'v'; 10_000];
    server.line(&mut connection, "SET kept 1\r\nMULTI");
    let mut queued = 0;
    while server.command(&mut connection, &[b"SET", b"k", &value]) == b"+QUEUED\r\n" {
        queued += 1;
        assert!(queued < 200, "without a bound");
    }
    assert!((90..105).contains(&queued), "{queued} commands of 10 kB in 1 MiB");
    assert!(connection.client.close_after_reply);
    let mut other = server.connect();
    let sent = ["MULTI", "EXISTS kept k", "EXEC"];
    assert_eq!(lines(&mut server, &mut other, &sent), "*1\r\n:1\r\n");
}

#[test]
fn a_refused_command_keeps_a_queue_from_growing() {
    let config = Config { client_query_buffer_limit_bytes: 1 << 20, ..Config::default() };
    let mut server = Server::with(config);
    let mut connection = server.connect();
    let value = vec![b'v'; 10_000];
    lines(&mut server, &mut connection, &["MULTI", "SET a"]);
    for _ in 0..300 {
        let reply = server.command(&mut connection, &[b"SET", b"k", &value]);
        assert_eq!(reply, b"+QUEUED\r\n");
    }
    let abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    assert_eq!(server.line(&mut connection, "EXEC"), abort);
    assert_eq!(server.line(&mut connection, "EXISTS k"), ":0\r\n");
}

#[test]
fn a_large_argument_in_a_queue_becomes_the_value_without_a_copy() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let large = vec![b'l'; LARGE_ARG];
    server.line(&mut connection, "MULTI");
    let mut batch = Batch::new();
    let buffer = bytes::Bytes::from(large);
    let input = b"SETk";
    batch.push_argument(0, 3);
    batch.push_argument(3, 1);
    batch.push_owned(buffer.clone());
    batch.finish_command();
    let mut out = ReplyBuffer::new();
    let client = &mut connection.client;
    let progress = server.engine.execute(client, &batch, input, Position::default(), &mut out);
    assert_eq!(progress, Progress::Done);
    batch.clear();
    server.line(&mut connection, "EXEC");
    let get = b"GET k\r\n";
    let decoded = connection.decoder.decode(get, &mut batch, 10).expect("well formed");
    assert_eq!(decoded.consumed, get.len());
    out.clear();
    let client = &mut connection.client;
    let progress = server.engine.execute(client, &batch, get, Position::default(), &mut out);
    assert_eq!(progress, Progress::Done);
    assert_eq!(out.chunks().nth(1).expect("the value").as_ptr(), buffer.as_ptr());
}

#[test]
fn a_replay_runs_blocks_whatever_is_in_them() {
    let server = Server::new();
    let mut engine = Engine::for_replay(server.state.clone());
    let mut client = Client::new(0, "log".to_owned());
    let mut input = Vec::new();
    let blocks = "SET a 1;MULTI;SELECT 2;SET a 2;FLUSHDB;MSET b 1 c 2;RENAME b d;SWAPDB 2 3;EXEC;\
        SELECT 3;MULTI;INCR d;DEL c nope;EXEC";
    for line in blocks.split(';') {
        let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        input.extend(encode(&arguments));
    }
    let mut batch = Batch::new();
    let mut decoder = Decoder::new(Limits::default());
    let decoded = decoder.decode(&input, &mut batch, usize::MAX).expect("well formed");
    assert_eq!(decoded.consumed, input.len());
    let mut out = ReplyBuffer::new();
    let progress = engine.execute(&mut client, &batch, &input, Position::default(), &mut out);
    assert_eq!((progress, engine.stats().error_replies.get()), (Progress::Done, 0));
    assert_eq!(engine.keys(), 2);
    let mut server = server;
    let mut connection = server.connect();
    let sent = "GET a\r\nSELECT 3\r\nGET d";
    assert_eq!(server.line(&mut connection, sent), "$1\r\n1\r\n+OK\r\n$1\r\n2\r\n");
}
