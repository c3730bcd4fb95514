//! The settings of a server, as plain data.
//!
//! [`Config`] is what the rest of the server reads; where the values came from (the command line in
//! [`cli`], a file in [`mod@file`], CONFIG SET, defaults) is no concern of its readers. What a
//! setting is called and what it may be is a row of [`directives`]. The values of a `Config` made
//! here have been checked; whoever changes one afterwards keeps within the ranges given beside the
//! fields. Units are part of the names.
//!
//! * [`directives`]: the rows;
//! * [`mod@file`]: reads configuration files, [`rewrite`] writes one anew; [`quote`] writes words;
//! * `wildcard`: names of files to include;
//! * [`cli`]: the command line, `help`: what is said of it;
//! * `policy`, `units`: values.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::Error;

pub mod cli;
pub mod directives;
mod events;
pub mod file;
mod help;
mod policy;
pub mod quote;
pub mod rewrite;
mod units;
mod wildcard;

pub use events::EventClasses;
pub use policy::{Policy, Scope, Score, TENACITY_MAX};
pub use units::{memory_of, parse_memory};

/// The most workers that can be asked for. Far beyond the cores of today's machines, and small
/// enough that a slip of the finger does not start a million threads.
pub const IO_THREADS_MAX: usize = 128;

/// The most of those settings that Redis keeps in an int.
pub const INT_MAX: u64 = i32::MAX as u64;

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses and names of this machine to listen at; none means no TCP. One that begins with
    /// `-` may be missing, `*` is every IPv4 address, `::*` every IPv6 address (as in Redis).
    pub bind: Vec<String>,
    /// TCP port; 0 lets the operating system choose one at the start, and means none later.
    pub port: u16,
    /// Path of a Unix socket to listen at.
    pub unix_socket: Option<PathBuf>,
    /// Its mode, such as 0o700; the process's umask decides without it.
    pub unix_socket_mode: Option<u32>,
    /// Connections that the system keeps for us until they are accepted.
    pub tcp_backlog: u32,
    /// Silence in seconds after which the system asks whether a peer is still there; 0 never.
    pub tcp_keepalive_seconds: u32,
    /// Whether only this machine may connect while there is no password and no `bind`.
    pub protected_mode: bool,
    /// The password; empty means none.
    pub require_pass: Secret,
    /// Whether DEBUG may be used.
    pub enable_debug_command: Permission,
    /// Whether settings may be changed that could be used to break in.
    pub enable_protected_configs: Permission,
    /// The configuration file, if there is one: an absolute path.
    pub config_file: Option<PathBuf>,
    /// Where the names of included files begin: the folder in which the process was started, or
    /// empty for the current one.
    pub include_folder: PathBuf,
    /// The working directory, to which relative paths belong.
    pub dir: PathBuf,
    /// Where messages go; standard error without it.
    pub log_file: Option<PathBuf>,
    /// Where the number of the process is written.
    pub pid_file: Option<PathBuf>,
    /// Whether to run in the background.
    pub daemonize: bool,
    /// Who watches over the process.
    pub supervised: Supervised,
    /// Ticks a second (Redis's word for how often upkeep is done): 1 to 500.
    pub hz: u32,
    /// Replies that may wait for a client, by its kind: normal, replica, pubsub.
    pub client_output_buffer_limits: [OutputLimit; 3],
    /// Commands that take longer, in microseconds, are noted in the slow log; negative: none.
    pub slowlog_log_slower_than_us: i64,
    /// Entries of the slow log.
    pub slowlog_max_len: u64,
    /// Events that take so long, in milliseconds, are noted by the latency monitor; 0: none.
    pub latency_monitor_threshold_ms: u64,
    /// Whether the latencies of commands are kept in histograms.
    pub latency_tracking: bool,
    /// The percentiles of them that INFO shows.
    pub latency_tracking_percentiles: Vec<f64>,
    /// What is told to subscribers about keys.
    pub notify_keyspace_events: EventClasses,
    /// Worker threads, each with its own event loop: 1 to [`IO_THREADS_MAX`], or 0 for one per
    /// core.
    pub io_threads: usize,
    /// The most clients connected at once, at least 1.
    pub max_clients: usize,
    /// What is logged.
    pub log_level: LogLevel,
    /// A client silent for so long is disconnected; 0 means never.
    pub client_timeout_seconds: u64,
    /// How much of its time a worker gives to keys past their deadline, from 1 to 10.
    pub active_expire_effort: u32,
    /// Databases that SELECT can choose, at least 1.
    pub databases: usize,
    /// The longest single argument of a command.
    pub proto_max_bulk_len_bytes: usize,
    /// The longest command that is received only in part.
    pub client_query_buffer_limit_bytes: usize,
    /// The log of changes, or the manifest of one of Redis's.
    pub aof_path: Option<PathBuf>,
    /// Whether that path was not given, but found by [`find_log`](Config::find_log).
    pub is_log_found: bool,
    /// Whether to have a log. A path that is given means so too: of the two the later one counts.
    pub append_only: bool,
    /// Its name then.
    pub append_filename: String,
    /// Its folder, within the working directory.
    pub append_dirname: String,
    /// When the log is synced, at the start.
    pub append_fsync: AppendFsync,
    /// By how many percent the log may grow before it is rewritten, at the start; 0 means never.
    pub auto_aof_rewrite_percentage: u32,
    /// A smaller log is not rewritten by itself, at the start.
    pub auto_aof_rewrite_min_size_bytes: u64,
    /// Bytes that the data may take, at the start; 0 means any number.
    pub max_memory_bytes: u64,
    /// What is done when they are used up, at the start.
    pub max_memory_policy: Policy,
    /// Keys looked at for one victim, at the start: 1 to [`INT_MAX`].
    pub max_memory_samples: u64,
    /// How long a request may be kept waiting for victims, at the start: 0 to [`TENACITY_MAX`].
    pub max_memory_eviction_tenacity: u64,
    /// How slowly the counter of LFU rises, at the start: up to [`INT_MAX`].
    pub lfu_log_factor: u64,
    /// Minutes after which it falls by one, at the start: up to [`INT_MAX`], 0 means never.
    pub lfu_decay_time_minutes: u64,
    /// Settings of things that this server does not have, where they are not Redis's defaults.
    pub without_effect: Ignored,
}

