//! Blocks of MULTI and EXEC in logs: written by hand, by redis-server and by our own writer.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferrum_kv::aof;
use ferrum_kv::aof::writer::{LogHandle, LogOptions, Places};
use ferrum_kv::config::AppendFsync;
use ferrum_kv::store::{Keyspace, KeyspaceOptions, NewValue, Session};

use super::harness::{
    Client, Folder, LogFile, Random, RedisServer, Server, assert_same, dump, encode,
    server_command, strings_in, tool, wait_until,
};

const DATABASES: usize = 16;

/// Deadlines that no test lives to see begin here, in milliseconds since 1970.
const FAR: u64 = 4_000_000_000_000;

/// The command of these words.
fn command(words: &str) -> Vec<u8> {
    encode(&words.split(' ').collect::<Vec<_>>())
}

/// A command that stands in logs of redis-server. `held` is the value of some.
fn random_command(random: &mut Random, held: &[u8]) -> Vec<u8> {
    let key = |random: &mut Random| format!("key:{}", random.below(40)).into_bytes();
    let (one, other, length) = (key(random), key(random), random.below(60) as usize);
    let value = random.bytes(length);
    let number = random.below(5).to_string().into_bytes();
    let counter = format!("n:{}", random.below(9)).into_bytes();
    let far = (FAR + random.below(1000)).to_string().into_bytes();
    match random.below(16) {
        0..=2 => encode(&[&b"SET"[..], &one, &value]),
        3 => encode(&[&b"set"[..], &one, held, b"PXAT", &far]),
        4 => encode(&[&b"MSET"[..], &one, &value, &other, b"MULTI"]),
        5..=6 => encode(&[&b"APPEND"[..], &one, &value]),
        7..=8 => encode(&[&b"INCRBY"[..], &counter, &number]),
        9 => encode(&[&b"DEL"[..], &one, &other]),
        10 => encode(&[&b"PEXPIREAT"[..], &one, &far]),
        11 => encode(&[&b"SETRANGE"[..], &one, &number, &value]),
        12..=13 => encode(&[&b"SELECT"[..], &number]),
        14 if random.below(3) == 0 => encode(&[&b"SWAPDB"[..], &number, b"1"]),
        14 if random.below(5) == 0 => encode(&[b"FLUSHDB"]),
        _ => encode(&[&b"PERSIST"[..], &one]),
    }
}

/// A value that is a piece of a log itself. A log that ends within such a value is taken for a
/// damaged one by us, and by redis-server for a torn one.
const DECEPTIVE: &[u8] = EXEC;
const HARMLESS: &[u8] = b"EXEC\r\n";

const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// The blocks of a log without deceptive values.
fn blocks(log: &[u8]) -> usize {
    log.windows(EXEC.len()).filter(|bytes| *bytes == EXEC).count()
}

/// A log with blocks of all lengths, and annotations inside and outside of them.
fn random_log(seed: u64, units: usize, held: &[u8]) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = command("SELECT 0");
    for _ in 0..units {
        match random.below(6) {
            0 => bytes.extend(b"#TS:1700000000\r\n"),
            1..=2 => {
                bytes.extend(command(if random.below(2) == 0 { "MULTI" } else { "multi" }));
                for _ in 0..random.below(12) {
                    bytes.extend(random_command(&mut random, held));
                    if random.below(9) == 0 {
                        bytes.extend(b"#TS:1700000001\r\n");
                    }
                }
                bytes.extend(command("EXEC"));
            }
            _ => bytes.extend(random_command(&mut random, held)),
        }
    }
    bytes
}

/// A redis-server that has loaded a plain file, as the one log of its older versions.
fn redis_on(log: &[u8], folder: &Path) -> RedisServer {
    std::fs::write(folder.join("appendonly.aof"), log).expect("a file");
    RedisServer::with(folder, &["--appendonly", "yes", "--aof-load-truncated", "yes", "--save", ""])
}

/// Our server and redis-server load the same file to the same keys.
fn assert_loaded_as_by_redis(log: &[u8]) {
    let file = LogFile::of(log);
    let server = Server::with(&file.flags("always"));
    let ours = dump(&mut server.connect(), DATABASES);
    let folder = Folder::new();
    let theirs = dump(&mut redis_on(log, folder.path()).connect(), DATABASES);
    assert_same("FerrumKV and redis-server on one file", &ours, &theirs);
}

