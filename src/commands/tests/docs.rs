//! COMMAND and HELP: what clients learn of the commands.

use super::super::row::{Handler, Keys, Row};
use super::super::table;
use super::Server;

#[test]
fn every_row_is_complete() {
    let subcommands = table::rows().flat_map(|row| row.subcommands);
    for row in table::rows().chain(subcommands) {
        let name = row.name;
        assert!(!row.summary.is_empty() && !row.summary.ends_with('.'), "{name}");
        assert!(!row.since.is_empty() && !row.complexity.is_empty(), "{name}");
        assert_eq!(name, name.to_lowercase());
        check_handler(row);
    }
}

fn check_handler(row: &Row) {
    let name = row.name;
    match row.handler {
        Handler::Work(_) | Handler::Immediate(_) | Handler::Exec | Handler::Alone(_) => {}
        Handler::Atomic(_) => assert!(row.keys.is_some(), "{name}"),
        Handler::OneKey(_) => {
            let keys = row.keys.expect("a key");
            assert!((keys.first, keys.until_last) == (1, false), "{name}");
            assert!(row.arity.abs() >= 2, "{name}: the key is always there");
        }
        Handler::EachKey(_) => {
            let keys = row.keys.expect("keys");
            assert!(keys.until_last && row.arity < -1, "{name}");
        }
        Handler::Plain(_) | Handler::Last(_) => {
            let many = |keys: Keys| keys.first > 1 || keys.until_last || keys.rest.is_some();
            assert!(row.keys.is_none_or(many), "{name}: the engine can hash it");
        }
        Handler::Container => {
            assert!(!row.subcommands.is_empty() && row.arity == -2, "{name}");
        }
    }
}

#[test]
fn the_count_is_that_of_the_list_of_commands() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let count = table::count();
    assert_eq!(server.line(&mut connection, "COMMAND COUNT"), format!(":{count}\r\n"));
    let all = server.line(&mut connection, "COMMAND");
    assert!(all.starts_with(&format!("*{count}\r\n*10\r\n$3\r\nget\r\n:2\r\n")), "{all}");
    assert_eq!(server.line(&mut connection, "COMMAND INFO"), all);
    let docs = server.line(&mut connection, "COMMAND DOCS");
    assert!(docs.starts_with(&format!("*{}\r\n$3\r\nget\r\n*10\r\n", 2 * count)), "{docs}");
}

#[test]
fn subcommands_are_listed_by_full_name() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let list = server.line(&mut connection, "COMMAND LIST");
    for name in ["get", "client", "client|id", "config|get", "command|docs"] {
        assert!(list.contains(&format!("\r\n{name}\r\n")), "{name}");
    }
    let admin = server.line(&mut connection, "COMMAND LIST FILTERBY ACLCAT ADMIN");
    for name in [
        "bgrewriteaof",
        "client|kill",
        "client|pause",
        "config|get",
        "config|rewrite",
        "config|set",
        "shutdown",
        "debug",
        "module|load",
        "slowlog|get",
        "latency|reset",
    ] {
        assert!(admin.contains(&format!("\r\n{name}\r\n")), "{name} in {admin}");
    }
    assert!(!admin.contains("client|id") && !admin.contains("\r\nget\r\n"), "{admin}");
    for name in ["info", "config", "slowlog|help"] {
        assert!(!admin.contains(&format!("\r\n{name}\r\n")), "{name}");
    }
    let info = server.line(&mut connection, "HELLO 3\r\nCOMMAND INFO client get");
    let info = info.rsplit_once("modules\r\n*0\r\n").expect("after HELLO").1;
    assert!(info.starts_with("*2\r\n*10\r\n$6\r\nclient\r\n:-2\r\n~0\r\n:0\r\n:0\r\n:0\r\n~1\r\n"));
    assert!(info.contains("~0\r\n~0\r\n*18\r\n*10\r\n$14\r\nclient|caching\r\n:3\r\n~3\r\n"));
    assert!(info.ends_with("$5\r\nlimit\r\n:0\r\n~0\r\n"), "no subcommands: a set");
}

#[test]
fn docs_describe_the_arguments() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let docs = server.line(&mut connection, "COMMAND DOCS MSET");
    let arguments = "$9\r\narguments\r\n*1\r\n*8\r\n$4\r\nname\r\n$9\r\nkey_value\r\n$4\r\ntype\r\n\
        $5\r\nblock\r\n$5\r\nflags\r\n*1\r\n+multiple\r\n$9\r\narguments\r\n*2\r\n\
        *6\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n$14\r\nkey_spec_index\r\n:0\r\n\
        *4\r\n$4\r\nname\r\n$5\r\nvalue\r\n$4\r\ntype\r\n$6\r\nstring\r\n";
    assert!(docs.ends_with(arguments), "{docs}");
    server.line(&mut connection, "HELLO 3");
    let docs = server.line(&mut connection, "COMMAND DOCS flushdb config|get nope");
    assert!(docs.starts_with("%2\r\n$7\r\nflushdb\r\n%6\r\n"), "{docs}");
    let history = "$7\r\nhistory\r\n~2\r\n*2\r\n$5\r\n4.0.0\r\n";
    let word = "%4\r\n$4\r\nname\r\n$4\r\nsync\r\n$4\r\ntype\r\n$10\r\npure-token\r\n\
        $5\r\ntoken\r\n\
        $4\r\nSYNC\r\n$5\r\nsince\r\n$5\r\n6.2.0\r\n";
    assert!(docs.contains(history) && docs.contains(word), "{docs}");
    assert!(docs.contains("$10\r\nconfig|get\r\n%6\r\n"), "{docs}");
}

#[test]
fn help_describes_every_subcommand() {
    let mut server = Server::new();
    let mut connection = server.connect();
    let help = server.line(&mut connection, "CLIENT HELP");
    let start =
        "*37\r\n+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+CACHING";
    assert!(help.starts_with(start), "{help}");
    for described in [
        "+GETNAME\r\n+    Returns the name of the connection.\r\n",
        "+HELP\r\n+    Describes the subcommands.\r\n",
        "+PAUSE <timeout> [(WRITE | ALL)]\r\n",
        "+SETINFO (LIB-NAME <libname> | LIB-VER <libver>)\r\n\
         +    Notes the client library's name or version.\r\n",
        "+SETNAME <connection-name>\r\n+    Gives the connection a name.\r\n",
    ] {
        assert!(help.contains(described), "{help}");
    }
    let help = server.line(&mut connection, "COMMAND HELP");
    assert!(help.contains("+DOCS [<command-name> [<command-name> ...]]\r\n"), "{help}");
    assert!(
        help.contains("+LIST [FILTERBY (MODULE <module-name> | ACLCAT <category> | "),
        "{help}"
    );
    let help = server.line(&mut connection, "CONFIG HELP");
    assert!(help.contains("+GET <parameter> [<parameter> ...]\r\n"), "{help}");
    assert!(help.contains("+SET <parameter> <value> [<parameter> <value> ...]\r\n"), "{help}");
}
