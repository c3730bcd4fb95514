//! What is refused when nothing can go, and in which words.

use super::crowd::Crowd;
use super::harness::{Client, RedisServer, encode, show, strings_in};
use super::target::{Questions, Target};

const REFUSED: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

const ABORTED: &str = "-EXECABORT Transaction discarded because of: OOM command not allowed \
                       when used memory > 'maxmemory'.\r\n";

/// Every command that may take memory, with arguments that are good otherwise.
const DENIED: [&str; 20] = [
    "SET k v",
    "SETNX n v",
    "SETEX k 100 v",
    "PSETEX k 100000 v",
    "GETSET k v",
    "MSET k v m v",
    "MSETNX n v m v",
    "APPEND k v",
    "SETRANGE k 1 v",
    "SETBIT k 7 1",
    "BITFIELD k SET u8 0 1",
    "BITOP NOT n k",
    "INCR c",
    "DECR c",
    "INCRBY c 2",
    "DECRBY c 2",
    "INCRBYFLOAT c 2",
    "COPY k n",
    "RESTORE n 0 payload",
    "SET k v XX",
];

/// Commands that go on, on the keys `k`, `c`, `d` and `e`. No key gets a deadline: a
/// volatile policy would take it at once.
const ALLOWED: [&str; 36] = [
    "PING",
    "ECHO text",
    "GET k",
    "MGET k c absent",
    "STRLEN k",
    "GETRANGE k 0 1",
    "BITCOUNT k",
    "BITFIELD_RO k GET u8 0",
    "EXISTS k c",
    "TYPE k",
    "TTL k",
    "DUMP k",
    "TOUCH k",
    "OBJECT ENCODING k",
    "KEYS k*",
    "RANDOMKEY",
    "GETEX k PERSIST",
    "EXPIRE absent 2000",
    "PEXPIRE absent 2000000 GT",
    "PERSIST k",
    "RENAME d renamed",
    "RENAMENX renamed d",
    "MOVE d 1",
    "SELECT 1",
    "GETDEL d",
    "SELECT 0",
    "WATCH k",
    "UNWATCH",
    "DEL e",
    "UNLINK absent",
    "DBSIZE",
    "MULTI",
    "DISCARD",
    "EXEC",
    "NOSUCHCOMMAND k",
    "SET k",
];

fn fill(client: &mut Client) {
    for command in ["SET k value", "SET c 5", "SET d d", "SET e e", "PERSIST k"] {
        client.ask(command);
    }
}

/// Takes away all room.
fn choke(client: &mut Client) {
    client.configure("maxmemory", "1");
}

#[test]
fn every_command_that_may_take_memory_is_refused_and_no_other() {
    for policy in ["noeviction", "volatile-lru", "volatile-random", "volatile-ttl"] {
        let target = Target::start(&["--maxmemory-policy", policy]);
        let mut client = target.connect();
        fill(&mut client);
        choke(&mut client);
        for command in DENIED {
            assert_eq!(client.ask(command), REFUSED, "{policy}: {command}");
        }
        for command in ALLOWED {
            let reply = client.ask_bytes(command);
            let refused = reply.starts_with(b"-OOM");
            assert!(!refused, "{policy}: {command}: {}", show(&reply));
        }
        assert_eq!(client.ask("GET k"), "$5\r\nvalue\r\n");
        assert_eq!(client.ask("GET c"), "$1\r\n5\r\n");
        client.configure("maxmemory", "0");
        assert_eq!(client.ask("INCR c"), ":6\r\n");
        assert_eq!(client.ask("SET n v"), "+OK\r\n");
        assert_eq!(client.info("evicted_keys"), 0, "{policy}");
    }
}

