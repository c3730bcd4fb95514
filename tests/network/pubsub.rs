//! Messages between clients: who gets them, in which order, and what it costs when nobody reads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::harness::{Client, RedisServer, Server, encode, wait_until};

const MIB: usize = 1024 * 1024;

/// A client that listens to these, by this command, and has had its confirmations.
fn subscriber(server: &Server, command: &str) -> Client {
    let mut client = server.connect();
    let arguments: Vec<_> = command.split(' ').collect();
    client.send(&encode(&arguments));
    for _ in 1..arguments.len() {
        client.reply();
    }
    client
}

/// A message as RESP2 has it.
fn message(parts: &[&str]) -> Vec<u8> {
    encode(parts)
}

/// Sends the same bytes to redis-server and to the server under test, each over a new connection,
/// and compares what comes back until both close.
fn same_as_redis(server: &Server, redis: &RedisServer, input: &str) {
    let answers = [redis.address, server.address].map(|address| {
        let mut client = Client::connect(address);
        client.send(input.as_bytes());
        String::from_utf8(client.rest()).expect("text")
    });
    // Each server has numbers of its own for connections.
    let without_id = |text: &String| {
        let lines: Vec<_> = text.split("\r\n").map(str::to_owned).collect();
        let is_id = |at: usize| at > 0 && lines[at - 1] == "id";
        (0..lines.len()).filter(|at| !is_id(*at)).map(|at| lines[at].clone()).collect::<Vec<_>>()
    };
    assert_eq!(without_id(&answers[1]), without_id(&answers[0]), "{input}");
}

#[test]
fn replies_are_those_of_redis_to_the_byte() {
    let (server, redis) = (Server::start(), RedisServer::start());
    for input in [
        "SUBSCRIBE a a b\r\nGET x\r\nget\r\nfoo\r\nPING\r\nPING hi\r\nECHO x\r\nPING a b\r\n\
         QUIT\r\n",
        "SUBSCRIBE a\r\nPSUBSCRIBE p* q*\r\nSSUBSCRIBE s t\r\nUNSUBSCRIBE\r\nUNSUBSCRIBE\r\n\
         PUNSUBSCRIBE q* p* x\r\nSUNSUBSCRIBE t s\r\nPUNSUBSCRIBE\r\nSUNSUBSCRIBE x\r\nGET x\r\n\
         UNSUBSCRIBE x y\r\nSUNSUBSCRIBE\r\nQUIT\r\n",
        "SUBSCRIBE a\r\nMULTI\r\nEXEC\r\nCLIENT ID\r\nPUBSUB NUMPAT\r\nHELLO 3\r\nPUBLISH a x\r\n\
         RESET\r\nGET x\r\nSUBSCRIBE a\r\nQUIT\r\n",
        "HELLO 3\r\nSUBSCRIBE a b\r\nPUBLISH a hi\r\nPSUBSCRIBE *\r\nPUBLISH a ho\r\n\
         PUBLISH c c\r\nGET q\r\nPING\r\nPING x\r\nUNSUBSCRIBE a b\r\nUNSUBSCRIBE\r\n\
         SSUBSCRIBE z\r\nSPUBLISH z 1\r\nPUBLISH z 2\r\nSUNSUBSCRIBE\r\n\
         PUBSUB NUMSUB a z\r\nPUBSUB NUMPAT\r\nPUNSUBSCRIBE\r\nPUBLISH a gone\r\nQUIT\r\n",
        "HELLO 3\r\nSUBSCRIBE ''\r\nPSUBSCRIBE *\r\nPUBLISH '' empty\r\nPUBSUB CHANNELS *\r\n\
         PUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nPSUBSCRIBE '' **\r\nPUBLISH '' empty\r\nQUIT\r\n",
        "MULTI\r\nSUBSCRIBE a\r\nSUBSCRIBE b\r\nUNSUBSCRIBE a\r\nGET x\r\nEXEC\r\nGET x\r\n\
         QUIT\r\n",
        "PUBSUB\r\nPUBSUB FOO\r\nPUBSUB NUMSUB\r\nPUBSUB NUMSUB a b\r\nPUBSUB CHANNELS\r\n\
         PUBSUB CHANNELS a b\r\nPUBSUB NUMPAT\r\nPUBSUB SHARDCHANNELS\r\nPUBSUB SHARDNUMSUB a\r\n\
         PUBSUB NUMPAT x\r\nPUBLISH a\r\nSUBSCRIBE\r\nSPUBLISH a b\r\nPUBLISH a b\r\nQUIT\r\n",
    ] {
        same_as_redis(&server, &redis, input);
    }
}

