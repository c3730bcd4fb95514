//! Commands over many keys: in one go, in pieces, and where one becomes the other.

use super::super::{OUTPUT_SOFT_LIMIT, Position, Progress};
use super::{Server, encode};
use crate::resp::{Batch, LARGE_ARG, ReplyBuffer};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key:{number}")).collect()
}

/// A command of this name and these arguments.
fn command(name: &str, arguments: &[String]) -> Vec<u8> {
    let mut all = vec![name.as_bytes()];
    all.extend(arguments.iter().map(String::as_bytes));
    encode(&all)
}

#[test]
fn every_number_of_keys_gives_the_same_replies() {
    for count in [1, 2, 31, 32, 33, 63, 64, 65, 96, 97, 511, 512, 513, 1024, 5000] {
        let mut server = Server::new();
        let mut connection = server.connect();
        let keys = names(count);
        let pairs: Vec<String> =
            (keys.iter()).flat_map(|key| [key.clone(), format!("<{key}>")]).collect();
        let mut input = command("MSET", &pairs);
        let mut reply = "+OK\r\n".to_owned();
        input.extend(command("MGET", &keys));
        reply += &format!("*{count}\r\n");
        for key in &keys {
            reply += &format!("${}\r\n<{key}>\r\n", key.len() + 2);
        }
        input.extend(b"PING\r\n");
        reply += "+PONG\r\n";
        let doubled = [keys.clone(), keys.clone(), vec!["absent".to_owned()]].concat();
        input.extend(command("EXISTS", &doubled));
        reply += &format!(":{}\r\n", 2 * count);
        input.extend(command("DEL", &doubled));
        input.extend(command("UNLINK", &keys));
        input.extend(b"DBSIZE\r\n");
        reply += &format!(":{count}\r\n:0\r\n:0\r\n");
        let found = server.run(&mut connection, &input);
        assert_eq!(String::from_utf8(found).expect("text"), reply, "{count} keys");
        assert_eq!(server.engine.stats().commands_processed.get(), 7, "{count} keys");
    }
}

#[test]
fn a_long_command_comes_in_pieces() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let keys = names(100_000);
    let reply = server.run(&mut connection, &command("EXISTS", &keys));
    assert_eq!(reply, b":0\r\n");
    assert!(connection.flushes >= 195, "{} pieces", connection.flushes);
}

#[test]
fn a_piece_ends_where_the_replies_are_enough() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let value = vec![b'v'; LARGE_ARG - 1];
    server.command(&mut connection, &[b"SET", b"k", &value]);
    let keys = vec!["k".to_owned(); 1000];
    let reply = server.run(&mut connection, &command("MGET", &keys));
    assert_eq!(reply.len(), "*1000\r\n".len() + 1000 * (value.len() + "$32767\r\n\r\n".len()));
    assert!(connection.peak < OUTPUT_SOFT_LIMIT + LARGE_ARG, "{} bytes", connection.peak);
}

#[test]
fn a_piece_ends_where_the_arguments_are_many_bytes() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let value = "v".repeat(LARGE_ARG - 1);
    let pairs: Vec<String> =
        (names(1000).into_iter()).flat_map(|key| [key, value.clone()]).collect();
    let reply = server.run(&mut connection, &command("MSET", &pairs));
    assert_eq!(reply, b"+OK\r\n");
    assert!(connection.flushes >= 30, "{} pieces", connection.flushes);
}

#[test]
fn others_are_served_between_two_pieces() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let mut other = server.connect();
    let keys = names(1000);
    let input = command("DEL", &keys);
    let mut batch = Batch::new();
    let decoded = connection.decoder.decode(&input, &mut batch, 10).expect("well formed");
    assert_eq!(decoded.consumed, input.len());
    server.command(&mut other, &[b"SET", keys[0].as_bytes(), b"x"]);
    let mut out = ReplyBuffer::new();
    let client = &mut connection.client;
    let at = Position::default();
    let Progress::Flush(at) = server.engine.execute(client, &batch, &input, at, &mut out) else {
        panic!("a piece");
    };
    assert_eq!((at.command, at.key, at.total), (0, 512, 1));
    assert!(out.is_empty());
    server.command(&mut other, &[b"SET", keys[999].as_bytes(), b"x"]);
    let progress = server.engine.execute(client, &batch, &input, at, &mut out);
    assert_eq!(progress, Progress::Flush(Position { command: 1, ..Position::default() }));
    assert_eq!(out.is_single(), Some(&b":2\r\n"[..]));
}

#[test]
fn a_long_command_that_is_refused_does_nothing() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let keys = names(1001);
    let reply = server.run(&mut connection, &command("MSET", &keys));
    assert_eq!(reply, b"-ERR wrong number of arguments for 'mset' command\r\n");
    assert_eq!(server.line(&mut connection, "DBSIZE"), ":0\r\n");
    assert_eq!(server.engine.stats().commands_processed.get(), 2);
}