impl Config {
    /// Decides on the path of the log, if there is to be one and no path is given: that of
    /// redis-server's log in the working directory, of whatever version, or where its would be.
    pub fn find_log(&mut self) {
        if !self.append_only || self.aof_path.is_some() {
            return;
        }
        let folder = Path::new(&self.append_dirname);
        let path = folder.join(&self.append_filename);
        let manifest = folder.join(format!("{}.manifest", self.append_filename));
        // Before version 7 it was one file beside the snapshot.
        let old = PathBuf::from(&self.append_filename);
        let there = [path.clone(), manifest, old].into_iter().find(|path| path.exists());
        self.aof_path = Some(there.unwrap_or(path));
        self.is_log_found = true;
    }

    /// The path of the log, if there is to be one.
    pub fn log_path(&self) -> Option<&Path> {
        self.aof_path.as_deref().filter(|_| self.append_only)
    }

    /// Where a log is that is turned on when there was none: where the next start would look for
    /// it first.
    pub fn new_log_path(&self) -> PathBuf {
        let found = || Path::new(&self.append_dirname).join(&self.append_filename);
        self.aof_path.clone().unwrap_or_else(found)
    }

    /// The number of workers to start: what was asked for, or one per core this process may use,
    /// and never more than [`IO_THREADS_MAX`].
    pub fn workers(&self) -> usize {
        let wanted = match self.io_threads {
            // The count fails only where the platform cannot tell; one worker always serves.
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            wanted => wanted,
        };
        wanted.clamp(1, IO_THREADS_MAX)
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            bind: vec!["127.0.0.1".to_owned()],
            port: 6380,
            io_threads: 0,
            // The rest are Redis's defaults.
            unix_socket: None,
            unix_socket_mode: None,
            tcp_backlog: 511,
            tcp_keepalive_seconds: 300,
            protected_mode: true,
            require_pass: Secret::default(),
            enable_debug_command: Permission::No,
            enable_protected_configs: Permission::No,
            config_file: None,
            include_folder: PathBuf::new(),
            dir: PathBuf::from("."),
            log_file: None,
            pid_file: None,
            daemonize: false,
            supervised: Supervised::No,
            hz: 10,
            client_output_buffer_limits: [
                OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
                OutputLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 },
                OutputLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_seconds: 60 },
            ],
            slowlog_log_slower_than_us: 10_000,
            slowlog_max_len: 128,
            latency_monitor_threshold_ms: 0,
            latency_tracking: true,
            latency_tracking_percentiles: vec![50.0, 99.0, 99.9],
            notify_keyspace_events: EventClasses::default(),
            max_clients: 10_000,
            log_level: LogLevel::Notice,
            client_timeout_seconds: 0,
            active_expire_effort: 1,
            databases: 16,
            proto_max_bulk_len_bytes: 512 << 20,
            client_query_buffer_limit_bytes: 1 << 30,
            aof_path: None,
            is_log_found: false,
            append_only: false,
            append_filename: "appendonly.aof".to_owned(),
            append_dirname: "appendonlydir".to_owned(),
            append_fsync: AppendFsync::EverySecond,
            auto_aof_rewrite_percentage: 100,
            auto_aof_rewrite_min_size_bytes: 64 << 20,
            max_memory_bytes: 0,
            max_memory_policy: Policy::NoEviction,
            max_memory_samples: 5,
            max_memory_eviction_tenacity: 10,
            lfu_log_factor: 10,
            lfu_decay_time_minutes: 1,
            without_effect: Ignored::default(),
        }
    }
}

