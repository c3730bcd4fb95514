//! What is in the log: the effect of every command that writes, and nothing else.

use super::harness::{
    Client, Commands, LogFile, Model, Server, State, assert_same, dump, show, unix_millis,
    wait_until,
};

/// All that a log may contain.
const LOGGED_NAMES: [&str; 12] = [
    "SET",
    "APPEND",
    "SETRANGE",
    "INCRBY",
    "PEXPIREAT",
    "PERSIST",
    "DEL",
    "FLUSHDB",
    "SWAPDB",
    "SELECT",
    "MULTI",
    "EXEC",
];

const DATABASES: usize = 16;

/// A deadline that no test lives to see, in milliseconds since 1970.
const FAR: u64 = 4_000_000_000_000;

/// Runs lines of words, apart by spaces, on a new server with a log. Afterwards what the server
/// has in memory, what the log leads to and what a server has that is started on it are the same.
/// Returns the state and the log.
fn survives(lines: &[&str]) -> (State, Vec<u8>) {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    for line in lines {
        let reply = client.ask(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
    let before = dump(&mut client, DATABASES);
    server.kill();
    let bytes = log.bytes();
    let text: Vec<_> = Commands::all(&bytes).iter().map(|command| command.line()).collect();
    let what = format!("{lines:?} logged as {text:?}");
    let logged = Model::of(&bytes).state(unix_millis());
    assert_same(&format!("the log of {what}"), &before, &logged);
    let server = Server::with(&log.flags("always"));
    assert_same(&format!("restart after {what}"), &before, &dump(&mut server.connect(), DATABASES));
    (before, bytes)
}

/// The lines of a log less its SELECTs.
fn lines_of(log: &[u8]) -> Vec<String> {
    let commands = Commands::all(log);
    let names = commands.iter().filter(|command| command.name() != "SELECT");
    names.map(|command| command.line()).collect()
}

/// The value of a key of database 0.
fn value<'a>(state: &'a State, key: &str) -> Option<&'a [u8]> {
    state.get(&(0, key.as_bytes().to_vec())).map(|entry| entry.0.as_slice())
}

fn deadline(state: &State, key: &str) -> Option<u64> {
    state[&(0, key.as_bytes().to_vec())].1
}

#[test]
fn every_way_to_set_a_string_survives() {
    let (state, _) = survives(&[
        "SET plain v",
        "SET number 12345",
        "SETNX fresh 1",
        "SETNX fresh 2",
        "SET conditional a NX",
        "SET conditional b XX",
        "SET refused c XX",
        "SET got d GET",
        "GETSET got e",
        "MSET a 1 b 2 c 3",
        "MSETNX d 4 e 5",
        "MSETNX e 6 f 7",
        "SETEX seconds 100000 v",
        "PSETEX millis 100000000 v",
        "SET kept v EX 100000",
        "SET kept w KEEPTTL",
        "SET dropped v EX 100000",
        "SET dropped w",
        "SET at v EXAT 4000000000",
        "SET atmillis v PXAT 4000000000001",
        "SETRANGE padded 5 tail",
        "SETRANGE plain 1 xyz",
        "APPEND plain !",
        "APPEND appended fresh",
        "SET gone v",
        "GETDEL gone",
    ]);
    assert_eq!(value(&state, "plain"), Some(&b"vxyz!"[..]));
    assert_eq!(value(&state, "f"), None);
    assert_eq!(value(&state, "got"), Some(&b"e"[..]));
    assert_eq!(deadline(&state, "at"), Some(FAR));
    assert_eq!(deadline(&state, "dropped"), None);
    assert!(deadline(&state, "kept").is_some());
}

