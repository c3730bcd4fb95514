//! MULTI, EXEC, DISCARD, WATCH and UNWATCH over real sockets: alone, and compared with redis-server
//! where two clients meet on a key.

use super::harness::{Client, RedisServer, Server, encode, show};
use std::time::Duration;

/// Sends lines one after the other; returns their replies.
fn replies(client: &mut Client, lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| client.ask(line)).collect()
}

/// The last of the replies to these lines.
fn last(client: &mut Client, lines: &[&str]) -> String {
    replies(client, lines).pop().expect("a line")
}

#[test]
fn every_error_has_the_words_of_redis() {
    let server = Server::single_worker();
    let mut client = server.connect();
    let previous = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    let arity = |name: &str| format!("-ERR wrong number of arguments for '{name}' command\r\n");
    let exec_arity = "-EXECABORT Transaction discarded because of: \
        wrong number of arguments for 'exec' command\r\n";
    for (lines, expected) in [
        (&["EXEC"][..], "-ERR EXEC without MULTI\r\n"),
        (&["DISCARD"], "-ERR DISCARD without MULTI\r\n"),
        (&["MULTI", "MULTI"], "-ERR MULTI calls can not be nested\r\n"),
        (&["MULTI", "WATCH k"], "-ERR WATCH inside MULTI is not allowed\r\n"),
        (&["MULTI", "MULTI", "WATCH k", "EXEC"], "*0\r\n"),
        (&["WATCH"], &arity("watch")),
        (&["UNWATCH k"], &arity("unwatch")),
        (&["MULTI k"], &arity("multi")),
        (&["DISCARD k"], &arity("discard")),
        (&["EXEC k"], exec_arity),
        (&["MULTI", "EXEC k"], exec_arity),
        (&["MULTI", "EXEC k", "EXEC"], "-ERR EXEC without MULTI\r\n"),
        (&["MULTI", "NOPE", "EXEC"], previous),
        (&["MULTI", "SET k", "EXEC"], previous),
        (&["MULTI", "SET k", "SET k v", "EXEC"], previous),
        (&["MULTI", "CONFIG NOPE", "EXEC"], previous),
        (&["MULTI", "DISCARD k", "EXEC"], previous),
        (&["MULTI", "WATCH", "EXEC"], previous),
        (&["MULTI", "SET k", "EXEC", "EXEC"], "-ERR EXEC without MULTI\r\n"),
        (&["MULTI", "SET k", "DISCARD"], "+OK\r\n"),
        (&["MULTI", "SET k", "DISCARD", "MULTI", "EXEC"], "*0\r\n"),
    ] {
        assert_eq!(last(&mut client, lines), expected, "{lines:?}");
        assert_eq!(client.ask("RESET"), "+RESET\r\n");
    }
    assert_eq!(client.ask("EXISTS k"), ":0\r\n", "nothing of all that was done");
}

#[test]
fn an_error_while_it_runs_undoes_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    let sent = ["MULTI", "SET k text", "INCR k", "SET k 41", "INCR k", "RENAME no k", "EXEC"];
    let expected = "*5\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n:42\r\n\
        -ERR no such key\r\n";
    assert_eq!(last(&mut client, &sent), expected);
    assert_eq!(client.ask("GET k"), "$2\r\n42\r\n");
}

