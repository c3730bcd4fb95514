//! Events of keys, compared with redis-server's.

use std::time::Duration;

use super::harness::{Client, RedisServer, Server, encode};

/// A client that is told of all events, and one that makes them.
struct Pair {
    listener: Client,
    client: Client,
}

impl Pair {
    fn new(address: std::net::SocketAddr, classes: &str) -> Pair {
        let (mut listener, mut client) = (Client::connect(address), Client::connect(address));
        let setting = ["CONFIG", "SET", "notify-keyspace-events", classes];
        assert_eq!(client.call(&setting), b"+OK\r\n");
        listener.ask("PSUBSCRIBE __key*");
        listener.ask("SUBSCRIBE end");
        Pair { listener, client }
    }

    /// Runs these commands, one after the other; `sleep` lets a moment pass.
    fn run(&mut self, commands: &str) {
        for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line {
                "sleep" => std::thread::sleep(Duration::from_millis(20)),
                line => drop(self.client.ask_bytes(line)),
            }
        }
    }

    /// All events so far: channels and what was said there.
    fn events(&mut self) -> Vec<String> {
        self.client.ask("PUBLISH end end");
        let mut events = Vec::new();
        loop {
            let text = String::from_utf8(self.listener.reply()).expect("text");
            let parts: Vec<_> = text.split("\r\n").collect();
            if parts[2] == "message" {
                return events;
            }
            events.push(format!("{} {}", parts[6], parts[8]));
        }
    }
}

/// Runs the same commands on redis-server and on the server under test and compares all events.
fn compare(classes: &str, commands: &str) {
    let (server, redis) = (Server::start(), RedisServer::start());
    let [ours, theirs] = [server.address, redis.address].map(|address| {
        let mut pair = Pair::new(address, classes);
        pair.run(commands);
        pair.events()
    });
    for (at, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(our, their, "event {at}, after {:?}", &ours[at.saturating_sub(4)..at]);
    }
    assert_eq!(ours.len(), theirs.len());
    assert!(!ours.is_empty());
}

const COMMANDS: &str = "
    SET a 1
    SET a 2 EX 100
    SET a 2 EXAT 1
    sleep
    GET a
    SET a 2 KEEPTTL
    SET a 2 NX
    SET zz 2 XX
    SET zz 2 GET
    SET zz 3 GET PX 100000
    SETNX a 1
    SETNX b 1
    SETEX b 10 x
    PSETEX b 10000 x
    GETSET b y
    GETSET c y
    GETDEL c
    GETDEL c
    GETEX b
    GETEX b EX 10
    GETEX b PERSIST
    GETEX b PERSIST
    GETEX b EXAT 1
    GETEX b
    APPEND d x
    APPEND d y
    SETRANGE e 2 x
    SETRANGE e 2 x
    INCR f
    DECR f
    INCRBY f 0
    DECRBY f 5
    INCRBYFLOAT f 1.5
    INCRBYFLOAT f 0
    INCR e
    MSET g 1 h 2 g 3
    MSETNX i 1 j 2
    MSETNX i 1 k 2
    SETBIT l 3 1
    SETBIT l 3 1
    SETBIT l 3 0
    SETBIT l 100 0
    SETBIT a 1 1
    SETBIT a 1 1
    BITFIELD m SET u8 0 5
    BITFIELD m SET u8 0 5
    BITFIELD m INCRBY u8 0 0
    BITFIELD m OVERFLOW FAIL INCRBY u2 0 100
    BITFIELD mm OVERFLOW FAIL INCRBY u2 0 100
    BITFIELD m GET u8 0
    BITFIELD nope GET u8 0
    BITOP AND n l m
    BITOP AND n nope1 nope2
    BITOP AND n nope1 nope2
    BITOP NOT n2 l
    DEL a b nope
    UNLINK d nope
    EXPIRE e 100
    EXPIRE e 100 NX
    EXPIRE nope 100
    PEXPIREAT e 1
    SET e 1
    EXPIRE e -1
    SET e 1 EX 100
    PERSIST e
    PERSIST e
    RENAME e e2
    RENAME e2 e2
    RENAME f e2
    RENAMENX e2 e3
    SET e4 1
    RENAMENX e3 e4
    RENAME nope x
    COPY e4 e5
    COPY e4 e5
    COPY e4 e5 REPLACE
    COPY e4 e5 DB 2
    COPY nope e5
    MOVE e4 3
    MOVE e4 3
    DUMP nope
    TTL nope
    TYPE nope
    EXISTS nope e5 nope2
    TOUCH nope
    STRLEN nope
    GETRANGE nope 0 1
    MGET nope e5 nope3
    GETBIT nope 0
    BITCOUNT nope
    BITPOS nope 1
    LCS nope nope4
    OBJECT ENCODING nope
    MULTI
    SET t 1
    INCR t
    EXPIRE t 100
    DEL t
    GET t
    SET t 2
    EXEC
    MULTI
    SET t 3
    DISCARD
    SELECT 5
    SET five 5
    SELECT 0
    SWAPDB 0 1
    SWAPDB 0 1
    SET q 1 PX 1
    sleep
    GET q
    SET q 1 PX 1
    sleep
    SET q 2
    SET q 1 PX 1
    sleep
    INCR q
    SET q 1 PX 1
    sleep
    DEL q
    SET q 1 PX 1
    sleep
    EXISTS q
    SET q 1 PX 1
    sleep
    RENAME e5 q
    SET q 1 PX 1
    sleep
    MSET q 2 q3 3
    SET q 1 PX 1
    sleep
    GETSET q 2
    SET q 1 PX 1
    sleep
    MULTI
    SET q 2
    GET q
    EXEC
    SET q 1 PX 1
    sleep
    MULTI
    GET q
    INCR q
    EXEC
    SET q 1 PX 1
    sleep
    EXPIRE q 100
    FLUSHALL
