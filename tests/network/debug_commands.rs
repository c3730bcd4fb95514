//! DEBUG: what test suites and those who look into a server use, where it is allowed.

use std::time::{Duration, Instant};

use super::harness::{Client, LogFile, RedisServer, Server, encode, show, wait_until};

const ALLOWED: [&str; 4] = ["--io-threads", "2", "--enable-debug-command", "yes"];

/// A redis-server that allows DEBUG.
fn redis() -> RedisServer {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    RedisServer::with(folder, &["--save", "", "--enable-debug-command", "yes"])
}

/// All replies to these commands, apart by bars, as one stream.
fn stream(mut client: Client, commands: &str) -> String {
    for command in commands.split('|') {
        client.send(&encode(&command.split(' ').collect::<Vec<_>>()));
    }
    client.finish_sending();
    show(&client.rest())
}

#[test]
fn each_type_of_reply_is_that_of_redis_in_both_protocols() {
    let (redis, ours) = (redis(), Server::with(&ALLOWED));
    let kinds = "string integer double bignum null array set map attrib push verbatim true false x";
    for greeting in ["PING", "HELLO 3"] {
        for kind in kinds.split(' ') {
            // The reply to HELLO has a number that differs.
            let answer = |mut client: Client| {
                client.ask(greeting);
                stream(client, &format!("DEBUG PROTOCOL {kind}|ping"))
            };
            let (expected, reply) = (answer(redis.connect()), answer(ours.connect()));
            assert_eq!(reply, expected, "{kind} after {greeting}");
        }
    }
}

#[test]
fn what_debug_cannot_do_is_refused_as_redis_does() {
    let (redis, ours) = (redis(), Server::with(&ALLOWED));
    let commands = "DEBUG|DEBUG FOO|DEBUG HELP x|DEBUG SLEEP|DEBUG SLEEP x|DEBUG SLEEP -1|\
        DEBUG SET-ACTIVE-EXPIRE|DEBUG SET-ACTIVE-EXPIRE 0|DEBUG SET-ACTIVE-EXPIRE 1|\
        DEBUG OBJECT none|DEBUG OBJECT|DEBUG OBJECT a b|DEBUG PROTOCOL|DEBUG POPULATE|\
        DEBUG POPULATE x|DEBUG POPULATE -1|DEBUG POPULATE 5 a b|DEBUG POPULATE 1 a -4|\
        DEBUG POPULATE 3|DEBUG POPULATE 3 pre 10|SET pre:4 x|DEBUG POPULATE 5 pre 10|\
        MGET key:0 key:2 key:3 pre:0 pre:2 pre:4 a:0|DBSIZE|DEBUG JMAP|DEBUG ERROR foo|\
        DEBUG STRINGMATCH-LEN 10 x|DEBUG CHANGE-REPL-ID|DEBUG CHANGE-REPL-ID x|DEBUG LOG hi|\
        MULTI|DEBUG SLEEP 0|DEBUG FOO|DEBUG PROTOCOL integer|EXEC";
    assert_eq!(stream(ours.connect(), commands), stream(redis.connect(), commands));
}

#[test]
fn debug_is_refused_unless_it_is_allowed_and_breaks_a_transaction() {
    let ours = Server::start();
    let redis = RedisServer::start();
    let commands = "DEBUG SLEEP 0|DEBUG HELP|DEBUG FOO|DEBUG|MULTI|DEBUG SLEEP 0|EXEC|PING";
    assert_eq!(stream(ours.connect(), commands), stream(redis.connect(), commands));
    // The tests connect from this machine.
    let local = Server::with(&["--enable-debug-command", "local"]);
    assert_eq!(local.connect().ask("DEBUG SLEEP 0"), "+OK\r\n");
}

#[test]
fn a_sleeping_server_runs_no_command_and_runs_all_of_them_afterwards() {
    const SLEEP: Duration = Duration::from_millis(600);
    let server = Server::with(&ALLOWED);
    let (mut sleeper, mut others) = (server.connect(), Vec::new());
    others.extend((0..4).map(|_| server.connect()));
    for other in &mut others {
        assert_eq!(other.ask("PING"), "+PONG\r\n");
    }
    let start = Instant::now();
    sleeper.send(&encode(&["DEBUG", "SLEEP", "0.6"]));
    // Long enough for the command to have come.
    std::thread::sleep(Duration::from_millis(100));
    for other in &mut others {
        assert_eq!(other.ask("INCR n").len(), 4, "a number");
        assert!(start.elapsed() >= SLEEP, "{:?}", start.elapsed());
    }
    assert_eq!(sleeper.reply(), b"+OK\r\n");
    assert!(start.elapsed() >= SLEEP);
    assert_eq!(sleeper.ask("GET n"), "$1\r\n4\r\n");
}

