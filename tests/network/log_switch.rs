//! CONFIG SET appendonly: the log turned on and off while the server runs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::harness::{
    Client, Folder, Over, RedisServer, Server, assert_same, dump, encode, tool, wait_until,
};

const DATABASES: usize = 16;

const ON: &str = "CONFIG SET appendonly yes";
const OFF: &str = "CONFIG SET appendonly no";
const OK: &str = "+OK\r\n";
const CANNOT: &str = "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable \
                      to turn on AOF. Check server logs.\r\n";

/// A server of two workers in this folder.
fn start(folder: &Folder, further: &[&str]) -> Server {
    let dir = folder.path().to_str().expect("text");
    let debug = ["--io-threads", "2", "--dir", dir, "--enable-debug-command", "yes"];
    Server::with(&[&debug, further].concat())
}

/// The same, with what its log tells.
fn restart(folder: &Folder) -> Server {
    start(folder, &["--appendonly", "yes"])
}

fn log_of(folder: &Folder) -> PathBuf {
    folder.path().join("appendonlydir/appendonly.aof")
}

/// The names of the files beside the log.
fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("appendonlydir")).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> =
        entries.map(|entry| name(entry).into_string().expect("text")).collect();
    names.sort();
    names
}

fn ask_all(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let reply = client.ask(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

/// Waits as the runbook says.
fn wait_for_log(server: &Server) {
    wait_until("the first rewrite has ended", || server.info("aof_rewrite_in_progress") == 0);
    assert_eq!(server.info_text("aof_last_bgrewrite_status").as_deref(), Some("ok"));
    assert_eq!(server.info("aof_enabled"), 1);
}

/// Keys of several kinds in several databases, different in each round.
fn change(client: &mut Client, round: usize) {
    let lines = [
        format!("SET round {round}"),
        format!("SET in{round} {round} PX 4000000000"),
        "INCRBY counter 7".to_owned(),
        "APPEND text x".to_owned(),
        format!("SELECT {}", 1 + round % 3),
        format!("MSET a {round} b {round} c{round} 1"),
        "SWAPDB 0 3".to_owned(),
        "SELECT 5".to_owned(),
        "SET gone 1".to_owned(),
        "FLUSHDB".to_owned(),
        format!("SET stays {round}"),
        "SELECT 0".to_owned(),
        "INCR counter".to_owned(),
    ];
    ask_all(client, &lines.each_ref().map(String::as_str));
}

#[test]
fn what_is_there_and_what_comes_survive_a_kill_once_the_log_is_on() {
    for policy in ["always", "everysec", "no"] {
        let folder = Folder::new();
        let mut server = start(&folder, &["--appendfsync", policy]);
        let mut client = server.connect();
        for round in 0..6 {
            change(&mut client, 10 * round);
            assert_eq!(client.ask(ON), OK);
            change(&mut client, 10 * round + 1);
            assert_eq!(client.ask(ON), OK, "twice is harmless");
            change(&mut client, 10 * round + 2);
            wait_for_log(&server);
            change(&mut client, 10 * round + 3);
            if round % 2 == 1 {
                assert_eq!(client.ask("DEBUG LOADAOF"), OK, "{policy} {round}");
            }
            if round < 5 {
                assert_eq!(client.ask(OFF), OK);
                assert_eq!(client.ask(OFF), OK, "twice is harmless");
            }
        }
        assert_eq!(client.ask("CONFIG SET appendfsync always"), OK);
        ask_all(&mut client, &["SET last 1"]);
        let before = dump(&mut client, DATABASES);
        server.kill();
        assert_eq!(names(&folder), ["appendonly.aof", "appendonly.aof.lock"]);
        let log = log_of(&folder);
        let accepted = tool("redis-check-aof").arg(&log).output().expect("it runs");
        assert!(accepted.status.success(), "{accepted:?}");
        assert_same(policy, &before, &dump(&mut restart(&folder).connect(), DATABASES));
    }
}

/// Counts up to a word, and does other things by the way; `told` is what it was told last.
fn write(server: &Server, number: usize, stop: &AtomicBool, told: &AtomicU64) {
    let mut client = server.connect();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let (own, value) = (format!("own:{number}"), count.to_string());
        client.send(&encode(&["INCR", "shared"]));
        client.send(&encode(&["MSET", &own, &value, "any", &value]));
        client.send(&encode(&["APPEND", &format!("text:{number}"), "x"]));
        client.send(&encode(&["SELECT", &(1 + number).to_string()]));
        client.send(&encode(&["SET", &format!("k{}", count % 50), &value]));
        client.send(&encode(&["SELECT", "0"]));
        if count % 20 == 0 {
            client.send(&encode(&["SWAPDB", "7", "8"]));
            client.send(&encode(&["SELECT", "9"]));
            client.send(&encode(&["FLUSHDB"]));
            client.send(&encode(&["SET", "since", &value]));
            client.send(&encode(&["SELECT", "7"]));
            client.send(&encode(&["SET", &format!("seven{number}"), &value]));
            client.send(&encode(&["SELECT", "0"]));
        }
        assert!(client.reply().starts_with(b":"));
        assert_eq!(client.reply(), b"+OK\r\n");
        assert_eq!(client.reply(), format!(":{count}\r\n").as_bytes());
        let others = if count % 20 == 0 { 10 } else { 3 };
        for _ in 0..others {
            assert_eq!(client.reply(), b"+OK\r\n");
        }
        told.store(count, Ordering::Relaxed);
    }
}

#[test]
fn nothing_is_lost_or_done_twice_while_clients_write() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 12;
    for policy in ["always", "everysec"] {
        let folder = Folder::new();
        let mut server = start(&folder, &["--appendfsync", policy]);
        let (stop, told) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; WRITERS]);
        let mut client = server.connect();
        std::thread::scope(|scope| {
            for (number, told) in told.iter().enumerate() {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || write(server, number, stop, told));
            }
            let _over = Over(&stop);
            for round in 0..ROUNDS {
                assert_eq!(client.ask(ON), OK);
                match round % 3 {
                    0 => wait_for_log(&server),
                    1 => std::thread::sleep(std::time::Duration::from_millis(5)),
                    _ => {}
                }
                assert_eq!(client.ask(OFF), OK);
                if round % 4 == 1 {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
            assert_eq!(client.ask(ON), OK);
            wait_for_log(&server);
            std::thread::sleep(std::time::Duration::from_millis(50));
        });
        assert_eq!(client.ask("CONFIG SET appendfsync always"), OK);
        ask_all(&mut client, &["SET last 1"]);
        let before = dump(&mut client, DATABASES);
        server.kill();
        let server = restart(&folder);
        let mut client = server.connect();
        assert_same(policy, &before, &dump(&mut client, DATABASES));
        let all: u64 = told.iter().map(|told| told.load(Ordering::Relaxed)).sum();
        assert_eq!(client.ask("GET shared"), format!("${}\r\n{all}\r\n", all.to_string().len()));
    }
}