#[test]
fn counters_survive_in_every_form() {
    let (state, _) = survives(&[
        "INCR n",
        "INCRBY n 10",
        "DECR n",
        "DECRBY n 100",
        "SET large 9223372036854775806",
        "INCR large",
        "SET small -9223372036854775807",
        "DECR small",
        "SET with-deadline 5 EX 100000",
        "INCR with-deadline",
        "INCRBYFLOAT f 10.5",
        "INCRBYFLOAT f 0.1",
        "INCRBYFLOAT n 1.5e3",
        "SET text 7",
        "APPEND text 8",
        "INCR text",
        "SETRANGE text 0 9",
        "INCR text",
    ]);
    assert_eq!(value(&state, "n"), Some(&b"1410"[..]));
    assert_eq!(value(&state, "large"), Some(&b"9223372036854775807"[..]));
    assert_eq!(value(&state, "text"), Some(&b"100"[..]));
    assert!(deadline(&state, "with-deadline").is_some());
}

#[test]
fn bitmaps_survive() {
    let (state, _) = survives(&[
        "SETBIT bits 100 1",
        "SETBIT bits 7 1",
        "SETBIT bits 7 0",
        "SET word abc",
        "SETBIT word 0 1",
        "BITFIELD fields SET u8 0 200 INCRBY i5 100 1 OVERFLOW SAT SET u4 64 9",
        "BITFIELD fields OVERFLOW FAIL INCRBY u2 102 1 GET u4 0",
        "SET x foobar",
        "SET y abcdef",
        "BITOP AND and x y",
        "BITOP OR or x y bits",
        "BITOP XOR xor x y",
        "BITOP NOT not x",
        "BITOP AND none absent other",
        "BITOP AND x absent other",
    ]);
    assert_eq!(value(&state, "bits").map(<[u8]>::len), Some(13));
    assert_eq!(value(&state, "x"), None);
}

#[test]
fn deadlines_survive_in_every_form() {
    let (state, log) = survives(&[
        "MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8",
        "EXPIRE a 100000",
        "PEXPIRE b 100000000",
        "EXPIREAT c 4000000000",
        "PEXPIREAT d 4000000000001",
        "PEXPIREAT e 4000000000001",
        "PERSIST e",
        "GETEX f EX 100000",
        "GETEX g PXAT 4000000000002",
        "GETEX g PERSIST",
        "GETEX h",
        "EXPIRE a 1 GT",
        "EXPIRE b 1 NX",
        "PERSIST absent",
        "EXPIRE absent 10",
    ]);
    assert_eq!(deadline(&state, "c"), Some(FAR));
    assert_eq!(deadline(&state, "d"), Some(FAR + 1));
    assert_eq!([deadline(&state, "e"), deadline(&state, "g"), deadline(&state, "h")], [None; 3]);
    let is_change =
        |line: &&String| !["SET ", "MULTI", "EXEC"].iter().any(|word| line.starts_with(word));
    let changes = lines_of(&log).iter().filter(is_change).count();
    assert!(changes <= 9, "no line for what did nothing: {:?}", lines_of(&log));
}

#[test]
fn keys_that_are_removed_renamed_copied_and_moved_stay_so() {
    let (state, _) = survives(&[
        "MSET a 1 b 2 c 3 d 4 e 5",
        "DEL a absent",
        "UNLINK b",
        "RENAME c renamed",
        "RENAMENX d taken",
        "RENAMENX e taken",
        "SET limited v PXAT 4000000000000",
        "RENAME limited limited2",
        "COPY limited2 copy",
        "COPY renamed copy",
        "COPY renamed copy REPLACE",
        "COPY limited2 far DB 5",
        "SET m 1 PXAT 4000000000000",
        "MOVE m 3",
        "EXPIRE e -1",
        "SET past v",
        "PEXPIREAT past 1000",
        "SET getex v",
        "GETEX getex PXAT 1000",
    ]);
    assert_eq!(value(&state, "copy"), Some(&b"3"[..]));
    assert_eq!(deadline(&state, "limited2"), Some(FAR));
    assert_eq!(state[&(5, b"far".to_vec())], (b"v".to_vec(), Some(FAR)));
    assert_eq!(state[&(3, b"m".to_vec())], (b"1".to_vec(), Some(FAR)));
    for key in ["a", "b", "c", "d", "e", "m", "past", "getex", "limited"] {
        assert_eq!(value(&state, key), None, "{key}");
    }
}

