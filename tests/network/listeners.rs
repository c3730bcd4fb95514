//! Where a server can be told to listen: several addresses, IPv6, a Unix socket; and elsewhere
//! while it runs, compared with redis-server.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Socket, Type};

use super::harness::{
    Client, Folder, PATIENCE, RedisServer, Server, server_command, show, strings_in, wait_until,
};

/// An address for documentation, which no machine has.
const NOBODYS: &str = "203.0.113.7";

fn at(server: &Server, host: &str) -> Client {
    Client::connect(SocketAddr::new(host.parse().expect("an address"), server.address.port()))
}

/// Sends a line to a Unix socket; all it answers up to the end.
fn ask_unix(path: &str, lines: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.write_all(format!("{lines}\r\nQUIT\r\n").as_bytes()).expect("the server receives");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text, and the end");
    text
}

#[test]
fn every_address_is_answered_and_a_missing_one_may_be_marked() {
    let marked = format!("-{NOBODYS}");
    let server = Server::with(&["--port", "0", "--bind", "127.0.0.1", "127.0.0.2", &marked]);
    assert_eq!(at(&server, "127.0.0.1").ask("SET k v"), "+OK\r\n");
    assert_eq!(at(&server, "127.0.0.2").ask("GET k"), "$1\r\nv\r\n");
    assert!(server.has_logged("Could not create server TCP listening socket 203.0.113.7:"));
    assert_eq!(server.info("tcp_port"), u64::from(server.address.port()));
}

#[test]
fn a_missing_address_that_is_not_marked_keeps_it_from_starting() {
    let said = Server::refusal(&["--port", "0", "--bind", "127.0.0.1", NOBODYS]);
    assert!(said.contains("cannot listen on 203.0.113.7:"), "{said}");
    let said = Server::refusal(&["--port", "0", "--bind", "no.such.name.invalid"]);
    assert!(said.contains("cannot resolve the address no.such.name.invalid"), "{said}");
}

#[test]
fn both_families_are_served_side_by_side() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("IPv6: not run, for this machine has no address ::1");
        return;
    }
    let server = Server::with(&["--port", "0", "--bind", "127.0.0.1", "::1"]);
    assert_eq!(at(&server, "::1").ask("SET k v"), "+OK\r\n");
    assert_eq!(at(&server, "127.0.0.1").ask("GET k"), "$1\r\nv\r\n");
    let list = at(&server, "::1").ask("CLIENT LIST");
    assert!(list.contains(" addr=[::1]:"), "{list}");

    // Every address of IPv6 leaves those of IPv4 to others, and the other way round.
    let server = Server::with(&["--port", "0", "--bind", "*", "::*"]);
    for host in ["127.0.0.1", "::1"] {
        assert_eq!(at(&server, host).ask("PING"), "+PONG\r\n");
    }
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_the_server() {
    let folder = Folder::new();
    let path = folder.file("server.sock");
    // As a server leaves it that was killed.
    drop(UnixListener::bind(&path).expect("a socket"));
    let port = free_port();
    let flags = ["--unixsocket", &path, "--unixsocketperm", "700", "--port", &port];
    let mut server = Server::with(&flags);
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(ask_unix(&path, "SET k v"), "+OK\r\n+OK\r\n");
    assert_eq!(server.connect().ask("GET k"), "$1\r\nv\r\n");
    let list = ask_unix(&path, "CLIENT LIST");
    assert!(list.contains(&format!(" addr={path}:0 laddr={path}:0 ")), "{list}");
    assert!(list.contains(" flags=U "), "{list}");
    let monitored = ask_unix(&path, "MONITOR\r\nPING");
    assert!(monitored.contains(&format!(" [0 unix:{path}] \"PING\"")), "{monitored}");
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(server.has_logged(&format!("ready to accept connections at {path}")));
    assert!(!Path::new(&path).exists());
    assert!(server.has_logged("Removing the unix socket file."));
}

#[test]
fn nothing_but_a_socket_is_replaced_by_one() {
    let folder = Folder::new();
    let path = folder.file("precious");
    std::fs::write(&path, "data").expect("a file");
    let said = Server::refusal(&["--unixsocket", &path]);
    assert!(said.contains(&format!("cannot listen on the Unix socket {path}")), "{said}");
    assert_eq!(std::fs::read(&path).expect("still there"), b"data");
}