#[test]
fn always_holds_as_soon_as_the_first_rewrite_has_ended() {
    const WRITERS: usize = 3;
    for round in 0..3 {
        let folder = Folder::new();
        let mut server = start(&folder, &["--appendfsync", "always"]);
        assert_eq!(server.connect().ask("DEBUG POPULATE 20000"), OK);
        if round > 0 {
            ask_all(&mut server.connect(), &[ON]);
            wait_for_log(&server);
            ask_all(&mut server.connect(), &[OFF]);
        }
        let told = [const { AtomicU64::new(0) }; WRITERS];
        let address = server.address;
        std::thread::scope(|scope| {
            for (number, told) in told.iter().enumerate() {
                let stream = TcpStream::connect(address).expect("the server accepts");
                scope.spawn(move || {
                    let mut lines = BufReader::new(&stream).lines();
                    // Until the server is killed.
                    while let Ok(()) =
                        (&stream).write_all(&encode(&["INCR", &format!("own:{number}")]))
                        && let Some(Ok(line)) = lines.next()
                    {
                        let count = line[1..].parse().expect("a number");
                        told.store(count, Ordering::Relaxed);
                    }
                });
            }
            ask_all(&mut server.connect(), &[ON]);
            wait_for_log(&server);
            server.kill();
        });
        let server = restart(&folder);
        let mut client = server.connect();
        for (number, told) in told.into_iter().enumerate() {
            let reply = client.ask(&format!("GET own:{number}"));
            let count: u64 = reply.lines().nth(1).expect("a value").parse().expect("a number");
            let told = told.into_inner();
            // One may have been on its way.
            assert!(told > 0 && (count == told || count == told + 1), "{count} for {told}");
        }
    }
}

