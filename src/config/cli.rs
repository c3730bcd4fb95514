//! The command line.
//!
//! Each flag has the name of the Redis setting where there is one, and no default of its own: a
//! flag that is not given leaves the [`Config`] it is applied to as it was. So the same flags
//! can later override what a configuration file says.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use super::{
    Address, AppendFsync, Config, INT_MAX, IO_THREADS_MAX, LogLevel, Permission, Policy,
    Supervised, TENACITY_MAX, parse_memory,
};

/// The least that the two buffer limits can be (Redis's own bound for both), in bytes.
const BUFFER_LIMIT_MIN_BYTES: usize = 1 << 20;

/// The most that one argument can be: what a record holds, and Redis's default, in bytes.
const BULK_LEN_MAX_BYTES: usize = 512 << 20;

/// The most clients that can be asked for (Redis: an unsigned 32-bit number).
const CLIENTS_MAX: u64 = u32::MAX as u64;

#[derive(Debug, Parser)]
#[command(name = "ferrum-kv", version, about, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Flags {
    #[command(subcommand)]
    task: Option<Task>,

    /// Address to listen on [default: 127.0.0.1:6380]
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<Address>,

    /// Worker threads, at most 128; 0 means one per core [default: 0]
    #[arg(long, value_name = "N", value_parser = parse_io_threads)]
    io_threads: Option<usize>,

    /// Most clients connected at once [default: 10000]
    #[arg(long, value_name = "N", value_parser = counted(1, CLIENTS_MAX))]
    maxclients: Option<usize>,

    /// What to log: debug, verbose, notice or warning (also trace, info, error); the environment
    /// variable RUST_LOG overrides it [default: notice]
    #[arg(long, value_name = "LEVEL")]
    loglevel: Option<LogLevel>,

    /// Disconnect a client that was silent for so many seconds; 0 means never [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = within(0, INT_MAX))]
    client_timeout: Option<u64>,

    /// Share of a worker's time for keys past their deadline, 1 to 10 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10))]
    active_expire_effort: Option<u32>,

    /// Number of databases [default: 16]
    #[arg(long, value_name = "N", value_parser = counted(1, INT_MAX))]
    databases: Option<usize>,

    /// Longest argument of a command and longest value, 1mb to 512mb [default: 512mb]
    #[arg(long, value_name = "BYTES", value_parser = parse_bulk_limit)]
    proto_max_bulk_len: Option<usize>,

    /// Longest unfinished command, at least 1mb [default: 1gb]
    #[arg(long, value_name = "BYTES", value_parser = parse_buffer_limit)]
    client_query_buffer_limit: Option<usize>,

    /// Log every change to this file, and load it at the start; a file that ends in .manifest is
    /// one of redis-server's [default: no log]
    #[arg(long, value_name = "FILE")]
    aof_path: Option<PathBuf>,

    /// When to sync the log: always, everysec or no [default: everysec]
    #[arg(long, value_name = "WHEN")]
    appendfsync: Option<AppendFsync>,

    /// Rewrite the log when it has grown by so many percent; 0 means never [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=INT_MAX as i64))]
    auto_aof_rewrite_percentage: Option<u32>,

    /// Never rewrite a log smaller than this by itself [default: 64mb]
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    auto_aof_rewrite_min_size: Option<u64>,

    /// Who may use DEBUG: no, yes or local [default: no]
    #[arg(long, value_name = "WHO", value_parser = parse_permission)]
    enable_debug_command: Option<Permission>,

    /// Who is told that the server is ready: no, systemd, upstart or auto [default: no]
    #[arg(long, value_name = "BY", value_parser = parse_supervised)]
    supervised: Option<Supervised>,

    /// Most memory that the data may take; 0 means any amount [default: 0]
    #[arg(long, value_name = "BYTES", value_parser = parse_size)]
    maxmemory: Option<u64>,

    /// What to do when it is used up: noeviction, or allkeys- or volatile- with lru, lfu, ahe or
    /// random, or volatile-ttl [default: noeviction]
    #[arg(long, value_name = "POLICY", value_parser = parse_policy)]
    maxmemory_policy: Option<Policy>,

    /// Keys to look at for each one that is evicted [default: 5]
    #[arg(long, value_name = "N", value_parser = within(1, INT_MAX))]
    maxmemory_samples: Option<u64>,

    /// How long a request may wait for an eviction: 0 is not at all, 10 half a millisecond, 100
    /// until there is room [default: 10]
    #[arg(long, value_name = "N", value_parser = within(0, TENACITY_MAX))]
    maxmemory_eviction_tenacity: Option<u64>,

    /// How slowly the counter of the lfu policies rises [default: 10]
    #[arg(long, value_name = "N", value_parser = within(0, INT_MAX))]
    lfu_log_factor: Option<u64>,

    /// Minutes after which it falls by one; 0 means never [default: 1]
    #[arg(long, value_name = "MINUTES", value_parser = within(0, INT_MAX))]
    lfu_decay_time: Option<u64>,
}

