//! Starting on a log: torn ends, damage, annotations, a lock, and what clients get meanwhile.

use std::process::Output;

use super::harness::{
    Client, Commands, LogFile, Server, dump, encode, server_command, unix_millis, wait_until,
};

/// Lines of words, apart by spaces, as a log.
fn log_of(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| encode(&line.split(' ').collect::<Vec<_>>())).collect()
}

/// A log of 50 SETs.
fn fifty() -> Vec<u8> {
    let mut content = log_of(&["SELECT 0"]);
    for number in 0..50 {
        content.extend(encode(&["SET", &format!("k{number}"), &format!("value {number}")]));
    }
    content
}

fn ask_size(server: &Server) -> String {
    server.connect().ask("DBSIZE")
}

/// Runs `ferrum-kv check` with these arguments.
fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let all = [&["check"], arguments].concat();
    let Output { status, stdout, stderr } = server_command(&all).output().expect("it runs");
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn a_torn_last_command_is_cut_off_and_kept_beside() {
    let content = fifty();
    let last = Commands::all(&content).last().expect("a command").start;
    let cuts = [last + 1, last + 2, last + 4, last + 8, last + 20, content.len() - 1];
    for cut in cuts.into_iter().chain([content.len() - 2, content.len() - 3]) {
        let log = LogFile::of(&content[..cut]);
        let server = Server::with(&log.flags("always"));
        assert_eq!(ask_size(&server), ":49\r\n", "cut at {cut} of {}", content.len());
        let torn = cut - last;
        let warned = |line: &String| line.contains("WARN") && line.contains(&torn.to_string());
        assert!(server.log().iter().any(warned), "{torn} bytes: {:?}", server.log());
        assert_eq!(log.kept_beside(), [&content[last..cut]]);
        assert_eq!(&log.bytes()[..last], &content[..last]);
        // What comes next is no part of what was torn.
        assert_eq!(server.connect().ask("SET next v"), "+OK\r\n");
        drop(server);
        assert_eq!(ask_size(&Server::with(&log.flags("always"))), ":50\r\n");
    }
}

#[test]
fn a_log_cut_at_any_byte_of_a_short_one_leads_to_a_prefix() {
    let content = log_of(&["SELECT 0", "SET a 1", "APPEND a 2", "SELECT 3", "INCRBY n 5"]);
    let ends: Vec<_> = Commands::all(&content).iter().map(|command| command.end).collect();
    for cut in 0..=content.len() {
        let log = LogFile::of(&content[..cut]);
        let server = Server::with(&log.flags("always"));
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let expected = [vec![], vec![], vec!["1"], vec!["12"], vec!["12"], vec!["12", "5"]];
        let state = dump(&mut server.connect(), 16);
        let values: Vec<_> = state.values().map(|entry| entry.0.as_slice()).collect();
        let wanted: Vec<_> = expected[whole].iter().map(|value| value.as_bytes()).collect();
        assert_eq!(values, wanted, "cut at {cut}");
    }
}

#[test]
fn an_unfinished_block_is_cut_off_as_a_whole() {
    let whole = log_of(&["SELECT 0", "SET before 1", "MULTI", "SET x 1", "SET y 1", "EXEC"]);
    let block = Commands::all(&whole)[2].start;
    let mut open = whole.clone();
    open.extend(log_of(&["MULTI", "SET a 2", "SET b 2"]));
    for cut in [open.len(), open.len() - 1, whole.len() + 3, whole.len() + 15] {
        let log = LogFile::of(&open[..cut]);
        let server = Server::with(&log.flags("always"));
        assert_eq!(ask_size(&server), ":3\r\n", "cut at {cut}");
        assert_eq!(log.kept_beside(), [&open[whole.len()..cut]]);
    }
    for cut in block + 1..whole.len() {
        let log = LogFile::of(&whole[..cut]);
        let server = Server::with(&log.flags("always"));
        assert_eq!(ask_size(&server), ":1\r\n", "cut at {cut}");
        assert_eq!(log.kept_beside(), [&whole[block..cut]]);
    }
}

#[test]
fn zeros_at_the_end_are_a_torn_tail() {
    let mut content = fifty();
    let end = content.len();
    content.extend([0; 4096]);
    let log = LogFile::of(&content);
    let server = Server::with(&log.flags("always"));
    assert_eq!(ask_size(&server), ":50\r\n");
    assert_eq!(log.kept_beside(), [&content[end..]]);
}