#[test]
fn blocks_written_by_hand_are_loaded_as_redis_server_loads_them() {
    for seed in 1..=4 {
        assert_loaded_as_by_redis(&random_log(seed, 2000, DECEPTIVE));
    }
}

#[test]
fn a_log_cut_anywhere_between_blocks_or_in_them_is_loaded_as_redis_server_loads_it() {
    let log = random_log(7, 200, HARMLESS);
    let mut random = Random(8);
    for _ in 0..6 {
        assert_loaded_as_by_redis(&log[..random.below(log.len() as u64) as usize]);
    }
}

/// The file after it was cut by a program that asks for a yes.
fn cut_by(mut program: std::process::Command, path: &str) -> Vec<u8> {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    // It may end without a question.
    let _ = child.stdin.take().expect("piped").write_all(b"y\n");
    child.wait().expect("it ends");
    std::fs::read(path).expect("the file")
}

#[test]
fn a_torn_log_is_cut_where_redis_check_aof_cuts_it() {
    let lines = ["SELECT 0", "MULTI", "SELECT 3", "SET b 2", "EXEC", "SET c 3", "MULTI", "DEL c"];
    let log: Vec<u8> = lines.iter().flat_map(|line| command(line)).collect();
    // An empty file is an error for redis-check-aof.
    for cut in command(lines[0]).len()..=log.len() {
        let (ours, theirs) = (LogFile::of(&log[..cut]), LogFile::of(&log[..cut]));
        let our_cut = cut_by(server_command(&["check", ours.path(), "--fix"]), ours.path());
        let mut redis_check = tool("redis-check-aof");
        redis_check.arg("--fix").arg(theirs.path());
        let their_cut = cut_by(redis_check, theirs.path());
        assert_eq!(our_cut.len(), their_cut.len(), "cut at {cut}");
    }
}

/// What a client asks of redis-server, much of it in transactions.
fn run_transactions(client: &mut Client, seed: u64, count: usize) {
    let held = HARMLESS;
    let mut random = Random(seed);
    for _ in 0..count {
        let inside = random.below(8);
        let mut requests = command("MULTI");
        for _ in 0..inside {
            requests.extend(random_command(&mut random, held));
        }
        requests.extend(command("EXEC"));
        requests.extend(random_command(&mut random, held));
        client.send(&requests);
        for _ in 0..inside + 3 {
            client.reply();
        }
    }
    assert_eq!(client.ask("SELECT 0"), "+OK\r\n");
}

#[test]
fn the_transactions_of_redis_server_are_loaded() {
    for seed in 1..=2 {
        let folder = Folder::new();
        let redis = RedisServer::with(
            folder.path(),
            &["--appendonly", "yes", "--save", "", "--aof-use-rdb-preamble", "no"],
        );
        let mut client = redis.connect();
        client.ask("CONFIG SET aof-timestamp-enabled yes");
        run_transactions(&mut client, seed, 3000);
        let theirs = dump(&mut client, DATABASES);
        assert!(theirs.len() > 50);
        wait_until("it is written", || client.ask("INFO").contains("aof_buffer_length:0\r\n"));
        let part = folder.path().join("appendonlydir/appendonly.aof.1.incr.aof");
        let bytes = std::fs::read(&part).expect("the increment");
        assert!(blocks(&bytes) > 1000, "{}", blocks(&bytes));
        let log = LogFile::of(&bytes);
        let server = Server::with(&log.flags("always"));
        let ours = dump(&mut server.connect(), DATABASES);
        assert_same("redis-server and FerrumKV on its log", &theirs, &ours);
    }
}

/// Changes of one database or several, at one instant or one by one.
fn change(keyspace: &Keyspace, session: &Session<'_>, random: &mut Random) {
    let database = keyspace.database(random.below(4) as usize);
    let name = format!("key:{}", random.below(60));
    let key = keyspace.key(name.as_bytes());
    match random.below(40) {
        0 => database.flush(session),
        1 => database.swap(session, random.below(4) as usize),
        2..=4 => database.set(session, key, NewValue::Shared(vec![b'l'; 20_000].into())),
        5..=10 => drop(database.append(session, key, b" and more")),
        11..=20 => drop(database.add(session, key, random.below(9) as i64 - 4)),
        21..=25 => drop(database.remove(session, key)),
        _ => {
            let length = random.below(300) as usize;
            database.set(session, key, NewValue::Copy(&random.bytes(length)));
        }
    }
}

