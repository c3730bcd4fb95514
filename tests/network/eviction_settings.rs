//! The settings of eviction, and what they let a client see of keys, compared with redis-server.

use super::harness::{Client, RedisServer, Server, show, strings_in, wait_until};

/// Amounts of memory, good and bad.
const AMOUNTS: [&str; 22] = [
    "100mb",
    "1x",
    "-1",
    "0",
    "",
    "kb",
    "b",
    "1KB",
    "1k",
    "1b",
    "01",
    "+1",
    "-0",
    " 1",
    "1 mb",
    "1tb",
    "10%",
    "1.5mb",
    "0x10",
    "18446744073709551616",
    "1mb\0x",
    "0",
];

/// Whole numbers, good and bad.
const NUMBERS: [&str; 17] = [
    "0",
    "1",
    "-1",
    "64",
    "65",
    "100",
    "101",
    "2147483647",
    "2147483648",
    "-2147483649",
    "x",
    "",
    "1.0",
    "01",
    "+1",
    "9223372036854775808",
    "7",
];

/// Settings that are whole numbers.
const NUMBER_SETTINGS: [&str; 4] =
    ["maxmemory-samples", "maxmemory-eviction-tenacity", "lfu-log-factor", "lfu-decay-time"];

/// Policies, good and bad.
const POLICIES: [&str; 10] = [
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "ALLKEYS-LFU",
    "allkeys-random",
    "lru",
    "",
    "noeviction",
];

/// Both servers, the same commands for both.
struct Both {
    redis: Client,
    ours: Client,
}

impl Both {
    /// Sends a command; the replies are the same but for the policies that are only ours.
    fn ask(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let expected = self.redis.call(words);
        let reply = self.ours.call(words);
        let shown = show(&reply).replace(", volatile-ahe, allkeys-ahe", "");
        assert_eq!(shown, show(&expected), "{}", show(&words.join(&b' ')));
        reply
    }

    fn line(&mut self, line: &str) -> Vec<u8> {
        self.ask(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }
}

/// Calls `body` with connections to both.
fn with_both(body: impl FnOnce(&mut Both, &RedisServer, &Server)) {
    let (redis, ours) = (RedisServer::start(), Server::single_worker());
    let mut both = Both { redis: redis.connect(), ours: ours.connect() };
    body(&mut both, &redis, &ours);
}

#[test]
fn settings_are_read_and_set_as_in_redis() {
    with_both(|both, _, _| {
        let mut rows = vec![("maxmemory", &AMOUNTS[..]), ("maxmemory-policy", &POLICIES[..])];
        rows.extend(NUMBER_SETTINGS.map(|name| (name, &NUMBERS[..])));
        for (name, values) in rows {
            both.ask(&[b"CONFIG", b"GET", name.as_bytes()]);
            for value in values {
                both.ask(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]);
                both.ask(&[b"CONFIG", b"GET", name.as_bytes()]);
            }
        }
        for line in [
            "CONFIG SET MAXMEMORY 1x",
            "CONFIG SET maxmemory 1 MaxMemory 2",
            "CONFIG SET maxmemory 1gb maxmemory-policy foo",
            "CONFIG SET maxmemory 1gb maxmemory-samples 0",
            "CONFIG SET maxmemory",
            "CONFIG SET maxmemory 1gb maxmemory-samples",
            "CONFIG GET maxmemory",
            "CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru",
            "CONFIG GET MaxMemory",
            "CONFIG GET maxmemory-p*",
        ] {
            both.line(line);
        }
    });
}

#[test]
fn our_own_policies_can_be_set() {
    let server = Server::single_worker();
    let mut client = server.connect();
    for policy in ["allkeys-ahe", "volatile-ahe"] {
        assert_eq!(client.ask(&format!("CONFIG SET maxmemory-policy {policy}")), "+OK\r\n");
        let strings = strings_in(&client.call(&["CONFIG", "GET", "maxmemory-policy"]));
        assert_eq!(strings[1], policy.as_bytes());
    }
}

