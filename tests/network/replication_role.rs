//! What a master without replicas answers to those who ask about replication, saves, modules and
//! clusters: as redis-server does, or a plain refusal.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::harness::{RedisServer, Server, encode, show, tool, wait_until};

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

#[test]
fn a_lone_master_answers_as_redis_does() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    for greeting in ["HELLO 2", "HELLO 3"] {
        let (mut redis, mut ours) = (redis.connect(), ours.connect());
        redis.ask(greeting);
        ours.ask(greeting);
        let commands = "TIME x|LASTSAVE x|SAVE x|BGSAVE foo|BGSAVE a b|REPLICAOF NO ONE|\
            REPLICAOF foo 1x|REPLICAOF foo 99999|REPLICAOF foo -1|SLAVEOF no one|SLAVEOF x|ROLE|\
            ROLE x|WAIT 0 0|WAIT -1 5|WAIT 1 20|WAIT x 1|WAIT x x|WAIT 1 x|WAIT 0 -1|WAIT 1|\
            FAILOVER|FAILOVER ABORT|FAILOVER foo|FAILOVER TO h p|FAILOVER TO h 1|FAILOVER TO h|\
            FAILOVER TIMEOUT 0|FAILOVER TIMEOUT x|FAILOVER TIMEOUT 5|FAILOVER ABORT ABORT|REPLCONF|\
            REPLCONF x|REPLCONF listening-port 1|REPLCONF foo bar|REPLCONF capa eof capa psync2|\
            REPLCONF listening-port x|REPLCONF ip-address a|REPLCONF rdb-only 0|REPLCONF version 7|\
            PSYNC|PSYNC a|PSYNC ? x|SYNC x|READONLY|READWRITE|ASKING|CLUSTER|CLUSTER INFO|\
            CLUSTER HELP|CLUSTER FOO|CLUSTER SLOTS|CLUSTER SLOTS x|CLUSTER KEYSLOT a|\
            CLUSTER MEET a|MODULE LIST|MODULE|MODULE FOO|MODULE LOAD /x|MODULE LOADEX /x|\
            MODULE UNLOAD x|MULTI|ROLE|READONLY|WAIT 1 100000|REPLICAOF NO ONE|EXEC|MULTI|SAVE|\
            EXEC|MULTI|SYNC|PSYNC ? -1|DISCARD";
        for command in commands.split('|') {
            let (expected, reply) = (redis.call(&words(command)), ours.call(&words(command)));
            assert_eq!(show(&reply), show(&expected), "{command} after {greeting}");
        }
    }
}

#[test]
fn their_descriptions_are_those_of_redis() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let (mut redis, mut ours) = (redis.connect(), ours.connect());
    let subcommands = |container: &str, names: &str| {
        names.split(' ').map(|name| format!("{container}|{name}")).collect::<Vec<_>>().join(" ")
    };
    let names = [
        "shutdown time lastsave save bgsave debug wait replicaof slaveof role failover psync",
        "replconf sync readonly readwrite asking lolwut",
        &subcommands("module", "help list load loadex unload"),
        &subcommands(
            "cluster",
            "addslots addslotsrange bumpepoch count-failure-reports countkeysinslot delslots \
             delslotsrange failover flushslots forget getkeysinslot help info keyslot links meet \
             myid nodes replicas replicate reset saveconfig set-config-epoch setslot shards slaves \
             slots",
        ),
    ]
    .join(" ");
    for name in names.split(' ') {
        let command = ["COMMAND", "INFO", name];
        assert_eq!(show(&ours.call(&command)), show(&redis.call(&command)), "{name}");
    }
}

#[test]
fn command_list_count_and_getkeys_answer_as_redis_does() {
    let (redis, ours) = (RedisServer::start(), Server::start());
    let (mut redis, mut ours) = (redis.connect(), ours.connect());
    // A bar apart, so the one in a subcommand's name is matched by a question mark.
    let commands = "COMMAND LIST FILTERBY|COMMAND LIST FILTERBY x|COMMAND LIST FILTERBY x y|\
        COMMAND LIST FILTERBY MODULE nope|COMMAND LIST FILTERBY ACLCAT nope|\
        COMMAND LIST FILTERBY PATTERN nope*|COMMAND LIST FILTERBY PATTERN shutdow?|\
        COMMAND LIST FILTERBY PATTERN SHUTDOWN|COMMAND LIST FILTERBY PATTERN module?loade*|\
        COMMAND LIST x|COMMAND COUNT x|COMMAND GETKEYS DEBUG OBJECT k|COMMAND GETKEYS WAIT 1 1|\
        COMMAND GETKEYS CLUSTER INFO|COMMAND GETKEYS MSET a 1 b 2|\
        COMMAND GETKEYSANDFLAGS SET a b|COMMAND GETKEYS SHUTDOWN";
    for command in commands.split('|') {
        let (expected, reply) = (redis.call(&words(command)), ours.call(&words(command)));
        assert_eq!(show(&reply), show(&expected), "{command}");
    }
}

