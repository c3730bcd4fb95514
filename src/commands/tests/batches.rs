//! Batches: order, windows, interruptions, counts, the connection's state.

use super::super::{OUTPUT_SOFT_LIMIT, Position, Progress};
use super::{Server, encode};
use crate::resp::{Batch, LARGE_ARG, Protocol, ReplyBuffer};

#[test]
fn a_pipeline_is_answered_in_order_across_windows() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let mut input = Vec::new();
    let mut expected = String::new();
    for number in 0..500 {
        let key = format!("key{}", number % 7);
        input.extend(encode(&[b"SET", key.as_bytes(), number.to_string().as_bytes()]));
        input.extend(encode(&[b"GET", key.as_bytes()]));
        input.extend(encode(&[b"PING"]));
        let text = number.to_string();
        expected += &format!("+OK\r\n${}\r\n{text}\r\n+PONG\r\n", text.len());
    }
    assert_eq!(server.run(&mut connection, &input), expected.as_bytes());
}

#[test]
fn a_select_inside_a_batch_counts_for_what_follows() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let input = b"SET a 0\r\nSELECT 5\r\nGET a\r\nSET a 5\r\nSELECT 0\r\nGET a\r\nSELECT 5\r\n";
    let reply = server.run(&mut connection, input);
    assert_eq!(reply, b"+OK\r\n+OK\r\n$-1\r\n+OK\r\n+OK\r\n$1\r\n0\r\n+OK\r\n");
    assert_eq!(connection.client.database, 5);
    assert_eq!(server.line(&mut connection, "GET a"), "$1\r\n5\r\n");
}

#[test]
fn refused_commands_leave_the_others_alone() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let input = b"SET a 1\r\nSET a\r\nNOPE\r\nINCR a\r\nMSET a\r\nCLIENT\r\nGET a\r\n";
    let reply = String::from_utf8(server.run(&mut connection, input)).expect("text");
    let kinds: Vec<&str> = reply.lines().map(|line| &line[..1]).collect();
    assert_eq!(kinds, ["+", "-", "-", ":", "-", "-", "$", "2"]);
    let stats = server.engine.stats();
    assert_eq!(stats.commands_processed.get(), 3);
    assert_eq!(stats.error_replies.get(), 4);
}

#[test]
fn hits_and_misses_are_counted_as_redis_counts_them() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let input = b"SET a 1\r\nGET a\r\nGET b\r\nMGET a b c\r\nEXISTS a b\r\nSTRLEN a\r\nTYPE b\r\n\
        INCR a\r\nAPPEND b x\r\nDEL a z\r\n";
    server.run(&mut connection, input);
    let stats = server.engine.stats();
    assert_eq!(stats.keyspace_hits.get(), 4);
    assert_eq!(stats.keyspace_misses.get(), 5);
}

#[test]
fn quit_ends_the_batch() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let input = b"SET a 1\r\nQUIT\r\nSET a 2\r\n";
    let mut batch = Batch::new();
    let decoded = connection.decoder.decode(input, &mut batch, 10).expect("well formed");
    assert_eq!(decoded.consumed, input.len());
    let mut out = ReplyBuffer::new();
    let client = &mut connection.client;
    let progress = server.engine.execute(client, &batch, input, Position::default(), &mut out);
    assert_eq!(progress, Progress::Close);
    assert_eq!(out.is_single(), Some(&b"+OK\r\n+OK\r\n"[..]));
    let mut other = server.connect();
    assert_eq!(server.line(&mut other, "GET a"), "$1\r\n1\r\n");
}

#[test]
fn a_batch_stops_when_the_replies_grow() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let value = vec![b'v'; LARGE_ARG - 1];
    server.command(&mut connection, &[b"SET", b"k", &value]);
    let reply = server.run(&mut connection, &b"GET k\r\n".repeat(100));
    assert_eq!(reply.len(), 100 * (value.len() + "$32767\r\n\r\n".len()));
    assert!(connection.flushes >= 10, "{} flushes", connection.flushes);
    assert!(connection.peak < OUTPUT_SOFT_LIMIT + LARGE_ARG, "{} bytes", connection.peak);
}

