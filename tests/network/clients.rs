//! CLIENT: the list of connections, their names, those that are killed, those that want no replies,
//! those that are silent.

use super::harness::{Client, RedisServer, Server, wait_until};

/// A server of two workers: of two connections each has one.
fn server() -> Server {
    Server::with(&["--io-threads", "2"])
}

/// The text of a bulk string.
fn text(reply: &str) -> &str {
    let (head, rest) = reply.split_once("\r\n").expect("a bulk string");
    assert!(head.starts_with('$'), "{reply}");
    rest.strip_suffix("\r\n").expect("a whole reply")
}

/// The lines of CLIENT LIST with these options.
fn list(client: &mut Client, options: &str) -> Vec<String> {
    let reply = client.ask(format!("CLIENT LIST {options}").trim());
    text(&reply).lines().map(str::to_owned).collect()
}

/// One field of a line.
fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let fields = line.split(' ').filter_map(|field| field.split_once('='));
    let mut found = fields.filter(|(of, _)| *of == name);
    found.next().unwrap_or_else(|| panic!("no {name} in {line}")).1
}

fn names_of_fields(line: &str) -> Vec<&str> {
    line.split(' ').filter_map(|field| field.split_once('=')).map(|(name, _)| name).collect()
}

/// A connection that answers, and its number.
fn connect(server: &Server) -> (Client, String) {
    let mut client = server.connect();
    let id = client.ask("CLIENT ID").trim_matches(|c| ":\r\n".contains(c)).to_owned();
    (client, id)
}

#[test]
fn a_line_has_the_fields_of_redis_in_the_order_of_redis() {
    let (ours, redis) = (server(), RedisServer::start());
    let (mut ours, mut theirs) = (ours.connect(), redis.connect());
    for command in ["CLIENT LIST", "CLIENT INFO"] {
        let (own, other) = (ours.ask(command), theirs.ask(command));
        let (own, other) = (text(&own), text(&other));
        let mut expected = names_of_fields(other.lines().next().expect("a line"));
        // Redis 7.2's, for the clients that say so.
        expected.extend(["lib-name", "lib-ver"]);
        assert_eq!(names_of_fields(own.lines().next().expect("a line")), expected);
        let name = command.to_lowercase().replace(' ', "|");
        for line in [own, other] {
            let of = |name| field(line.trim_end(), name);
            assert_eq!((of("cmd"), of("flags"), of("user")), (&name[..], "N", "default"));
            assert_eq!((of("db"), of("multi"), of("resp")), ("0", "-1", "2"));
            assert_eq!((of("sub"), of("psub"), of("ssub"), of("redir")), ("0", "0", "0", "-1"));
            let read = |name| of(name).parse::<u64>().expect("a number");
            assert!(read("argv-mem") == 10 && read("tot-mem") > 0 && read("fd") > 0, "{line}");
        }
    }
}

#[test]
fn a_line_tells_what_the_connection_of_another_worker_does() {
    let server = server();
    let (mut admin, _) = connect(&server);
    let (mut client, id) = connect(&server);
    client.ask("CLIENT SETNAME worker");
    client.ask("CLIENT SETINFO LIB-NAME lib");
    client.ask("CLIENT SETINFO LIB-VER 1.2");
    client.ask("SELECT 3");
    client.ask("HELLO 3");
    client.ask("CLIENT NO-EVICT ON");
    client.ask("CLIENT NO-TOUCH ON");
    client.ask("MULTI");
    client.ask("SET key value");
    let expected = [
        ("name", "worker"),
        ("db", "3"),
        ("resp", "3"),
        ("multi", "1"),
        ("cmd", "set"),
        ("flags", "xeT"),
        ("lib-name", "lib"),
        ("lib-ver", "1.2"),
    ];
    wait_until("the other worker's figures are there", || {
        let lines = list(&mut admin, &format!("ID {id}"));
        expected.iter().all(|(name, value)| field(&lines[0], name) == *value)
    });
    client.ask("RESET");
    wait_until("it is as new", || {
        let lines = list(&mut admin, &format!("ID {id}"));
        let of = |name| field(&lines[0], name);
        (of("name"), of("db"), of("resp"), of("multi")) == ("", "0", "2", "-1")
    });
}

