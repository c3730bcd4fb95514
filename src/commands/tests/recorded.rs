//! Replies compared byte by byte with those of Redis 7.0, as recorded in replies.txt.

use super::{Connection, Server};

#[test]
fn replies_are_those_of_redis_in_resp2() {
    compare("2");
}

#[test]
fn replies_are_those_of_redis_in_resp3() {
    compare("3");
}

/// Runs every scenario of the record in one protocol.
fn compare(protocol: &str) {
    let record = include_str!("replies.txt");
    let mut compared = 0;
    let mut differences = Vec::new();
    for scenario in record.split("\n\n") {
        let mut server = Server::new();
        let mut connection = server.connect();
        server.line(&mut connection, &format!("HELLO {protocol}"));
        let mut command = "";
        for line in scenario.lines() {
            let (mark, text) = line.split_at_checked(2).unwrap_or((line, ""));
            if mark == "> " {
                command = text;
            } else if mark.trim_end() == protocol {
                let reply = run(&mut server, &mut connection, command);
                if reply != text {
                    differences.push(format!("{command}\n  redis: {text}\n  here:  {reply}"));
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 250, "the record is complete: {compared}");
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Runs an inline command; returns the reply in the notation of the record.
fn run(server: &mut Server, connection: &mut Connection, command: &str) -> String {
    let reply = server.run(connection, format!("{command}\r\n").as_bytes());
    let mut shown = String::new();
    for byte in reply {
        match byte {
            b'\r' => shown.push_str("\\r"),
            b'\n' => shown.push_str("\\n"),
            b'\\' => shown.push_str("\\\\"),
            b' '..=b'~' => shown.push(char::from(byte)),
            _ => shown.push_str(&format!("\\x{byte:02x}")),
        }
    }
    shown
}