#[test]
fn a_batch_of_much_work_takes_several_turns() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let keys = " k".repeat(64);
    let reply = server.run(&mut connection, format!("EXISTS{keys}\r\n").repeat(320).as_bytes());
    assert_eq!(reply, b":0\r\n".repeat(320));
    assert_eq!(connection.flushes, 9, "2048 keys in a turn, 10 turns");
}

#[test]
fn the_protocol_changes_in_the_middle_of_a_batch_and_stays() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let reply = server.line(&mut connection, "GET x\r\nHELLO 3\r\nGET x\r\nHELLO 2\r\nGET x");
    assert!(reply.starts_with("$-1\r\n%7\r\n"), "{reply}");
    assert!(reply.contains("\r\n_\r\n*14\r\n"), "{reply}");
    assert!(reply.ends_with("\r\n$-1\r\n"), "{reply}");
    server.line(&mut connection, "HELLO 3");
    assert_eq!(connection.client.protocol, Protocol::Resp3);
    assert_eq!(server.line(&mut connection, "GET x"), "_\r\n");
    let mut other = server.connect();
    assert_eq!(server.line(&mut other, "GET x"), "$-1\r\n");
}

#[test]
fn clients_may_name_their_library() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let c = &mut connection;
    assert_eq!(server.line(c, "CLIENT SETINFO lib-name redis-py"), "+OK\r\n");
    assert_eq!(server.line(c, "client setinfo LIB-VER 6.0"), "+OK\r\n");
    assert_eq!(c.client.peer.names().library_name, b"redis-py");
    assert_eq!(c.client.peer.names().library_version, b"6.0");
    assert_eq!(
        server.line(c, "CLIENT SETINFO lib-name 'a b'"),
        "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n"
    );
    assert_eq!(server.line(c, "CLIENT SETINFO x y"), "-ERR Unrecognized option 'x'\r\n");
    assert_eq!(
        server.line(c, "CLIENT SETINFO lib-name"),
        "-ERR wrong number of arguments for 'client|setinfo' command\r\n"
    );
    assert_eq!(server.line(c, "CLIENT ID"), ":7\r\n");
    assert_eq!(
        server.line(c, "CLIENT LISTS"),
        "-ERR unknown subcommand 'LISTS'. Try CLIENT HELP.\r\n"
    );
}

#[test]
fn large_arguments_become_values_and_replies_without_a_copy() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let payload = vec![b'p'; 3 * LARGE_ARG];
    let mut stream = encode(&[b"SET", b"k", &payload]);
    let tail = stream.split_off(stream.len() - payload.len());
    let mut batch = Batch::new();
    // The head alone, then the payload through the argument's own buffer, then the line end.
    let decoded = connection.decoder.decode(&stream, &mut batch, 10).expect("well formed");
    stream.truncate(stream.len() - decoded.moved);
    let mut fed = 0;
    let missing = connection.decoder.large().expect("a large argument").remaining();
    while let Some(mut large) = connection.decoder.large() {
        fed += large.push(&tail[fed..missing]);
    }
    stream.extend_from_slice(b"\r\n");
    let decoded = connection.decoder.decode(&stream, &mut batch, 10).expect("well formed");
    assert_eq!((decoded.consumed, batch.len()), (stream.len(), 1));
    let owned = batch.args(0, &stream).owned(2).expect("owned").as_ptr();
    let mut out = ReplyBuffer::new();
    let client = &mut connection.client;
    let progress = server.engine.execute(client, &batch, &stream, Position::default(), &mut out);
    assert_eq!(progress, Progress::Done);
    out.clear();
    let get = b"GET k\r\n";
    batch.clear();
    let decoded = connection.decoder.decode(get, &mut batch, 10).expect("well formed");
    assert_eq!(decoded.consumed, get.len());
    let client = &mut connection.client;
    let progress = server.engine.execute(client, &batch, get, Position::default(), &mut out);
    assert_eq!(progress, Progress::Done);
    let chunks: Vec<&[u8]> = out.chunks().collect();
    assert_eq!(chunks, [format!("${}\r\n", payload.len()).as_bytes(), &payload, b"\r\n"]);
    assert_eq!(chunks[1].as_ptr(), owned, "the very buffer the argument came in");
}