#[test]
fn clients_are_listed_by_type_and_by_number() {
    let server = server();
    let (mut admin, own) = connect(&server);
    let (_client, id) = connect(&server);
    assert_eq!(list(&mut admin, "").len(), 2);
    assert_eq!(list(&mut admin, "TYPE normal").len(), 2);
    for kind in ["pubsub", "master", "replica", "slave"] {
        assert!(list(&mut admin, &format!("TYPE {kind}")).is_empty(), "{kind}");
    }
    let lines = list(&mut admin, &format!("ID {id} 999 {own} {id}"));
    let ids: Vec<_> = lines.iter().map(|line| field(line, "id")).collect();
    assert_eq!(ids, [&id, &own, &id]);
}

#[test]
fn errors_and_answers_are_those_of_redis() {
    let (ours, redis) = (server(), RedisServer::start());
    let (mut ours, mut theirs) = (ours.connect(), redis.connect());
    for command in [
        "CLIENT",
        "CLIENT FOO",
        "CLIENT KILL",
        "CLIENT KILL foo",
        "CLIENT KILL ID",
        "CLIENT KILL ID 0",
        "CLIENT KILL ID x",
        "CLIENT KILL ID 18446744073709551615",
        "CLIENT KILL ID 999999",
        "CLIENT KILL TYPE foo",
        "CLIENT KILL TYPE pubsub",
        "CLIENT KILL TYPE slave",
        "CLIENT KILL TYPE NORMAL",
        "CLIENT KILL USER nobody",
        "CLIENT KILL USER default ID 999999",
        "CLIENT KILL USER default SKIPME foo",
        "CLIENT KILL ID 1 TYPE",
        "CLIENT KILL MAXAGE 5",
        "CLIENT KILL foo bar",
        "CLIENT KILL a b c",
        "CLIENT KILL ADDR 1:2",
        "CLIENT KILL LADDR 1:2",
        "CLIENT LIST foo",
        "CLIENT LIST TYPE",
        "CLIENT LIST TYPE foo",
        "CLIENT LIST TYPE normal ID 1",
        "CLIENT LIST TYPE pubsub",
        "CLIENT LIST ID",
        "CLIENT LIST ID x",
        "CLIENT LIST ID 0 999999",
        "CLIENT INFO x",
        "CLIENT REPLY",
        "CLIENT REPLY foo",
        "CLIENT REPLY on",
        "CLIENT PAUSE",
        "CLIENT PAUSE x",
        "CLIENT PAUSE -1",
        "CLIENT PAUSE x foo",
        "CLIENT PAUSE 1 WRITE x",
        "CLIENT PAUSE 0",
        "CLIENT PAUSE 1 write",
        "CLIENT PAUSE 99999999999999999999",
        "CLIENT UNPAUSE",
        "CLIENT UNPAUSE x",
        "CLIENT NO-EVICT",
        "CLIENT NO-EVICT foo",
        "CLIENT NO-EVICT on",
        "CLIENT NO-EVICT OFF",
        "CLIENT UNBLOCK",
        "CLIENT UNBLOCK x",
        "CLIENT UNBLOCK 999999",
        "CLIENT UNBLOCK 999999 error",
        "CLIENT UNBLOCK 1 foo",
        "CLIENT UNBLOCK 1 ERROR x",
        "CLIENT GETREDIR",
        "CLIENT TRACKING",
        "CLIENT TRACKING foo",
        "CLIENT TRACKING off",
        "CLIENT TRACKING on foo",
        "CLIENT TRACKING on off",
        "CLIENT TRACKINGINFO",
        "CLIENT CACHING",
        "CLIENT CACHING yes",
        "CLIENT CACHING foo",
        "HELLO 3",
        "CLIENT TRACKINGINFO",
        "CLIENT LIST ID 0",
    ] {
        let (own, other) = (ours.ask(command), theirs.ask(command));
        // Of HELLO the number of the connection differs.
        if !command.starts_with("HELLO") {
            assert_eq!(own, other, "{command}");
        }
    }
}

