//! DEBUG LOADAOF and RELOAD: the log, loaded again while the server runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::harness::{Client, LogFile, Over, Server, State, assert_same, dump, encode, wait_until};

const DATABASES: usize = 16;

const FAILED: &str = "-ERR Error trying to load the AOF files, check server logs.\r\n";

fn start(log: &LogFile, appendfsync: &str) -> Server {
    Server::with(&[&log.flags(appendfsync)[..], &["--enable-debug-command", "yes"]].concat())
}

fn ask_all(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let reply = client.ask(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

/// Loads the log again; checks that the data are the same before and after, and returns them.
fn reload(client: &mut Client, command: &str) -> State {
    let before = dump(client, DATABASES);
    assert_eq!(client.ask(command), "+OK\r\n");
    let after = dump(client, DATABASES);
    assert_same(command, &before, &after);
    after
}

#[test]
fn the_data_are_the_same_and_so_is_the_log_afterwards() {
    let log = LogFile::new();
    let mut server = start(&log, "everysec");
    let mut client = server.connect();
    reload(&mut client, "DEBUG LOADAOF");
    ask_all(
        &mut client,
        &[
            "SET a 1",
            "SELECT 3",
            "SET a 2 PX 4000000000",
            "INCRBY counter 7",
            "SWAPDB 0 3",
            "SELECT 5",
            "SET gone 1",
            "FLUSHDB",
            "SET stays 1",
            "SELECT 0",
            "MSET m1 1 m2 2 m3 3",
            "APPEND m1 x",
        ],
    );
    reload(&mut client, "DEBUG LOADAOF");
    let length = log.len();
    // What belongs to which database is told rightly from here on, and counters go on.
    ask_all(&mut client, &["INCR counter", "SELECT 3", "INCR a", "SELECT 5", "SET more 1"]);
    ask_all(&mut client, &["SWAPDB 3 5", "SELECT 9", "SET nine 9", "FLUSHDB", "SET nine 10"]);
    reload(&mut client, "DEBUG RELOAD");
    assert!(log.len() > length, "later changes are added to the log");
    assert_eq!(client.ask("BGREWRITEAOF"), "+Background append only file rewriting started\r\n");
    wait_until("the log is rewritten", || server.info("aof_rewrites") == 1);
    wait_until("it has ended", || server.info("aof_rewrite_in_progress") == 0);
    let last = reload(&mut client, "DEBUG LOADAOF");
    assert_eq!(last.len(), 9, "{last:?}");
    server.kill();
    let server = start(&log, "everysec");
    assert_same("restart", &last, &dump(&mut server.connect(), DATABASES));
}

#[test]
fn changes_by_others_meanwhile_are_neither_lost_nor_done_twice() {
    const WRITERS: usize = 4;
    const RELOADS: usize = 15;
    for appendfsync in ["everysec", "always"] {
        let log = LogFile::new();
        let mut server = start(&log, appendfsync);
        let (stop, made) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; WRITERS]);
        std::thread::scope(|scope| {
            for (number, made) in made.iter().enumerate() {
                let (mut client, stop) = (server.connect(), &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        client.send(&encode(&["INCR", "shared"]));
                        let count = made.fetch_add(1, Ordering::Relaxed) + 1;
                        let (own, value) = (format!("own:{number}"), count.to_string());
                        client.send(&encode(&["MSET", &own, &value, "any", &value]));
                        client.send(&encode(&["APPEND", &format!("text:{number}"), "x"]));
                        assert!(client.reply().starts_with(b":"));
                        assert_eq!(client.reply(), b"+OK\r\n");
                        assert_eq!(client.reply(), format!(":{count}\r\n").as_bytes());
                    }
                });
            }
            let _over = Over(&stop);
            let mut client = server.connect();
            let busy = "-ERR Background append only file rewriting already in progress\r\n";
            for round in 0..RELOADS {
                if round % 4 == 1 {
                    client.ask("BGREWRITEAOF");
                }
                // Refused while the log is being rewritten.
                wait_until("the log is loaded again", || {
                    let reply = client.ask("DEBUG LOADAOF");
                    assert!(reply == "+OK\r\n" || reply == busy, "{reply}");
                    reply == "+OK\r\n"
                });
            }
        });
        let mut client = server.connect();
        let all: u64 = made.iter().map(|made| made.load(Ordering::Relaxed)).sum();
        let shared = format!("${}\r\n{all}\r\n", all.to_string().len());
        assert_eq!(client.ask("GET shared"), shared, "{appendfsync}");
        for (number, made) in made.iter().enumerate() {
            let made = made.load(Ordering::Relaxed);
            let own = format!("${}\r\n{made}\r\n", made.to_string().len());
            assert_eq!(client.ask(&format!("GET own:{number}")), own);
            assert_eq!(client.ask(&format!("STRLEN text:{number}")), format!(":{made}\r\n"));
        }
        let before = reload(&mut client, "DEBUG LOADAOF");
        server.kill();
        let server = start(&log, appendfsync);
        assert_same("restart", &before, &dump(&mut server.connect(), DATABASES));
    }
}

