//! Streams that are no requests: each gets Redis's error text and a closed connection, and nobody
//! else notices.

use super::harness::{Random, Server, encode, show};

/// Sends `stream`, expects exactly `replies`, then the end of the connection.
fn check(server: &Server, stream: &[u8], replies: &str) {
    let mut client = server.connect();
    // The server may close while more is being sent.
    let _ = client.try_send(stream);
    let received = client.rest();
    assert_eq!(show(&received), show(replies.as_bytes()), "after '{}'", show(stream));
}

#[test]
fn each_protocol_error_is_answered_in_the_words_of_redis_and_closes() {
    let server = Server::start();
    let mut bystander = server.connect();
    let long_header = [b"*".as_slice(), &[b'1'; 70_000]].concat();
    let long_bulk_header = [b"*1\r\n$".as_slice(), &[b'1'; 70_000]].concat();
    let long_line = [b'a'; 70_000];
    let cases: [(&[u8], &str); 17] = [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*9223372036854775808\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*2\r\n$4\r\nECHO\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"GET \"k\r\n", "unbalanced quotes in request"),
        (b"GET 'k\r\n", "unbalanced quotes in request"),
        (&long_header, "too big mbulk count string"),
        (&long_bulk_header, "too big bulk count string"),
        (&long_line, "too big inline request"),
    ];
    for (stream, text) in cases {
        check(&server, stream, &format!("-ERR Protocol error: {text}\r\n"));
        assert_eq!(bystander.ask("PING"), "+PONG\r\n");
    }
}

#[test]
fn commands_before_the_error_are_answered_first() {
    let server = Server::start();
    let mut stream = encode(&["SET", "k", "v"]);
    stream.extend(encode(&["GET", "k"]));
    stream.extend(b"*1\r\nGET\r\n");
    stream.extend(encode(&["SET", "k", "never"]));
    let replies = "+OK\r\n$1\r\nv\r\n-ERR Protocol error: expected '$', got 'G'\r\n";
    check(&server, &stream, replies);
    assert_eq!(server.connect().ask("GET k"), "$1\r\nv\r\n");
}

#[test]
fn empty_requests_are_passed_over() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"\r\n\n*0\r\n*-1\r\n   \r\nPING\r\n");
    client.expect(b"+PONG\r\n");
}

#[test]
fn a_web_browser_gets_an_answer_it_cannot_misuse() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\n");
    assert!(client.reply().starts_with(b"-ERR wrong number of arguments"));
}

#[test]
fn garbage_harms_nobody() {
    const STREAMS: u64 = 150;
    const LENGTH_MAX: u64 = 20_000;
    let server = Server::start();
    let mut bystander = server.connect();
    assert_eq!(bystander.ask("SET k v"), "+OK\r\n");
    let mut random = Random(0xfeed_5eed);
    for round in 0..STREAMS {
        let length = random.below(LENGTH_MAX) as usize;
        let mut garbage = random.bytes(length);
        if round % 3 == 0 {
            // Structure that looks right at first goes deeper.
            garbage.splice(..0, *b"*3\r\n$3\r\nFOO\r\n");
        }
        let mut client = server.connect();
        let _ = client.try_send(&garbage);
        client.finish_sending();
        let _ = client.rest();
        assert_eq!(bystander.ask("GET k"), "$1\r\nv\r\n");
    }
}

#[test]
fn commands_split_at_every_byte_are_whole() {
    let server = Server::single_worker();
    let mut client = server.connect();
    let mut stream = encode(&["SET", "key", "value\r\n$3\r\n"]);
    stream.extend(encode(&["APPEND", "key", ""]));
    stream.extend(b"SET \"in line\" 'v'\r\n");
    stream.extend(encode(&["MGET", "key", "in line", "nope"]));
    stream.extend(b"\r\n*0\r\n");
    stream.extend(encode(&["DEL", "key", "in line"]));
    let replies: &[u8] =
        b"+OK\r\n:11\r\n+OK\r\n*3\r\n$11\r\nvalue\r\n$3\r\n\r\n$1\r\nv\r\n$-1\r\n:2\r\n";
    for split in 1..stream.len() {
        client.send(&stream[..split]);
        // Lets the server see the first part alone; what it must answer is the same either way.
        std::thread::sleep(std::time::Duration::from_millis(1));
        client.send(&stream[split..]);
        client.expect(replies);
    }
    for byte in &stream {
        client.send(std::slice::from_ref(byte));
    }
    client.expect(replies);
}
