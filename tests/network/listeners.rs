//! Where a server can be told to listen: several addresses, IPv6, a Unix socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;

use super::harness::{Client, Folder, PATIENCE, Server, server_command, wait_until};

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

/// A port that was free a moment ago.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port().to_string()
}