#[test]
fn an_old_log_of_that_name_stays_until_there_is_a_new_one() {
    const KEYS: usize = 300_000;
    let folder = Folder::new();
    let mut server = restart(&folder);
    ask_all(&mut server.connect(), &["SET old 1", "CONFIG SET appendfsync always", "SET old 2"]);
    server.kill();
    let old = fs::read(log_of(&folder)).expect("a log");
    let mut server = start(&folder, &[]);
    let mut client = server.connect();
    assert_eq!(client.ask(&format!("DEBUG POPULATE {KEYS}")), OK);
    ask_all(&mut client, &[ON, "SET new 1"]);
    assert_eq!(server.info("aof_rewrite_in_progress"), 1);
    assert_eq!(fs::read(log_of(&folder)).expect("a log"), old);
    server.kill();
    assert_eq!(fs::read(log_of(&folder)).expect("a log"), old);
    let left = names(&folder);
    assert!(left.iter().any(|name| name.starts_with("appendonly.aof.starting-")), "{left:?}");
    let server = restart(&folder);
    assert_eq!(names(&folder), ["appendonly.aof", "appendonly.aof.lock"]);
    assert_eq!(server.connect().ask("GET old"), "$1\r\n2\r\n");
    assert_eq!(server.connect().ask("DBSIZE"), ":1\r\n");
    drop(server);

    // Given up, and later not.
    let mut server = start(&folder, &[]);
    let mut client = server.connect();
    assert_eq!(client.ask(&format!("DEBUG POPULATE {KEYS}")), OK);
    ask_all(&mut client, &[ON]);
    assert!(client.ask("BGREWRITEAOF").starts_with("-ERR Background append only"));
    assert!(client.ask("DEBUG LOADAOF").starts_with("-ERR Error trying to load the AOF"));
    assert_eq!(client.ask("SHUTDOWN"), "-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
    ask_all(&mut client, &[OFF]);
    assert_eq!(server.info("aof_rewrite_in_progress"), 0);
    assert_eq!(server.info_text("aof_last_bgrewrite_status").as_deref(), Some("ok"));
    wait_until("the interim file is gone", || names(&folder).len() == 2);
    assert_eq!(fs::read(log_of(&folder)).expect("a log"), old);
    assert!(client.ask("BGREWRITEAOF").starts_with("-ERR There is no append only file"));
    ask_all(&mut client, &[ON, "SET new 2"]);
    server.signal("TERM");
    assert!(server.wait().success());
    assert_eq!(names(&folder), ["appendonly.aof", "appendonly.aof.lock"]);
    let server = restart(&folder);
    assert_eq!(server.connect().ask("DBSIZE"), format!(":{}\r\n", KEYS + 1));
}

#[test]
fn what_stands_in_the_way_is_told_at_once() {
    let folder = Folder::new();
    fs::write(folder.file("appendonlydir"), "a file").expect("a file");
    let server = start(&folder, &[]);
    let mut client = server.connect();
    ask_all(&mut client, &["SET k v"]);
    assert_eq!(client.ask(ON), CANNOT);
    assert_eq!(client.ask(&format!("{ON} maxmemory-samples 9")), CANNOT);
    wait_until("the reason is told", || server.has_logged("appendonlydir"));
    assert_eq!(client.ask("CONFIG GET appendonly"), "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
    assert_eq!(
        client.ask("CONFIG GET maxmemory-samples"),
        "*2\r\n$17\r\nmaxmemory-samples\r\n$1\r\n5\r\n"
    );
    assert_eq!(server.info("aof_enabled"), 0);
    fs::remove_file(folder.file("appendonlydir")).expect("it is there");
    ask_all(&mut client, &[ON, "SET l v"]);
    wait_for_log(&server);

    let other = start(&folder, &[]);
    let mut client = other.connect();
    assert_eq!(client.ask(ON), CANNOT);
    wait_until("the reason is told", || other.has_logged("another server uses the log"));
    ask_all(&mut server.connect(), &[OFF]);
    assert_eq!(client.ask(ON), CANNOT, "it may be turned on again over there");
    ask_all(&mut client, &["SET k v"]);
}

#[test]
fn a_first_rewrite_that_fails_is_tried_again() {
    let folder = Folder::new();
    let in_the_way = folder.path().join("appendonlydir/appendonly.aof.rewrite");
    let mut server = start(&folder, &["--appendfsync", "always"]);
    let mut client = server.connect();
    ask_all(&mut client, &["SET k v", ON]);
    wait_for_log(&server);
    ask_all(&mut client, &[OFF, "SET k w"]);
    fs::create_dir(&in_the_way).expect("a folder");
    ask_all(&mut client, &[ON, "SET l v"]);
    wait_until("it has failed", || {
        server.info_text("aof_last_bgrewrite_status").as_deref() == Some("err")
    });
    ask_all(&mut client, &["INCR n"]);
    assert!(client.ask("DEBUG LOADAOF").starts_with('-'));
    assert_eq!(client.ask("SHUTDOWN"), "-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
    fs::remove_dir(&in_the_way).expect("it is there");
    wait_until("it has not failed", || {
        server.info_text("aof_last_bgrewrite_status").as_deref() == Some("ok")
    });
    ask_all(&mut client, &["INCR n", "DEBUG LOADAOF"]);
    let before = dump(&mut client, DATABASES);
    server.kill();
    let mut server = restart(&folder);
    let mut client = server.connect();
    assert_same("restart", &before, &dump(&mut client, DATABASES));

    ask_all(&mut client, &[OFF, "SET lost 1"]);
    let old = fs::read(log_of(&folder)).expect("a log");
    fs::create_dir(&in_the_way).expect("a folder");
    ask_all(&mut client, &[ON]);
    server.signal("TERM");
    assert!(!server.wait().success(), "it tells");
    assert!(server.has_logged("could not be written"), "{:?}", server.log());
    assert_eq!(fs::read(log_of(&folder)).expect("a log"), old);
}

#[test]
fn turned_off_the_file_has_what_was_acknowledged_and_nothing_waits() {
    for policy in ["always", "everysec", "no"] {
        let folder = Folder::new();
        let mut server = start(&folder, &["--appendonly", "yes", "--appendfsync", policy]);
        let mut client = server.connect();
        change(&mut client, 1);
        let before = dump(&mut client, DATABASES);
        ask_all(&mut client, &[OFF]);
        for number in 0..100 {
            client.send(&encode(&["SET", &format!("more{number}"), "v"]).repeat(500));
            client.expect(&b"+OK\r\n".repeat(500));
        }
        ask_all(&mut client, &["CONFIG SET appendfsync always", "SET k v", "FLUSHALL"]);
        ask_all(&mut client, &["CONFIG SET appendfsync everysec", "MSET a 1 b 2"]);
        assert!(client.ask("BGREWRITEAOF").starts_with("-ERR There is no append only file"));
        assert!(client.ask("DEBUG LOADAOF").starts_with('-'));
        assert_eq!(client.ask("SHUTDOWN SAVE"), "-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
        server.signal("TERM");
        assert!(server.wait().success());
        assert_same(policy, &before, &dump(&mut restart(&folder).connect(), DATABASES));
    }
}

#[test]
fn exec_may_turn_it_on_and_off() {
    let folder = Folder::new();
    let mut server = start(&folder, &["--appendfsync", "always"]);
    let mut client = server.connect();
    ask_all(&mut client, &["MULTI", "SET a 1", ON, "SET b 1", "EXEC", "SET c 1"]);
    wait_for_log(&server);
    ask_all(&mut client, &["MULTI", "SET d 1", OFF, "SET e 1", "EXEC"]);
    ask_all(&mut client, &["MULTI", OFF, "INCR n", ON, "INCR n", "EXEC", "INCR n"]);
    wait_for_log(&server);
    ask_all(&mut client, &["MULTI", "INCR n", OFF, ON, "INCR n", "EXEC", "INCR n"]);
    wait_for_log(&server);
    ask_all(&mut client, &["INCR n"]);
    let before = dump(&mut client, DATABASES);
    assert_eq!(before.len(), 6);
    server.kill();
    assert_same("restart", &before, &dump(&mut restart(&folder).connect(), DATABASES));
}

/// The names of the fields of INFO persistence.
fn fields(client: &mut Client) -> BTreeSet<String> {
    let text = client.ask("INFO persistence");
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.to_owned());
    // The first line is the length of the reply.
    text.lines().skip(1).filter_map(name).collect()
}

#[test]
fn info_has_the_fields_of_redis_in_each_state() {
    let (folder, other) = (Folder::new(), Folder::new());
    let server = start(&folder, &[]);
    let redis = RedisServer::with(other.path(), &["--save", ""]);
    let (mut ours, mut its) = (server.connect(), redis.connect());
    let mut compare = |line: &str| {
        assert_eq!(ours.ask(line), its.ask(line), "{line}");
        let enabled = |client: &mut Client| client.ask("INFO").contains("aof_enabled:1");
        assert_eq!(enabled(&mut ours), enabled(&mut its));
        assert_eq!(fields(&mut ours), fields(&mut its), "after {line}");
        let get = "CONFIG GET appendonly";
        assert_eq!(ours.ask(get), its.ask(get));
    };
    compare("PING");
    compare(ON);
    let is_done = |client: &mut Client| client.ask("INFO").contains("aof_rewrite_in_progress:0");
    wait_until("the first rewrite has ended", || is_done(&mut server.connect()));
    wait_until("its too", || is_done(&mut redis.connect()));
    compare(ON);
    compare("CONFIG SET appendonly maybe");
    compare(OFF);
    compare(OFF);
    compare("CONFIG SET appendfsync always");
    compare("SET k v");
    compare(ON);
}

#[test]
fn config_rewrite_keeps_what_was_set() {
    for given in ["", "appendonly no\n", "aof-path the.log\n", "aof-path the.log\nappendonly no\n"]
    {
        let folder = Folder::new();
        let file = folder.file("a.conf");
        let dir = folder.path().to_str().expect("text");
        fs::write(&file, format!("dir {dir}\nappendfsync always\n{given}")).expect("a file");
        let get = |server: &Server| server.connect().ask("CONFIG GET appendonly");
        let yes = "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n";
        let mut server = Server::with(&[&file]);
        let was_on = given == "aof-path the.log\n";
        assert_eq!(get(&server) == yes, was_on, "{given}");
        let mut client = server.connect();
        ask_all(&mut client, &["SET k v", ON, "CONFIG REWRITE"]);
        wait_for_log(&server);
        server.kill();

        let mut server = Server::with(&[&file]);
        assert_eq!(get(&server), yes, "{given}");
        let mut client = server.connect();
        assert_eq!(client.ask("GET k"), "$1\r\nv\r\n", "{given}");
        ask_all(&mut client, &[OFF, "SET k w", "CONFIG REWRITE"]);
        server.kill();

        let mut server = Server::with(&[&file]);
        assert_ne!(get(&server), yes, "{given}");
        let mut client = server.connect();
        assert_eq!(client.ask("GET k"), "$-1\r\n");
        ask_all(&mut client, &["SET k x", ON, "CONFIG REWRITE"]);
        wait_for_log(&server);
        server.kill();

        let server = Server::with(&[&file]);
        assert_eq!(server.connect().ask("GET k"), "$1\r\nx\r\n", "{given}");
        assert_eq!(folder.path().join("the.log").exists(), given.contains("the.log"));
    }
    // A path on the command line, and nothing of it in the file.
    let folder = Folder::new();
    let (file, path) = (folder.file("a.conf"), folder.file("the.log"));
    fs::write(&file, "").expect("a file");
    let mut server = Server::with(&[&file, "--aof-path", &path, "--appendfsync", "always"]);
    ask_all(&mut server.connect(), &["SET k v", OFF, "CONFIG REWRITE"]);
    server.kill();
    let server = Server::with(&[&file]);
    assert_eq!(server.info("aof_enabled"), 0);
    ask_all(&mut server.connect(), &[ON]);
    wait_for_log(&server);
    assert_eq!(fs::read(&path).expect("a log").len(), 0);
}
