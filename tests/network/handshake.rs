//! What client libraries and tools ask first: HELLO, CLIENT, COMMAND, CONFIG, INFO.

use super::harness::Server;

/// The reply to HELLO, for the connection with this number.
fn hello_reply(map: &str, protocol: u8, id: &str) -> String {
    format!(
        "{map}\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n\
         $5\r\nproto\r\n:{protocol}\r\n$2\r\nid\r\n:{id}\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n\
         $4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
    )
}

#[test]
fn hello_3_answers_with_a_map_and_changes_the_replies() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.ask("CLIENT ID");
    let id = id.trim_end().trim_start_matches(':').to_owned();
    assert_eq!(client.ask("GET nope"), "$-1\r\n");
    assert_eq!(client.ask("HELLO"), hello_reply("*14", 2, &id));
    assert_eq!(client.ask("HELLO 3"), hello_reply("%7", 3, &id));
    assert_eq!(client.ask("GET nope"), "_\r\n");
    assert_eq!(client.ask("MGET nope nope"), "*2\r\n_\r\n_\r\n");
    assert_eq!(client.ask("CONFIG GET maxclients"), "%1\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n");
    assert!(client.ask("INFO server").starts_with("=") || client.ask("INFO").starts_with("$"));
    assert_eq!(client.ask("HELLO 2"), hello_reply("*14", 2, &id));
    assert_eq!(client.ask("GET nope"), "$-1\r\n");
}

#[test]
fn an_inline_hello_works_too() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"HELLO 3\r\n");
    let reply = String::from_utf8(client.reply()).expect("text");
    assert!(reply.starts_with("%7\r\n$6\r\nserver\r\n"), "{reply}");
}

#[test]
fn hello_sets_a_name_and_refuses_what_it_does_not_know() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
    assert_eq!(
        client.ask("HELLO x"),
        "-ERR Protocol version is not an integer or out of range\r\n"
    );
    assert_eq!(client.ask("HELLO 3 FOO"), "-ERR Syntax error in HELLO option 'FOO'\r\n");
    assert_eq!(client.ask("GET nope"), "$-1\r\n", "still RESP2 after a refused HELLO");
    assert!(client.ask("HELLO 3 SETNAME me").starts_with("%7\r\n"));
    assert_eq!(client.ask("CLIENT GETNAME"), "$2\r\nme\r\n");
}

#[test]
fn client_ids_are_unique_and_names_stay_with_the_connection() {
    let server = Server::start();
    let (mut first, mut second) = (server.connect(), server.connect());
    let ids = [first.ask("CLIENT ID"), second.ask("CLIENT ID")];
    assert_ne!(ids[0], ids[1]);
    assert_eq!(first.ask("CLIENT ID"), ids[0]);
    assert_eq!(first.ask("CLIENT GETNAME"), "$-1\r\n");
    assert_eq!(first.ask("CLIENT SETNAME worker-1"), "+OK\r\n");
    assert_eq!(first.ask("CLIENT GETNAME"), "$8\r\nworker-1\r\n");
    assert_eq!(second.ask("CLIENT GETNAME"), "$-1\r\n");
    assert!(first.call(&["CLIENT", "SETNAME", "a b"]).starts_with(b"-ERR Client names cannot"));
    assert_eq!(first.ask("CLIENT SETINFO LIB-NAME driver"), "+OK\r\n");
    assert_eq!(first.ask("CLIENT SETINFO LIB-VER 1.0"), "+OK\r\n");
    assert!(first.ask("CLIENT NOSUCH").starts_with("-ERR unknown subcommand 'NOSUCH'."));
    assert_eq!(first.ask("CLIENT"), "-ERR wrong number of arguments for 'client' command\r\n");
}

/// The commands this server has.
const NAMES: [&str; 27] = [
    "append", "client", "command", "config", "dbsize", "decr", "decrby", "del", "echo", "exists",
    "flushall", "flushdb", "get", "hello", "incr", "incrby", "info", "mget", "mset", "ping",
    "quit", "select", "set", "setnx", "strlen", "type", "unlink",
];

#[test]
fn command_describes_every_command() {
    let server = Server::start();
    let mut client = server.connect();
    let count = client.ask("COMMAND COUNT");
    let count: usize = count.trim_end().trim_start_matches(':').parse().expect("a number");
    assert!(count >= NAMES.len(), "{count} commands");
    // As in Redis, the list has the subcommands too.
    let list = client.ask("COMMAND LIST");
    assert!(client.ask("COMMAND").starts_with(&format!("*{count}\r\n")));
    assert!(client.ask("COMMAND DOCS").starts_with(&format!("*{}\r\n", 2 * count)));
    for name in NAMES {
        assert!(list.contains(&format!("\r\n{name}\r\n")), "{name} in COMMAND LIST");
        let info = client.ask(&format!("COMMAND INFO {name}"));
        let start = format!("*1\r\n*10\r\n${}\r\n{name}\r\n:", name.len());
        assert!(info.starts_with(&start), "{info}");
        let docs = client.ask(&format!("COMMAND DOCS {name}"));
        assert!(docs.contains("\r\nsummary\r\n"), "{docs}");
    }
    assert_eq!(client.ask("COMMAND INFO nosuch"), "*1\r\n$-1\r\n");
    assert_eq!(client.ask("COMMAND DOCS nosuch"), "*0\r\n");
    assert_eq!(client.ask("COMMAND GETKEYS MSET a 1 b 2"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
}

#[test]
fn config_get_knows_what_benchmarks_ask_for() {
    let server = Server::with(&["--maxclients", "77", "--databases", "4"]);
    let mut client = server.connect();
    assert_eq!(client.ask("CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    assert_eq!(client.ask("CONFIG GET appendonly"), "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
    assert_eq!(client.ask("CONFIG GET maxclients"), "*2\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n");
    assert_eq!(client.ask("CONFIG GET databases"), "*2\r\n$9\r\ndatabases\r\n$1\r\n4\r\n");
    assert_eq!(client.ask("CONFIG GET nosuch"), "*0\r\n");
    assert_eq!(client.ask("SELECT 4"), "-ERR DB index is out of range\r\n");
}

#[test]
fn info_counts_what_happens() {
    let server = Server::start();
    let mut client = server.connect();
    for command in ["SET k v", "GET k", "GET nope", "FOO"] {
        client.ask(command);
    }
    let text = client.ask("INFO");
    for field in [
        "redis_version:7.0.15",
        "arch_bits:64",
        "role:master",
        "loading:0",
        "cluster_enabled:0",
        "connected_clients:1",
        "total_connections_received:1",
        "keyspace_hits:1",
        "keyspace_misses:1",
        "db0:keys=1,expires=0,avg_ttl=0",
    ] {
        assert!(text.contains(&format!("\r\n{field}\r\n")), "{field} in\n{text}");
    }
    for section in
        ["Server", "Clients", "Memory", "Stats", "Replication", "CPU", "Cluster", "Keyspace"]
    {
        assert!(text.contains(&format!("# {section}\r\n")), "{section} in\n{text}");
    }
    assert!(server.info("total_commands_processed") >= 4);
    assert!(server.info("used_memory") > 0);
    let keyspace = client.ask("INFO keyspace");
    assert!(keyspace.contains("# Keyspace\r\n") && !keyspace.contains("# Server"), "{keyspace}");
}