";

#[test]
fn events_are_those_of_redis_in_the_same_order() {
    compare("AKE", COMMANDS);
}

#[test]
fn keys_that_are_new_or_missed_are_told_as_redis_does() {
    compare("AKEmn", COMMANDS);
}

/// What a block sets with a deadline that is past already goes when the block meets it again.
const PAST: &str = "
    MULTI
    SET k v PXAT 1
    GET k
    EXEC
    MULTI
    SET k v PXAT 1
    INCR k
    SET k v PXAT 1
    SET k w
    SET k v PXAT 1
    SET k x NX
    SET k v PXAT 1
    MSET k 1 b 2
    SET k v PXAT 1
    COPY b k
    SET k v PXAT 1
    RENAME b k
    SET k v PXAT 1
    EXISTS k
    EXISTS k
    SET k v PXAT 1
    DEL k
    EXEC
    SET k v
    MULTI
    SET k v PXAT 1
    STRLEN k
    EXEC
    EXISTS k
    DBSIZE
";

#[test]
fn a_deadline_that_is_past_when_it_is_set_is_told_in_a_block_too() {
    compare("AKEmn", PAST);
    compare("AKE", PAST);
    // Nobody listens: the same happens.
    let (server, redis) = (Server::start(), RedisServer::start());
    let [ours, theirs] = [server.connect(), redis.connect()].map(|mut client| {
        let block = ["MULTI", "SET k v PXAT 1", "GET k", "SET k v PXAT 1", "DEL k", "EXEC"];
        let mut replies: Vec<_> = block.iter().map(|line| client.ask(line)).collect();
        replies.push(client.ask("DBSIZE"));
        let stats = client.ask("INFO stats");
        let expired = stats.lines().find(|line| line.starts_with("expired_keys:"));
        (replies, expired.map(str::to_owned))
    });
    assert_eq!(ours, theirs);
}

#[test]
fn a_missed_key_is_told_where_it_was_asked_for() {
    for block in [
        "SET a 1
        GET b",
        "INCR a
        MGET x y",
        "SETBIT a 1 1
        STRLEN z
        BITFIELD c INCRBY u8 0 1",
        "SET a 1
        DEL a
        GET a
        BITFIELD a SET u8 0 1
        GET a",
        "SET a 1
        COPY a c
        GET c
        GET zz",
    ] {
        for classes in ["Emn", "AKEmn", "Em", "En"] {
            let begun = format!("SET e 1\nGET e2\n{block}\nFLUSHALL");
            compare(classes, &format!("{begun}\nMULTI\n{block}\nEXEC"));
        }
    }
}