/// What can be asked for instead of a server.
#[derive(Debug, Subcommand)]
enum Task {
    /// Verify a log and print what is in it; exit code 0 if it is whole
    Check(Check),
    /// Ask a server whether it serves; exit code 0 if it does
    Ping(Ping),
}

/// Which server to ask. A password comes from the environment variable REDISCLI_AUTH.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Ping {
    /// Its address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6380")]
    pub addr: Address,

    /// How long to wait for its answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

/// What to check, and what may be done to it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Check {
    /// The log, or the manifest of a log of redis-server
    #[arg(value_name = "FILE")]
    pub path: PathBuf,

    /// Cut off a torn end after asking; what is cut is kept in FILE.torn-SECONDS
    #[arg(long)]
    pub fix: bool,

    /// Do not ask
    #[arg(long, requires = "fix")]
    pub yes: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Run a server with these settings.
    Serve(Box<Config>),
    /// Verify a log.
    Check(Check),
    /// Ask a server whether it serves.
    Ping(Ping),
    /// Print this text (help or version) and end well.
    Show(String),
}

/// Reads the command line; `arguments` begins with the program's name.
///
/// # Errors
/// One line for the operator when an argument is unknown or has a value it cannot have.
pub fn parse<A: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = A>,
) -> Result<Request, String> {
    match Flags::try_parse_from(arguments) {
        Ok(Flags { task: Some(Task::Check(check)), .. }) => Ok(Request::Check(check)),
        Ok(Flags { task: Some(Task::Ping(ping)), .. }) => Ok(Request::Ping(ping)),
        Ok(flags) => {
            let mut config = Config::default();
            flags.apply(&mut config);
            Ok(Request::Serve(Box::new(config)))
        }
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Ok(Request::Show(error.to_string()))
            }
            // The first line says what is wrong; the rest repeats the usage.
            _ => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                let line = line.strip_prefix("error: ").unwrap_or(line);
                Err(format!("{line} (--help shows the options)"))
            }
        },
    }
}

impl Flags {
    /// Puts every flag that was given into `config`.
    fn apply(self, config: &mut Config) {
        fn put<T>(target: &mut T, given: Option<T>) {
            if let Some(value) = given {
                *target = value;
            }
        }
        if let Some(Address { host, port }) = self.addr {
            config.bind = vec![host];
            config.port = port;
        }
        put(&mut config.io_threads, self.io_threads);
        put(&mut config.max_clients, self.maxclients);
        put(&mut config.log_level, self.loglevel);
        put(&mut config.client_timeout_seconds, self.client_timeout);
        put(&mut config.active_expire_effort, self.active_expire_effort);
        put(&mut config.databases, self.databases);
        put(&mut config.proto_max_bulk_len_bytes, self.proto_max_bulk_len);
        put(&mut config.client_query_buffer_limit_bytes, self.client_query_buffer_limit);
        config.aof_path = self.aof_path.or(config.aof_path.take());
        put(&mut config.append_fsync, self.appendfsync);
        put(&mut config.auto_aof_rewrite_percentage, self.auto_aof_rewrite_percentage);
        put(&mut config.auto_aof_rewrite_min_size_bytes, self.auto_aof_rewrite_min_size);
        put(&mut config.enable_debug_command, self.enable_debug_command);
        put(&mut config.supervised, self.supervised);
        put(&mut config.max_memory_bytes, self.maxmemory);
        put(&mut config.max_memory_policy, self.maxmemory_policy);
        put(&mut config.max_memory_samples, self.maxmemory_samples);
        put(&mut config.max_memory_eviction_tenacity, self.maxmemory_eviction_tenacity);
        put(&mut config.lfu_log_factor, self.lfu_log_factor);
        put(&mut config.lfu_decay_time_minutes, self.lfu_decay_time);
    }
}

