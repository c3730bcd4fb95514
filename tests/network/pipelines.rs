//! Many requests without waiting for replies.

use super::harness::{Random, Server, encode};

const DEEP: usize = 10_000;

/// Sends `pipeline` on a new connection and expects exactly `replies`.
fn exchange(server: &Server, pipeline: &[u8], replies: &[u8]) {
    server.connect().send_while(pipeline, |client| client.expect(replies));
}

#[test]
fn ten_thousand_pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let mut pipeline = Vec::new();
    let mut replies = String::new();
    for index in 0..DEEP {
        pipeline.extend(encode(&["SET", &format!("key:{index}"), &format!("value:{index}")]));
        replies.push_str("+OK\r\n");
    }
    for index in 0..DEEP {
        pipeline.extend(encode(&["GET", &format!("key:{index}")]));
        let value = format!("value:{index}");
        replies.push_str(&format!("${}\r\n{value}\r\n", value.len()));
    }
    for index in 1..=DEEP {
        pipeline.extend(encode(&["INCR", "counter"]));
        replies.push_str(&format!(":{index}\r\n"));
    }
    exchange(&server, &pipeline, replies.as_bytes());
    assert_eq!(server.connect().ask("DBSIZE"), format!(":{}\r\n", DEEP + 1));
}

#[test]
fn a_pipeline_of_mixed_sizes_keeps_its_order() {
    let server = Server::start();
    let mut random = Random(21);
    let (mut pipeline, mut replies) = (Vec::new(), Vec::new());
    for index in 0..600 {
        let size = [5, 900, 33_000, 70_000][random.below(4) as usize] + index % 13;
        let value = random.bytes(size);
        pipeline.extend(encode(&[b"SET".as_slice(), b"k", &value]));
        pipeline.extend(encode(&["GET", "k"]));
        pipeline.extend(encode(&["NOSUCH"]));
        pipeline.extend(b"STRLEN k\r\n");
        replies.extend(format!("+OK\r\n${size}\r\n").bytes());
        replies.extend(value);
        replies.extend(b"\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
        replies.extend(format!(":{size}\r\n").bytes());
    }
    exchange(&server, &pipeline, &replies);
}

#[test]
fn a_hundred_thousand_short_requests_pass_through_one_connection() {
    let server = Server::start();
    exchange(&server, &b"PING\r\n".repeat(100_000), &b"+PONG\r\n".repeat(100_000));
}

#[test]
fn a_pipeline_sent_before_the_client_stops_sending_is_answered() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(&encode(&["INCR", "n"]).repeat(1_000));
    client.finish_sending();
    let replies: String = (1..=1_000).map(|index| format!(":{index}\r\n")).collect();
    client.expect(replies.as_bytes());
    assert_eq!(client.rest(), b"");
}
