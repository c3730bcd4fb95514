//! CLIENT PAUSE: who waits, for how long, and what stays as it is meanwhile.

use std::time::{Duration, Instant};

use super::harness::{Client, RedisServer, Server, wait_until};

/// Long enough that no test sees its end.
const FOR_EVER: &str = "3600000";

fn server() -> Server {
    Server::with(&["--io-threads", "2"])
}

/// Waits until so many clients wait.
fn wait_for(admin: &mut Client, count: usize) {
    wait_until("clients wait", || {
        let list = admin.ask("CLIENT LIST");
        list.lines().filter(|line| line.contains(" flags=b") || line.contains(" flags=xb")).count()
            == count
    });
}

#[test]
fn writes_wait_on_every_worker_and_reads_go_on() {
    let server = server();
    let mut admin = server.connect();
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    assert_eq!(admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE")), "+OK\r\n");
    for (number, client) in clients.iter_mut().enumerate() {
        // What comes before the write is answered, what comes after it waits too.
        client.send(format!("GET none\r\nSET key:{number} v\r\nPING\r\n").as_bytes());
        client.expect(b"$-1\r\n");
    }
    wait_for(&mut admin, clients.len());
    assert_eq!(admin.ask("DBSIZE"), ":0\r\n");
    // Refused whatever the keys hold, so at once.
    assert!(admin.ask("SET a").starts_with("-ERR wrong number"));
    assert_eq!(admin.ask("CLIENT UNPAUSE"), "+OK\r\n");
    for client in &mut clients {
        client.expect(b"+OK\r\n+PONG\r\n");
    }
    assert_eq!(admin.ask("DBSIZE"), ":6\r\n");
    wait_for(&mut admin, 0);
}

#[test]
fn no_write_is_under_way_when_the_pause_is_acknowledged() {
    let server = server();
    let mut admin = server.connect();
    let mut writers: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for round in 0..20 {
        for writer in &mut writers {
            writer.send("INCR n\r\n".repeat(2_000).as_bytes());
        }
        assert_eq!(admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE")), "+OK\r\n");
        let before = admin.ask("GET n");
        for _ in 0..20 {
            assert_eq!(admin.ask("GET n"), before, "round {round}");
        }
        admin.ask("CLIENT UNPAUSE");
        for writer in &mut writers {
            for _ in 0..2_000 {
                assert!(writer.reply().starts_with(b":"));
            }
        }
    }
}

#[test]
fn all_wait_until_the_time_is_over_also_those_who_would_end_it() {
    let server = server();
    let (mut admin, mut other) = (server.connect(), server.connect());
    let start = Instant::now();
    // The one that has asked for it waits too, from the next command on.
    admin.send(b"CLIENT PAUSE 700\r\nPING\r\n");
    admin.expect(b"+OK\r\n");
    other.send(b"FOO\r\nGET\r\nCLIENT UNPAUSE\r\n");
    assert!(other.reply().starts_with(b"-ERR unknown command"));
    assert!(other.reply().starts_with(b"-ERR wrong number"));
    other.expect(b"+OK\r\n");
    admin.expect(b"+PONG\r\n");
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
}

#[test]
fn a_pause_under_way_gets_no_shorter() {
    let server = server();
    let (mut admin, mut writer) = (server.connect(), server.connect());
    admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE"));
    assert_eq!(admin.ask("CLIENT PAUSE 1 WRITE"), "+OK\r\n");
    writer.send(b"SET a b\r\n");
    wait_for(&mut admin, 1);
    admin.ask("CLIENT UNPAUSE");
    writer.expect(b"+OK\r\n");
}

#[test]
fn transactions_wait_if_they_write() {
    let server = server();
    let mut admin = server.connect();
    let (mut reader, mut writer, mut late) = (server.connect(), server.connect(), server.connect());
    for (client, command) in [(&mut reader, "GET a"), (&mut writer, "SET a b")] {
        assert_eq!(client.ask("MULTI"), "+OK\r\n");
        assert_eq!(client.ask(command), "+QUEUED\r\n");
    }
    admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE"));
    assert_eq!(reader.ask("EXEC"), "*1\r\n$-1\r\n");
    writer.send(b"EXEC\r\n");
    late.send(b"MULTI\r\nGET a\r\nSET a c\r\n");
    late.expect(b"+OK\r\n+QUEUED\r\n");
    wait_for(&mut admin, 2);
    admin.ask("CLIENT UNPAUSE");
    writer.expect(b"*1\r\n+OK\r\n");
    late.expect(b"+QUEUED\r\n");
    assert_eq!(late.ask("EXEC"), "*2\r\n$1\r\nb\r\n+OK\r\n");
}

#[test]
fn a_pause_within_a_transaction_holds_from_the_next_command_on() {
    let server = server();
    let (mut admin, mut client) = (server.connect(), server.connect());
    client.send(
        format!("MULTI\r\nCLIENT PAUSE {FOR_EVER} WRITE\r\nSET a 1\r\nEXEC\r\nGET a\r\nINCR a\r\n")
            .as_bytes(),
    );
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n$1\r\n1\r\n");
    wait_for(&mut admin, 1);
    admin.ask("CLIENT UNPAUSE");
    client.expect(b":2\r\n");
}

#[test]
fn keys_past_their_deadline_read_as_absent_and_stay_as_in_redis() {
    let (ours, redis) = (server(), RedisServer::start());
    let play = |mut admin: Client, mut client: Client| {
        admin.ask("SET k v PX 50");
        admin.ask("SET other v");
        admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE"));
        std::thread::sleep(Duration::from_millis(200));
        let asked = ["GET k", "EXISTS k", "TTL k", "KEYS k", "DBSIZE", "MULTI", "GET k", "EXEC"];
        let mut answers: Vec<_> = asked.iter().map(|command| client.ask(command)).collect();
        answers.push(client.ask("DBSIZE"));
        admin.ask("CLIENT UNPAUSE");
        answers
    };
    assert_eq!(play(ours.connect(), ours.connect()), play(redis.connect(), redis.connect()));
    let mut client = ours.connect();
    wait_until("the key goes when the pause is over", || client.ask("DBSIZE") == ":1\r\n");
}

#[test]
fn a_client_that_waits_can_be_killed_and_has_done_nothing() {
    let server = server();
    let (mut admin, mut writer) = (server.connect(), server.connect());
    let id = writer.ask("CLIENT ID").trim_matches(|c| ":\r\n".contains(c)).to_owned();
    admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE"));
    writer.send(b"SET a b\r\n");
    wait_for(&mut admin, 1);
    assert_eq!(admin.ask(&format!("CLIENT KILL ID {id}")), ":1\r\n");
    assert_eq!(writer.rest(), b"");
    admin.ask("CLIENT UNPAUSE");
    assert_eq!(admin.ask("DBSIZE"), ":0\r\n");
}

#[test]
fn a_server_that_stops_does_not_wait_for_the_end_of_a_pause() {
    let mut server = server();
    let (mut admin, mut writer) = (server.connect(), server.connect());
    admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE"));
    writer.send(b"PING\r\nSET a b\r\n");
    writer.expect(b"+PONG\r\n");
    wait_for(&mut admin, 1);
    server.signal("TERM");
    assert_eq!(writer.rest(), b"");
    assert!(server.wait().success());
    assert!(!server.has_logged("did not take their replies in time"));
}

#[test]
fn a_client_that_goes_while_it_waits_is_gone_and_has_done_nothing() {
    let server = server();
    let mut admin = server.connect();
    admin.ask(&format!("CLIENT PAUSE {FOR_EVER} WRITE"));
    for round in 0..20 {
        let mut writers: Vec<_> = (0..10).map(|_| server.connect()).collect();
        for writer in &mut writers {
            writer.send(b"PING\r\nSET a b\r\n");
            writer.expect(b"+PONG\r\n");
        }
        if round == 0 {
            wait_for(&mut admin, 10);
        }
        drop(writers);
        wait_until("they are gone", || {
            admin.ask("INFO clients").contains("connected_clients:1\r\n")
        });
    }
    assert!(admin.ask("INFO clients").contains("blocked_clients:0\r\n"));
    admin.ask("CLIENT UNPAUSE");
    assert_eq!(admin.ask("DBSIZE"), ":0\r\n");
}

#[test]
fn what_is_refused_for_what_the_client_is_does_not_wait_as_in_redis() {
    let (ours, redis) = (server(), RedisServer::start());
    let [ours, theirs] = [
        [ours.connect(), ours.connect(), ours.connect()],
        [redis.connect(), redis.connect(), redis.connect()],
    ]
    .map(|[mut admin, mut listener, mut other]| {
        listener.ask("SUBSCRIBE c");
        other.ask("MULTI");
        assert_eq!(admin.ask("CLIENT PAUSE 400 ALL"), "+OK\r\n");
        let start = Instant::now();
        let replies = [
            listener.ask("GET a"),
            listener.ask("SET a b"),
            other.ask("SAVE"),
            other.ask("DEBUG SLEEP 0"),
        ];
        assert!(start.elapsed() < Duration::from_millis(300));
        listener.send(b"PING\r\n");
        other.send(b"EXEC\r\n");
        (replies, listener.reply(), other.reply())
    });
    assert_eq!(ours, theirs);
}