#[test]
fn a_damaged_log_is_refused_and_the_data_stay() {
    let log = LogFile::new();
    let server = start(&log, "always");
    let mut client = server.connect();
    ask_all(&mut client, &["SET first value", "SET second value", "INCR third"]);
    let before = dump(&mut client, DATABASES);
    let whole = log.bytes();
    let at = whole.windows(5).position(|bytes| bytes == b"first").expect("it is logged");
    let damage = |what: &str, bytes: &[u8]| {
        log.write(bytes);
        let mut client = server.connect();
        assert_eq!(client.ask("DEBUG LOADAOF"), FAILED, "{what}");
        assert_same(what, &before, &dump(&mut client, DATABASES));
    };
    let mut broken = whole.clone();
    broken[at - 4] = b'!';
    damage("a byte that no log has there", &broken);
    damage("a log that is too short", &whole[..whole.len() - 3]);
    let mut refused = whole.clone();
    let name = whole.windows(6).position(|bytes| bytes == b"INCRBY").expect("it is logged");
    refused[name..name + 6].copy_from_slice(b"APPENX");
    damage("an unknown command", &refused);
    log.write(&whole);
    assert_eq!(client.ask("DEBUG LOADAOF"), "+OK\r\n");
    assert_same("the whole log", &before, &dump(&mut client, DATABASES));
    wait_until("it is said", || server.has_logged("the data is as it was"));
}

#[test]
fn a_client_that_goes_away_meanwhile_leaves_nothing_behind() {
    const KEYS: usize = 200_000;
    let log = LogFile::new();
    let server = start(&log, "no");
    let mut client = server.connect();
    assert_eq!(client.ask(&format!("DEBUG POPULATE {KEYS}")), "+OK\r\n");
    for _ in 0..3 {
        let mut leaver = server.connect();
        leaver.send(&encode(&["DEBUG", "LOADAOF"]));
        std::thread::sleep(Duration::from_millis(30));
        drop(leaver);
        // Waits until it has ended.
        assert_eq!(client.ask("DBSIZE"), format!(":{KEYS}\r\n"));
    }
    ask_all(&mut client, &["SET last 1", "DEBUG LOADAOF"]);
    assert_eq!(client.ask("DBSIZE"), format!(":{}\r\n", KEYS + 1));
}

#[test]
fn watches_break_and_transactions_cannot_ask_for_it() {
    let log = LogFile::new();
    let server = start(&log, "everysec");
    let (mut client, mut other) = (server.connect(), server.connect());
    ask_all(&mut client, &["SET k v", "WATCH k none"]);
    assert_eq!(other.ask("DEBUG LOADAOF"), "+OK\r\n");
    ask_all(&mut client, &["MULTI", "SET k w"]);
    assert_eq!(client.ask("EXEC"), "*-1\r\n");
    ask_all(&mut client, &["MULTI", "DEBUG LOADAOF"]);
    let refused = "*1\r\n-ERR DEBUG LOADAOF is not possible inside MULTI\r\n";
    assert_eq!(client.ask("EXEC"), refused);
    assert_eq!(client.ask("GET k"), "$1\r\nv\r\n");
    let unlogged = Server::with(&["--enable-debug-command", "yes"]);
    let mut client = unlogged.connect();
    ask_all(&mut client, &["SET k v"]);
    assert_eq!(client.ask("DEBUG LOADAOF"), FAILED);
    assert_eq!(client.ask("GET k"), "$1\r\nv\r\n", "nothing is lost");
}