#[test]
fn nothing_is_seen_before_exec_and_all_of_it_after() {
    let server = Server::start();
    let (mut one, mut other) = (server.connect(), server.connect());
    assert_eq!(replies(&mut one, &["MULTI", "SET a 1", "SET b 2"])[2], "+QUEUED\r\n");
    assert_eq!(other.ask("MGET a b"), "*2\r\n$-1\r\n$-1\r\n");
    assert_eq!(one.ask("EXEC"), "*2\r\n+OK\r\n+OK\r\n");
    assert_eq!(other.ask("MGET a b"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

#[test]
fn a_client_that_leaves_takes_its_queue_along() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(replies(&mut client, &["MULTI", "SET a 1"])[1], "+QUEUED\r\n");
    client.finish_sending();
    assert!(client.rest().is_empty());
    let mut client = server.connect();
    assert_eq!(replies(&mut client, &["GET a", "EXEC"])[0], "$-1\r\n");
    assert_eq!(last(&mut client, &["MULTI", "SET a 2", "QUIT"]), "+OK\r\n");
    assert!(client.rest().is_empty());
    assert_eq!(server.connect().ask("GET a"), "$-1\r\n");
}

#[test]
fn many_commands_and_large_values_go_through_a_queue() {
    let server = Server::start();
    let mut client = server.connect();
    let (count, large) = (20_000, vec![b'l'; 3 << 20]);
    let mut sent = encode(&["MULTI"]);
    let mut expected = b"+OK\r\n".to_vec();
    for number in 0..count {
        sent.extend(encode(&["SET", &format!("key:{number}"), &number.to_string()]));
    }
    sent.extend(encode(&[b"SET", &b"large"[..], &large]));
    sent.extend(encode(&["EXEC"]));
    expected.extend(b"+QUEUED\r\n".repeat(count + 1));
    expected.extend(format!("*{}\r\n", count + 1).bytes());
    expected.extend(b"+OK\r\n".repeat(count + 1));
    client.send_while(&sent, |client| client.expect(&expected));
    assert_eq!(client.ask("DBSIZE"), format!(":{}\r\n", count + 1));
    assert_eq!(client.ask("GET key:19999"), "$5\r\n19999\r\n");
    assert_eq!(client.ask("STRLEN large"), format!(":{}\r\n", large.len()));
}

#[test]
fn a_client_whose_queue_is_too_long_is_closed() {
    let server = Server::with(&["--client-query-buffer-limit", "1mb"]);
    let mut client = server.connect();
    let sent = encode(&["SET", "k", &"v".repeat(10_000)]).repeat(120);
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    // The server may close before it has read everything.
    let _ = client.try_send(&sent);
    let rest = client.rest();
    assert!(rest.len() < 120 * "+QUEUED\r\n".len(), "{} bytes", rest.len());
    assert_eq!(server.connect().ask("EXISTS k"), ":0\r\n");
}

#[test]
fn a_watched_key_that_ends_by_itself_is_a_change() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("SET k v PX 30");
    assert_eq!(replies(&mut client, &["WATCH k", "MULTI", "PING"])[2], "+QUEUED\r\n");
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(client.ask("EXEC"), "*-1\r\n");
    assert_eq!(last(&mut client, &["WATCH k", "MULTI", "PING", "EXEC"]), "*1\r\n+PONG\r\n");
}

/// What the key is when it is watched. All keys but it are the same: `j` is there, in database 0
/// and, with another value, in database 1.
const BEFORE: [&str; 6] = [
    "DEL k",
    "SET k text",
    "SET k 10",
    "SET k text PX 90000",
    "SET k 10 PX 90000",
    "SET k sixty-four-bytes-and-more-so-that-it-is-not-kept-beside-its-key-in-redis",
];

/// What somebody does to it. Not among them is what changes nothing while Redis calls it a change
/// (INCRBY of 0, APPEND of nothing, a bit set to what it is).
const CHANGES: [&str; 53] = [
    "PING",
    "GET k",
    "STRLEN k",
    "TOUCH k",
    "TTL k",
    "OBJECT ENCODING k",
    "DUMP k",
    "SET k text",
    "SET k other",
    "SET k other KEEPTTL",
    "SET k other NX",
    "SET k other XX",
    "SETNX k v",
    "GETSET k v",
    "SETEX k 100 v",
    "GETDEL k",
    "GETEX k",
    "GETEX k PERSIST",
    "GETEX k EX 100",
    "APPEND k z",
    "SETRANGE k 1 q",
    "SETRANGE k 1 ",
    "SETBIT k 1000 1",
    "BITFIELD k GET u8 0",
    "BITFIELD k SET u8 0 255",
    "BITOP NOT k j",
    "BITOP AND k nothing1 nothing2",
    "INCR k",
    "DECRBY k 5",
    "INCRBYFLOAT k 1.5",
    "EXPIRE k 100",
    "EXPIRE k 100 XX",
    "PEXPIREAT k 1",
    "PERSIST k",
    "DEL k",
    "UNLINK k j",
    "DEL k|SET k text",
    "MSET k v j v",
    "MSETNX k v i v",
    "MSETNX k v j v",
    "RENAME k i",
    "RENAME j k",
    "RENAMENX j k",
    "COPY j k",
    "COPY j k REPLACE",
    "COPY k i",
    "MOVE k 1",
    "SELECT 1|MOVE j 0|RENAME j k|MOVE k 0",
    "FLUSHDB",
    "FLUSHALL",
    "FLUSHALL|SET k text",
    "SWAPDB 0 1",
    "SWAPDB 0 1|SWAPDB 0 1",
];

/// Who changes it, and what the watching client does besides.
#[derive(Clone, Copy, Debug)]
enum How {
    ByAnother,
    ByItself,
    /// The other changes it inside EXEC.
    InExec,
    /// Watched in database 0, EXEC in database 5.
    SelectedAway,
    WatchedTwice,
    Unwatched,
    /// The change comes after MULTI.
    AfterMulti,
    /// Other keys are watched too.
    AmongOthers,
}

const HOW: [How; 8] = [
    How::ByAnother,
    How::ByItself,
    How::InExec,
    How::SelectedAway,
    How::WatchedTwice,
    How::Unwatched,
    How::AfterMulti,
    How::AmongOthers,
];

/// One server, with the client that watches and another one.
struct Pair {
    watcher: Client,
    other: Client,
}

impl Pair {
    fn change(client: &mut Client, change: &str) -> Vec<Vec<u8>> {
        let replies: Vec<_> = change.split('|').map(|line| client.ask_bytes(line)).collect();
        if is_comparable(change) { replies } else { Vec::new() }
    }

    /// All replies of one case.
    fn run(&mut self, before: &str, change: &str, how: How) -> Vec<Vec<u8>> {
        let Pair { watcher, other } = self;
        for line in ["RESET", "FLUSHALL", "SELECT 1", "SET j there", "SELECT 0", "SET j here"] {
            watcher.ask(line);
        }
        watcher.ask(before);
        other.ask("RESET");
        let mut replies = Vec::new();
        let watch = match how {
            How::AmongOthers => "WATCH a b k c",
            _ => "WATCH k",
        };
        replies.push(watcher.ask_bytes(watch));
        match how {
            How::ByItself => {
                replies.extend(Pair::change(watcher, change));
                watcher.ask("SELECT 0");
            }
            How::InExec => {
                other.ask("MULTI");
                replies.extend(Pair::change(other, change));
                let reply = other.ask_bytes("EXEC");
                if is_comparable(change) {
                    replies.push(reply);
                }
            }
            How::AfterMulti => {}
            _ => replies.extend(Pair::change(other, change)),
        }
        match how {
            How::WatchedTwice => replies.push(watcher.ask_bytes("WATCH j k")),
            How::SelectedAway => replies.push(watcher.ask_bytes("SELECT 5")),
            How::Unwatched => replies.push(watcher.ask_bytes("UNWATCH")),
            _ => {}
        }
        replies.push(watcher.ask_bytes("MULTI"));
        if let How::AfterMulti = how {
            replies.extend(Pair::change(other, change));
        }
        for line in ["GET k", "SET k mine", "EXEC", "GET k"] {
            replies.push(watcher.ask_bytes(line));
        }
        replies
    }
}

/// Whether the replies to a change tell of the time or of a layout, which are no matter here.
fn is_comparable(change: &str) -> bool {
    !["DUMP k", "TTL k", "OBJECT ENCODING k"].contains(&change)
}

/// Whether an absent key is watched while its whole database changes. For Redis it has not changed;
/// for us it has, since what it was before is not known any more.
fn is_lost_sight_of(before: &str, change: &str, how: How) -> bool {
    let is_absent = before == "DEL k" || matches!(how, How::AmongOthers | How::AfterMulti);
    (change.contains("FLUSH") || change.contains("SWAPDB")) && is_absent
}

fn compare(changes: &[&str]) {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let mut redis = Pair { watcher: redis.connect(), other: redis.connect() };
    // Two connections, two workers.
    let mut ours = Pair { watcher: ours.connect(), other: ours.connect() };
    let (mut differences, mut cases) = (Vec::new(), 0);
    for how in HOW {
        for before in BEFORE {
            for change in changes {
                if is_lost_sight_of(before, change, how) {
                    continue;
                }
                let expected = redis.run(before, change, how);
                let replies = ours.run(before, change, how);
                cases += 1;
                if expected != replies {
                    let (redis, ours) = (show(&expected.concat()), show(&replies.concat()));
                    differences.push(format!(
                        "{before}; {change}; {how:?}\n  redis: {redis}\n  ours:  {ours}"
                    ));
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {cases} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn a_watched_key_is_changed_by_what_changes_it_in_redis() {
    compare(&CHANGES);
}

/// Changes that leave the key as it was are changes all the same.
#[test]
fn a_watched_key_that_is_again_as_it_was_has_changed() {
    compare(&["INCR k|DECR k", "SET k x|DEL k", "SET k x|DEL k|SET k text", "DEL k|DEL k"]);
}