#[test]
fn a_restored_key_survives() {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    client.set("k", b"serialized");
    let payload = super::harness::strings_in(&client.ask_bytes("DUMP k")).remove(0);
    let request: [&[u8]; 6] =
        [b"RESTORE", b"other", b"4000000000000", &payload, b"ABSTTL", b"REPLACE"];
    assert_eq!(client.call(&request), b"+OK\r\n");
    let before = dump(&mut client, 1);
    assert_eq!(deadline(&before, "other"), Some(FAR));
    server.kill();
    let server = Server::with(&log.flags("always"));
    assert_same("restored", &before, &dump(&mut server.connect(), 1));
}

#[test]
fn all_databases_survive_with_swaps_and_flushes() {
    let mut lines = Vec::new();
    for database in 0..DATABASES {
        lines.push(format!("SELECT {database}"));
        lines.push(format!("SET k {database}"));
        lines.push(format!("SET only{database} v PXAT {FAR}"));
        lines.push("INCR n".to_owned());
    }
    let rest = [
        "SWAPDB 1 2",
        "SELECT 1",
        "SET swapped 1",
        "SWAPDB 2 15",
        "INCR n",
        "SELECT 4",
        "FLUSHDB",
        "SET after flush",
        "SELECT 5",
        "FLUSHDB ASYNC",
        "SWAPDB 6 6",
        "SELECT 15",
        "APPEND k x",
        "SWAPDB 7 5",
        "SELECT 7",
        "SET late 1",
    ];
    lines.extend(rest.map(str::to_owned));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let (state, _) = survives(&lines);
    assert_eq!(state[&(1, b"k".to_vec())].0, b"2");
    assert_eq!(state[&(15, b"k".to_vec())].0, b"1x");
    assert!(!state.contains_key(&(4, b"k".to_vec())));
    let (state, _) =
        survives(&["SET a 1", "SELECT 9", "SET b 1", "FLUSHALL", "SET c 1", "SELECT 0", "SET d 1"]);
    assert_eq!(state.len(), 2);
}

#[test]
fn nothing_but_plain_effects_is_logged() {
    let (_, log) = survives(&[
        "SET k v EX 100000",
        "SETEX s 100000 v",
        "GETEX s PX 100000000",
        "INCRBYFLOAT f 1.5",
        "SETNX n 1",
        "MSETNX p 1 q 2",
        "GETSET k w",
        "SETBIT b 3 1",
        "GETDEL p",
        "RENAME q r",
        "COPY r t",
        "MOVE t 2",
        "DECR n",
        "UNLINK n",
        "BITOP NOT k k",
        "EXPIRE k 100",
        "FLUSHALL",
    ]);
    for command in Commands::all(&log) {
        assert!(LOGGED_NAMES.contains(&command.name().as_str()), "{}", command.line());
        let relative = command.arguments.len() > 3 && command.name() == "SET";
        assert!(!relative || command.arguments[3] == b"PXAT", "{}", command.line());
    }
    let first = Commands::of(&log).next().expect("a command");
    assert_eq!(first.line(), "SELECT 0");
}

#[test]
fn the_result_of_a_float_increment_is_logged() {
    let (_, log) = survives(&["SET f 10.1", "INCRBYFLOAT f 0.2"]);
    assert_eq!(lines_of(&log).last().map(String::as_str), Some("SET f 10.3"));
}

#[test]
fn an_increment_is_logged_as_a_difference() {
    let (_, log) = survives(&["INCR n", "INCRBY n 41", "DECRBY n 2"]);
    assert_eq!(lines_of(&log)[1..], ["INCRBY n 41", "INCRBY n -2"]);
}

