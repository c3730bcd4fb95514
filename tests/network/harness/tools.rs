//! Redis's own programs, to talk to the server under test or to compare it with.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Client, wait_until};

const INSTALL_HINT: &str = "it comes with 'apt-get install redis-server redis-tools'";

/// A program of Redis. A test that needs one fails where it is missing, and says how to get it.
pub(crate) fn tool(name: &str) -> Command {
    let found = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(found, "{name} is not in the PATH: {INSTALL_HINT}");
    Command::new(name)
}

/// A redis-server on a port of its own.
pub(crate) struct RedisServer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl RedisServer {
    /// Without persistence.
    pub(crate) fn start() -> RedisServer {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        RedisServer::with(folder, &["--save", "", "--appendonly", "no"])
    }

    /// With these flags, in this folder; it has loaded what it finds there.
    pub(crate) fn with(folder: &Path, arguments: &[&str]) -> RedisServer {
        const TRIES: usize = 5;
        // The free port may be taken by another process before redis-server gets it.
        let server = (0..TRIES).find_map(|_| RedisServer::try_start(folder, arguments));
        let server = server.expect("redis-server starts");
        wait_until("redis-server has loaded", || {
            !server.connect().ask("PING").starts_with("-LOADING")
        });
        server
    }

    fn try_start(folder: &Path, arguments: &[&str]) -> Option<RedisServer> {
        let address = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let port = address.port().to_string();
        let child = tool("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let mut server = RedisServer { child, address };
        let mut alive = true;
        wait_until("redis-server listens", || {
            alive = matches!(server.child.try_wait(), Ok(None));
            let timeout = Duration::from_millis(100);
            !alive || std::net::TcpStream::connect_timeout(&address, timeout).is_ok()
        });
        alive.then_some(server)
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