/// Accepts a whole number within bounds, both included.
fn counted(least: u64, most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=most)
}

fn within(least: u64, most: u64) -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(least..=most)
}

fn parse_permission(text: &str) -> Result<Permission, String> {
    match text.to_ascii_lowercase().as_str() {
        "no" => Ok(Permission::No),
        "yes" => Ok(Permission::Yes),
        "local" => Ok(Permission::Local),
        _ => Err("expected one of no, yes, local".to_owned()),
    }
}

fn parse_supervised(text: &str) -> Result<Supervised, String> {
    match text.to_ascii_lowercase().as_str() {
        "no" => Ok(Supervised::No),
        "systemd" => Ok(Supervised::Systemd),
        "upstart" => Ok(Supervised::Upstart),
        "auto" => Ok(Supervised::Auto),
        _ => Err("expected one of no, systemd, upstart, auto".to_owned()),
    }
}

fn parse_policy(text: &str) -> Result<Policy, String> {
    Policy::from_name(text.as_bytes()).ok_or_else(|| format!("expected one of {}", Policy::names()))
}

fn parse_io_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if threads <= IO_THREADS_MAX => Ok(threads),
        Ok(_) => Err(format!("at most {IO_THREADS_MAX} worker threads")),
        Err(_) => Err("expected a whole number, 0 for one per core".to_owned()),
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    parse_memory(text).map(|bytes| bytes as u64)
}

fn parse_bulk_limit(text: &str) -> Result<usize, String> {
    match parse_buffer_limit(text)? {
        bytes if bytes > BULK_LEN_MAX_BYTES => Err("at most 512mb".to_owned()),
        bytes => Ok(bytes),
    }
}

