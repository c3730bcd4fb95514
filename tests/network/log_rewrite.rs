//! BGREWRITEAOF: a shorter log that leads to the same keys, while clients write on.

use std::sync::atomic::{AtomicBool, Ordering};

use super::harness::{
    Client, Commands, Folder, LogFile, Random, RedisServer, Server, assert_same, dump, encode,
    tool, wait_until,
};

const DATABASES: usize = 16;

/// A server with a log and these further flags.
fn start(log: &LogFile, further: &[&str]) -> Server {
    Server::with(&[&log.flags("everysec"), further].concat())
}

/// Begins a rewrite and waits until it has ended well.
fn rewrite(server: &Server) {
    let before = server.info("aof_rewrites");
    let reply = server.connect().ask("BGREWRITEAOF");
    assert_eq!(reply, "+Background append only file rewriting started\r\n");
    wait_for_rewrites(server, before + 1);
}

/// Waits until so many rewrites have been done since the start, and none is left to do.
fn wait_for_rewrites(server: &Server, count: u64) {
    wait_until("the rewrite ends", || {
        ["in_progress", "scheduled"]
            .iter()
            .all(|what| server.info(&format!("aof_rewrite_{what}")) == 0)
            && server.info("aof_rewrites") >= count
    });
    assert_eq!(server.info_text("aof_last_bgrewrite_status").as_deref(), Some("ok"));
}

/// Fills databases with keys of all kinds.
fn fill(client: &mut Client, seed: u64) {
    let mut random = Random(seed);
    for database in [0, 3, 15] {
        assert_eq!(client.ask(&format!("SELECT {database}")), "+OK\r\n");
        for number in 0..2_000 {
            let length = random.below(60) as usize;
            let value = random.bytes(length);
            let key = format!("key:{number}");
            client.call(&[b"SET", key.as_bytes(), &value]);
            match number % 10 {
                0 => drop(client.ask(&format!("PEXPIREAT {key} 4000000000{number:03}"))),
                1 => drop(client.ask(&format!("INCRBY counter:{number} {number}"))),
                2 => drop(client.ask(&format!("APPEND {key} tail"))),
                _ => {}
            }
        }
    }
    client.call(&[b"SET".as_slice(), b"", b""]);
    client.set("large", &vec![b'x'; 5 << 20]);
    assert_eq!(client.ask("SELECT 0"), "+OK\r\n");
}

#[test]
fn a_rewritten_log_leads_to_the_same_keys_here_and_in_redis_server() {
    let log = LogFile::new();
    let mut server = start(&log, &[]);
    let mut client = server.connect();
    fill(&mut client, 1);
    for _ in 0..20 {
        client.send(&encode(&["SET", "key:5", "again and again"]).repeat(1_000));
        client.expect(&b"+OK\r\n".repeat(1_000));
    }
    let before = dump(&mut client, DATABASES);
    wait_until("all is written", || server.info("aof_current_size") == log.len() as u64);
    let long = log.len();
    rewrite(&server);
    assert!(log.len() < long, "{long} bytes became {}", log.len());
    assert_eq!(server.info("aof_base_size"), log.len() as u64);
    assert_eq!(server.info("aof_current_size"), log.len() as u64);
    assert!(server.info("aof_last_rewrite_time_sec") < 100);
    assert_same("memory", &before, &dump(&mut client, DATABASES));
    assert_eq!(client.ask("INCR after"), ":1\r\n");
    let before = dump(&mut client, DATABASES);
    drop(client);
    server.signal("TERM");
    assert!(server.wait().success());
    // Nothing is left of the way there.
    let names: Vec<_> = std::fs::read_dir(log.folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .filter(|name| name != "log.aof" && name != "log.aof.lock")
        .collect();
    assert!(names.is_empty(), "{names:?}");
    let accepted = tool("redis-check-aof").arg(log.path()).output().expect("it runs");
    assert!(accepted.status.success());
    let folder = Folder::new();
    std::fs::copy(log.path(), folder.path().join("appendonly.aof")).expect("a copy");
    let redis = RedisServer::with(folder.path(), &["--appendonly", "yes", "--save", ""]);
    assert_same("redis-server", &before, &dump(&mut redis.connect(), DATABASES));
    let server = Server::with(&log.flags("everysec"));
    assert_same("restart", &before, &dump(&mut server.connect(), DATABASES));
}

#[test]
fn every_prefix_of_a_log_that_was_rewritten_under_load_can_be_read() {
    let log = LogFile::new();
    let mut server = start(&log, &[]);
    fill(&mut server.connect(), 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, done) = (&server, &done);
        for writer in 0..3 {
            scope.spawn(move || {
                let mut client = server.connect();
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    let key = number % 2_000;
                    client.send(&encode(&["SET", &format!("key:{key}"), &number.to_string()]));
                    client.send(&encode(&["INCR", &format!("n:{writer}")]));
                    client.send(&encode(&["DEL", &format!("key:{}", key / 2)]));
                    for _ in 0..3 {
                        client.reply();
                    }
                }
            });
        }
        for _ in 0..5 {
            rewrite(server);
        }
        done.store(true, Ordering::Relaxed);
    });
    let before = dump(&mut server.connect(), DATABASES);
    server.signal("TERM");
    assert!(server.wait().success());
    let bytes = log.bytes();
    let commands = Commands::all(&bytes);
    let torn = commands[commands.len() / 2].end - 1;
    let server = Server::with(&log.flags("no"));
    assert_same("restart", &before, &dump(&mut server.connect(), DATABASES));
    drop(server);
    let half = LogFile::of(&bytes[..torn]);
    assert!(Server::attempt(&half.flags("no")).is_ok(), "half of it");
}