#[test]
fn a_server_whose_client_sleeps_stops_at_once_and_wakes_when_the_client_goes() {
    let mut server = Server::with(&ALLOWED);
    let (sleeper, mut other) = (server.connect(), server.connect());
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    let mut sleeper = sleeper;
    sleeper.send(&encode(&["DEBUG", "SLEEP", "1000000"]));
    std::thread::sleep(Duration::from_millis(200));
    drop(sleeper);
    assert_eq!(other.ask("PING"), "+PONG\r\n", "the client that slept is gone");
    let mut sleeper = server.connect();
    sleeper.send(&encode(&["DEBUG", "SLEEP", "1000000"]));
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    assert_eq!(sleeper.rest(), b"");
    assert!(server.wait().success());
    assert!(!server.has_logged("did not take their replies"), "{:?}", server.log());
}

#[test]
fn many_keys_are_made_while_others_are_served_and_they_are_in_the_log() {
    const KEYS: usize = 300_000;
    let log = LogFile::new();
    let flags = [&log.flags("always")[..], &["--enable-debug-command", "yes"]].concat();
    let mut server = Server::with(&flags);
    let (mut maker, mut other) = (server.connect(), server.connect());
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    maker.send(&encode(&["DEBUG", "POPULATE", &KEYS.to_string(), "k", "20"]));
    let mut between = 0;
    wait_until("all keys are there", || {
        let count = other.ask("DBSIZE");
        let count: usize = count.trim_start_matches(':').trim_end().parse().expect("a number");
        between += usize::from(count > 0 && count < KEYS);
        count == KEYS
    });
    assert!(between > 0, "the other client was served in between");
    assert_eq!(maker.reply(), b"+OK\r\n");
    server.kill();
    let server = Server::with(&flags);
    let mut client = server.connect();
    assert_eq!(client.ask("DBSIZE"), format!(":{KEYS}\r\n"));
    assert_eq!(client.call(&["GET", "k:7"]), b"$20\r\nvalue:7\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n");
    let refused = "-ERR DEBUG POPULATE is not possible inside MULTI\r\n";
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("DEBUG POPULATE 3"), "+QUEUED\r\n");
    assert_eq!(client.ask("EXEC"), format!("*1\r\n{refused}"));
}

#[test]
fn keys_past_their_deadline_stay_while_nobody_searches_for_them() {
    let server = Server::with(&ALLOWED);
    let mut client = server.connect();
    assert_eq!(client.ask("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
    for index in 0..100 {
        assert_eq!(client.ask(&format!("SET k{index} v PX 1")), "+OK\r\n");
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(server.info("expired_keys"), 0);
    assert_eq!(client.ask("GET k7"), "$-1\r\n");
    assert_eq!(client.ask("DEBUG SET-ACTIVE-EXPIRE 1"), "+OK\r\n");
    wait_until("the keys are found", || server.info("expired_keys") == 100);
}

#[test]
fn how_a_key_is_kept_is_told_in_the_form_of_redis() {
    let (redis, ours) = (redis(), Server::with(&ALLOWED));
    for value in ["bar", "12", "-70000", &"long ".repeat(9).replace(' ', "_"), &"x".repeat(5)] {
        let told = |mut client: Client| {
            client.set("k", value.as_bytes());
            let text = client.ask("DEBUG OBJECT k");
            // The address, the clock and what is shared differ.
            let words = text.split(' ').filter(|word| {
                !["at:", "lru:", "refcount:"].iter().any(|start| word.starts_with(start))
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let (expected, told) = (told(redis.connect()), told(ours.connect()));
        let parts =
            |text: &str| text.split_once("serializedlength").expect("a length").0.to_owned();
        assert_eq!(parts(&told), parts(&expected), "{value}");
        assert!(told.contains("lru_seconds_idle:0"), "{told}");
    }
}

#[test]
fn the_history_of_the_data_gets_another_name() {
    let server = Server::with(&ALLOWED);
    let name = server.info_text("master_replid").expect("a field");
    assert_eq!(server.connect().ask("DEBUG CHANGE-REPL-ID"), "+OK\r\n");
    let other = server.info_text("master_replid").expect("a field");
    assert_eq!((name.len(), other.len()), (40, 40));
    assert_ne!(name, other);
}