#[test]
fn the_time_and_the_last_save_are_told_in_seconds_of_unix_time() {
    let server = Server::start();
    let mut client = server.connect();
    let before = super::harness::unix_millis() / 1_000;
    let time = client.ask("TIME");
    let parts: Vec<_> = time.split("\r\n").collect();
    let seconds: u64 = parts[2].parse().expect("seconds");
    let microseconds: u64 = parts[4].parse().expect("microseconds");
    assert!(seconds >= before && microseconds < 1_000_000, "{time}");
    let saved: u64 = client.ask("LASTSAVE")[1..].trim_end().parse().expect("seconds");
    assert!(saved <= seconds && seconds - saved < 600, "{saved} {seconds}");
}

#[test]
fn a_rewrite_of_the_log_is_the_last_save() {
    let log = super::harness::LogFile::new();
    let server = Server::with(&log.flags("everysec"));
    let mut client = server.connect();
    let saved = client.ask("LASTSAVE");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(client.ask("LASTSAVE"), saved);
    assert!(client.ask("BGREWRITEAOF").starts_with('+'));
    wait_until("the log is rewritten", || client.ask("LASTSAVE") != saved);
}

#[test]
fn what_would_take_replication_or_rdb_files_is_refused_in_plain_words() {
    let server = Server::start();
    let mut client = server.connect();
    for command in ["SYNC", "PSYNC ? -1", "REPLICAOF example.org 6379", "SLAVEOF 127.0.0.1 1"] {
        assert!(client.ask(command).starts_with("-ERR Replication is not supported"), "{command}");
    }
    for command in ["SAVE", "BGSAVE", "BGSAVE SCHEDULE"] {
        assert!(client.ask(command).starts_with("-ERR There are no RDB files"), "{command}");
    }
    assert!(client.ask("DEBUG LOADAOF").starts_with("-ERR DEBUG command not allowed"));
    let port = server.address.port().to_string();
    let output = tool("redis-cli")
        .args(["-p", &port, "--rdb", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("redis-cli runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Replication is not supported"), "{said}");
}

#[test]
fn a_client_that_waits_for_replicas_waits_its_time_and_no_other_does() {
    const WAIT: Duration = Duration::from_millis(400);
    let server = Server::single_worker();
    let (mut waiting, mut other) = (server.connect(), server.connect());
    assert_eq!(other.ask("PING"), "+PONG\r\n");
    let start = Instant::now();
    waiting.send(&[encode(&["WAIT", "1", "400"]), encode(&["INCR", "n"])].concat());
    let mut served = 0;
    while start.elapsed() < WAIT / 2 {
        assert_eq!(other.ask("GET n"), "$-1\r\n", "what comes after waits too");
        served += 1;
    }
    assert!(served > 10, "{served}");
    waiting.expect(b":0\r\n:1\r\n");
    assert!(start.elapsed() >= WAIT, "{:?}", start.elapsed());
}

#[test]
fn a_client_that_waits_for_ever_may_go() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&[encode(&["PING"]), encode(&["WAIT", "1", "0"])].concat());
        client.expect(b"+PONG\r\n");
    }
    assert!(server.info("connected_clients") >= 10);
    drop(clients);
    wait_until("their connections are gone", || server.info("connected_clients") == 1);
}

#[test]
fn lolwut_shows_a_picture_and_both_versions() {
    let server = Server::start();
    let text = server.connect().ask("LOLWUT");
    assert!(text.contains("Redis ver. 7.0.15") && text.contains('#'), "{text}");
    assert_ne!(server.connect().ask("LOLWUT VERSION 30"), text);
    assert!(server.connect().ask("LOLWUT VERSION x").starts_with("-ERR value is not an integer"));
}

#[test]
fn a_client_that_waits_is_blocked_and_is_unblocked_as_in_redis() {
    let (ours, redis) = (Server::with(&["--io-threads", "2"]), RedisServer::start());
    let [ours, theirs] = [[ours.connect(), ours.connect()], [redis.connect(), redis.connect()]]
        .map(|[mut admin, mut waiting]| {
            let id = waiting.ask("CLIENT ID").trim_matches([':', '\r', '\n']).to_owned();
            let mut seen = Vec::new();
            let unblock = ["TIMEOUT", "ERROR"].map(|how| format!("CLIENT UNBLOCK {id} {how}"));
            for unblock in &unblock {
                seen.push(admin.ask(unblock));
                waiting.send(&encode(&["WAIT", "1", "0"]));
                wait_until("the client waits", || {
                    admin.ask("INFO clients").contains("blocked_clients:1\r\n")
                });
                let line = admin.ask(&format!("CLIENT LIST ID {id}"));
                seen.push(line.split(' ').filter(|word| word.starts_with("flags=")).collect());
                seen.push(admin.ask(unblock));
                seen.push(show(&waiting.reply()));
                assert!(admin.ask("INFO clients").contains("blocked_clients:0\r\n"));
            }
            seen.push(admin.ask("CLIENT UNBLOCK 999999"));
            seen.push(admin.ask("INFO errorstats"));
            // Nothing is left of it for the next one.
            seen.push(waiting.ask("WAIT 1 1"));
            seen
        });
    assert_eq!(ours, theirs);
}

#[test]
fn a_client_that_waits_is_not_taken_for_a_silent_one() {
    let server = Server::with(&["--client-timeout", "1"]);
    let (mut waiting, mut silent) = (server.connect(), server.connect());
    waiting.send(&encode(&["WAIT", "1", "2500"]));
    assert_eq!(silent.ask("PING"), "+PONG\r\n");
    assert_eq!(silent.rest(), b"");
    waiting.expect(b":0\r\n");
}
