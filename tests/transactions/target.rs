//! The server that is tested.

use std::net::SocketAddr;
use std::time::Duration;

use super::harness::{LogFile, RedisServer, Server, wait_until};
use super::link::Link;

enum Kind {
    /// `None` only between a kill and a restart.
    Ours(Option<Server>, LogFile),
    Redis(Option<RedisServer>, LogFile),
    Running(SocketAddr),
}

/// A server with a log, if it is not one that runs already.
pub(crate) struct Target {
    kind: Kind,
    policy: &'static str,
}

impl Target {
    /// The server that the environment names, empty; its log has this policy.
    pub(crate) fn start(policy: &'static str) -> Target {
        let wanted = std::env::var("FERRUM_TRANSACTIONS_SERVER").unwrap_or_default();
        let kind = match wanted.as_str() {
            "" => Kind::Ours(None, LogFile::new()),
            "redis" => Kind::Redis(None, LogFile::new()),
            address => Kind::Running(address.parse().expect("HOST:PORT")),
        };
        let mut target = Target { kind, policy };
        target.launch();
        assert!(target.link().ask("FLUSHALL").is_ok());
        target
    }

    fn launch(&mut self) {
        match &mut self.kind {
            Kind::Ours(server, log) => {
                *server = Some(Server::with(&log.flags(self.policy)));
            }
            Kind::Redis(server, log) => {
                let flags = ["--save", "", "--appendonly", "yes", "--appendfsync", self.policy];
                *server = Some(RedisServer::with(log.folder.path(), &flags));
            }
            Kind::Running(_) => {}
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.kind {
            Kind::Ours(server, _) => server.as_ref().expect("it runs").address,
            Kind::Redis(server, _) => server.as_ref().expect("it runs").address,
            Kind::Running(address) => *address,
        }
    }

    pub(crate) fn link(&self) -> Link {
        Link::open(self.address())
    }

    /// Whether it can be killed and started again.
    pub(crate) fn has_log(&self) -> bool {
        !matches!(self.kind, Kind::Running(_))
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        match &mut self.kind {
            Kind::Ours(server, _) => {
                let mut server = server.take().expect("it runs");
                server.kill();
            }
            // Dropping it is a kill.
            Kind::Redis(server, _) => drop(server.take()),
            Kind::Running(_) => panic!("it is not ours to kill"),
        }
    }

    /// Starts it again with its log.
    pub(crate) fn restart(&mut self) {
        self.launch();
    }

    /// Ends it in an orderly way and starts it again.
    pub(crate) fn stop_and_restart(&mut self) {
        if let Kind::Redis(Some(_), _) = &self.kind {
            // It has no other way here: what it has written is in the file after this.
            std::thread::sleep(Duration::from_millis(1_500));
            self.kill();
        } else if let Kind::Ours(server, _) = &mut self.kind {
            let mut server = server.take().expect("it runs");
            server.signal("TERM");
            assert!(server.wait().success());
        }
        self.launch();
        wait_until("it answers", || !self.link().ask("PING").is_error());
    }
}