#[test]
fn damage_in_the_middle_refuses_to_start_with_offset_and_number() {
    let content = fifty();
    let commands = Commands::all(&content);
    let victim = &commands[20];
    let starts = [
        (0, b'X'),
        (1, b'x'),
        (2, b'x'),
        (4, b'*'),
        (5, b'9'),
        (victim.end - victim.start - 1, b'!'),
    ];
    for (inside, byte) in starts {
        let mut damaged = content.clone();
        damaged[victim.start + inside] = byte;
        let log = LogFile::of(&damaged);
        let said = Server::refusal(&log.flags("always"));
        let what = format!("byte {inside} of the command at {}: {said}", victim.start);
        // Commands are counted from 1.
        assert!(said.contains("21") || said.contains("22"), "{what}");
        let offset = (victim.start..=victim.end).any(|at| said.contains(&at.to_string()));
        assert!(offset, "{what}");
        assert!(said.contains(log.path()), "{what}");
        assert_eq!(log.bytes(), damaged, "a refused log stays as it is");
        assert!(log.kept_beside().is_empty());
        let (code, text) = check(&[log.path()]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("corrupt"), "{text}");
        let (code, text) = check(&[log.path(), "--fix", "--yes"]);
        assert_eq!((code, log.bytes()), (Some(1), damaged), "{text}");
    }
}

#[test]
fn text_and_commands_that_do_not_belong_in_a_log_are_refused() {
    let good = log_of(&["SELECT 0", "SET a 1"]);
    for bad in [
        &b"SET b 2\r\n"[..],
        b"*0\r\n",
        b"*-1\r\n",
        b"*1\r\n$-1\r\n",
        b"*99999999999\r\n",
        b"*2\r\n$3\r\nGET\r\n$99999999999\r\n",
        b"*1\r\n$7\r\nNOSUCH!\r\n",
        b"*2\r\n$3\r\nSET\r\n$1\r\na\r\n",
        b"*1\r\n$4\r\nEXEC\r\n",
        b"*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nMULTI\r\n",
        b"*3\r\n$6\r\nINCRBY\r\n$1\r\na\r\n$3\r\nxyz\r\n",
    ] {
        let content = [&good, bad, &good].concat();
        let log = LogFile::of(&content);
        let said = Server::refusal(&log.flags("always"));
        assert!(said.contains(log.path()), "{}: {said}", bad.escape_ascii());
        assert_eq!(log.bytes(), content);
    }
}

#[test]
fn annotations_between_commands_are_skipped() {
    let mut content = b"#TS:1700000000\r\n".to_vec();
    content.extend(log_of(&["SELECT 0", "SET a 1"]));
    content.extend(b"#TS:1700000001\r\n# anything else\r\n");
    content.extend(log_of(&["SET b 2"]));
    let log = LogFile::of(&content);
    assert_eq!(ask_size(&Server::with(&log.flags("always"))), ":2\r\n");
}

#[test]
fn an_empty_log_is_an_empty_database() {
    let log = LogFile::of(b"");
    let server = Server::with(&log.flags("always"));
    assert_eq!(ask_size(&server), ":0\r\n");
    server.connect().set("k", b"v");
    drop(server);
    assert_eq!(ask_size(&Server::with(&log.flags("always"))), ":1\r\n");
}

#[test]
fn a_log_that_cannot_be_used_is_refused_with_its_path() {
    let log = LogFile::new();
    std::fs::create_dir(log.path()).expect("a folder");
    let missing = log.folder.file("no/such/folder/log.aof");
    for path in [log.path(), &missing] {
        let said = Server::refusal(&["--aof-path", path]);
        assert!(said.contains(path), "{said}");
    }
}

#[test]
fn a_second_server_on_the_same_log_refuses_to_start() {
    let log = LogFile::new();
    let mut server = Server::with(&log.flags("always"));
    let mut client = server.connect();
    client.set("k", b"v");
    let before = log.bytes();
    let said = Server::refusal(&log.flags("always"));
    assert!(said.contains(log.path()) && said.contains("another"), "{said}");
    let (code, text) = check(&[log.path(), "--fix", "--yes"]);
    assert_eq!(log.bytes(), before, "{code:?} {text}");
    assert_eq!(client.ask("GET k"), "$1\r\nv\r\n");
    server.kill();
    // A lock does not outlive its server.
    assert_eq!(ask_size(&Server::with(&log.flags("always"))), ":1\r\n");
}