#[test]
fn a_log_that_has_doubled_is_rewritten_by_itself() {
    let log = LogFile::new();
    let flags = ["--auto-aof-rewrite-percentage", "100", "--auto-aof-rewrite-min-size", "1mb"];
    let server = start(&log, &flags);
    let mut client = server.connect();
    let value = vec![b'v'; 10_000];
    for number in 0..1_000 {
        client.set(&format!("k{}", number % 10), &value);
    }
    wait_for_rewrites(&server, 1);
    wait_until("it is short", || log.len() < 3 << 20);
    assert_eq!(client.ask("DBSIZE"), ":10\r\n");
    assert_eq!(client.ask("CONFIG SET auto-aof-rewrite-percentage 0"), "+OK\r\n");
    wait_for_rewrites(&server, 1);
    let before = server.info("aof_rewrites");
    for number in 0..1_000 {
        client.set(&format!("k{}", number % 10), &value);
    }
    assert_eq!(server.info("aof_rewrites"), before, "0 turns it off");
}

#[test]
fn without_a_log_there_is_nothing_to_rewrite() {
    let server = Server::start();
    let reply = server.connect().ask("BGREWRITEAOF");
    assert!(reply.starts_with("-ERR"), "{reply}");
}

#[test]
fn a_swap_and_a_flush_during_a_rewrite_are_kept() {
    let log = LogFile::new();
    let mut server = start(&log, &[]);
    let mut client = server.connect();
    for round in 0..6 {
        fill(&mut client, 3 + round);
        assert!(client.ask("BGREWRITEAOF").starts_with('+'));
        assert_eq!(client.ask("SWAPDB 0 3"), "+OK\r\n");
        assert_eq!(client.ask("SET swapped 1"), "+OK\r\n");
        if round % 2 == 1 {
            let flush = if round == 3 { "FLUSHALL" } else { "FLUSHDB" };
            assert_eq!(client.ask(flush), "+OK\r\n");
            assert_eq!(client.ask("SET flushed 1"), "+OK\r\n");
        }
        wait_for_rewrites(&server, round + 1);
    }
    let before = dump(&mut client, DATABASES);
    drop(client);
    server.kill();
    // Killed: what everysec had not yet handed over may be missing, so once more with all of it.
    let mut server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    client.set("last", b"v");
    let again = dump(&mut client, DATABASES);
    assert!(again.len() + 5 >= before.len(), "{} of {} keys", again.len(), before.len());
    rewrite(&server);
    server.kill();
    let server = Server::with(&log.flags("always"));
    assert_same("restart", &again, &dump(&mut server.connect(), DATABASES));
}
