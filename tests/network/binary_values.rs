//! Keys and values are bytes, any bytes, and as many as Redis allows.

use super::harness::{Client, Random, Server, encode};

const MIB: usize = 1024 * 1024;

/// A bulk reply.
fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

#[test]
fn keys_and_values_may_hold_any_byte() {
    let server = Server::start();
    let mut client = server.connect();
    let all: Vec<u8> = (0..=255).collect();
    let samples: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\r\n",
        b"\r\n$5\r\n+OK\r\n",
        b"\0\0k\0",
        b"*1\r\n$4\r\nPING\r\n",
        b"\xff\xfe",
        &all,
    ];
    for key in samples {
        for value in samples {
            assert_eq!(client.call(&[b"SET", key, value]), b"+OK\r\n");
            assert_eq!(client.call(&[b"GET".as_slice(), key]), bulk(value));
        }
    }
    assert_eq!(client.ask("DBSIZE"), ":8\r\n");
    for byte in 0..=255_u8 {
        let key = [b'k', byte];
        assert_eq!(client.call(&[b"SETNX".as_slice(), &key, &[byte]]), b":1\r\n");
        assert_eq!(client.call(&[b"APPEND".as_slice(), &key, b"\r\n"]), b":3\r\n");
    }
    for byte in 0..=255_u8 {
        let reply = client.call(&[b"GET".as_slice(), &[b'k', byte]]);
        assert_eq!(reply, bulk(&[byte, b'\r', b'\n']));
    }
    assert_eq!(client.ask("DBSIZE"), ":264\r\n");
}

#[test]
fn values_of_every_size_come_back_whole() {
    let server = Server::start();
    let mut client = server.connect();
    let mut random = Random(11);
    let data = random.bytes(3 * MIB);
    // Around the sizes where the server changes how it receives, stores or sends a value.
    let around = [16, 64, 128, 256, 16_384, 32_768, 65_536, 262_144, MIB, 2 * MIB];
    for size in around.into_iter().flat_map(|size| [size - 1, size, size + 1]) {
        let (key, value) = (format!("key:{size}"), &data[size % 7..][..size]);
        assert_eq!(client.call(&[b"SET", key.as_bytes(), value]), b"+OK\r\n");
        client.send(&encode(&["GET", &key]));
        client.expect(&bulk(value));
    }
    for size in around {
        // A key may be as long as a value.
        let key = &data[..size];
        assert_eq!(client.call(&[b"SET", key, b"found"]), b"+OK\r\n");
        assert_eq!(client.call(&[b"GET", key]), b"$5\r\nfound\r\n");
        assert_eq!(client.call(&[b"DEL", key]), b":1\r\n");
    }
}

#[test]
fn a_value_of_100_mib_is_stored_read_appended_to_and_replaced() {
    let server = Server::start();
    let mut client = server.connect();
    let mut value = Random(5).bytes(100 * MIB);
    value[..4].copy_from_slice(b"\0\r\n\0");
    client.set("big", &value);
    assert_eq!(client.ask("STRLEN big"), format!(":{}\r\n", value.len()));
    expect_value(&mut client, &value);

    value.extend(b"tail");
    assert_eq!(client.ask("APPEND big tail"), format!(":{}\r\n", value.len()));
    assert_eq!(client.ask("STRLEN big"), format!(":{}\r\n", value.len()));
    expect_value(&mut client, &value);

    assert_eq!(client.call(&[b"SETNX".as_slice(), b"big", &value]), b":0\r\n");
    assert_eq!(client.ask("INCR big"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(client.ask("SET big small"), "+OK\r\n");
    assert_eq!(client.ask("GET big"), "$5\r\nsmall\r\n");
    assert_eq!(client.ask("DEL big"), ":1\r\n");
}

fn expect_value(client: &mut Client, value: &[u8]) {
    client.send(&encode(&["GET", "big"]));
    client.expect(&bulk(value));
}

#[test]
fn memory_of_large_values_is_given_back() {
    let server = Server::single_worker();
    let mut client = server.connect();
    let value = vec![b'v'; 20 * MIB];
    // Warm: buffers that stay with the worker are not counted.
    client.set("big", &value);
    let before = server.resident_bytes();
    for _ in 0..20 {
        client.set("big", &value);
    }
    // Twenty values have been replaced; a few may wait to be freed.
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 200 * MIB as u64, "grown by {grown} bytes");
}

#[test]
fn a_value_built_by_small_appends_is_whole() {
    const PIECES: usize = 16 * 1024;
    let server = Server::start();
    let mut client = server.connect();
    let mut expected = Vec::new();
    let mut pipeline = Vec::new();
    for piece in 0..PIECES {
        let tail = [piece as u8; 64];
        expected.extend(tail);
        pipeline.extend(encode(&[b"APPEND".as_slice(), b"built", &tail]));
    }
    let replies: String = (1..=PIECES).map(|count| format!(":{}\r\n", 64 * count)).collect();
    client.send(&pipeline);
    client.expect(replies.as_bytes());
    client.send(&encode(&["GET", "built"]));
    client.expect(&bulk(&expected));
}

#[test]
fn an_argument_beyond_proto_max_bulk_len_is_refused() {
    let server = Server::with(&["--proto-max-bulk-len", "1mb"]);
    let mut client = server.connect();
    let value = vec![b'v'; MIB];
    client.set("k", &value);
    let reply = client.call(&["APPEND", "k", "x"]);
    assert_eq!(reply, b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n");
    assert_eq!(client.rest(), b"-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(server.connect().ask("STRLEN k"), format!(":{MIB}\r\n"));
}