#[test]
fn the_flag_of_a_command_tells_whether_it_is_refused() {
    let target = Target::start(&[]);
    let mut client = target.connect();
    fill(&mut client);
    let flags = |client: &mut Client, command: &str| {
        let name = command.split(' ').next().expect("a name");
        client.ask(&format!("COMMAND INFO {name}"))
    };
    for command in DENIED {
        assert!(flags(&mut client, command).contains("denyoom"), "{command}");
    }
    for command in ALLOWED.iter().filter(|command| !command.starts_with("SET ")) {
        assert!(!flags(&mut client, command).contains("denyoom"), "{command}");
    }
}

/// Blocks under want of memory: `<` takes all room away, `>` gives it back.
const SCRIPTS: [&[&str]; 13] = [
    &["<", "MULTI", "SET k v", "EXEC", "EXEC"],
    &["<", "MULTI", "GET k", "EXEC", "GET k"],
    &["<", "MULTI", "GET k", ">", "EXEC", "GET k"],
    &["<", "MULTI", "DEL k", "DISCARD", "EXEC", "GET k"],
    &["<", "MULTI", "DISCARD", "MULTI", "EXEC"],
    &["<", "MULTI", "MULTI", "EXEC"],
    &["<", "MULTI", "RESET", "EXEC", "GET k"],
    &["<", "MULTI", "WATCH k", "UNWATCH", "PING", "SELECT 1", "EXEC"],
    &["<", "MULTI", "NOSUCHCOMMAND", "SET k", "EXEC"],
    &["MULTI", "SET k 2", "GET k", "<", "EXEC", "GET k", "EXEC"],
    &["MULTI", "GET k", "DEL d", "PING", "<", "EXEC", "GET k", "EXISTS d"],
    &["MULTI", "SET k 3", "<", "SET k 4", ">", "EXEC", "GET k"],
    &[
        "WATCH k", "MULTI", "INCR c", "<", "EXEC", ">", "GET c", "INCR c", "MULTI", "SET k 5",
        "EXEC",
    ],
];

/// All replies of all scripts. Two clients, since CONFIG would be queued as everything else.
fn play(client: &mut Client, other: &mut Client, policy: &str) -> Vec<(String, Vec<u8>)> {
    other.configure("maxmemory-policy", policy);
    let mut heard = Vec::new();
    for script in SCRIPTS {
        other.configure("maxmemory", "0");
        assert!(other.ask("FLUSHALL").starts_with("+OK"));
        fill(other);
        client.ask("RESET");
        for command in script {
            match *command {
                "<" => choke(other),
                ">" => other.configure("maxmemory", "0"),
                command => {
                    let reply = client.ask_bytes(command);
                    heard.push((format!("{policy}: {script:?}: {command}"), reply));
                }
            }
        }
    }
    heard
}

