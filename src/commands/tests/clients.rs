//! Clients as the engine sees them: unwanted replies, uses that do not count, the number allowed.

use super::super::{Position, Progress};
use super::{Connection, Server, encode};
use crate::resp::{Batch, Decoder, LARGE_ARG, Limits, ReplyBuffer};

/// Runs commands in one batch; returns the replies and whether there may be fewer than commands.
fn run(server: &mut Server, connection: &mut Connection, commands: &str) -> (String, bool) {
    let replies = server.line(connection, &commands.replace('|', "\r\n"));
    (replies, connection.client.take_muted())
}

#[test]
fn what_is_not_wanted_is_taken_back_and_nothing_else() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let commands = "ECHO a|CLIENT REPLY SKIP|ECHO b|ECHO c|CLIENT REPLY OFF|ECHO d";
    let expected = "$1\r\na\r\n$1\r\nc\r\n";
    assert_eq!(run(&mut server, &mut connection, commands), (expected.to_owned(), true));
    assert_eq!(run(&mut server, &mut connection, "ECHO e"), (String::new(), true));
    let replies = run(&mut server, &mut connection, "ECHO f|CLIENT REPLY ON|ECHO g");
    assert_eq!(replies, ("+OK\r\n$1\r\ng\r\n".to_owned(), true));
    assert_eq!(run(&mut server, &mut connection, "PING"), ("+PONG\r\n".to_owned(), false));
}

#[test]
fn a_skip_waits_for_the_next_batch_and_takes_large_values_back_too() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let large = vec![b'l'; 2 * LARGE_ARG];
    server.command(&mut connection, &[b"SET", b"large", &large]);
    assert_eq!(run(&mut server, &mut connection, "CLIENT REPLY SKIP"), (String::new(), false));
    assert_eq!(run(&mut server, &mut connection, "GET large"), (String::new(), true));
    assert_eq!(server.command(&mut connection, &[b"STRLEN", b"large"]), b":65536\r\n");
}

#[test]
fn a_lost_transaction_takes_the_wishes_back_that_it_has_made() {
    use super::super::atomic::atomically;
    use super::super::reply_mode::reply;
    super::with_context(|context| {
        let other = context.state.keyspace.join();
        let key = context.state.keyspace.key(b"k");
        let input = encode(&[b"CLIENT", b"REPLY", b"OFF"]);
        let mut batch = Batch::new();
        let decoder = &mut Decoder::new(Limits::default());
        let decoded = decoder.decode(&input, &mut batch, 1).expect("well formed");
        assert_eq!(decoded.consumed, input.len());
        let mut runs = 0;
        atomically(context, |context| {
            runs += 1;
            // The replies before OFF are longer in the second run.
            context.out.bulk(&b"xxxxxxxx"[..4 * runs]);
            context.database.add(&context.session, key, 1).expect("a number");
            if runs == 1 {
                context.database.add(&other.pin(), key, 10).expect("a number");
            }
            assert!(reply(context, &batch.args(0, &input)).is_ok());
            context.out.ok();
        });
        assert_eq!(runs, 2);
        context.client.reply_mode.end_batch(context.out);
        assert_eq!(context.out.is_single(), Some(&b"$8\r\nxxxxxxxx\r\n"[..]));
    });
}

#[test]
fn uses_by_a_client_that_touches_nothing_do_not_count() {
    let mut server = Server::new();
    let mut connection = server.connect();
    server.line(&mut connection, "SET k v");
    server.line(&mut connection, "CONFIG SET maxmemory-policy allkeys-lfu");
    server.line(&mut connection, "SET f v");
    let frequency =
        |server: &mut Server, connection: &mut Connection| server.line(connection, "OBJECT FREQ f");
    let before = frequency(&mut server, &mut connection);
    server.line(&mut connection, "CLIENT NO-TOUCH ON");
    for _ in 0..200 {
        server.line(&mut connection, "GET f");
    }
    assert_eq!(frequency(&mut server, &mut connection), before);
    // TOUCH is there for just that.
    for _ in 0..200 {
        server.line(&mut connection, "TOUCH f");
    }
    assert_ne!(frequency(&mut server, &mut connection), before);
    let mut other = server.connect();
    assert_eq!(server.line(&mut other, "CLIENT NO-TOUCH OFF"), "+OK\r\n");
}

#[test]
fn the_number_of_clients_allowed_changes_as_far_as_the_system_permits() {
    let server = Server::new();
    assert_eq!(server.state.set_max_clients(17), Ok(()));
    assert_eq!(server.state.tunables.max_clients.get(), 17);
    let refused = server.state.set_max_clients(usize::MAX / 2).expect_err("too many");
    let start = "The operating system is not able to handle the specified number of clients, try";
    assert!(refused.starts_with(start), "{refused}");
    assert_eq!(server.state.tunables.max_clients.get(), 17);
}

#[test]
fn a_pause_stalls_a_batch_where_it_is() {
    let mut server = Server::new();
    let (mut admin, connection) = (server.connect(), server.connect());
    server.line(&mut admin, "CLIENT PAUSE 3600000 WRITE");
    let input = b"GET a\r\nSET a b\r\nGET a\r\n";
    let mut batch = Batch::new();
    let decoder = &mut Decoder::new(Limits::default());
    let decoded = decoder.decode(input, &mut batch, usize::MAX).expect("well formed");
    assert_eq!(decoded.consumed, input.len());
    let mut out = ReplyBuffer::new();
    let mut client = connection.client;
    let mut execute = |server: &mut Server, out: &mut ReplyBuffer, at| {
        server.engine.execute(&mut client, &batch, input, at, out)
    };
    let Progress::Stall(at, awaited) = execute(&mut server, &mut out, Position::default()) else {
        panic!("it goes on");
    };
    assert_eq!(at.command, 1);
    assert!(!server.engine.is_met(1, awaited));
    assert_eq!(execute(&mut server, &mut out, at), Progress::Stall(at, awaited));
    assert_eq!(server.line(&mut admin, "CLIENT UNPAUSE"), "+OK\r\n");
    assert!(server.engine.is_met(1, awaited));
    assert_eq!(execute(&mut server, &mut out, at), Progress::Done);
    assert_eq!(out.is_single(), Some(&b"$-1\r\n+OK\r\n$1\r\nb\r\n"[..]));
}