#[test]
fn flags_of_eviction_reach_their_settings() {
    let rows = [
        ("--maxmemory", "100mb", "104857600"),
        ("--maxmemory-policy", "Volatile-LFU", "volatile-lfu"),
        ("--maxmemory-samples", "9", "9"),
        ("--maxmemory-eviction-tenacity", "100", "100"),
        ("--lfu-log-factor", "0", "0"),
        ("--lfu-decay-time", "3", "3"),
    ];
    let arguments: Vec<&str> = rows.iter().flat_map(|(flag, given, _)| [*flag, *given]).collect();
    let server = Server::with(&arguments);
    let mut client = server.connect();
    for (flag, _, value) in rows {
        let name = &flag[2..];
        let strings = strings_in(&client.call(&["CONFIG", "GET", name]));
        assert_eq!(strings, [name.as_bytes(), value.as_bytes()]);
    }
    for wrong in [["--maxmemory", "10%"], ["--maxmemory-policy", "lru"], ["--lfu-log-factor", "-1"]]
    {
        let said = Server::refusal(&wrong);
        assert!(said.starts_with("ferrum-kv: "), "{said}");
    }
}

#[test]
fn a_cap_below_what_is_used_is_warned_of_once() {
    const WARNING: &str = "WARNING: the new maxmemory value set via CONFIG SET (1024) is smaller \
                           than the current memory usage (";
    let server = Server::single_worker();
    let mut client = server.connect();
    client.set("k", &[b'v'; 10_000]);
    for amount in ["1gb", "1kb", "1024", "0"] {
        assert_eq!(client.ask(&format!("CONFIG SET maxmemory {amount}")), "+OK\r\n");
    }
    let warnings = || server.log().iter().filter(|line| line.contains(WARNING)).count();
    wait_until("the warning is in the log", || warnings() > 0);
    assert_eq!(warnings(), 1, "{:?}", server.log());
}

#[test]
fn what_a_policy_does_not_track_is_refused_as_in_redis() {
    with_both(|both, _, _| {
        both.line("SET k text");
        let payload = strings_in(&both.redis.call(&["DUMP", "k"])).remove(0);
        for policy in
            ["noeviction", "allkeys-lru", "volatile-lfu", "volatile-random", "allkeys-lfu"]
        {
            both.line("DEL r");
            both.line(&format!("CONFIG SET maxmemory-policy {policy}"));
            for options in [
                "FREQ -1",
                "FREQ 256",
                "FREQ x",
                "FREQ",
                "IDLETIME -1",
                "IDLETIME x",
                "IDLETIME",
                "FREQ 3 IDLETIME 4",
                "IDLETIME 4 FREQ 3",
                "IDLETIME 4",
                "IDLETIME 4 IDLETIME 0",
                "IDLETIME 100000",
                "REPLACE",
            ] {
                let mut words = vec![&b"RESTORE"[..], b"r", b"0", &payload, b"REPLACE"];
                words.extend(options.split(' ').map(str::as_bytes));
                both.ask(&words);
                for line in ["OBJECT IDLETIME r", "OBJECT FREQ r", "OBJECT FREQ nothing"] {
                    both.line(line);
                }
            }
        }
    });
}