#[test]
fn a_client_is_killed_by_any_filter_whichever_worker_has_it() {
    let server = server();
    let mut admin = server.connect();
    for round in 0..4 {
        // Both workers have some of these.
        let mut clients: Vec<_> = (0..4).map(|_| connect(&server)).collect();
        let lines = list(&mut admin, &format!("ID {}", clients[round].1));
        let filter = match round {
            0 => format!("ID {}", clients[round].1),
            1 => format!("ADDR {}", field(&lines[0], "addr")),
            2 => field(&lines[0], "addr").to_owned(),
            _ => format!("TYPE normal USER default ID {} SKIPME yes", clients[round].1),
        };
        let reply = admin.ask(&format!("CLIENT KILL {filter}"));
        assert_eq!(reply, if round == 2 { "+OK\r\n" } else { ":1\r\n" }, "{filter}");
        let (mut killed, id) = clients.remove(round);
        assert!(list(&mut admin, &format!("ID {id}")).is_empty(), "it is on no list any more");
        assert_eq!(admin.ask(&format!("CLIENT KILL ID {id}")), ":0\r\n", "it was killed once");
        assert_eq!(killed.rest(), b"");
        for (client, _) in &mut clients {
            assert_eq!(client.ask("PING"), "+PONG\r\n");
        }
    }
    let local = server.connect().ask("CLIENT INFO");
    let local = field(text(&local).trim_end(), "laddr").to_owned();
    wait_until("the others have left", || list(&mut admin, "").len() == 1);
    let mut clients: Vec<_> = (0..6).map(|_| connect(&server)).collect();
    assert_eq!(admin.ask(&format!("CLIENT KILL LADDR {local}")), ":6\r\n");
    for (client, _) in &mut clients {
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(admin.ask("PING"), "+PONG\r\n");
}

#[test]
fn a_client_that_kills_itself_is_answered_first() {
    let server = server();
    let (mut client, id) = connect(&server);
    client.send(format!("CLIENT KILL ID {id} SKIPME no\r\nPING\r\n").as_bytes());
    assert_eq!(client.rest(), b":1\r\n");
    let (mut client, id) = connect(&server);
    client.send(
        format!("MULTI\r\nECHO a\r\nCLIENT KILL ID {id} SKIPME no\r\nSET k v\r\nEXEC\r\nPING\r\n")
            .as_bytes(),
    );
    // As in Redis all of it runs, and what comes after the kill is not answered.
    let expected = format!("+OK\r\n{}*3\r\n$1\r\na\r\n:1\r\n", "+QUEUED\r\n".repeat(3));
    assert_eq!(String::from_utf8_lossy(&client.rest()), expected);
    assert_eq!(server.connect().ask("GET k"), "$1\r\nv\r\n");
}

#[test]
fn a_killed_client_runs_nothing_that_it_sends_later() {
    let server = server();
    let (mut admin, _) = connect(&server);
    for number in 0..50 {
        let (mut client, id) = connect(&server);
        assert_eq!(admin.ask(&format!("CLIENT KILL ID {id}")), ":1\r\n");
        // It may have been closed already.
        let _ = client.try_send(format!("SET late:{number} x\r\n").as_bytes());
        client.rest();
    }
    assert_eq!(admin.ask("DBSIZE"), ":0\r\n");
}

#[test]
fn replies_that_are_not_wanted_are_not_sent_as_in_redis() {
    let (ours, redis) = (server(), RedisServer::start());
    for commands in [
        "CLIENT REPLY OFF|PING|PING|CLIENT REPLY ON|PING",
        "CLIENT REPLY SKIP|PING|ECHO a",
        "CLIENT REPLY SKIP|CLIENT REPLY SKIP|ECHO a|ECHO b",
        "CLIENT REPLY SKIP|CLIENT REPLY ON|ECHO a",
        "CLIENT REPLY SKIP|CLIENT REPLY OFF|ECHO a|CLIENT REPLY ON|ECHO b",
        "CLIENT REPLY OFF|CLIENT REPLY SKIP|ECHO a|CLIENT REPLY ON|ECHO b",
        "CLIENT REPLY SKIP|FOO|ECHO b",
        "CLIENT REPLY SKIP|KEYS *|ECHO b",
        "MULTI|ECHO 1|CLIENT REPLY OFF|ECHO 2|EXEC|ECHO 3|CLIENT REPLY ON",
        "MULTI|ECHO 1|CLIENT REPLY SKIP|ECHO 2|EXEC|ECHO 3|ECHO 4",
        "CLIENT REPLY OFF|MULTI|ECHO 1|CLIENT REPLY ON|ECHO 2|EXEC|ECHO 3",
        "CLIENT REPLY OFF|CLIENT REPLY FOO|ECHO 1|CLIENT REPLY ON",
        "CLIENT REPLY OFF|RESET|PING",
        "CLIENT REPLY SKIP|RESET|PING",
        "CLIENT REPLY OFF|HELLO 3|CLIENT REPLY ON|GET nothing",
        "SET k 1|CLIENT REPLY OFF|INCR k|CLIENT REPLY ON|GET k",
    ] {
        // In one piece, and command by command.
        let sent = commands.replace('|', "\r\n") + "\r\nECHO end\r\nQUIT\r\n";
        let answer = |mut client: Client| {
            client.ask("FLUSHALL");
            client.send(sent.as_bytes());
            String::from_utf8(client.rest()).expect("text")
        };
        assert_eq!(answer(ours.connect()), answer(redis.connect()), "{commands}");
        let answer = |mut client: Client| {
            client.ask("FLUSHALL");
            for command in commands.split('|').chain(["ECHO end", "QUIT"]) {
                client.send(format!("{command}\r\n").as_bytes());
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            String::from_utf8(client.rest()).expect("text")
        };
        assert_eq!(answer(ours.connect()), answer(redis.connect()), "{commands}, one by one");
    }
}

#[test]
fn a_long_pipeline_without_replies_is_run_to_its_end() {
    const COMMANDS: usize = 50_000;
    let server = server();
    let mut client = server.connect();
    let mut sent = String::from("CLIENT REPLY OFF\r\n");
    sent += &"INCR n\r\n".repeat(COMMANDS);
    sent += "CLIENT REPLY ON\r\nGET n\r\n";
    client.send(sent.as_bytes());
    client.expect(b"+OK\r\n$5\r\n50000\r\n");
}

#[test]
fn only_the_silent_are_disconnected() {
    let server = Server::with(&["--client-timeout", "2", "--io-threads", "2"]);
    let (mut silent, mut busy) = (server.connect(), server.connect());
    silent.ask("PING");
    wait_until("one client is left", || list(&mut busy, "").len() == 1);
    assert_eq!(silent.rest(), b"");
    assert_eq!(busy.ask("PING"), "+PONG\r\n");
}

#[test]
fn those_that_have_left_are_on_no_list() {
    let server = server();
    let mut admin = server.connect();
    for _ in 0..20 {
        let clients: Vec<_> = (0..100).map(|_| connect(&server)).collect();
        assert_eq!(list(&mut admin, "").len(), 101);
        drop(clients);
        wait_until("they have left", || list(&mut admin, "").len() == 1);
    }
    assert_eq!(server.info("connected_clients"), 2, "and the one that asks");
}