#[test]
fn blocks_are_refused_as_redis_refuses_them() {
    let target = Target::start(&[]);
    let redis = RedisServer::start();
    for policy in ["noeviction", "volatile-lfu"] {
        let ours = play(&mut target.connect(), &mut target.connect(), policy);
        let theirs = play(&mut redis.connect(), &mut redis.connect(), policy);
        for ((what, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            assert_eq!(show(ours), show(theirs), "{what}");
        }
    }
}

#[test]
fn a_block_is_refused_as_a_whole_in_words_of_its_own() {
    let target = Target::start(&[]);
    let (mut client, mut other) = (target.connect(), target.connect());
    fill(&mut client);
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("DEL d"), "+QUEUED\r\n");
    assert_eq!(client.ask("SET k 2"), "+QUEUED\r\n");
    choke(&mut other);
    assert_eq!(client.ask("EXEC"), ABORTED);
    assert_eq!(client.ask("EXISTS d"), ":1\r\n");
    assert_eq!(client.ask("EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    assert_eq!(client.ask("GET k"), REFUSED);
    assert!(client.ask("EXEC").starts_with("-EXECABORT"));
    assert_eq!(client.ask("DEL d"), ":1\r\n");
}

#[test]
fn commands_of_one_pipeline_are_refused_one_by_one() {
    let target = Target::start(&[]);
    let mut client = target.connect();
    fill(&mut client);
    choke(&mut client);
    let commands: Vec<_> = (0..500).flat_map(|_| ["SET k 9", "GET k", "APPEND k x"]).collect();
    let encoded: Vec<_> =
        commands.iter().map(|line| encode(&line.split(' ').collect::<Vec<_>>())).collect();
    for (command, reply) in commands.iter().zip(client.replies(&encoded)) {
        let expected = if *command == "GET k" { "$5\r\nvalue\r\n" } else { REFUSED };
        assert_eq!(show(&reply), show(expected.as_bytes()), "{command}");
    }
}

/// SETs until one is refused; how many were not.
fn set_until_refused(client: &mut Client, name: &'static str) -> u64 {
    let crowd = Crowd::new(name, u64::MAX);
    for number in 0..1_000_000 {
        let reply = client.replies(&[crowd.set_one(number)]).remove(0);
        match reply.as_slice() {
            b"+OK\r\n" => {}
            refusal => {
                assert_eq!(show(refusal), show(REFUSED.as_bytes()));
                return number;
            }
        }
    }
    panic!("never refused");
}

#[test]
fn what_was_deleted_makes_room_for_as_much() {
    for policy in ["noeviction", "volatile-lru", "volatile-lfu"] {
        let target = Target::start(&["--maxmemory-policy", policy]);
        let mut client = target.connect();
        let bound = client.used_bytes() + 4_000_000;
        client.configure("maxmemory", &bound.to_string());
        let held = set_until_refused(&mut client, "first");
        assert!((2_000..4_000).contains(&held), "{policy}: {held} keys of 1,000 bytes");
        assert!(client.used_bytes() < bound + bound / 50, "{policy}");
        for number in 0..held / 2 {
            assert_eq!(client.ask(&format!("DEL first:{number}")), ":1\r\n");
        }
        let again = set_until_refused(&mut client, "second");
        assert!(again > held / 3, "{policy}: {again} of {held}");
        assert_eq!(client.keys(), held - held / 2 + again);
        assert_eq!(client.info("evicted_keys"), 0);
    }
}

#[test]
fn volatile_policies_work_again_as_soon_as_a_key_gets_a_deadline() {
    let policies = ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"];
    for policy in policies.into_iter().chain((!super::target::is_redis()).then_some("volatile-ahe"))
    {
        let target = Target::start(&["--maxmemory-policy", policy]);
        let mut client = target.connect();
        let bound = client.used_bytes() + 2_000_000;
        client.configure("maxmemory", &bound.to_string());
        let held = set_until_refused(&mut client, "fixed");
        let half = held / 2;
        let expire = |number| {
            let key = format!("fixed:{number}");
            encode(&["EXPIRE", &key, "1000"])
        };
        client.all(&(0..half).map(expire).collect::<Vec<_>>(), b":1");
        let fresh = Crowd::new("fresh", half / 2);
        fresh.fill(&mut client);
        assert_eq!(fresh.present(&mut client), 1_000, "{policy}");
        for number in half..held {
            assert_eq!(client.ask(&format!("EXISTS fixed:{number}")), ":1\r\n", "{policy}");
        }
        let evicted = client.info("evicted_keys");
        assert!(evicted > 0 && evicted <= half, "{policy}: {evicted} of {half}");
        assert_eq!(client.keys(), held + fresh.count - evicted, "{policy}");
    }
}

#[test]
fn a_bound_below_everything_takes_all_keys_and_then_refuses() {
    let target = Target::start(&["--maxmemory-policy", "allkeys-random"]);
    let mut client = target.connect();
    Crowd::new("k", 2_000).fill(&mut client);
    choke(&mut client);
    super::harness::wait_until("all keys are evicted", || client.keys() == 0);
    assert_eq!(client.ask("SET k v"), REFUSED);
    assert_eq!(client.info("evicted_keys"), 2_000);
    assert!(strings_in(&client.ask_bytes("KEYS *")).is_empty());
    client.configure("maxmemory", "0");
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
}