#[test]
fn keys_are_counted_as_in_redis() {
    with_both(|both, _, _| {
        both.line("SET k text");
        let payload = strings_in(&both.redis.call(&["DUMP", "k"])).remove(0);
        // So that each use counts, and none is forgotten.
        both.line("CONFIG SET maxmemory-policy allkeys-lfu lfu-log-factor 0 lfu-decay-time 0");
        // Without a cap redis-server has one record for all keys of a small integer.
        both.line("CONFIG SET maxmemory 1gb");
        both.line("FLUSHALL");
        for line in [
            "SET a 1",
            "GET a",
            "INCR a",
            "TOUCH a",
            "STRLEN a",
            "EXISTS a",
            "TTL a",
            "TYPE a",
            "OBJECT ENCODING a",
            "SET a 2",
            "APPEND a 3",
            "GETRANGE a 0 1",
            "RENAME a b",
            "MGET b b",
            "EXPIRE b 1000",
            "PERSIST b",
            "DEL b",
            "SET b x",
            "INCRBY n 5",
            "DECR n",
            "COPY b m",
        ] {
            both.line(line);
            for key in ["a", "b", "n", "m"] {
                both.line(&format!("OBJECT FREQ {key}"));
            }
        }
        for count in ["0", "1", "5", "77", "254", "255"] {
            let words = [&b"RESTORE"[..], b"r", b"0", &payload, b"REPLACE", b"FREQ"];
            both.ask(&[&words[..], &[count.as_bytes()]].concat());
            both.line("OBJECT FREQ r");
            both.line("GET r");
            both.line("OBJECT FREQ r");
        }
        both.ask(&[b"RESTORE", b"r", b"0", &payload, b"REPLACE"]);
        both.line("OBJECT FREQ r");
    });
}

#[test]
fn commands_are_refused_without_memory_as_in_redis() {
    let used_up = "CONFIG SET maxmemory 1";
    let enough = "CONFIG SET maxmemory 0";
    with_both(|both, redis, ours| {
        let mut aside = Both { redis: redis.connect(), ours: ours.connect() };
        both.line("SET there text");
        aside.line(used_up);
        for line in [
            "SET k v",
            "GET k",
            "DEL k",
            "EXPIRE k 1",
            "INCR n",
            "GETDEL k",
            "PING",
            "DBSIZE",
            "MULTI",
            "GET k",
            "SET k v",
            "PING",
            "MULTI",
            "WATCH k",
            "EXEC",
            "MULTI",
            "EXEC",
            "MULTI",
            "FOO",
            "DISCARD",
            "MULTI",
            "RESET",
            "WATCH k",
            "UNWATCH",
            "EXEC x",
            "MULTI",
            "SET k",
            "EXEC",
        ] {
            both.line(line);
        }
        for lines in [&["SET k v", "GET k"][..], &["GET k"], &["SET k v", "FOO"], &[]] {
            for asked in ["EXEC", "GET k", "DISCARD"] {
                aside.line(enough);
                both.line("MULTI");
                for line in lines {
                    both.line(line);
                }
                aside.line(used_up);
                both.line(asked);
                both.line("EXEC");
            }
        }
        both.line("MULTI");
        both.line("QUIT");
    });
}

/// Which commands may take memory is one of their flags.
#[test]
fn commands_have_the_flags_of_redis() {
    with_both(|both, _, _| {
        let names = strings_in(&both.ours.call(&["COMMAND", "LIST"]));
        assert!(names.len() > 80);
        // CLIENT SETINFO is of Redis 7.2.
        for name in names.iter().filter(|name| !name.contains(&b'|') && *name != b"client") {
            let words: [&[u8]; 3] = [b"COMMAND", b"INFO", name];
            let flags = |reply: Vec<u8>| -> Vec<String> {
                let text = show(&reply);
                let flags = text.split("\\r\\n").filter(|line| line.starts_with('+'));
                flags.take_while(|line| !line.starts_with("+@")).map(str::to_owned).collect()
            };
            let expected = flags(both.redis.call(&words));
            assert_eq!(flags(both.ours.call(&words)), expected, "{}", show(name));
        }
    });
}

#[test]
fn info_tells_of_evictions_with_the_names_of_redis() {
    let server = Server::single_worker();
    for field in [
        "evicted_keys",
        "evicted_clients",
        "evicted_bytes",
        "eviction_microseconds",
        "total_eviction_exceeded_time",
        "current_eviction_exceeded_time",
    ] {
        assert_eq!(server.info_text(field).as_deref(), Some("0"), "{field}");
    }
}