#[test]
fn a_unix_socket_can_be_all_there_is() {
    let folder = Folder::new();
    let path = folder.file("server.sock");
    let mut command = server_command(&["--port", "0", "--unixsocket", &path]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    wait_until("the server listens", || UnixStream::connect(&path).is_ok());
    let info = ask_unix(&path, "PING\r\nINFO server");
    assert!(info.starts_with("+PONG\r\n") && info.contains("\r\ntcp_port:0\r\n"), "{info}");
    child.kill().expect("it runs");
    child.wait().expect("a child can be waited for");
}

/// A port that was free at all addresses a moment ago, and that no client is given by the system,
/// which has those from 32768 on for them.
fn free_port() -> String {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Other processes begin elsewhere.
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (std::process::id() * 199 + asked) % 20_000;
        // Not listened at: a process that is being started may hold it a little longer.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        let address = SocketAddr::from(([0, 0, 0, 0], port as u16));
        if socket.bind(&address.into()).is_ok() {
            return port.to_string();
        }
    }
}

/// Whether somebody listens there.
fn answers(host: &str, port: &str) -> bool {
    TcpStream::connect((host, port.parse().expect("a port"))).is_ok()
}

/// A client of whoever listens there.
fn client_at(host: &str, port: &str) -> Client {
    Client::connect(SocketAddr::new(
        host.parse().expect("an address"),
        port.parse().expect("a port"),
    ))
}

/// CONFIG SET with these words.
fn set(client: &mut Client, words: &[&str]) -> String {
    let reply = client.call(&[&["CONFIG", "SET"], words].concat());
    String::from_utf8(reply).expect("text")
}

/// The value of a setting.
fn get(client: &mut Client, name: &str) -> String {
    let strings = strings_in(&client.call(&["CONFIG", "GET", name]));
    String::from_utf8(strings[1].clone()).expect("text")
}

const BUSY: &str = "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to \
    listen on this port. Check server logs.\r\n";

const NO_ADDRESS: &str = "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed \
    to bind to specified addresses.\r\n";

#[test]
fn a_new_port_takes_the_place_of_the_old_one() {
    let server = Server::start();
    let (old, new) = (server.address.port().to_string(), free_port());
    let mut client = server.connect();
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    assert_eq!(set(&mut client, &["port", &new]), "+OK\r\n");
    // At once: what is acknowledged is done.
    assert!(!answers("127.0.0.1", &old));
    assert_eq!(client_at("127.0.0.1", &new).ask("GET k"), "$1\r\nv\r\n");
    assert_eq!(client.ask("GET k"), "$1\r\nv\r\n");
    assert_eq!(get(&mut client, "port"), new);
    assert!(client.ask("INFO server").contains(&format!("\r\ntcp_port:{new}\r\n")));
    // And back, by a client of the new one, and in a pipeline.
    let mut other = client_at("127.0.0.1", &new);
    other.send(format!("CONFIG SET port {old}\r\nPING\r\nCONFIG SET hz 12\r\n").as_bytes());
    other.expect(b"+OK\r\n+PONG\r\n+OK\r\n");
    assert!(!answers("127.0.0.1", &new));
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
    assert_eq!(client.ask("PING"), "+PONG\r\n");
}

#[test]
fn a_busy_port_changes_nothing() {
    let server = Server::start();
    let old = server.address.port().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = taken.local_addr().expect("an address").port().to_string();
    let mut client = server.connect();
    for words in [
        &["port", &busy][..],
        &["port", &busy, "timeout", "77"],
        &["timeout", "77", "PORT", &busy],
        &["port", &busy, "bind", "127.0.0.1"],
    ] {
        assert_eq!(set(&mut client, words), BUSY);
    }
    assert_eq!(get(&mut client, "port"), old);
    assert_eq!(get(&mut client, "timeout"), "0");
    let said = format!("cannot listen on 127.0.0.1:{busy}: address in use");
    wait_until("the log tells why", || server.has_logged(&said));
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
    let counted = client.ask("INFO commandstats");
    assert!(counted.contains("cmdstat_config|set:calls=4,"), "{counted}");
    assert!(counted.contains(",rejected_calls=0,failed_calls=4\r\n"), "{counted}");
}