fn parse_buffer_limit(text: &str) -> Result<usize, String> {
    match parse_memory(text)? {
        bytes if bytes < BUFFER_LIMIT_MIN_BYTES => Err("at least 1mb".to_owned()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Scope, Score};

    fn config(arguments: &[&str]) -> Result<Config, String> {
        let arguments = [&["ferrum-kv"], arguments].concat();
        match parse(arguments)? {
            Request::Serve(config) => Ok(*config),
            Request::Check(check) => panic!("{check:?}"),
            Request::Ping(ping) => panic!("{ping:?}"),
            Request::Show(text) => Err(text),
        }
    }

    fn check(arguments: &[&str]) -> Result<Check, String> {
        let arguments = [&["ferrum-kv", "check"], arguments].concat();
        match parse(arguments)? {
            Request::Check(check) => Ok(check),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_check_has_a_file_and_flags_of_its_own() {
        let path = PathBuf::from("log.aof");
        let expected = Check { path, fix: false, yes: false };
        assert_eq!(check(&["log.aof"]), Ok(expected.clone()));
        assert_eq!(check(&["--fix", "log.aof"]), Ok(Check { fix: true, ..expected.clone() }));
        let both = Check { fix: true, yes: true, ..expected };
        assert_eq!(check(&["log.aof", "--fix", "--yes"]), Ok(both));
        for wrong in [&[][..], &["log.aof", "--yes"], &["log.aof", "--maxclients", "1"]] {
            assert!(!check(wrong).unwrap_err().contains('\n'), "{wrong:?}");
        }
        assert!(config(&["--maxclients", "1", "check", "log.aof"]).is_err());
    }

    #[test]
    fn a_ping_has_an_address_and_a_time() {
        let ping = |arguments: &[&str]| match parse([&["ferrum-kv", "ping"], arguments].concat())
            .expect("well formed")
        {
            Request::Ping(ping) => (ping.addr.to_string(), ping.timeout),
            other => panic!("{other:?}"),
        };
        assert_eq!(ping(&[]), ("127.0.0.1:6380".to_owned(), 5));
        assert_eq!(ping(&["--addr=h:1", "--timeout=9"]), ("h:1".to_owned(), 9));
    }

    #[test]
    fn no_flags_mean_the_defaults() {
        assert_eq!(config(&[]), Ok(Config::default()));
    }

    #[test]
    fn each_flag_reaches_its_setting() {
        let config = config(&[
            "--addr=[::1]:7000",
            "--io-threads=3",
            "--maxclients=50",
            "--loglevel=warning",
            "--client-timeout=9",
            "--databases=2",
            "--active-expire-effort=4",
            "--proto-max-bulk-len=2mb",
            "--client-query-buffer-limit=3mb",
            "--aof-path=data/log",
            "--appendfsync=Always",
            "--auto-aof-rewrite-percentage=50",
            "--auto-aof-rewrite-min-size=1mb",
            "--maxmemory=100mb",
            "--maxmemory-policy=Allkeys-AHE",
            "--maxmemory-samples=7",
            "--maxmemory-eviction-tenacity=100",
            "--lfu-log-factor=0",
            "--lfu-decay-time=2",
        ]);
        let expected = Config {
            bind: vec!["::1".to_owned()],
            port: 7000,
            io_threads: 3,
            max_clients: 50,
            log_level: LogLevel::Warning,
            client_timeout_seconds: 9,
            active_expire_effort: 4,
            databases: 2,
            proto_max_bulk_len_bytes: 2 << 20,
            client_query_buffer_limit_bytes: 3 << 20,
            aof_path: Some("data/log".into()),
            append_fsync: AppendFsync::Always,
            auto_aof_rewrite_percentage: 50,
            auto_aof_rewrite_min_size_bytes: 1 << 20,
            max_memory_bytes: 100 << 20,
            max_memory_policy: Policy::Evict(Scope::AllKeys, Score::Ahe),
            max_memory_samples: 7,
            max_memory_eviction_tenacity: 100,
            lfu_log_factor: 0,
            lfu_decay_time_minutes: 2,
            ..Config::default()
        };
        assert_eq!(config, Ok(expected));
    }

    #[test]
    fn a_value_out_of_range_is_one_clear_line() {
        let error = config(&["--io-threads", "129"]).unwrap_err();
        assert_eq!(
            error,
            "invalid value '129' for '--io-threads <N>': at most 128 worker threads \
             (--help shows the options)"
        );
        for arguments in [
            ["--maxclients", "0"],
            ["--databases", "0"],
            ["--proto-max-bulk-len", "1kb"],
            ["--proto-max-bulk-len", "513mb"],
            ["--addr", "nonsense"],
            ["--loglevel", "loud"],
            ["--client-timeout", "-1"],
            ["--appendfsync", "sometimes"],
            ["--auto-aof-rewrite-percentage", "2147483648"],
            ["--auto-aof-rewrite-min-size", "1x"],
            ["--maxmemory", "10%"],
            ["--maxmemory", "kb"],
            ["--maxmemory-policy", "lru"],
            ["--maxmemory-samples", "0"],
            ["--maxmemory-eviction-tenacity", "101"],
            ["--lfu-log-factor", "2147483648"],
            ["--lfu-decay-time", "-1"],
            ["--no-such-flag", "1"],
        ] {
            let error = config(&arguments).unwrap_err();
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn help_and_version_are_texts_to_show() {
        assert!(config(&["--help"]).unwrap_err().contains("--io-threads"));
        let version = config(&["--version"]).unwrap_err();
        assert_eq!(version.trim(), concat!("ferrum-kv ", env!("CARGO_PKG_VERSION")));
    }
}
