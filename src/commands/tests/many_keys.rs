//! Commands over many keys: with hashes made before and with their own, and where one becomes the
//! other.

use super::{Server, encode};
use crate::resp::LARGE_ARG;

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
fn a_long_command_runs_in_one_go_and_is_a_whole_turn() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let keys = names(100_000);
    let mut input = command("EXISTS", &keys);
    assert_eq!(server.run(&mut connection, &input), b":0\r\n");
    assert_eq!(connection.flushes, 0);
    input.extend(b"PING\r\n");
    assert_eq!(server.run(&mut connection, &input), b":0\r\n+PONG\r\n");
    assert_eq!(connection.flushes, 1, "others have a turn before the PING");
}

#[test]
fn a_long_command_has_its_reply_whole() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let value = vec![b'v'; LARGE_ARG - 1];
    server.command(&mut connection, &[b"SET", b"k", &value]);
    let keys = vec!["k".to_owned(); 1000];
    let reply = server.run(&mut connection, &command("MGET", &keys));
    assert_eq!(reply.len(), "*1000\r\n".len() + 1000 * (value.len() + "$32767\r\n\r\n".len()));
    assert_eq!(connection.peak, reply.len());
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
