//! Logs that redis-server 7 and FerrumKV exchange, in both directions.

use std::path::Path;
use std::process::Stdio;

use super::harness::{
    Client, Folder, LogFile, Random, RedisServer, Server, assert_same, dump, encode, tool,
    wait_until,
};

const DATABASES: usize = 16;

/// Deadlines that no test lives to see begin here, in milliseconds since 1970.
const FAR: u64 = 4_000_000_000_000;

/// Random commands of all kinds, with values of all bytes, in all databases.
fn random_commands(seed: u64, count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut random = Random(seed);
    let mut commands = Vec::new();
    for _ in 0..count {
        let key = |random: &mut Random| format!("key:{}", random.below(300));
        let length = random.below(40) as usize;
        let value = random.bytes(length);
        let (one, other) = (key(&mut random), key(&mut random));
        let counter = format!("n:{}", random.below(50));
        let far = (FAR + random.below(1_000_000)).to_string();
        let offset = random.below(100).to_string();
        let number = random.below(DATABASES as u64).to_string();
        let words: Vec<&[u8]> = match random.below(26) {
            0..=3 => vec![b"SET", one.as_bytes(), &value],
            4..=5 => vec![b"SET", one.as_bytes(), &value, b"PXAT", far.as_bytes()],
            6..=7 => vec![b"APPEND", one.as_bytes(), &value],
            8 => vec![b"SETRANGE", one.as_bytes(), offset.as_bytes(), &value],
            9..=10 => vec![b"INCRBY", counter.as_bytes(), offset.as_bytes()],
            11 => vec![b"INCRBYFLOAT", counter.as_bytes(), b"1"],
            12 => vec![b"PEXPIREAT", one.as_bytes(), far.as_bytes()],
            13 => vec![b"PERSIST", one.as_bytes()],
            14 => vec![b"DEL", one.as_bytes(), other.as_bytes()],
            15 => vec![b"RENAME", one.as_bytes(), other.as_bytes()],
            16 => vec![b"COPY", one.as_bytes(), other.as_bytes(), b"REPLACE"],
            17 => vec![b"MSET", one.as_bytes(), &value, other.as_bytes(), b"2"],
            18 => vec![b"GETEX", one.as_bytes(), b"PXAT", far.as_bytes()],
            19 => vec![b"GETDEL", one.as_bytes()],
            20 => vec![b"SETBIT", other.as_bytes(), offset.as_bytes(), b"1"],
            21 => vec![b"BITOP", b"XOR", one.as_bytes(), one.as_bytes(), other.as_bytes()],
            22 => vec![b"MOVE", one.as_bytes(), number.as_bytes()],
            23 => vec![b"SELECT", number.as_bytes()],
            24 if random.below(20) == 0 => vec![b"SWAPDB", b"0", number.as_bytes()],
            24 if random.below(40) == 0 => vec![b"FLUSHDB"],
            _ => vec![b"SETNX", one.as_bytes(), &value],
        };
        commands.push(words.into_iter().map(<[u8]>::to_vec).collect());
    }
    commands
}

/// Sends the commands; errors (no such key) are replies too.
fn run(client: &mut Client, commands: &[Vec<Vec<u8>>]) {
    for batch in commands.chunks(200) {
        let requests: Vec<u8> = batch.iter().flat_map(|words| encode(words)).collect();
        client.send(&requests);
        for _ in batch {
            client.reply();
        }
    }
    assert_eq!(client.ask("SELECT 0"), "+OK\r\n");
}

/// A redis-server that has loaded a plain file, as the one log of its older versions.
fn redis_on(log: &[u8], folder: &Path) -> RedisServer {
    std::fs::write(folder.join("appendonly.aof"), log).expect("a file");
    // Without an ending it accepts nothing torn.
    RedisServer::with(folder, &["--appendonly", "yes", "--aof-load-truncated", "no", "--save", ""])
}