/// Values of settings without effect, by name. Some are secrets of other servers, so only the names
/// are printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ignored(BTreeMap<&'static str, Vec<u8>>);

impl Ignored {
    /// The value of this name, if it is not the default.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Keeps a value; none for the default.
    pub fn put(&mut self, name: &'static str, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.0.insert(name, value),
            None => self.0.remove(name),
        };
    }
}

impl fmt::Debug for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The path that these bytes are; none if there are none.
pub(crate) fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    (!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(bytes)))
}

/// The bytes that a path is; none if there is none.
pub(crate) fn path_bytes(path: Option<&Path>) -> Vec<u8> {
    path.map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default()
}

/// What may not be shown: it is left out of everything that is printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "(secret)" })
    }
}

/// Who may use what is dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nobody.
    No,
    /// Everybody.
    Yes,
    /// Clients of this machine.
    Local,
}

/// Who watches over the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// Nobody who is told anything.
    No,
    /// Systemd, by the socket named in NOTIFY_SOCKET.
    Systemd,
    /// Upstart, by stopping until it goes on.
    Upstart,
    /// Whoever has left a sign in the environment.
    Auto,
}

/// How much may wait to be sent to a client before it is disconnected; 0 means any amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// More than this is too much at once.
    pub hard_bytes: u64,
    /// More than this is too much if it lasts.
    pub soft_bytes: u64,
    /// For so long.
    pub soft_seconds: u64,
}

/// When the log is synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before a change is acknowledged.
    Always,
    /// Once a second.
    EverySecond,
    /// When the operating system likes.
    No,
}

impl AppendFsync {
    /// All of them, in the order in which Redis lists them.
    pub const ALL: [AppendFsync; 3] =
        [AppendFsync::EverySecond, AppendFsync::Always, AppendFsync::No];

    /// The one that is this number as an integer, for a setting kept in an atomic word; once a
    /// second if there is none.
    pub fn of_number(number: u64) -> AppendFsync {
        let found = AppendFsync::ALL.into_iter().find(|it| *it as u64 == number);
        found.unwrap_or(AppendFsync::EverySecond)
    }