#[test]
fn check_says_what_is_in_a_log_and_cuts_a_torn_end_when_asked() {
    let mut content = fifty();
    let whole = content.len();
    let log = LogFile::of(&content);
    let (code, text) = check(&[log.path()]);
    assert_eq!(code, Some(0), "{text}");
    for word in [&whole.to_string()[..], "SET", "50", "51", "ok"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    content.extend(b"*3\r\n$3\r\nSET\r\n$4\r\nto");
    log.write(&content);
    let torn = content.len() - whole;
    let (code, text) = check(&[log.path()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&torn.to_string()) && text.contains(&whole.to_string()), "{text}");
    assert_eq!(log.bytes(), content, "nothing is changed without --fix");
    // Nobody is at the terminal to say yes.
    let (_, text) = check(&[log.path(), "--fix"]);
    assert_eq!(log.bytes(), content, "{text}");
    let (code, text) = check(&[log.path(), "--fix", "--yes"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(log.bytes(), &content[..whole]);
    assert_eq!(log.kept_beside(), [&content[whole..]]);
    assert_eq!(check(&[log.path()]).0, Some(0));
    assert_eq!(check(&[&log.folder.file("absent.aof")]).0, Some(1));
}

/// A log of this many SETs and INCRBYs on 100,000 keys.
fn long_log(commands: usize) -> Vec<u8> {
    let mut content = log_of(&["SELECT 0"]);
    content.reserve(commands * 60);
    for number in 0..commands {
        let key = number % 50_000;
        content.extend(match number % 2 {
            0 => encode(&["SET", &format!("key:{key:08}"), "some value of no great length"]),
            _ => encode(&["INCRBY", &format!("counter:{key:08}"), "1"]),
        });
    }
    content
}

#[test]
fn while_it_loads_clients_are_told_so() {
    const COMMANDS: usize = 3_000_000;
    let log = LogFile::of(&long_log(COMMANDS));
    let size = log.len() as u64;
    let server = Server::launch(&log.flags("everysec"), &[]);
    let mut client = Client::connect(server.address);
    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
    let (mut refused, mut seen) = (0, Vec::new());
    while client.ask("PING") == loading {
        refused += 1;
        for line in ["GET key:00000000", "SET key:00000000 v", "DBSIZE", "DEL absent", "SCAN 0"] {
            let reply = client.ask(line);
            // Loading may end between two commands.
            assert!(reply == loading || client.ask("PING") == "+PONG\r\n", "{line}: {reply}");
        }
        let info = client.ask("INFO persistence");
        let field = |name: &str| {
            let start = format!("{name}:");
            let line = info.lines().find_map(|line| line.strip_prefix(&start)).map(str::trim);
            line.and_then(|value| value.parse::<f64>().ok())
        };
        if field("loading") == Some(1.0) {
            let total = field("loading_total_bytes").expect("a field");
            assert!((total - size as f64).abs() < 1.0, "{total} of {size}");
            let started = field("loading_start_time").expect("a field");
            assert!((started - unix_millis() as f64 / 1e3).abs() < 100.0, "{started}");
            assert!(field("loading_loaded_perc").expect("a field") <= 100.0);
            assert!(field("loading_eta_seconds").is_some(), "{info}");
            seen.push(field("loading_loaded_bytes").expect("a field"));
        }
    }
    server.wait_until_ready();
    assert!(refused > 0, "loading {COMMANDS} commands took no time");
    assert!(seen.is_sorted(), "progress goes one way: {seen:?}");
    assert!(seen.iter().any(|bytes| *bytes > 0.0 && *bytes < size as f64), "{seen:?}");
    assert_eq!(client.ask("DBSIZE"), ":50000\r\n");
    assert_eq!(server.info_text("loading").as_deref(), Some("0"));
    let progress = |line: &&String| line.contains('%') && line.contains("MB/s");
    assert!(server.log().iter().any(|line| progress(&line)), "{:?}", server.log());
}

#[test]
fn a_server_can_be_stopped_while_it_loads() {
    let content = long_log(2_000_000);
    let log = LogFile::of(&content);
    for signal in ["TERM", "INT"] {
        let mut server = Server::launch(&log.flags("everysec"), &[]);
        let mut client = Client::connect(server.address);
        wait_until("it answers", || !client.ask("PING").is_empty());
        server.signal(signal);
        server.wait();
        assert!(log.bytes() == content, "stopping while loading changes nothing");
        assert!(log.kept_beside().is_empty());
    }
}
