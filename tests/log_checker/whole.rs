//! Mixed commands of many clients on few keys; the log leads to what is in memory at the end.

use std::time::{Duration, Instant};

use super::harness::{
    LogFile, Model, Random, Server, State, assert_same, dump, encode, setting, unix_millis,
    wait_until,
};

const CLIENTS: u64 = 5;

/// Databases in use: few, so that swaps and flushes meet writes.
const DATABASES: usize = 3;

/// Keys of each kind: few, so that clients meet.
const KEYS: u64 = 6;

const PIPELINE: u64 = 40;

/// Deadlines that no test lives to see begin here, in milliseconds since 1970.
const FAR: u64 = 4_000_000_000_000;

/// What a run does beside plain commands.
#[derive(Clone, Copy, Default)]
struct Mix {
    swaps: bool,
    flushes: bool,
    /// Deadlines of a few milliseconds.
    expires: bool,
    rewrites: bool,
    moves: bool,
}

/// One random command.
fn command(random: &mut Random, mix: Mix) -> Vec<String> {
    let key = |random: &mut Random| format!("key{}", random.below(KEYS));
    let (one, other) = (key(random), key(random));
    let counter = format!("n{}", random.below(KEYS));
    let bits = format!("bits{}", random.below(KEYS));
    let word = format!("<{}>", random.below(1_000_000));
    let number = random.below(100).to_string();
    let far = (FAR + random.below(1_000)).to_string();
    let soon = (1 + random.below(15)).to_string();
    let database = random.below(DATABASES as u64).to_string();
    let rare = random.below(100) == 0;
    let words: Vec<&str> = match random.below(32) {
        0..=2 => vec!["SET", &one, &word],
        3 => vec!["SET", &one, &word, "PXAT", &far],
        4 => vec!["SET", &one, &word, "KEEPTTL"],
        5 if mix.expires => vec!["SET", &one, &word, "PX", &soon],
        6 if mix.expires => vec!["PEXPIRE", &counter, &soon],
        7..=8 => vec!["APPEND", &one, &word],
        9..=10 => vec!["INCR", &counter],
        11 => vec!["INCRBY", &counter, &number],
        12 => vec!["DECRBY", &counter, &number],
        13 => vec!["INCRBYFLOAT", &counter, "2"],
        14 => vec!["SETRANGE", &one, "2", &word],
        15 => vec!["SETBIT", &bits, &number, "1"],
        16 => vec!["BITFIELD", &bits, "INCRBY", "u8", &number, "3", "SET", "u4", "0", "5"],
        17 => vec!["GETDEL", &one],
        18 => vec!["DEL", &one, &other, &counter],
        19 => vec!["GETEX", &one, "PXAT", &far],
        20 => vec!["PERSIST", &one],
        21 => vec!["PEXPIREAT", &one, &far],
        22 => vec!["MSET", &one, &word, &other, &number],
        23 => vec!["MSETNX", &one, &word, &other, &number],
        24 => vec!["SETNX", &one, &word],
        25 => vec!["GETSET", &one, &word],
        26 if mix.moves => vec!["RENAME", &one, &other],
        26 => vec!["BITOP", "NOT", &bits, &bits],
        27 if mix.moves => vec!["COPY", &one, &other, "REPLACE"],
        27 => vec!["SELECT", &database],
        28 if mix.moves => vec!["MOVE", &one, &database],
        29 if rare && mix.swaps => vec!["SWAPDB", "0", &database],
        30 if rare && mix.flushes => vec!["FLUSHDB"],
        31 if rare && mix.flushes => vec!["FLUSHALL"],
        _ => vec!["GET", &one],
    };
    words.into_iter().map(str::to_owned).collect()
}

/// One client of a run.
fn work(server: &Server, mut random: Random, operations: u64, mix: Mix) {
    let mut client = server.connect();
    let mut left = operations;
    while left > 0 {
        let count = (1 + random.below(PIPELINE)).min(left);
        let requests: Vec<u8> =
            (0..count).flat_map(|_| encode(&command(&mut random, mix))).collect();
        client.send(&requests);
        for _ in 0..count {
            client.reply();
        }
        left -= count;
    }
}

/// Everything in memory that is not about to expire, after a run.
fn memory(server: &Server) -> State {
    // Longer than the short deadlines.
    std::thread::sleep(Duration::from_millis(100));
    let mut state = dump(&mut server.connect(), DATABASES);
    state.retain(|_, (_, deadline)| deadline.is_none_or(|deadline| deadline >= FAR));
    state
}

fn run(seed: u64, operations: u64, mix: Mix) {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("everysec"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let server = &server;
        let done = &done;
        let workers: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let random =
                    Random((seed * 1_000 + client + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                scope.spawn(move || work(server, random, operations / CLIENTS, mix))
            })
            .collect();
        if mix.rewrites {
            scope.spawn(move || {
                let mut client = server.connect();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    client.ask("BGREWRITEAOF");
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
        }
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "a client failed");
    });
    let before = memory(&server);
    if mix.rewrites {
        wait_until("the last rewrite ends", || server.info("aof_rewrite_in_progress") == 0);
        assert!(server.info("aof_rewrites") > 0, "nothing was rewritten");
    }
    server.signal("TERM");
    assert!(server.wait().success());
    let start = Instant::now();
    let logged = Model::of(&log.bytes()).state(unix_millis());
    assert_same(&format!("seed {seed}: memory and the log"), &before, &logged);
    println!("{} bytes of log read in {:?}", log.len(), start.elapsed());
    let server = Server::with(&log.flags("everysec"));
    let again = memory(&server);
    assert_same(&format!("seed {seed}: memory and what was loaded"), &before, &again);
}

/// A plain run does a share of the operations in each of the mixes.
fn operations() -> u64 {
    setting("FERRUM_LOG_OPERATIONS", 200_000) / 5
}

fn seed() -> u64 {
    setting("FERRUM_LOG_SEED", 1)
}

#[test]
fn single_keys() {
    run(seed(), operations(), Mix::default());
}

#[test]
fn short_deadlines() {
    run(seed() + 1, operations(), Mix { expires: true, ..Mix::default() });
}

#[test]
fn flushes() {
    run(seed() + 2, operations(), Mix { flushes: true, ..Mix::default() });
}

#[test]
fn renames_copies_and_moves() {
    run(seed() + 3, operations(), Mix { moves: true, expires: true, ..Mix::default() });
}

#[test]
fn swaps() {
    run(seed() + 4, operations(), Mix { swaps: true, flushes: true, ..Mix::default() });
}

#[test]
fn rewrites() {
    let mix = Mix { flushes: true, expires: true, rewrites: true, moves: true, ..Mix::default() };
    run(seed() + 5, operations(), mix);
}
