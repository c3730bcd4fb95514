//! SHUTDOWN: the server stops as it does at SIGTERM, and its client sees when.

use std::net::TcpStream;
use std::process::Command;

use super::harness::{Client, LogFile, RedisServer, Server, encode, show, tool};

/// Checks that a client that has asked for the end sees it, and that it is a good one.
fn ended(mut client: Client, server: &mut Server) {
    assert_eq!(client.rest(), b"", "no reply");
    // The connection ends with the process: nobody listens any more.
    assert!(TcpStream::connect(server.address).is_err());
    assert!(server.wait().success(), "exit code 0");
}

#[test]
fn everything_acknowledged_is_there_after_a_shutdown() {
    for policy in ["always", "everysec", "no"] {
        for words in [&["SHUTDOWN"][..], &["shutdown", "NOSAVE"], &["SHUTDOWN", "save", "now"]] {
            let log = LogFile::new();
            let mut server = Server::with(&log.flags(policy));
            let (mut client, mut other) = (server.connect(), server.connect());
            other.set("other", b"1");
            client.send(&[encode(&["SET", "mine", "1"]), encode(words)].concat());
            client.expect(b"+OK\r\n");
            ended(client, &mut server);
            assert_eq!(other.rest(), b"");
            let said = server.log().join("\n");
            assert!(said.contains("User requested shutdown..."), "{said}");
            assert!(said.contains("bye bye..."), "{said}");
            let server = Server::with(&log.flags(policy));
            assert_eq!(server.connect().ask("MGET mine other"), "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
        }
    }
}

#[test]
fn words_that_do_not_fit_together_are_refused_as_redis_does() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let (mut redis, mut ours) = (redis.connect(), ours.connect());
    for command in [
        "SHUTDOWN ABORT",
        "SHUTDOWN foo",
        "SHUTDOWN SAVE NOSAVE",
        "SHUTDOWN ABORT NOW",
        "SHUTDOWN ABORT ABORT",
        "SHUTDOWN FORCE ABORT",
        "SHUTDOWN SAVE x",
        "MULTI",
        "SHUTDOWN NOSAVE",
        "PING",
        "EXEC",
    ] {
        assert_eq!(
            show(&ours.call(&words(command))),
            show(&redis.call(&words(command))),
            "{command}"
        );
    }
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

#[test]
fn saving_where_there_is_nothing_to_save_to_needs_force() {
    let mut server = Server::start();
    let mut client = server.connect();
    let refused = "-ERR Errors trying to SHUTDOWN. Check logs.\r\n";
    assert_eq!(client.ask("SHUTDOWN SAVE"), refused);
    assert_eq!(client.ask("PING"), "+PONG\r\n");
    client.send(&encode(&["SHUTDOWN", "SAVE", "FORCE"]));
    ended(client, &mut server);
}

#[test]
fn a_shutdown_waits_for_nobody_who_only_waits() {
    let mut server = Server::with(&["--io-threads", "2", "--enable-debug-command", "yes"]);
    let mut waiting: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.send(&[encode(&["PING"]), encode(&["WAIT", "1", "0"]), encode(&["PING"])].concat());
        client.expect(b"+PONG\r\n");
    }
    let mut half = server.connect();
    half.send(b"*2\r\n$3\r\nGET\r\n$1");
    let mut client = server.connect();
    client.send(&encode(&["SHUTDOWN"]));
    ended(client, &mut server);
    for mut client in waiting {
        assert_eq!(client.rest(), b"");
    }
    assert!(!server.has_logged("did not take their replies"), "{:?}", server.log());
}

#[test]
fn several_clients_may_ask_for_the_same() {
    let mut server = Server::start();
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), "+PONG\r\n");
    }
    for client in &mut clients {
        // The server may be gone already.
        let _ = client.try_send(&encode(&["SHUTDOWN", "NOSAVE"]));
    }
    assert!(server.wait().success());
    for mut client in clients {
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn redis_cli_shuts_the_server_down() {
    let mut server = Server::start();
    let port = server.address.port().to_string();
    let output = tool("redis-cli").args(["-p", &port, "shutdown"]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(server.wait().success());
}

#[test]
fn a_server_that_loads_can_be_shut_down() {
    let content = encode(&["SET", "key", &"v".repeat(100)]).repeat(400_000);
    let log = LogFile::of(&content);
    let mut server = Server::launch(&log.flags("everysec"), &[]);
    let mut client = server.connect();
    client.send(&encode(&["SHUTDOWN"]));
    assert_eq!(client.rest(), b"");
    assert!(server.wait().success());
    assert_eq!(log.len(), content.len(), "the log is as it was");
}

/// The program as a health check uses it.
fn ping(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrum-kv"));
    let output = command.arg("ping").args(arguments).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_health_check_needs_no_client_but_the_server_itself() {
    let mut server = Server::start();
    let address = server.address.to_string();
    assert_eq!(ping(&["--addr", &address]), (Some(0), "PONG\n".to_owned()));
    server.signal("TERM");
    server.wait();
    let (code, text) = ping(&["--addr", &address, "--timeout", "2"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no answer from") && text.lines().count() == 1, "{text}");
}