#[test]
fn what_is_pushed_comes_whatever_replies_the_client_wants() {
    let (server, redis) = (Server::start(), RedisServer::start());
    for input in [
        "HELLO 3\r\nSUBSCRIBE c\r\nPING\r\nCLIENT REPLY OFF\r\nPING\r\nPUBLISH c 1\r\n\
         SUBSCRIBE d\r\nPING\r\nPUBLISH d 2\r\nCLIENT REPLY ON\r\nPUBLISH c 3\r\nQUIT\r\n",
        "HELLO 3\r\nSUBSCRIBE c\r\nCLIENT REPLY SKIP\r\nPUBLISH c 1\r\nPING\r\n\
         CLIENT REPLY SKIP\r\nUNSUBSCRIBE c\r\nPING\r\nQUIT\r\n",
        "CLIENT REPLY SKIP\r\nSUBSCRIBE a b\r\nPING\r\nQUIT\r\n",
        "CLIENT REPLY OFF\r\nPING\r\nSUBSCRIBE a\r\nPING\r\nUNSUBSCRIBE a x\r\nUNSUBSCRIBE\r\n\
         PING\r\nCLIENT REPLY ON\r\nPING\r\nQUIT\r\n",
        "CONFIG SET notify-keyspace-events KA\r\nHELLO 3\r\nPSUBSCRIBE __key*\r\nPING\r\n\
         CLIENT REPLY OFF\r\nSET a 1\r\nPING\r\nMULTI\r\nPING\r\nEXEC\r\nSET a 2\r\n\
         CLIENT REPLY ON\r\nPING\r\nCLIENT REPLY SKIP\r\nSET a 3\r\nSET a 4\r\n\
         CLIENT REPLY SKIP\r\nCLIENT REPLY OFF\r\nSET a 5\r\nPING\r\nRESET\r\nPING\r\n\
         CONFIG SET notify-keyspace-events ''\r\nQUIT\r\n",
        "CONFIG SET notify-keyspace-events KA\r\nHELLO 3\r\nPSUBSCRIBE __key*\r\nPING\r\n\
         CLIENT REPLY OFF\r\nSET a 1\r\nCLIENT REPLY OFF\r\nQUIT\r\n",
    ] {
        same_as_redis(&server, &redis, input);
    }
}

#[test]
fn fifty_subscribers_on_two_workers_get_all_messages_in_order() {
    const MESSAGES: usize = 10_000;
    const AT_ONCE: usize = 500;
    let server = Server::start();
    let mut subscribers: Vec<_> = (0..50).map(|_| subscriber(&server, "SUBSCRIBE news")).collect();
    let mut all = Vec::new();
    for number in 0..MESSAGES {
        all.extend(message(&["message", "news", &number.to_string()]));
    }
    std::thread::scope(|scope| {
        for client in &mut subscribers {
            let all = &all;
            scope.spawn(move || client.expect(all));
        }
        let mut publisher = server.connect();
        for first in (0..MESSAGES).step_by(AT_ONCE) {
            let mut commands = Vec::new();
            for number in first..first + AT_ONCE {
                commands.extend(encode(&["PUBLISH", "news", &number.to_string()]));
            }
            publisher.send(&commands);
            publisher.expect(&b":50\r\n".repeat(AT_ONCE));
        }
    });
}

#[test]
fn a_pattern_and_a_channel_are_two_subscriptions() {
    let server = Server::start();
    let mut client = subscriber(&server, "SUBSCRIBE news");
    client.send(&encode(&["PSUBSCRIBE", "n*", "[a-z]ew?"]));
    client.reply();
    client.reply();
    let mut other = server.connect();
    assert_eq!(other.ask("PUBLISH news x"), ":3\r\n");
    client.expect(&message(&["message", "news", "x"]));
    let mut patterns = [client.reply(), client.reply()];
    patterns.sort();
    let expected = ["[a-z]ew?", "n*"].map(|name| message(&["pmessage", name, "news", "x"]));
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(patterns.to_vec(), expected);
    assert_eq!(other.ask("PUBSUB CHANNELS"), "*1\r\n$4\r\nnews\r\n");
    assert_eq!(other.ask("PUBSUB CHANNELS x*"), "*0\r\n");
    assert_eq!(other.ask("PUBSUB NUMPAT"), ":2\r\n");
    assert_eq!(other.ask("PUBSUB NUMSUB news"), "*2\r\n$4\r\nnews\r\n:1\r\n");
}