#[test]
fn a_command_that_changes_nothing_logs_nothing() {
    let log = LogFile::new();
    let server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    for line in ["SET k v PXAT 4000000000000", "SET n 1", "SET keep v"] {
        assert_eq!(client.ask(line), "+OK\r\n");
    }
    let before = log.bytes();
    for line in [
        "SETNX k w",
        "SET k w NX",
        "SET absent w XX",
        "MSETNX k 1 fresh 2",
        "DEL absent",
        "GET k",
        "UNLINK absent",
        "GETDEL absent",
        "GETEX k",
        "PERSIST n",
        "EXPIRE absent 1",
        "INCR keep",
        "EXPIRE n 1 XX",
        "PEXPIREAT k 1000 GT",
        "RENAMENX k n",
        "COPY k n",
        "APPEND absent2",
        "MOVE absent 1",
        "EXPIRE k nonsense",
        "SETRANGE k -1 x",
        "INCRBY n 9223372036854775807",
        "SELECT 3",
        "MGET k n",
        "STRLEN k",
        "BITFIELD k GET u8 0",
        "TOUCH k",
        "OBJECT ENCODING k",
        "DBSIZE",
        "PING",
        "SETRANGE absent 0 ",
        "SCAN 0",
    ] {
        client.ask(line);
    }
    assert_eq!(client.ask("SELECT 0"), "+OK\r\n");
    assert_eq!(client.ask("SET last 1"), "+OK\r\n");
    let after = log.bytes();
    let added = lines_of(&after[before.len()..]);
    assert_eq!(added, ["SET last 1"]);
}

#[test]
fn appending_to_a_large_value_logs_only_what_is_appended() {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    client.set("k", &vec![b'v'; 1 << 20]);
    let before = log.len();
    for _ in 0..100 {
        client.ask("APPEND k 0123456789");
    }
    let grown = (log.len() - before) / 100;
    assert!(grown <= 60, "{grown} bytes for an APPEND of 10");
    let before = log.len();
    for number in 0..100 {
        client.ask(&format!("SETRANGE k {number} 0123456789"));
    }
    let grown = (log.len() - before) / 100;
    assert!(grown <= 70, "{grown} bytes for a SETRANGE of 10");
    let live = dump(&mut client, 1);
    server.kill();
    let server = Server::with(&log.flags("always"));
    assert_same("after a restart", &live, &dump(&mut server.connect(), 1));
}

#[test]
fn a_key_past_its_deadline_is_logged_as_removed() {
    let log = LogFile::new();
    let server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    assert_eq!(client.ask("SET swept v PX 30"), "+OK\r\n");
    assert_eq!(client.ask("SET read v PX 30"), "+OK\r\n");
    wait_until("the key is gone", || client.ask("GET read") == "$-1\r\n");
    wait_until("both are logged as removed", || {
        // A command makes redis-server, where it stands in, write what it holds.
        client.ask("SET other 1");
        let lines = lines_of(&log.bytes());
        ["swept", "read"].iter().all(|key| lines.contains(&format!("DEL {key}")))
    });
    assert_eq!(client.ask("INCR read"), ":1\r\n");
    assert_eq!(Model::of(&log.bytes()).get(0, b"read"), Some(&(b"1".to_vec(), None)));
}

#[test]
fn an_increment_of_a_key_past_its_deadline_starts_anew_after_a_restart_too() {
    for restarts in 1..3 {
        let log = LogFile::new();
        for round in 0..restarts {
            let mut server = Server::with(&log.flags("always"));
            let mut client = server.connect();
            // The server's clock and ours may differ by a millisecond.
            let past = unix_millis() - 5;
            client.ask(&format!("SET k{round} 41 PXAT {past}"));
            assert_eq!(client.ask(&format!("INCR k{round}")), ":1\r\n");
            assert_eq!(client.ask(&format!("TTL k{round}")), ":-1\r\n");
            server.kill();
        }
        let server = Server::with(&log.flags("always"));
        let mut client = server.connect();
        assert_eq!(client.ask("GET k0"), "$1\r\n1\r\n");
        assert_eq!(client.ask("TTL k0"), ":-1\r\n");
    }
}