    /// Redis's word for it.
    pub fn name(self) -> &'static str {
        match self {
            AppendFsync::Always => "always",
            AppendFsync::EverySecond => "everysec",
            AppendFsync::No => "no",
        }
    }

    /// The one of this name, in any mixture of cases.
    pub fn from_name(name: &[u8]) -> Option<AppendFsync> {
        let mut all = AppendFsync::ALL.into_iter();
        all.find(|it| it.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The names, as a message lists them.
    pub fn names() -> String {
        AppendFsync::ALL.map(AppendFsync::name).join(", ")
    }
}

impl FromStr for AppendFsync {
    type Err = String;

    fn from_str(text: &str) -> Result<AppendFsync, String> {
        let found = AppendFsync::from_name(text.as_bytes());
        found.ok_or_else(|| format!("expected one of {}", AppendFsync::names()))
    }
}

/// A place to listen: a host name or IP address, and a port. Port 0 lets the operating system
/// choose one. Written `HOST:PORT`, an IPv6 address in brackets: `[::1]:6380`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// The socket address to bind: of a host name the first one it stands for, an IPv4 address if
    /// it has one, as in Redis. Asks the system's resolver when the host is a name, which may take
    /// seconds.
    ///
    /// # Errors
    /// [`Error::Resolve`] when the name has no address.
    pub fn resolve(&self) -> Result<SocketAddr, Error> {
        let failed = |source| Error::Resolve { address: self.to_string(), source };
        let found = (self.host.as_str(), self.port).to_socket_addrs().map_err(failed)?;
        let found: Vec<_> = found.collect();
        let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
        chosen.copied().ok_or_else(|| failed(std::io::Error::other("the name has no address")))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let expected = || "expected HOST:PORT, such as 127.0.0.1:6380".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port = port
            .parse()
            .map_err(|_| format!("the port '{port}' is not a number from 0 to 65535"))?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(bracketed) => match bracketed.parse() {
                Ok(IpAddr::V6(_)) => bracketed,
                _ => return Err(format!("'{bracketed}' is not an IPv6 address")),
            },
            None if host.is_empty() || host.contains([':', '[', ']']) => return Err(expected()),
            None => host,
        };
        Ok(Address { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How much is logged, from most to least. The names of Redis's `loglevel` and those common
/// elsewhere are both understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// Redis's most talkative level.
    Debug,
    /// Redis's second level; connections that come and go.
    Verbose,
    /// What an operator wants to know; the default. Also called `info`.
    Notice,
    /// What an operator should look into.
    Warning,
    /// Only what went wrong.
    Error,
}

impl LogLevel {
    /// Each level and its name, from most to least.
    const NAMES: [(&str, LogLevel); 7] = [
        ("trace", LogLevel::Trace),
        ("debug", LogLevel::Debug),
        ("verbose", LogLevel::Verbose),
        ("notice", LogLevel::Notice),
        ("info", LogLevel::Notice),
        ("warning", LogLevel::Warning),
        ("error", LogLevel::Error),
    ];

    /// The name, as CONFIG GET shows it.
    pub fn name(self) -> &'static str {
        let row = LogLevel::NAMES.iter().find(|(_, level)| *level == self);
        row.map_or("notice", |(name, _)| name)
    }

    /// The least severe level of the `log` crate that is written out.
    pub fn filter(self) -> log::LevelFilter {
        match self {
            LogLevel::Trace => log::LevelFilter::Trace,
            LogLevel::Debug | LogLevel::Verbose => log::LevelFilter::Debug,
            LogLevel::Notice => log::LevelFilter::Info,
            LogLevel::Warning => log::LevelFilter::Warn,
            LogLevel::Error => log::LevelFilter::Error,
        }
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<LogLevel, String> {
        let row = LogLevel::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        row.map(|(_, level)| *level).ok_or_else(|| {
            let names = LogLevel::NAMES.map(|(name, _)| name);
            format!("expected one of {}", names.join(", "))
        })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<Address, String> {
        text.parse()
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let parsed = address("localhost:0").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port), ("localhost", 0));
        let parsed = address("[::1]:6380").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port), ("::1", 6380));
        assert_eq!(parsed.to_string(), "[::1]:6380");
        assert!(parsed.resolve().unwrap().is_ipv6());
    }

    #[test]
    fn a_bad_address_is_refused() {
        for text in ["", "6380", ":6380", "::1:6380", "[::1:6380", "[1.2.3.4]:1", "h:65536", "h:x"]
        {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn log_levels_go_by_both_sets_of_names() {
        assert_eq!("INFO".parse(), Ok(LogLevel::Notice));
        assert_eq!("verbose".parse(), Ok(LogLevel::Verbose));
        assert_eq!(LogLevel::Notice.name(), "notice");
        assert!("loud".parse::<LogLevel>().is_err());
    }

    #[test]
    fn zero_threads_means_one_per_core() {
        let config = Config::default();
        assert!((1..=IO_THREADS_MAX).contains(&config.workers()));
    }
}
