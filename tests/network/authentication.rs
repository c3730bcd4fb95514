//! A server with a password, beside redis-server with the same: what strangers get, and what those
//! who give it.

use super::harness::{Client, Folder, RedisServer, Server, encode, show};

const PASSWORD: &str = "sesame";

/// What is sent on a connection of its own each, a line a command.
const LINES: [&str; 60] = [
    "PING",
    "GET a",
    "NOSUCH a",
    "GET",
    "HELLO",
    "HELLO 3",
    "HELLO 4",
    "HELLO x",
    "HELLO 3 SETNAME foo",
    "HELLO 3 AUTH default bad",
    "HELLO 3 AUTH default sesame",
    "HELLO 2 AUTH nobody sesame",
    "HELLO 3 AUTH default",
    "HELLO 3 SETNAME",
    "HELLO 3 SETNAME \"a b\" AUTH default sesame",
    "HELLO 3 FOO",
    "HELLO 3 AUTH default sesame SETNAME foo|CLIENT GETNAME",
    "HELLO 3 SETNAME foo AUTH default bad|AUTH sesame|CLIENT GETNAME",
    "HELLO 9 AUTH default sesame|PING",
    "AUTH",
    "AUTH a b c",
    "AUTH bad",
    "AUTH default bad",
    "AUTH nobody sesame",
    "AUTH \"\"",
    "AUTH sesame|PING",
    "AUTH default sesame|PING",
    "auth sesame|MULTI|AUTH bad|PING|EXEC",
    "MULTI|PING|EXEC",
    "AUTH sesame|AUTH bad|PING",
    "AUTH sesame|MULTI|HELLO 3|HELLO 2 AUTH default bad|ECHO a|EXEC",
    "RESET",
    "AUTH sesame|RESET|PING",
    "AUTH sesame|MULTI|RESET|PING",
    "QUIT",
    "COMMAND COUNT",
    "CLIENT ID",
    "CLIENT NOSUCH",
    "EXEC",
    "EXEC a",
    "WATCH a",
    "ACL WHOAMI",
    "AUTH sesame|ACL WHOAMI",
    "AUTH sesame|ACL",
    "AUTH sesame|ACL LIST",
    "AUTH sesame|ACL USERS",
    "AUTH sesame|ACL CAT",
    "AUTH sesame|ACL CAT nosuch",
    "AUTH sesame|ACL CAT a b",
    "AUTH sesame|ACL GETUSER default",
    "AUTH sesame|HELLO 3|ACL GETUSER default",
    "AUTH sesame|ACL GETUSER nosuch",
    "AUTH sesame|ACL GENPASS 0",
    "AUTH sesame|ACL LOG RESET|ACL LOG|ACL LOG 1 2|ACL LOG x",
    "AUTH sesame|ACL LOAD|ACL SAVE",
    "AUTH sesame|ACL DELUSER|ACL DELUSER default|ACL DELUSER nosuch",
    "AUTH sesame|ACL DRYRUN nosuch get a|ACL DRYRUN default nosuch|ACL DRYRUN default get",
    "AUTH sesame|ACL DRYRUN default get a|ACL DRYRUN default config get x|ACL NOSUCH",
    "PING|POST / HTTP/1.1",
    "AUTH sesame|PING|host: here|PING",
];

/// Streams that break the limits of strangers, and some that do not.
fn streams() -> Vec<Vec<u8>> {
    let many = [&["MGET"; 1][..], &["a"; 10]].concat();
    let auth = encode(&["AUTH", PASSWORD]);
    let wrong = encode(&["AUTH", "wrong"]);
    vec![
        b"*11\r\n".to_vec(),
        b"*1048577\r\n".to_vec(),
        b"*2\r\n$16385\r\n".to_vec(),
        b"*1\r\n$536870913\r\n".to_vec(),
        [&auth[..], &encode(&many)].concat(),
        [&wrong[..], &encode(&many)].concat(),
        encode(&["AUTH", &"x".repeat(16_384)]),
        encode(&["AUTH", &"x".repeat(16_385)]),
        [auth, encode(&["ECHO", &"x".repeat(20_000)])].concat(),
    ]
}

/// All that a connection gets for this and a QUIT after it, without the number of the client.
fn answer(mut client: Client, stream: &[u8]) -> String {
    // The server may close while more is being sent.
    let _ = client.try_send(&[stream, b"QUIT\r\n"].concat());
    let text = show(&client.rest());
    let Some((before, after)) = text.split_once("$2\\r\\nid\\r\\n:") else { return text };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}$2\\r\\nid\\r\\n:N{rest}")
}

#[test]
fn a_server_with_a_password_answers_as_redis_does() {
    let folder = Folder::new();
    let redis = RedisServer::with(folder.path(), &["--save", "", "--requirepass", PASSWORD]);
    let server = Server::launch(&["--io-threads", "2", "--requirepass", PASSWORD], &[]);
    server.wait_until_ready();
    let lines = LINES.iter().map(|line| format!("{}\r\n", line.replace('|', "\r\n")).into_bytes());
    for stream in lines.chain(streams()) {
        let expected = answer(redis.connect(), &stream);
        assert_eq!(answer(server.connect(), &stream), expected, "after '{}'", show(&stream));
    }
}

#[test]
fn without_a_password_auth_says_so_as_redis_does() {
    let redis = RedisServer::start();
    let server = Server::start();
    for line in [
        "AUTH x",
        "AUTH default x",
        "AUTH nobody x",
        "HELLO 3 AUTH default x",
        "ACL LIST",
        "ACL GETUSER default",
        "MULTI\r\nAUTH x\r\nAUTH default x\r\nEXEC",
    ] {
        let stream = format!("{line}\r\n").into_bytes();
        let expected = answer(redis.connect(), &stream);
        assert_eq!(answer(server.connect(), &stream), expected, "after '{line}'");
    }
}

#[test]
fn the_log_of_the_server_has_no_password() {
    let secret = "a-secret-that-nobody-may-see";
    let mut server = Server::launch(&["--requirepass", secret, "--loglevel", "debug"], &[]);
    server.wait_until_ready();
    let mut client = server.connect();
    client.ask(&format!("AUTH {secret}"));
    client.ask(&format!("HELLO 3 AUTH default {secret}"));
    client.send(format!("AUTH {secret}\r\n*1\r\nx{secret}\r\n").as_bytes());
    client.rest();
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(!server.has_logged(secret), "{:?}", server.log());
}