#[test]
fn a_deadline_that_passes_while_the_server_is_down_is_kept() {
    // Written by hand: as a log of a server that was killed before it could remove the keys.
    let past = unix_millis() - 1_000;
    let mut content = Vec::new();
    for line in [
        "SELECT 0".to_owned(),
        format!("SET gone v PXAT {past}"),
        format!("SET counter 41 PXAT {past}"),
        "INCRBY counter 1".to_owned(),
        "SET later v".to_owned(),
        format!("PEXPIREAT later {past}"),
        "APPEND later x".to_owned(),
        "SET stays v".to_owned(),
    ] {
        content.extend(super::harness::encode(&line.split(' ').collect::<Vec<_>>()));
    }
    let log = LogFile::of(&content);
    let server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    for key in ["gone", "counter", "later"] {
        assert_eq!(client.ask(&format!("GET {key}")), "$-1\r\n", "{key}");
    }
    assert_eq!(client.ask("GET stays"), "$1\r\nv\r\n");
    wait_until("the keys are removed", || client.ask("DBSIZE") == ":1\r\n");
}

#[test]
fn empty_binary_and_huge_keys_and_values_survive() {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("everysec"));
    let mut client = server.connect();
    let all_bytes: Vec<u8> = (0..=255).collect();
    let line_ends = b"\r\n$5\r\n*3\r\n\0".to_vec();
    let huge: Vec<u8> = (0..100_u32 << 20).map(|at| (at % 251) as u8).collect();
    let pairs: [(&[u8], &[u8]); 6] = [
        (b"", b""),
        (b"empty", b""),
        (b"", b"value of the empty key"),
        (&all_bytes, &all_bytes),
        (&line_ends, &line_ends),
        (b"huge", &huge),
    ];
    for (key, value) in pairs {
        client.call(&[b"SET", key, value]);
    }
    assert_eq!(client.ask("APPEND huge end"), format!(":{}\r\n", huge.len() + 3));
    client.call(&[b"APPEND", all_bytes.as_slice(), &all_bytes]);
    let before = dump(&mut client, 1);
    assert_eq!(before.len(), 5);
    drop(client);
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(Model::of(&log.bytes()).state(0) == before, "the log");
    let server = Server::with(&log.flags("everysec"));
    assert_same("after a restart", &before, &dump(&mut server.connect(), 1));
}

#[test]
fn a_stop_writes_everything_that_was_acknowledged() {
    for policy in ["everysec", "no"] {
        let log = LogFile::new();
        let mut server = Server::with(&log.flags(policy));
        let mut client = server.connect();
        let requests: Vec<u8> = (0..20_000)
            .flat_map(|number| super::harness::encode(&["SET", &format!("k{number}"), "v"]))
            .collect();
        client.send_while(&requests, |client| client.expect(&b"+OK\r\n".repeat(20_000)));
        server.signal("TERM");
        assert!(server.wait().success());
        let keys = Model::of(&log.bytes()).state(0).len();
        assert_eq!(keys, 20_000, "{policy}");
    }
}

#[test]
fn without_a_path_there_is_no_log() {
    let server = Server::start();
    let mut client = server.connect();
    client.set("k", b"v");
    let reply = client.call(&["CONFIG", "GET", "appendonly"]);
    assert!(show(&reply).contains("no"), "{}", show(&reply));
    assert_eq!(server.info_text("aof_enabled").as_deref(), Some("0"));
}

#[test]
fn two_servers_can_be_started_after_one_another_many_times() {
    let log = LogFile::new();
    for round in 1..=10 {
        let mut server = Server::with(&log.flags("always"));
        let mut client: Client = server.connect();
        assert_eq!(client.ask("INCR starts"), format!(":{round}\r\n"));
        let number = round % 4;
        assert_eq!(client.ask(&format!("SELECT {number}")), "+OK\r\n");
        client.ask("INCR here");
        if round % 2 == 0 {
            server.kill();
        } else {
            server.signal("TERM");
            assert!(server.wait().success());
        }
    }
    let model = Model::of(&log.bytes());
    assert_eq!(model.get(0, b"starts"), Some(&(b"10".to_vec(), None)));
}
