//! What the process tells systemd and upstart.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::harness::{Folder, LogFile, PATIENCE, Server, encode, wait_until};

/// A supervisor's end of the socket, and how its name is passed on.
struct Systemd {
    socket: UnixDatagram,
    path: String,
    _folder: Folder,
}

impl Systemd {
    fn new() -> Systemd {
        let folder = Folder::new();
        let path = folder.file("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("an option");
        Systemd { socket, path, _folder: folder }
    }

    /// What it is told next.
    fn told(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    /// Whether it is told nothing more.
    fn is_quiet(&self) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(50))).expect("an option");
        self.socket.recv(&mut [0; 16]).is_err()
    }
}

#[test]
fn systemd_is_told_of_the_loading_the_start_and_the_end() {
    let log = LogFile::of(&encode(&["SET", "k", "v"]));
    for supervised in ["systemd", "auto"] {
        let systemd = Systemd::new();
        let flags = [&log.flags("everysec")[..], &["--supervised", supervised]].concat();
        let variables = [("NOTIFY_SOCKET", systemd.path.as_str())];
        let mut server = Server::with_environment(&flags, &variables);
        assert_eq!(systemd.told().trim(), "STATUS=Loading the append only file");
        assert_eq!(systemd.told().trim(), "READY=1\nSTATUS=Ready to accept connections");
        assert_eq!(server.connect().ask("GET k"), "$1\r\nv\r\n");
        server.signal("TERM");
        assert!(server.wait().success());
        assert!(systemd.told().starts_with("STOPPING=1\n"));
        assert!(systemd.is_quiet());
        assert!(server.has_logged("Received SIGTERM scheduling shutdown..."));
    }
}

#[test]
fn nobody_is_told_unless_it_is_asked_for() {
    let systemd = Systemd::new();
    let variables = [("NOTIFY_SOCKET", systemd.path.as_str())];
    for flags in [&["--supervised", "no"][..], &[]] {
        let mut server = Server::with_environment(flags, &variables);
        server.signal("TERM");
        assert!(server.wait().success());
        assert!(systemd.is_quiet());
    }
}

#[test]
fn a_supervisor_that_is_not_there_does_not_keep_the_server_from_starting() {
    let server = Server::with(&["--supervised", "systemd"]);
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
    wait_until("it is said", || server.has_logged("NOTIFY_SOCKET is not set"));
    let variables = [("NOTIFY_SOCKET", "/nowhere/at/all")];
    let server = Server::with_environment(&["--supervised", "systemd"], &variables);
    wait_until("it is said", || server.has_logged("cannot tell systemd"));
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn upstart_sees_the_process_stop_and_lets_it_go_on() {
    let flags = ["--supervised", "upstart"];
    let mut server = Server::with_environment(&flags, &[("UPSTART_JOB", "ferrum-kv")]);
    let mut client = server.connect();
    client.send(&encode(&["PING"]));
    std::thread::sleep(Duration::from_millis(200));
    server.signal("CONT");
    client.expect(b"+PONG\r\n");
    server.signal("TERM");
    assert!(server.wait().success());
}
