//! Rust clients against a running server: `client-tests HOST PORT`
//!
//! The `redis` crate and `fred`, each over RESP2 and RESP3: strings, counters, deadlines,
//! transactions, pub/sub. Prints one line per client that passed; a check that fails panics.

mod fred_client;
mod redis_crate;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long anything may take before it is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every byte there is, and what looks like the protocol.
fn binary() -> Vec<u8> {
    (0..=255).chain(*b"\r\n$-1\r\n").collect()
}

/// Waits until `condition` holds; panics with `what` when that takes too long.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [host, port] = arguments.as_slice() else {
        eprintln!("client-tests HOST PORT");
        return ExitCode::FAILURE;
    };
    for protocol in [2, 3] {
        let address = format!("redis://{host}:{port}");
        redis_crate::run(&format!("{address}/?protocol=resp{protocol}"))
            .unwrap_or_else(|error| panic!("redis, RESP{protocol}: {error}"));
        println!("redis crate, RESP{protocol}: ok");
        fred_client::run(&address, protocol)
            .unwrap_or_else(|error| panic!("fred, RESP{protocol}: {error}"));
        println!("fred crate, RESP{protocol}: ok");
    }
    ExitCode::SUCCESS
}
