//! What the log means for commands: settings, and who may run while it loads.

use super::super::row::{Flags, Row};
use super::super::table;
use super::{Connection, Server, encode};
use crate::config::Config;

/// A server that has a log and is loading it.
fn loading() -> Server {
    let path = Some("data/the.log".into());
    Server::with(Config { aof_path: path, append_only: true, ..Config::default() })
}

const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";

fn set(server: &mut Server, connection: &mut Connection, arguments: &str) -> String {
    server.line(connection, &format!("CONFIG SET {arguments}"))
}

fn get(server: &mut Server, connection: &mut Connection, name: &str) -> String {
    let reply = server.line(connection, &format!("CONFIG GET {name}"));
    reply.lines().nth(4).unwrap_or_else(|| panic!("{name}: {reply}")).to_owned()
}

#[test]
fn settings_of_the_log_change_at_run_time() {
    let mut server = Server::new();
    let mut connection = server.connect();
    for (name, given, shown) in [
        ("appendfsync", "ALWAYS", "always"),
        ("appendfsync", "no", "no"),
        ("auto-aof-rewrite-percentage", "0", "0"),
        ("AUTO-AOF-rewrite-percentage", "2147483647", "2147483647"),
        ("auto-aof-rewrite-min-size", "2MB", "2097152"),
    ] {
        assert_eq!(set(&mut server, &mut connection, &format!("{name} {given}")), "+OK\r\n");
        assert_eq!(get(&mut server, &mut connection, name), shown);
    }
}

#[test]
fn a_server_without_a_log_says_so() {
    let mut server = Server::new();
    let mut connection = server.connect();
    assert_eq!(get(&mut server, &mut connection, "appendonly"), "no");
    assert_eq!(get(&mut server, &mut connection, "appendfilename"), "appendonly.aof");
    let reply = server.line(&mut connection, "BGREWRITEAOF");
    assert_eq!(
        reply,
        "-ERR There is no append only file: CONFIG SET appendonly yes begins one\r\n"
    );
    let info = server.line(&mut connection, "INFO persistence");
    assert!(info.contains("\r\naof_enabled:0\r\n") && !info.contains("aof_current_size"), "{info}");
}

#[test]
fn settings_are_set_all_or_none() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let both = "appendfsync always auto-aof-rewrite-percentage";
    assert!(set(&mut server, &mut connection, &format!("{both} x")).starts_with("-ERR CONFIG SET"));
    assert_eq!(get(&mut server, &mut connection, "appendfsync"), "everysec");
    assert_eq!(set(&mut server, &mut connection, &format!("{both} 7")), "+OK\r\n");
    assert_eq!(get(&mut server, &mut connection, "appendfsync"), "always");
    assert_eq!(get(&mut server, &mut connection, "auto-aof-rewrite-percentage"), "7");
}

/// The texts are those of redis-server 7.0.15.
#[test]
fn what_cannot_be_set_is_said_in_the_words_of_redis() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let failed = |name: &str, why: &str| {
        format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}\r\n")
    };
    let unknown = "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'\r\n";
    let number = "argument couldn't be parsed into an integer";
    let range = "argument must be between 0 and 2147483647 inclusive";
    let memory = "argument must be a memory value";
    let words = "argument(s) must be one of the following: everysec, always, no";
    let (percentage, size) = ("auto-aof-rewrite-percentage", "auto-aof-rewrite-min-size");
    for (arguments, expected) in [
        ("nope 1".to_owned(), unknown.to_owned()),
        ("appendfsync bar nope 3".to_owned(), unknown.to_owned()),
        ("appendfsync".to_owned(), wrong_arity()),
        ("appendfsync always save".to_owned(), "-ERR syntax error\r\n".to_owned()),
        ("appendfsync foo".to_owned(), failed("appendfsync", words)),
        (
            "appendfsync no appendfsync always".to_owned(),
            failed("appendfsync", "duplicate parameter"),
        ),
        (
            "appendfsync bar databases 3".to_owned(),
            failed("databases", "can't set immutable config"),
        ),
        (format!("{percentage} 007"), failed(percentage, number)),
        (format!("{percentage} -1"), failed(percentage, range)),
        (format!("{percentage} 2147483648"), failed(percentage, range)),
        (format!("{size} 12x"), failed(size, memory)),
        (format!("{size} -5"), failed(size, memory)),
    ] {
        assert_eq!(set(&mut server, &mut connection, &arguments), expected, "{arguments}");
    }
}