/// What is in a keyspace, as lines.
fn contents(keyspace: &Keyspace) -> Vec<String> {
    let local = keyspace.join();
    let session = local.pin();
    let mut lines = Vec::new();
    for database in 0..4 {
        for number in 0..60 {
            let name = format!("key:{number}");
            let key = keyspace.key(name.as_bytes());
            let value = keyspace.database(database).get(&session, key, |value| value.to_vec());
            if let Some(value) = value {
                lines.push(format!("{database} {name} {}", value.escape_ascii()));
            }
        }
    }
    lines
}

/// The same of a server.
fn contents_of(client: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    for database in 0..4 {
        client.ask(&format!("SELECT {database}"));
        for number in 0..60 {
            let reply = client.ask_bytes(&format!("GET key:{number}"));
            if let Some(value) = strings_in(&reply).pop() {
                lines.push(format!("{database} key:{number} {}", value.escape_ascii()));
            }
        }
    }
    lines
}

/// A keyspace that is logged by our own writer.
struct Written {
    log: LogFile,
    keyspace: Keyspace,
    handle: Arc<LogHandle>,
}

impl Written {
    fn new() -> Written {
        let log = LogFile::of(b"");
        let keyspace = Keyspace::new(KeyspaceOptions::default());
        let options = LogOptions {
            path: log.path().into(),
            length: 0,
            policy: AppendFsync::EverySecond,
            places: Places::new(DATABASES as u64),
        };
        let handle = LogHandle::start(options, keyspace.start_log(1 << 12)).expect("a log");
        Written { log, keyspace, handle }
    }

    /// Makes random changes, half of them in blocks.
    fn work(&self, seed: u64, count: usize) {
        let (keyspace, local) = (&self.keyspace, self.keyspace.join());
        let mut random = Random(seed);
        for _ in 0..count {
            let session = local.pin();
            let is_block = random.below(2) == 0;
            if is_block {
                session.begin_block();
            }
            for _ in 0..random.below(12) {
                change(keyspace, &session, &mut random);
            }
            // Half of the blocks end with their session.
            if is_block && random.below(2) == 0 {
                session.end_block();
            }
            drop(session);
            while !keyspace.log().expect("a log").has_room() {
                std::thread::yield_now();
            }
        }
    }

    /// Stops the writer; all who load the log come to what is in the keyspace.
    fn assert_loaded_the_same(&self) {
        self.handle.stop(Duration::from_secs(20)).expect("written");
        let check = tool("redis-check-aof").arg(self.log.path()).stdin(Stdio::null()).output();
        assert!(check.expect("it runs").status.success(), "redis-check-aof");
        let expected = contents(&self.keyspace);
        assert!(expected.len() > 50, "{}", expected.len());
        let folder = Folder::new();
        let redis = redis_on(&self.log.bytes(), folder.path());
        assert!(contents_of(&mut redis.connect()) == expected, "redis-server");
        let server = Server::with(&self.log.flags("always"));
        assert!(contents_of(&mut server.connect()) == expected, "FerrumKV");
    }
}

#[test]
fn our_blocks_are_accepted_and_loaded_by_redis_server_and_by_ourselves() {
    let written = Written::new();
    written.work(99, 4000);
    written.assert_loaded_the_same();
    let blocks = blocks(&written.log.bytes());
    assert!(blocks > 1000, "{blocks}");
}

#[test]
fn no_block_is_lost_or_split_while_the_log_is_rewritten_again_and_again() {
    let written = Written::new();
    let is_over = AtomicBool::new(false);
    let path = Path::new(written.log.path());
    std::thread::scope(|scope| {
        let rewriter = scope.spawn(|| {
            let mut rewrites = 0;
            while !is_over.load(Ordering::Relaxed) {
                let done = aof::rewrite(&written.keyspace, &written.handle, path, &|| false);
                assert!(done.expect("the disk works").is_some());
                rewrites += 1;
            }
            rewrites
        });
        written.work(100, 20_000);
        is_over.store(true, Ordering::Relaxed);
        let rewrites = rewriter.join().expect("it ends");
        assert!(rewrites > 3, "{rewrites}");
    });
    written.assert_loaded_the_same();
}
