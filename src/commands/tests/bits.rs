//! Bitmaps, as far as no reply tells: deadlines, encodings, limits.

use super::Server;
use crate::config::Config;
use crate::store::{Change, Encoding, NewValue};

/// A deadline far away, in milliseconds of Unix time.
const DEADLINE: u64 = 1 << 42;

/// Gives `key` a value with a deadline.
fn put(server: &Server, key: &[u8], value: &[u8]) {
    let local = server.state.keyspace.join();
    let (database, key) = (server.state.keyspace.database(0), server.state.keyspace.key(key));
    database.change(&local.pin(), key, |_| Change::Put {
        value: NewValue::Copy(value),
        deadline: Some(DEADLINE),
        result: (),
    });
}

/// The version, deadline and encoding of a key that is present.
fn look(server: &Server, key: &[u8]) -> (u64, Option<u64>, Encoding) {
    let local = server.state.keyspace.join();
    let (database, key) = (server.state.keyspace.database(0), server.state.keyspace.key(key));
    let seen = database
        .peek(&local.pin(), key, |entry| (entry.version(), entry.deadline(), entry.encoding()));
    seen.expect("present")
}

#[test]
fn editing_bits_keeps_the_deadline_and_makes_the_value_raw() {
    for command in ["SETBIT k 3 1", "BITFIELD k SET u8 0 1", "BITFIELD k INCRBY u8 0 1"] {
        for value in [&b"12"[..], b"text"] {
            let mut server = Server::new();
            let mut connection = server.connect();
            put(&server, b"k", value);
            server.line(&mut connection, command);
            let (_, deadline, encoding) = look(&server, b"k");
            assert_eq!((deadline, encoding), (Some(DEADLINE), Encoding::Raw), "{command}");
        }
    }
}

#[test]
fn combining_bits_drops_the_deadline_of_the_destination() {
    let mut server = Server::new();
    let mut connection = server.connect();
    put(&server, b"k", b"12");
    assert_eq!(server.line(&mut connection, "BITOP OR k k"), ":2\r\n");
    let (_, deadline, encoding) = look(&server, b"k");
    assert_eq!((deadline, encoding), (None, Encoding::Raw));
}

#[test]
fn a_bit_that_is_set_already_does_not_store_a_raw_value_again() {
    let mut server = Server::new();
    let mut connection = server.connect();
    assert_eq!(server.line(&mut connection, "SETBIT k 1000 1"), ":0\r\n");
    let before = look(&server, b"k");
    assert_eq!(server.line(&mut connection, "SETBIT k 1000 1"), ":1\r\n");
    assert_eq!(server.line(&mut connection, "SETBIT k 999 0"), ":0\r\n");
    assert_eq!(server.line(&mut connection, "BITFIELD k GET u8 0"), "*1\r\n:0\r\n");
    assert_eq!(look(&server, b"k"), before);
    assert_eq!(server.line(&mut connection, "SETBIT k 999 1"), ":0\r\n");
    assert_ne!(look(&server, b"k"), before);
}

#[test]
fn no_bit_is_beyond_the_longest_value() {
    let config = Config { proto_max_bulk_len_bytes: 1 << 20, ..Config::default() };
    let mut server = Server::with(config);
    let mut connection = server.connect();
    let refusal = "-ERR bit offset is not an integer or out of range\r\n";
    assert_eq!(server.line(&mut connection, "SETBIT k 8388608 1"), refusal);
    assert_eq!(server.line(&mut connection, "GETBIT k 8388608"), refusal);
    assert_eq!(server.line(&mut connection, "BITFIELD k SET u16 8388600 1"), refusal);
    assert_eq!(server.line(&mut connection, "BITFIELD k SET u8 8388600 1"), "*1\r\n:0\r\n");
    assert_eq!(server.line(&mut connection, "BITFIELD k GET u16 8388600"), "*1\r\n:256\r\n");
    assert_eq!(server.line(&mut connection, "SETBIT k 8388607 0"), ":1\r\n");
    assert_eq!(server.line(&mut connection, "STRLEN k"), ":1048576\r\n");
}