#[test]
fn an_address_that_is_not_ours_changes_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    let both = format!("127.0.0.2 {NOBODYS}");
    for addresses in [NOBODYS, &both, "no.such.name.invalid", "127.0.0.2 127.0.0.2", "* 127.0.0.1"]
    {
        assert_eq!(set(&mut client, &["bind", addresses]), NO_ADDRESS, "{addresses}");
    }
    let words = ["bind", NOBODYS, "port", &free_port()];
    assert_eq!(set(&mut client, &words), NO_ADDRESS);
    assert_eq!(get(&mut client, "bind"), "127.0.0.1");
    assert!(!answers("127.0.0.2", &server.address.port().to_string()));
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn addresses_can_change_while_the_port_stays() {
    let server = Server::start();
    let port = server.address.port().to_string();
    let mut client = server.connect();
    let reaches = |hosts: [(&str, bool); 3]| {
        for (host, expected) in hosts {
            assert_eq!(answers(host, &port), expected, "{host}");
        }
    };
    let marked = format!("127.0.0.1 127.0.0.2 -{NOBODYS}");
    let is_spoken = TcpListener::bind("[::1]:0").is_ok();
    for _ in 0..2 {
        assert_eq!(set(&mut client, &["bind", &marked]), "+OK\r\n");
        assert_eq!(get(&mut client, "bind"), marked);
        reaches([("127.0.0.1", true), ("127.0.0.2", true), ("::1", false)]);
        // All of them overlap with each of them, in both directions.
        assert_eq!(set(&mut client, &["bind", "* -::*"]), "+OK\r\n");
        reaches([("127.0.0.1", true), ("127.0.0.3", true), ("::1", is_spoken)]);
        assert_eq!(set(&mut client, &["bind", "127.0.0.2 -::1"]), "+OK\r\n");
        reaches([("127.0.0.1", false), ("127.0.0.2", true), ("::1", is_spoken)]);
        // Nobody else can listen there meanwhile.
        assert!(TcpListener::bind(("127.0.0.2", server.address.port())).is_err());
        assert!(TcpListener::bind(("0.0.0.0", server.address.port())).is_err());
    }
    assert_eq!(client_at("127.0.0.2", &port).ask("PING"), "+PONG\r\n");
    // One that is there no more must not be asked for; none at all is allowed, as in Redis.
    assert_eq!(set(&mut client, &["bind", &format!("-{NOBODYS}")]), "+OK\r\n");
    reaches([("127.0.0.1", false), ("127.0.0.2", false), ("::1", false)]);
    assert_eq!(set(&mut client, &["bind", ""]), "+OK\r\n");
    assert_eq!(set(&mut client, &["bind", "localhost"]), "+OK\r\n");
    assert_eq!(client_at("127.0.0.1", &port).ask("PING"), "+PONG\r\n");
}

#[test]
fn port_zero_leaves_the_unix_socket() {
    let folder = Folder::new();
    let path = folder.file("server.sock");
    let server = Server::with(&["--unixsocket", &path, "--port", &free_port()]);
    let old = server.address.port().to_string();
    let mut client = server.connect();
    assert_eq!(set(&mut client, &["port", "0"]), "+OK\r\n");
    assert!(!answers("127.0.0.1", &old));
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    assert_eq!(ask_unix(&path, "GET k"), "$1\r\nv\r\n+OK\r\n");
    assert!(client.ask("INFO server").contains("\r\ntcp_port:0\r\n"));
    // Nothing is tried while there is no port.
    assert_eq!(set(&mut client, &["bind", NOBODYS]), "+OK\r\n");
    assert_eq!(set(&mut client, &["port", &old]), BUSY);
    let said = ask_unix(&path, &format!("CONFIG SET bind 127.0.0.1 port {old}"));
    assert_eq!(said, "+OK\r\n+OK\r\n");
    assert_eq!(client_at("127.0.0.1", &old).ask("GET k"), "$1\r\nv\r\n");
}