#[test]
fn only_the_classes_that_are_asked_for_are_told() {
    compare("Kg", COMMANDS);
    compare("Ex$", COMMANDS);
}

#[test]
fn a_restored_key_is_told() {
    let (server, redis) = (Server::start(), RedisServer::start());
    let [ours, theirs] = [server.address, redis.address].map(|address| {
        let mut pair = Pair::new(address, "AKEn");
        pair.run("SET a value");
        let reply = pair.client.ask_bytes("DUMP a");
        let start = reply.windows(2).position(|pair| pair == b"\r\n").expect("a length") + 2;
        let payload = &reply[start..reply.len() - 2];
        let mut restore = |key: &str, options: &[&str]| {
            let mut command = vec![b"RESTORE".as_slice(), key.as_bytes()];
            command.extend(options[..1].iter().map(|it| it.as_bytes()));
            command.push(payload);
            command.extend(options[1..].iter().map(|it| it.as_bytes()));
            pair.client.send(&encode(&command));
            pair.client.reply()
        };
        restore("b", &["0"]);
        restore("b", &["0"]);
        restore("b", &["0", "REPLACE"]);
        restore("b", &["1", "ABSTTL", "REPLACE"]);
        restore("c", &["1", "ABSTTL"]);
        restore("d", &["100000"]);
        pair.events()
    });
    assert_eq!(ours, theirs);
}

#[test]
fn a_key_that_nobody_asks_for_is_told_when_it_expires() {
    let server = Server::start();
    let mut listener = server.connect();
    let mut client = server.connect();
    client.ask("CONFIG SET notify-keyspace-events Ex");
    listener.ask("SUBSCRIBE __keyevent@0__:expired");
    client.ask("SET k v PX 30");
    let told = "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$1\r\nk\r\n";
    listener.expect(told.as_bytes());
}

#[test]
fn evicted_keys_are_told() {
    let server = Server::with(&["--io-threads", "2", "--maxmemory-policy", "allkeys-lru"]);
    let mut listener = server.connect();
    let mut client = server.connect();
    client.ask("CONFIG SET notify-keyspace-events Ee");
    listener.ask("SUBSCRIBE __keyevent@0__:evicted");
    client.ask("CONFIG SET maxmemory 5mb");
    let value = vec![b'v'; 10_000];
    for number in 0..2_000 {
        client.set(&format!("key:{number}"), &value);
    }
    let told = listener.reply();
    assert!(told.windows(4).any(|part| part == b"key:"), "{told:?}");
}

#[test]
fn the_setting_holds_from_the_next_command_of_a_pipeline_on_and_is_shown_as_redis_does() {
    let server = Server::start();
    let mut listener = server.connect();
    listener.ask("PSUBSCRIBE __key*");
    let mut client = server.connect();
    client.send(
        b"SET a 1\r\nCONFIG SET notify-keyspace-events KEA\r\nSET b 1\r\n\
          CONFIG GET notify-keyspace-events\r\nCONFIG SET notify-keyspace-events ''\r\nSET c 1\r\n",
    );
    client.expect(b"+OK\r\n+OK\r\n+OK\r\n*2\r\n$22\r\nnotify-keyspace-events\r\n$3\r\nAKE\r\n");
    client.expect(b"+OK\r\n+OK\r\n");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    assert!(text(listener.reply()).contains("__keyspace@0__:b\r\n$3\r\nset"));
    assert!(text(listener.reply()).contains("__keyevent@0__:set\r\n$1\r\nb"));
    listener.send(&encode(&["PING"]));
    listener.expect(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    let refused = client.ask("CONFIG SET notify-keyspace-events Q");
    assert!(refused.contains("Invalid event class character. Use 'Ag$lshzxeKEtmdn'."), "{refused}");
}
