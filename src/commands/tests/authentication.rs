//! Passwords: what runs before AUTH, and what a change of the password does.

use super::{Connection, Server};
use crate::config::{Config, Secret};

const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";

/// A server with a password, and a stranger.
fn guarded() -> (Server, Connection) {
    let require_pass = Secret(b"sesame".to_vec());
    let server = Server::with(Config { require_pass, ..Config::default() });
    let mut connection = server.connect();
    connection.client.forget_authentication(&server.state);
    (server, connection)
}

/// The replies to these lines, sent at once.
fn lines(server: &mut Server, connection: &mut Connection, lines: &[&str]) -> String {
    let input: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    String::from_utf8(server.run(connection, input.as_bytes())).expect("text")
}

#[test]
fn nothing_but_the_handshake_runs_before_the_password() {
    let (mut server, mut connection) = guarded();
    for line in ["PING", "SET k v", "KEYS *", "MULTI", "COMMAND", "ACL WHOAMI", "SELECT 1"] {
        assert_eq!(server.line(&mut connection, line), NOAUTH, "{line}");
    }
    let text = "-NOAUTH HELLO must be called with the client already authenticated";
    assert!(server.line(&mut connection, "HELLO 3").starts_with(text));
    assert_eq!(server.line(&mut connection, "RESET"), "+RESET\r\n");
    assert_eq!(server.line(&mut connection, "AUTH sesame"), "+OK\r\n");
    assert_eq!(server.line(&mut connection, "GET k"), "$-1\r\n");
}

#[test]
fn what_is_no_command_is_refused_for_that() {
    let (mut server, mut connection) = guarded();
    assert!(server.line(&mut connection, "FOO").starts_with("-ERR unknown command 'FOO'"));
    assert!(server.line(&mut connection, "GET").starts_with("-ERR wrong number of arguments"));
    let exec = "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n";
    assert_eq!(server.line(&mut connection, "EXEC"), exec);
}

#[test]
fn the_commands_of_one_packet_see_the_password_that_came_before_them() {
    let (mut server, mut connection) = guarded();
    let sent = ["PING", "AUTH wrong", "PING", "AUTH sesame", "PING", "RESET", "PING", "GET k"];
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    let expected =
        [NOAUTH, wrong, NOAUTH, "+OK\r\n", "+PONG\r\n", "+RESET\r\n", NOAUTH, NOAUTH].concat();
    assert_eq!(lines(&mut server, &mut connection, &sent), expected);
}

#[test]
fn who_is_in_stays_in_when_the_password_changes() {
    let mut server = Server::new();
    let mut connection = server.connect();
    server.state.access.set_password(b"sesame");
    assert_eq!(server.line(&mut connection, "PING"), "+PONG\r\n");
    assert!(server.line(&mut connection, "AUTH wrong").starts_with("-WRONGPASS"));
    assert_eq!(server.line(&mut connection, "PING"), "+PONG\r\n");
    let after = lines(&mut server, &mut connection, &["RESET", "PING"]);
    assert_eq!(after, format!("+RESET\r\n{NOAUTH}"));
}

#[test]
fn strangers_are_let_in_when_the_password_is_taken_away_but_not_by_hello() {
    let (mut server, mut connection) = guarded();
    server.state.access.set_password(b"");
    assert_eq!(server.line(&mut connection, "PING"), "+PONG\r\n");
    // As in redis-server.
    assert!(server.line(&mut connection, "HELLO 3").starts_with("-NOAUTH HELLO"));
    assert!(server.line(&mut connection, "HELLO 3 AUTH default any").starts_with("%7"));
}

#[test]
fn a_transaction_of_a_client_that_has_become_a_stranger_runs_nothing() {
    let (mut server, mut connection) = guarded();
    server.state.access.set_password(b"");
    assert_eq!(lines(&mut server, &mut connection, &["MULTI", "SET k v"]), "+OK\r\n+QUEUED\r\n");
    server.state.access.set_password(b"sesame");
    assert_eq!(server.line(&mut connection, "SET k w"), NOAUTH);
    assert_eq!(server.line(&mut connection, "AUTH sesame"), "+QUEUED\r\n");
    assert!(server.line(&mut connection, "EXEC").starts_with("-EXECABORT"));
}

#[test]
fn failed_attempts_are_counted_in_the_log() {
    let (mut server, mut connection) = guarded();
    lines(&mut server, &mut connection, &["AUTH a", "AUTH b", "hello 3 AUTH me c", "AUTH sesame"]);
    let log = server.line(&mut connection, "ACL LOG");
    assert!(log.starts_with("*2\r\n*14\r\n$5\r\ncount\r\n:1\r\n"), "{log}");
    assert!(log.contains("object\r\n$5\r\nhello\r\n$8\r\nusername\r\n$2\r\nme\r\n"), "{log}");
    assert!(log.contains("count\r\n:2\r\n") && log.contains("\r\nid=7 addr=127.0.0.1:1 "), "{log}");
    for secret in ["\r\na\r\n", "\r\nb\r\n", "\r\nc\r\n"] {
        assert!(!log.contains(secret), "{log}");
    }
    lines(&mut server, &mut connection, &["MULTI", "AUTH d", "EXEC"]);
    let newest = server.line(&mut connection, "ACL LOG 1");
    assert!(newest.starts_with("*1\r\n*14\r\n") && newest.contains("\r\nmulti\r\n"), "{newest}");
    assert_eq!(server.line(&mut connection, "ACL LOG RESET"), "+OK\r\n");
    assert_eq!(server.line(&mut connection, "ACL LOG"), "*0\r\n");
}

#[test]
fn generated_passwords_differ_and_have_the_bits_asked_for() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let first = server.line(&mut connection, "ACL GENPASS");
    assert!(first.starts_with("$64\r\n") && first.len() == 71, "{first}");
    assert_ne!(first, server.line(&mut connection, "ACL GENPASS"));
    assert!(server.line(&mut connection, "ACL GENPASS 5").starts_with("$2\r\n"));
}

#[test]
fn every_category_of_a_row_is_one_that_acl_knows() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let known = server.line(&mut connection, "ACL CAT");
    for row in super::super::table::rows() {
        for category in row.all_categories().names() {
            let name = category.trim_start_matches('@');
            assert!(known.contains(&format!("\r\n{name}\r\n")), "{category}");
        }
    }
    let strings = server.line(&mut connection, "ACL CAT STRING");
    assert!(strings.contains("\r\nget\r\n") && !strings.contains("\r\nacl\r\n"), "{strings}");
    assert!(server.line(&mut connection, "ACL CAT admin").contains("\r\nacl|log\r\n"));
}

#[test]
fn a_web_browser_gets_no_reply_and_is_cut_off() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let sent = ["PING", "GET / HTTP/1.1", "Host: example.com", "SET k v"];
    assert_eq!(lines(&mut server, &mut connection, &sent), "");
    assert!(connection.client.close_after_reply);
    assert_eq!(server.line(&mut connection, "post / HTTP/1.1"), "");
}
