//! Protected mode: without a password only this machine may connect. Shown at an address of the
//! machine that is not a loopback one.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use super::harness::{Client, Folder, RedisServer, Server, show};

/// An IPv4 address of this machine that others could use. Asking the system for the way to an
/// address sends nothing.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    let is_usable = !address.is_loopback() && !address.is_unspecified();
    (is_usable && TcpListener::bind((address, 0)).is_ok()).then_some(address)
}

/// That address, or a word on why a test does nothing.
fn address_or_reason(test: &str) -> Option<String> {
    let address = outward_address();
    if address.is_none() {
        eprintln!("{test}: not run, for this machine has no address but those of the loopback");
    }
    address.map(|address| address.to_string())
}

/// A server that listens at the loopback address and at `address`, and where the latter is.
fn server_at(address: &str, flags: &[&str]) -> (Server, SocketAddr) {
    let flags = [flags, &["--port", "0", "--bind", "127.0.0.1", address]].concat();
    let server = Server::with(&flags);
    let outside = SocketAddr::new(address.parse().expect("an address"), server.address.port());
    (server, outside)
}

#[test]
fn a_client_from_elsewhere_is_told_what_to_do_in_the_words_of_redis() {
    let Some(address) = address_or_reason("protected mode") else { return };
    let folder = Folder::new();
    let redis = RedisServer::with(folder.path(), &["--save", "", "--bind", "127.0.0.1", &address]);
    let expected = Client::connect(SocketAddr::new(
        address.parse().expect("an address"),
        redis.address.port(),
    ))
    .rest();
    assert!(expected.starts_with(b"-DENIED "), "{}", show(&expected));

    let (server, outside) = server_at(&address, &[]);
    assert_eq!(show(&Client::connect(outside).rest()), show(&expected));
    assert_eq!(server.connect().ask("PING"), "+PONG\r\n");
    assert_eq!(server.info("rejected_connections"), 1);
}

#[test]
fn a_password_or_a_no_lets_them_in() {
    let Some(address) = address_or_reason("protected mode with a password") else { return };
    let (_server, outside) = server_at(&address, &["--requirepass", "sesame"]);
    let mut client = Client::connect(outside);
    assert_eq!(client.ask("PING"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(client.ask("AUTH sesame"), "+OK\r\n");
    assert_eq!(client.ask("PING"), "+PONG\r\n");

    let (_server, outside) = server_at(&address, &["--protected-mode", "no"]);
    assert_eq!(Client::connect(outside).ask("PING"), "+PONG\r\n");
}