/// Whether redis-check-aof finds nothing wrong with a file.
fn is_accepted(path: &str) -> bool {
    let output = tool("redis-check-aof").arg(path).stdin(Stdio::null()).output();
    let output = output.expect("redis-check-aof runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success() && text.contains("is valid")
}

#[test]
fn redis_server_loads_our_log_to_the_same_keys_values_and_deadlines() {
    for seed in 1..=3 {
        let log = LogFile::new();
        let mut server = Server::with(&log.flags("everysec"));
        let mut client = server.connect();
        run(&mut client, &random_commands(seed, 20_000));
        let ours = dump(&mut client, DATABASES);
        assert!(ours.len() > 200);
        drop(client);
        server.signal("TERM");
        assert!(server.wait().success());
        let folder = Folder::new();
        let redis = redis_on(&log.bytes(), folder.path());
        let theirs = dump(&mut redis.connect(), DATABASES);
        assert_same("FerrumKV and redis-server on its log", &ours, &theirs);
        assert!(is_accepted(log.path()), "redis-check-aof");
    }
}

#[test]
fn our_log_is_accepted_at_any_moment_while_clients_write() {
    let log = LogFile::new();
    let server = Server::with(&log.flags("everysec"));
    let copy = log.folder.file("copy.aof");
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=3)
            .map(|seed| {
                let mut client = server.connect();
                scope.spawn(move || run(&mut client, &random_commands(seed, 30_000)))
            })
            .collect();
        let mut looks = 0;
        while writers.iter().any(|writer| !writer.is_finished()) || looks == 0 {
            let bytes = log.bytes();
            // The last command or block may be half written at this moment.
            let mut commands = super::harness::Commands::of(&bytes);
            let (mut in_a_block, mut whole) = (false, 0);
            for command in commands.by_ref() {
                match command.name().as_str() {
                    "MULTI" => in_a_block = true,
                    "EXEC" => in_a_block = false,
                    _ => {}
                }
                whole = if in_a_block { whole } else { command.end };
            }
            assert!(bytes.len() - commands.at < 300_000, "it stops at {}", commands.at);
            std::fs::write(&copy, &bytes[..whole]).expect("a copy");
            // It calls an empty file an error.
            if whole == 0 {
                continue;
            }
            assert!(is_accepted(&copy), "look {looks}");
            looks += 1;
        }
    });
}

#[test]
fn we_load_the_log_of_redis_server() {
    for seed in 4..=5 {
        let folder = Folder::new();
        let redis = RedisServer::with(
            folder.path(),
            &["--appendonly", "yes", "--save", "", "--aof-use-rdb-preamble", "no"],
        );
        let mut client = redis.connect();
        // Commands in a MULTI block and annotations with times are part of it.
        client.ask("CONFIG SET aof-timestamp-enabled yes");
        run(&mut client, &random_commands(seed, 10_000));
        for line in ["MULTI", "SET in-a-block 1", "INCR in-a-block", "EXEC"] {
            client.ask(line);
        }
        assert!(client.ask("SETEX limited 100000 v").starts_with("+OK"));
        let theirs = dump(&mut client, DATABASES);
        wait_until("it is written", || client.ask("INFO").contains("aof_buffer_length:0\r\n"));
        let part = folder.path().join("appendonlydir/appendonly.aof.1.incr.aof");
        let log = LogFile::of(&std::fs::read(&part).expect("the increment"));
        let server = Server::with(&log.flags("always"));
        let ours = dump(&mut server.connect(), DATABASES);
        assert_same("redis-server and FerrumKV on its log", &theirs, &ours);
        drop(server);
        // The whole folder, after a rewrite: a base and an increment.
        assert!(client.ask("BGREWRITEAOF").starts_with("+Background"));
        wait_until("it is rewritten", || {
            let info = client.ask("INFO");
            ["in_progress:0", "scheduled:0"]
                .iter()
                .all(|end| info.contains(&format!("aof_rewrite_{end}\r\n")))
        });
        client.ask("SET after-the-rewrite 1");
        let theirs = dump(&mut client, DATABASES);
        drop((client, redis));
        let manifest = folder.file("appendonlydir/appendonly.aof.manifest");
        let server = Server::with(&["--aof-path", &manifest, "--appendfsync", "always"]);
        let ours = dump(&mut server.connect(), DATABASES);
        assert_same("redis-server and FerrumKV on its folder", &theirs, &ours);
        server.connect().set("ours", b"v");
        drop(server);
        let plain = folder.file("appendonlydir/appendonly.aof");
        let server = Server::with(&["--aof-path", &plain]);
        assert_eq!(server.connect().ask("GET ours"), "$1\r\nv\r\n");
        drop(server);
        let said = Server::refusal(&["--aof-path", &manifest]);
        assert!(said.contains(&plain), "{said}");
    }
}

#[test]
fn a_log_with_a_binary_base_is_refused_with_the_way_to_convert_it() {
    let folder = Folder::new();
    let redis = RedisServer::with(folder.path(), &["--appendonly", "yes", "--save", ""]);
    let mut client = redis.connect();
    client.set("k", b"v");
    assert!(client.ask("BGREWRITEAOF").starts_with("+Background"));
    wait_until("it is rewritten", || {
        folder.path().join("appendonlydir/appendonly.aof.2.base.rdb").exists()
    });
    drop((client, redis));
    let manifest = folder.file("appendonlydir/appendonly.aof.manifest");
    let base = folder.file("appendonlydir/appendonly.aof.2.base.rdb");
    for path in [&manifest, &base] {
        let said = Server::refusal(&["--aof-path", path]);
        for word in ["aof-use-rdb-preamble", "BGREWRITEAOF"] {
            assert!(said.contains(word), "{word} in {said}");
        }
    }
}
