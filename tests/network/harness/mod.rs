//! What every test works with: a server process, a client of raw bytes, the log
//! and what is in it, the tools of Redis.

mod client;
mod log_file;
mod log_model;
mod server;
mod state;
mod tools;
mod value;

pub(crate) use client::{Client, encode};
pub(crate) use log_file::{Folder, LogFile};
pub(crate) use log_model::{Commands, Logged, Model};
pub(crate) use server::{Server, server_command};
pub(crate) use state::{State, assert_same, dump, strings_in};
pub(crate) use tools::{RedisServer, tool};
pub(crate) use value::Value;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything may take before a test calls it stuck. Far beyond what a busy machine of two
/// cores needs for the longest step of any test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A number of the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| match text.parse() {
        Ok(number) => number,
        Err(error) => panic!("{name}={text}: {error}"),
    })
}

/// The time now, in milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(time.as_millis()).expect("before the year 500 million")
}

/// Tells other threads, when it is dropped, that it is over: also by a panic.
pub(crate) struct Over<'s>(pub(crate) &'s AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

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
