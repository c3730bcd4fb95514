//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::baseline::Baseline;
use crate::pattern::Pattern;

/// The names of servers' policies that evict something.
const SERVER_POLICIES: [&str; 9] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "allkeys-ahe",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ahe",
    "volatile-ttl",
];

/// What is replayed when nothing is said.
const SERVER_POLICIES_DEFAULT: [&str; 4] =
    ["allkeys-ahe", "allkeys-lru", "allkeys-lfu", "allkeys-random"];

/// Measures hit ratios of eviction policies on traces and on made-up patterns.
#[derive(Parser)]
#[command(name = "cargo bench --bench hit_ratio --", disable_version_flag = true)]
pub(crate) struct Options {
    /// Files of one decimal key id per line, plain or `.zst`.
    pub(crate) traces: Vec<PathBuf>,
    /// Made-up patterns of a million requests.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) patterns: Vec<Pattern>,
    /// Cache sizes in objects [default: 0.1, 1 and 10 % of a trace's distinct keys; 1000,5000 for
    /// patterns].
    #[arg(long, value_delimiter = ',', value_parser = positive)]
    pub(crate) sizes: Vec<usize>,
    /// Baselines (lru, lfu, sieve, s3-fifo, w-tinylfu, arc, belady) and servers' policies
    /// (allkeys-ahe, volatile-lru, ...) [default: all baselines and allkeys-*].
    #[arg(long, value_delimiter = ',', value_parser = policy)]
    policies: Vec<Policy>,
    /// HOST:PORT of a server to replay servers' policies on. ITS DATA IS LOST: every replay begins
    /// with FLUSHALL.
    #[arg(long)]
    pub(crate) tcp: Option<String>,
    /// The length of values on a server [default: 1 MiB / objects, from 16 to 4096].
    #[arg(long)]
    pub(crate) value_bytes: Option<usize>,
    /// Replays at the same time [default: the number of processors].
    #[arg(long, default_value_t = processors(), hide_default_value = true)]
    pub(crate) threads: usize,
    /// Writes all results to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Draws the means over the traces into this SVG file.
    #[arg(long)]
    pub(crate) plot: Option<PathBuf>,
    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A column of the results.
#[derive(Clone)]
pub(crate) enum Policy {
    Baseline(Baseline),
    /// By its name in `maxmemory-policy`.
    Server(&'static str),
}

impl Options {
    pub(crate) fn columns(&self) -> Vec<Policy> {
        if !self.policies.is_empty() {
            return self.policies.clone();
        }
        let servers = SERVER_POLICIES_DEFAULT.into_iter().map(Policy::Server);
        servers.chain(Baseline::value_variants().iter().copied().map(Policy::Baseline)).collect()
    }

    /// Whether a policy's replays go to a server.
    pub(crate) fn is_live(&self, policy: &Policy) -> bool {
        self.tcp.is_some() && matches!(policy, Policy::Server(_))
    }

    /// What a column is called.
    pub(crate) fn name(&self, policy: &Policy) -> String {
        match policy {
            Policy::Baseline(kind) => {
                let value = kind.to_possible_value();
                value.map_or(String::new(), |value| value.get_name().to_owned())
            }
            Policy::Server(name) if self.tcp.is_some() => format!("{name} (tcp)"),
            Policy::Server(name) => (*name).to_owned(),
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| "a number of objects, 1 at least".to_owned())
}

fn policy(text: &str) -> Result<Policy, String> {
    if let Some(name) = SERVER_POLICIES.into_iter().find(|&name| name == text) {
        return Ok(Policy::Server(name));
    }
    Baseline::from_str(text, false).map(Policy::Baseline)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
