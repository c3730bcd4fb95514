//! The server that is tested.

use std::net::SocketAddr;

use super::harness::{Client, LogFile, RedisServer, Server, wait_until};

enum Kind {
    /// `None` only between a kill and a restart.
    Ours(Option<Server>),
    Redis(Option<RedisServer>),
}

/// A server whose memory can be bounded.
pub(crate) struct Target {
    kind: Kind,
    log: Option<LogFile>,
    flags: Vec<String>,
}

/// Whether a redis-server is tested.
pub(crate) fn is_redis() -> bool {
    match std::env::var("FERRUM_EVICTION_SERVER").as_deref() {
        Err(_) | Ok("") => false,
        Ok("redis") => true,
        Ok(other) => panic!("FERRUM_EVICTION_SERVER={other}: it is 'redis' or not set"),
    }
}

impl Target {
    /// The server that the environment names, empty, without a log; two workers if it is ours.
    pub(crate) fn start(flags: &[&str]) -> Target {
        Target::launched(flags, None)
    }

    /// The same with a log that is synced as `appendfsync` says.
    pub(crate) fn with_log(appendfsync: &str, flags: &[&str]) -> Target {
        let flags = [&["--appendfsync", appendfsync], flags].concat();
        Target::launched(&flags, Some(LogFile::new()))
    }

    fn launched(flags: &[&str], log: Option<LogFile>) -> Target {
        let kind = if is_redis() { Kind::Redis(None) } else { Kind::Ours(None) };
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut target = Target { kind, log, flags };
        target.launch();
        target
    }

    fn launch(&mut self) {
        let mut flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        match (&mut self.kind, &self.log) {
            (Kind::Ours(server), log) => {
                flags.extend(["--io-threads", "2"]);
                if let Some(log) = log {
                    flags.extend(["--aof-path", log.path()]);
                }
                *server = Some(Server::with(&flags));
            }
            (Kind::Redis(server), Some(log)) => {
                flags.extend(["--save", "", "--appendonly", "yes"]);
                *server = Some(RedisServer::with(log.folder.path(), &flags));
            }
            (Kind::Redis(server), None) => {
                flags.extend(["--save", "", "--appendonly", "no"]);
                let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
                *server = Some(RedisServer::with(folder, &flags));
            }
        }
    }

    /// Ends the process at once and starts it again with its log.
    pub(crate) fn kill_and_restart(&mut self) {
        match &mut self.kind {
            Kind::Ours(server) => server.take().expect("it runs").kill(),
            // Dropping it is a kill.
            Kind::Redis(server) => drop(server.take()),
        }
        self.launch();
    }

    /// Ends it in an orderly way and starts it again with its log.
    pub(crate) fn stop_and_restart(&mut self) {
        match &mut self.kind {
            Kind::Ours(server) => {
                let mut server = server.take().expect("it runs");
                server.signal("TERM");
                assert!(server.wait().success());
            }
            Kind::Redis(server) => {
                let server = server.take().expect("it runs");
                let mut client = server.connect();
                client.send(b"SHUTDOWN\r\n");
                client.rest();
            }
        }
        self.launch();
    }

    fn address(&self) -> SocketAddr {
        match &self.kind {
            Kind::Ours(server) => server.as_ref().expect("it runs").address,
            Kind::Redis(server) => server.as_ref().expect("it runs").address,
        }
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// The log, if it keeps one.
    pub(crate) fn log(&self) -> Option<&LogFile> {
        self.log.as_ref()
    }
}

/// What a test asks of a server again and again.
pub(crate) trait Questions {
    /// A field of INFO; none if there is no such field.
    fn find_info(&mut self, field: &str) -> Option<u64>;

    /// A field of INFO.
    fn info(&mut self, field: &str) -> u64;

    /// Bytes that count against the bound.
    fn used_bytes(&mut self) -> u64;

    /// Keys of the selected database.
    fn keys(&mut self) -> u64;

    /// Changes a setting.
    fn configure(&mut self, name: &str, value: &str);

    /// Sends many commands at once; every reply must begin with these bytes.
    fn all(&mut self, commands: &[Vec<u8>], expected: &[u8]);

    /// Sends many commands at once.
    fn replies(&mut self, commands: &[Vec<u8>]) -> Vec<Vec<u8>>;
}

/// The most bytes that are sent before replies are read.
const BATCH_BYTES: usize = 32 * 1024;

impl Questions for Client {
    fn find_info(&mut self, field: &str) -> Option<u64> {
        let text = self.ask("INFO");
        let start = format!("{field}:");
        let value = text.lines().find_map(|line| line.strip_prefix(&start))?.trim();
        Some(value.parse().unwrap_or_else(|_| panic!("{field} is {value}")))
    }

    fn info(&mut self, field: &str) -> u64 {
        self.find_info(field).unwrap_or_else(|| panic!("no {field} in INFO"))
    }

    fn used_bytes(&mut self) -> u64 {
        self.info("used_memory").saturating_sub(self.info("mem_not_counted_for_evict"))
    }

    fn keys(&mut self) -> u64 {
        let reply = self.ask("DBSIZE");
        reply[1..].trim().parse().unwrap_or_else(|_| panic!("DBSIZE: {reply}"))
    }

    fn configure(&mut self, name: &str, value: &str) {
        assert_eq!(self.ask(&format!("CONFIG SET {name} {value}")), "+OK\r\n", "{name} {value}");
    }

    fn all(&mut self, commands: &[Vec<u8>], expected: &[u8]) {
        for reply in self.replies(commands) {
            assert!(reply.starts_with(expected), "{}", reply.escape_ascii());
        }
    }

    fn replies(&mut self, commands: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut replies = Vec::with_capacity(commands.len());
        let mut rest = commands;
        while !rest.is_empty() {
            let mut bytes = Vec::new();
            let fits = rest.iter().position(|command| {
                let is_full = !bytes.is_empty() && bytes.len() + command.len() > BATCH_BYTES;
                if !is_full {
                    bytes.extend_from_slice(command);
                }
                is_full
            });
            let (batch, later) = rest.split_at(fits.unwrap_or(rest.len()));
            self.send(&bytes);
            replies.extend(batch.iter().map(|_| self.reply()));
            rest = later;
        }
        replies
    }
}

/// What the reply to INFO itself may take, and connections.
const REPLIES_BYTES: u64 = 128 * 1024;

/// Waits until the bytes in use are at most so many, apart from what it takes to ask.
pub(crate) fn wait_until_used_at_most(client: &mut Client, bytes: u64) {
    let mut last = 0;
    wait_until(&format!("at most {bytes} bytes are in use"), || {
        last = client.used_bytes();
        last <= bytes + REPLIES_BYTES
    });
}
