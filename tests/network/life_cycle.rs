//! Start, stop, and what keeps the server from either.

use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::time::{Duration, Instant};

use super::harness::{Server, encode, server_command};

/// Runs the program to its end.
fn run(arguments: &[&str]) -> Output {
    server_command(arguments).output().expect("the program runs")
}

/// The one line on standard error of a program that failed.
fn failure(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn an_address_in_use_is_one_clear_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let line = failure(&["--addr", &address]);
    assert_eq!(line, format!("ferrum-kv: cannot listen on {address}: address in use\n"));
}

#[test]
fn two_servers_cannot_share_an_address() {
    let server = Server::start();
    let address = server.address.to_string();
    assert!(failure(&["--addr", &address]).contains("address in use"));
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn a_bad_command_line_is_one_clear_line_and_exit_code_1() {
    for arguments in [
        &["--addr", "nonsense"][..],
        &["--addr", "127.0.0.1:99999"],
        &["--addr", "192.0.2.1:0"],
        &["--io-threads", "many"],
        &["--maxclients", "0"],
        &["--proto-max-bulk-len", "1gb"],
        &["--loglevel", "loud"],
        &["--nosuch"],
        &["stray"],
    ] {
        let text = failure(arguments);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("ferrum-kv: "), "{text}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).expect("text");
    for flag in ["--addr", "--io-threads", "--maxclients", "--loglevel"] {
        assert!(text.contains(flag), "{flag} in {text}");
    }
    let version = run(&["--version"]);
    let expected = concat!("ferrum-kv ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(version.stdout).as_deref(), Ok(expected));
}

#[test]
fn the_banner_says_version_address_workers_and_allocator() {
    let server = Server::with(&["--io-threads", "3"]);
    let expected = format!(
        "FerrumKV {} on {}: 3 workers, allocator jemalloc",
        env!("CARGO_PKG_VERSION"),
        server.address
    );
    // The server may answer before what it has logged has been read.
    let until = Instant::now() + Duration::from_secs(10);
    while !server.log().iter().any(|line| line.contains(&expected)) {
        assert!(Instant::now() < until, "{:?}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn it_listens_on_ipv6_too() {
    let taken = TcpListener::bind("[::1]:0");
    // A machine without IPv6 cannot show this.
    let Ok(taken) = taken else { return };
    let address = taken.local_addr().expect("bound").to_string();
    drop(taken);
    let server = Server::with(&["--addr", &address]);
    assert!(server.address.is_ipv6());
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn both_signals_stop_it_after_what_was_received_is_answered() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let mut idle = server.connect();
        let mut busy: Vec<_> = (0..10).map(|_| server.connect()).collect();
        for client in busy.iter_mut().chain([&mut idle]) {
            assert_eq!(client.ask("PING"), "+PONG\r\n");
        }
        // Few enough bytes that all of them are in the server's sockets when send returns.
        for (index, client) in busy.iter_mut().enumerate() {
            client.send(&encode(&["INCR", &format!("n{index}")]).repeat(1_000));
        }
        server.signal(signal);
        let replies: String = (1..=1_000).map(|count| format!(":{count}\r\n")).collect();
        for client in &mut busy {
            client.expect(replies.as_bytes());
            assert_eq!(client.rest(), b"");
        }
        assert_eq!(idle.rest(), b"");
        assert!(server.wait().success(), "exit code 0");
        assert!(TcpStream::connect(server.address).is_err(), "nobody listens any more");
        let log = server.log().join("\n");
        assert!(log.contains(&format!("Received SIG{signal}")), "{log}");
    }
}

#[test]
fn stopping_does_not_wait_for_half_a_command_or_for_a_client_that_never_reads() {
    let mut server = Server::start();
    let (mut half, mut silent) = (server.connect(), server.connect());
    let value = vec![b'v'; 1 << 20];
    half.set("k", &value);
    half.send(b"*2\r\n$3\r\nGET\r\n$1");
    silent.send(&encode(&["GET", "k"]).repeat(100));
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    assert_eq!(half.rest(), b"");
    assert!(server.wait().success());
    assert!(server.log().iter().any(|line| line.contains("did not take their replies")));
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let mut server = Server::start();
    let mut silent = server.connect();
    let value = vec![b'v'; 1 << 20];
    silent.set("k", &value);
    silent.send(&encode(&["GET", "k"]).repeat(100));
    std::thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    super::harness::wait_until("the first signal is seen", || {
        server.log().iter().any(|line| line.contains("Received SIGTERM"))
    });
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn losing_the_terminal_does_not_stop_it() {
    let server = Server::start();
    // Answered, so the handlers are in place.
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
    server.signal("HUP");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
}

#[test]
fn an_idle_client_is_disconnected_and_a_busy_one_is_not() {
    let server = Server::with(&["--client-timeout", "3"]);
    let (mut idle, mut busy) = (server.connect(), server.connect());
    assert_eq!(idle.ask("PING"), "+PONG\r\n");
    let start = Instant::now();
    let closed = std::thread::scope(|scope| {
        let idle = scope.spawn(move || idle.rest());
        while !idle.is_finished() {
            assert_eq!(busy.ask("PING"), "+PONG\r\n");
            std::thread::sleep(Duration::from_millis(50));
        }
        idle.join().expect("no panic")
    });
    assert_eq!(closed, b"", "closed without a word");
    assert!(start.elapsed() >= Duration::from_secs(2), "not before its time");
    assert_eq!(busy.ask("PING"), "+PONG\r\n");
}