#[test]
fn sockets_follow_the_other_settings_of_the_same_command() {
    let server = Server::start();
    let (old, new) = (server.address.port().to_string(), free_port());
    let mut client = server.connect();
    for words in [
        &["port", &new, "maxclients", "40000000"][..],
        &["port", &new, "hz", "x"],
        &["port", &new, "port", &new],
        &["nothing", "1", "port", &new],
        &["port", &new, "daemonize", "yes"],
        &["bind", "*", "port", "70000"],
    ] {
        assert!(set(&mut client, words).starts_with("-ERR "), "{words:?}");
        assert!(!answers("127.0.0.1", &new), "{words:?}");
    }
    assert_eq!(get(&mut client, "port"), old);
    let words = ["timeout", "70", "port", &new, "bind", "127.0.0.2", "requirepass", "a word"];
    assert_eq!(set(&mut client, &words), "+OK\r\n");
    assert_eq!(get(&mut client, "timeout"), "70");
    let mut other = client_at("127.0.0.2", &new);
    assert_eq!(other.ask("PING"), "-NOAUTH Authentication required.\r\n");
    assert!(!answers("127.0.0.1", &new) && !answers("127.0.0.1", &old));
}

#[test]
fn a_rewritten_file_starts_a_server_that_listens_there() {
    let folder = Folder::new();
    let file = folder.file("a.conf");
    let (old, new) = (free_port(), free_port());
    fs::write(&file, format!("# mine\nport {old}\nbind 127.0.0.1\n")).expect("a file");
    {
        let mut command = server_command(&[&file]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("starts");
        wait_until("the server listens", || answers("127.0.0.1", &old));
        let mut client = client_at("127.0.0.1", &old);
        assert_eq!(set(&mut client, &["port", &new, "bind", "127.0.0.2 127.0.0.1"]), "+OK\r\n");
        assert_eq!(client.ask("CONFIG REWRITE"), "+OK\r\n");
        child.kill().expect("it runs");
        child.wait().expect("a child can be waited for");
    }
    let written = fs::read_to_string(&file).expect("a file");
    let expected = format!("# mine\nport {new}\nbind 127.0.0.2 127.0.0.1\n");
    assert!(written.starts_with(&expected), "{written}");
    let mut command = server_command(&[&file]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    wait_until("the server listens", || answers("127.0.0.1", &new) && answers("127.0.0.2", &new));
    child.kill().expect("it runs");
    child.wait().expect("a child can be waited for");
}

#[test]
fn clients_that_change_it_at_the_same_time_leave_one_truth() {
    let server = Server::with(&["--io-threads", "3"]);
    let ports: Vec<String> = (0..3).map(|_| free_port()).collect();
    let mut clients: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    let threads: Vec<_> = (clients.drain(..).enumerate())
        .map(|(number, mut client)| {
            let ports = ports.clone();
            std::thread::spawn(move || {
                for round in 0..20 {
                    let port = &ports[(number + round) % ports.len()];
                    let bind = ["127.0.0.1", "*", "127.0.0.1 127.0.0.2"][(number * 7 + round) % 3];
                    let reply = match round % 4 {
                        0 => set(&mut client, &["bind", bind]),
                        1 => set(&mut client, &["port", port, "hz", "20"]),
                        2 => set(&mut client, &["hz", "30"]),
                        _ => set(&mut client, &["port", port, "bind", bind]),
                    };
                    assert_eq!(reply, "+OK\r\n");
                }
                client
            })
        })
        .collect();
    let mut clients: Vec<Client> =
        threads.into_iter().map(|it| it.join().expect("a client")).collect();
    let port = get(&mut clients[0], "port");
    let bind = get(&mut clients[0], "bind");
    for candidate in &ports {
        assert_eq!(answers("127.0.0.1", candidate), *candidate == port, "{candidate}");
    }
    assert_eq!(answers("127.0.0.2", &port), bind != "127.0.0.1", "{bind}");
    assert!(clients.iter_mut().all(|client| client.ask("PING") == "+PONG\r\n"));
}

#[test]
fn exec_and_clients_that_leave_at_once_change_it_too() {
    let server = Server::single_worker();
    let new = free_port();
    let mut client = server.connect();
    let lines = format!("MULTI\r\nSET k v\r\nCONFIG SET port {new}\r\nGET k\r\nEXEC\r\n");
    client.send(lines.as_bytes());
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n$1\r\nv\r\n");
    assert!(answers("127.0.0.1", &new));
    for _ in 0..10 {
        let old = get(&mut client, "port");
        let new = free_port();
        let mut leaving = client_at("127.0.0.1", &old);
        leaving.send(format!("CONFIG SET port {new}\r\n").as_bytes());
        leaving.finish_sending();
        assert_eq!(leaving.rest(), b"+OK\r\n");
        assert_eq!(get(&mut client, "port"), new);
    }
    // These may be gone before anything or when all is done, and leave nothing half done behind.
    for _ in 0..20 {
        let port = get(&mut client, "port").parse::<u16>().expect("a port");
        // Refused when the one before has had its way just now.
        let Ok(mut gone) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        let line = format!("CONFIG SET port {}\r\n", free_port());
        gone.write_all(line.as_bytes()).expect("room for a line");
        drop(gone);
        assert_eq!(set(&mut client, &["bind", "127.0.0.1"]), "+OK\r\n");
    }
    wait_until("it listens where it says", || answers("127.0.0.1", &get(&mut client, "port")));
    // The last of them may have come after that, but its right is given back.
    assert_eq!(set(&mut client, &["bind", "127.0.0.1"]), "+OK\r\n");
}

#[test]
fn protected_mode_holds_at_a_new_address() {
    let Some(outward) = outward_address() else {
        eprintln!("not run, for this machine has no address but those of the loopback");
        return;
    };
    let server = Server::start();
    let port = server.address.port().to_string();
    let mut client = server.connect();
    assert!(!answers(&outward, &port));
    assert_eq!(set(&mut client, &["bind", &format!("127.0.0.1 {outward}")]), "+OK\r\n");
    assert!(client_at(&outward, &port).rest().starts_with(b"-DENIED "));
    assert_eq!(set(&mut client, &["bind", "*", "protected-mode", "no"]), "+OK\r\n");
    assert_eq!(client_at(&outward, &port).ask("PING"), "+PONG\r\n");
}

/// An IPv4 address of this machine that others could use.
fn outward_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address: IpAddr = socket.local_addr().ok()?.ip();
    let is_usable = !address.is_loopback() && !address.is_unspecified();
    (is_usable && TcpListener::bind((address, 0)).is_ok()).then(|| address.to_string())
}

#[test]
fn changes_are_answered_as_by_redis() {
    let folder = Folder::new();
    let redis = RedisServer::with(folder.path(), &["--save", "", "--bind", "127.0.0.1"]);
    let server = Server::start();
    let (mut theirs, mut ours) = (redis.connect(), server.connect());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = taken.local_addr().expect("an address").port().to_string();
    let many = "127.0.0.1 ".repeat(17);
    let lines: &[&[&str]] = &[
        &["port", &busy],
        &["port", &busy, "timeout", "77"],
        &["timeout", "77", "port", &busy],
        &["port", &busy, "bind", NOBODYS],
        &["bind", NOBODYS, "port", &busy],
        &["BIND", NOBODYS],
        &["bind", "127.0.0.1 127.0.0.1"],
        &["bind", "* 127.0.0.1"],
        &["bind", "127.0.0.1 *"],
        &["bind", "no.such.name.invalid"],
        &["bind", &many],
        &["bind", "127.0.0.2", "bind", "127.0.0.1"],
        &["port", "65536"],
        &["port", "-1"],
        &["port", "x"],
        &["port", ""],
        &["port"],
        &["bind", "-203.0.113.7 127.0.0.1 -::1"],
        &["bind", "* -::*"],
        &["bind", "127.0.0.1"],
        &["port", "0"],
        &["bind", NOBODYS],
        &["port", &busy],
        &["bind", ""],
        // Nobody listens then: not an address of it is busy.
        &["port", &busy],
        &["port", "0"],
    ];
    for words in lines {
        for words in [&[&["CONFIG", "SET"], *words].concat()[..], &["CONFIG", "GET", "bind"]] {
            let expected = theirs.call(words);
            let found = ours.call(words);
            let (found, expected) = (show(&found), show(&expected));
            assert_eq!(found, expected, "{words:?}");
        }
    }
}