#[test]
fn nothing_comes_once_the_end_of_a_subscription_is_confirmed() {
    let server = Server::start();
    let mut client = server.connect();
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = server.connect();
            while !done.load(Ordering::Relaxed) {
                let batch = encode(&["PUBLISH", "c", "x"]).repeat(50);
                publisher.send(&batch);
                (0..50).for_each(|_| drop(publisher.reply()));
            }
        });
        for _ in 0..200 {
            client.send(&encode(&["SUBSCRIBE", "c"]));
            client.expect(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
            client.send(&encode(&["UNSUBSCRIBE", "c"]));
            loop {
                let reply = client.reply();
                if reply.starts_with(b"*3\r\n$11\r\nunsubscribe") {
                    break;
                }
                assert_eq!(reply, message(&["message", "c", "x"]));
            }
            // What came now would be taken for the reply.
            assert_eq!(client.ask("ECHO still"), "$5\r\nstill\r\n");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn whoever_is_confirmed_before_a_message_is_sent_gets_it() {
    let server = Server::start();
    let mut publisher = server.connect();
    for number in 0..100 {
        let mut client = subscriber(&server, "SUBSCRIBE c");
        let text = number.to_string();
        assert_eq!(publisher.ask(&format!("PUBLISH c {text}")), ":1\r\n");
        client.expect(&message(&["message", "c", &text]));
        drop(client);
        wait_until("it has left", || publisher.ask("PUBSUB NUMSUB c").ends_with(":0\r\n"));
    }
}

#[test]
fn messages_of_a_transaction_come_when_it_has_taken_effect() {
    let server = Server::start();
    let mut client = subscriber(&server, "SUBSCRIBE c");
    let mut other = server.connect();
    other.ask("MULTI");
    other.ask("SET k 1");
    other.ask("PUBLISH c changed");
    assert_eq!(other.ask("EXEC"), "*2\r\n+OK\r\n:1\r\n");
    client.expect(&message(&["message", "c", "changed"]));
    other.ask("MULTI");
    other.ask("PUBLISH c never");
    other.ask("DISCARD");
    other.ask("PUBLISH c last");
    client.expect(&message(&["message", "c", "last"]));
}

#[test]
fn a_client_that_listens_and_speaks_resp3_reads_its_messages_before_the_reply_and_between() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("HELLO 3");
    assert_eq!(client.ask("SUBSCRIBE c"), ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let pushed = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
    client.send(&encode(&["PUBLISH", "c", "x"]));
    client.expect(pushed);
    client.expect(b":1\r\n");
    client.send(b"MULTI\r\nPUBLISH c x\r\nGET k\r\nEXEC\r\n");
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n_\r\n");
    client.expect(pushed);
    server.connect().ask("PUBLISH c x");
    client.expect(pushed);
    assert_eq!(client.ask("GET k"), "_\r\n");
}

#[test]
fn a_client_that_waits_is_told_meanwhile() {
    let (server, redis) = (Server::start(), RedisServer::start());
    for address in [server.address, redis.address] {
        let mut other = Client::connect(address);
        assert_eq!(other.ask("CONFIG SET notify-keyspace-events Em"), "+OK\r\n");
        let mut waiting = Client::connect(address);
        waiting.ask("HELLO 3");
        waiting.ask("SUBSCRIBE c");
        waiting.send(b"WAIT 1 60000\r\n");
        for _ in 0..3 {
            assert_eq!(other.ask("PUBLISH c x"), ":1\r\n");
            waiting.expect(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
        }
        let mut paused = Client::connect(address);
        paused.ask("HELLO 3");
        paused.ask("SUBSCRIBE __keyevent@0__:keymiss");
        assert_eq!(other.ask("CLIENT PAUSE 60000 WRITE"), "+OK\r\n");
        paused.send(b"PING\r\nSET k v\r\n");
        paused.expect(b"+PONG\r\n");
        for _ in 0..3 {
            other.ask("GET nothing");
            let message = String::from_utf8(paused.reply()).expect("text");
            assert!(message.starts_with(">3\r\n") && message.contains("nothing"), "{message}");
        }
        assert_eq!(other.ask("CLIENT UNPAUSE"), "+OK\r\n");
        paused.expect(b"+OK\r\n");
    }
}

/// Publishes messages of a MiB until nobody gets them any more. Returns how many there were, and by
/// how much the server has grown at most.
fn flood(server: &Server) -> (usize, u64) {
    let mut publisher = server.connect();
    let payload = vec![b'x'; MIB];
    let before = server.resident_bytes();
    let (mut sent, mut grown) = (0, 0);
    while publisher.call(&[b"PUBLISH".as_slice(), b"c", &payload]) == b":1\r\n" {
        sent += 1;
        assert!(sent < 500, "a client that does not read is kept");
        grown = grown.max(server.resident_bytes().saturating_sub(before));
    }
    (sent, grown)
}

#[test]
fn a_subscriber_that_does_not_read_is_disconnected_at_the_hard_limit() {
    let server = Server::start();
    let mut admin = server.connect();
    let limits = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0"];
    assert_eq!(admin.call(&limits), b"+OK\r\n");
    let silent = subscriber(&server, "SUBSCRIBE c");
    let (sent, grown) = flood(&server);
    assert!(sent >= 4, "disconnected after {sent} messages");
    assert!(grown < 64 * MIB as u64, "{sent} messages took {grown} bytes");
    wait_until("it is told in the log", || {
        server.has_logged("scheduled to be closed ASAP for overcoming of output buffer limits.")
    });
    drop(silent);
    assert_eq!(admin.ask("PING"), "+PONG\r\n");
}

#[test]
fn a_subscriber_that_stays_over_the_soft_limit_is_disconnected() {
    let server = Server::start();
    let limits = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1mb 1"];
    assert_eq!(server.connect().call(&limits), b"+OK\r\n");
    let _silent = subscriber(&server, "SUBSCRIBE c");
    let mut publisher = server.connect();
    let payload = vec![b'x'; MIB];
    // More than the sockets take.
    for _ in 0..24 {
        publisher.call(&[b"PUBLISH".as_slice(), b"c", &payload]);
    }
    wait_until("it is disconnected", || publisher.ask("PUBSUB NUMSUB c").ends_with(":0\r\n"));
}

#[test]
fn what_waits_for_a_subscriber_is_shown_in_the_list_of_clients() {
    let server = Server::start();
    let limits = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"];
    let mut client = server.connect();
    assert_eq!(client.call(&limits), b"+OK\r\n");
    let _silent = subscriber(&server, "SUBSCRIBE c");
    let payload = vec![b'x'; MIB];
    for _ in 0..40 {
        client.call(&[b"PUBLISH".as_slice(), b"c", &payload]);
    }
    let mut figure = |name: &str| {
        let list = client.ask("CLIENT LIST TYPE pubsub");
        let words = list.split_whitespace().filter_map(|word| word.split_once('='));
        let mut values =
            words.filter(|(key, _)| *key == name).map(|(_, value)| value.parse::<usize>());
        values.next().expect("a figure").expect("a number")
    };
    // What the sockets take is not the server's any more.
    wait_until("all that waits is shown", || figure("omem") > 20 * MIB);
    assert!(figure("tot-mem") > figure("omem") && figure("oll") > 1);
}

#[test]
fn one_reply_beyond_the_limit_of_normal_clients_disconnects() {
    let server = Server::start();
    let mut client = server.connect();
    client.set("k", &vec![b'x'; 3 * MIB]);
    assert_eq!(client.call(&["GET", "k"]).len(), 3 * MIB + 12);
    let limits = ["CONFIG", "SET", "client-output-buffer-limit", "normal 2mb 0 0"];
    assert_eq!(client.call(&limits), b"+OK\r\n");
    client.send(&encode(&["GET", "k"]));
    assert!(client.rest().is_empty());
    assert_eq!(server.connect().ask("STRLEN k"), ":3145728\r\n");
}

#[test]
fn silent_subscribers_cost_the_others_nothing_and_leave_nothing_behind() {
    let server = Server::start();
    let mut client = server.connect();
    let silent: Vec<_> = (0..20).map(|_| subscriber(&server, "SUBSCRIBE c")).collect();
    let mut reader = subscriber(&server, "SUBSCRIBE c");
    for _ in 0..100 {
        assert_eq!(client.ask("PUBLISH c x"), ":21\r\n");
        reader.expect(&message(&["message", "c", "x"]));
    }
    drop(silent);
    wait_until("they have left", || client.ask("PUBLISH c y") == ":1\r\n");
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(client.ask("PUBSUB NUMSUB c"), "*2\r\n$1\r\nc\r\n:1\r\n");
}
