//! What every test works with: a server process, a client of raw bytes, the tools of Redis.

mod client;
mod server;
mod tools;

pub(crate) use client::{Client, encode};
pub(crate) use server::{Server, server_command};
pub(crate) use tools::{RedisServer, tool};

use std::time::{Duration, Instant};

/// How long anything may take before a test calls it stuck. Far beyond what a busy machine of two
/// cores needs for the longest step of any test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `condition` holds; panics with `what` when that takes too long.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes as text: printable characters as they are, the rest escaped.
pub(crate) fn show(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 600;
    let shown = bytes[..bytes.len().min(SHOWN_MAX)].escape_ascii().to_string();
    match bytes.len() {
        length if length > SHOWN_MAX => format!("{shown}... ({length} bytes)"),
        _ => shown,
    }
}

/// A small fast generator (Marsaglia's xorshift), so that a run can be repeated from its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}