fn wrong_arity() -> String {
    "-ERR wrong number of arguments for 'config|set' command\r\n".to_owned()
}

/// A command of this row with as few arguments as it takes.
fn shortest(row: &Row) -> Vec<u8> {
    let mut arguments: Vec<&[u8]> = row.name.split(' ').map(str::as_bytes).collect();
    arguments.resize(row.arity.unsigned_abs() as usize, b"1");
    encode(&arguments)
}

#[test]
fn while_loading_exactly_the_commands_flagged_so_run() {
    let mut server = loading();
    for row in table::rows().filter(|row| row.subcommands.is_empty()) {
        let mut connection = server.connect();
        let reply = server.run(&mut connection, &shortest(row));
        let is_refused = reply == LOADING.as_bytes();
        assert_eq!(is_refused, !row.flags.contains(Flags::LOADING), "{}", row.name);
    }
}

#[test]
fn while_loading_subcommands_go_by_their_own_flags() {
    let mut server = loading();
    let mut connection = server.connect();
    assert_eq!(get(&mut server, &mut connection, "appendfilename"), "the.log");
    assert_eq!(get(&mut server, &mut connection, "appendonly"), "yes");
    assert_eq!(set(&mut server, &mut connection, "appendfsync always"), "+OK\r\n");
    assert_eq!(server.line(&mut connection, "CONFIG"), wrong_arity().replace("|set", ""));
}

#[test]
fn while_loading_a_batch_keeps_its_order() {
    let mut server = loading();
    let mut connection = server.connect();
    let replies = server.line(&mut connection, "SET a 1\r\nNOPE\r\nSELECT 1\r\nPING\r\nGET a");
    let unknown = "-ERR unknown command 'NOPE', with args beginning with: \r\n";
    assert_eq!(replies, [LOADING, unknown, "+OK\r\n", LOADING, LOADING].concat());
    let many: String = (0..200).map(|number| format!(" k{number}")).collect();
    let long = format!("MGET{many}\r\nDEL{many}\r\nKEYS *\r\nSELECT 2");
    assert_eq!(
        server.line(&mut connection, &long),
        [LOADING, LOADING, LOADING, "+OK\r\n"].concat()
    );
}

#[test]
fn while_loading_what_is_refused_breaks_a_transaction() {
    let mut server = loading();
    let mut connection = server.connect();
    let replies = server.line(&mut connection, "MULTI\r\nSET a 1\r\nECHO a\r\nEXEC\r\nEXEC");
    let abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    let without = "-ERR EXEC without MULTI\r\n";
    assert_eq!(replies, ["+OK\r\n", LOADING, "+QUEUED\r\n", abort, without].concat());
    let replies = server.line(&mut connection, "MULTI\r\nECHO a\r\nSELECT 1\r\nEXEC");
    let queued = "+QUEUED\r\n".repeat(2);
    assert_eq!(replies, ["+OK\r\n", &queued, "*2\r\n$1\r\na\r\n+OK\r\n"].concat());
    let replies = server.line(&mut connection, "MULTI\r\nKEYS *\r\nEXEC");
    assert_eq!(replies, ["+OK\r\n", LOADING, abort].concat());
}

#[test]
fn while_loading_info_tells_how_far_it_is() {
    let mut server = loading();
    let mut connection = server.connect();
    server.state.persistence.loading.set_total(400);
    server.state.persistence.loading.set_loaded(100);
    let info = server.line(&mut connection, "INFO persistence");
    for field in [
        "loading:1",
        "aof_enabled:1",
        "loading_total_bytes:400",
        "loading_loaded_bytes:100",
        "loading_loaded_perc:25.00",
    ] {
        assert!(info.contains(&format!("\r\n{field}\r\n")), "{field} in {info}");
    }
}
