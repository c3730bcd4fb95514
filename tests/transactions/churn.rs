//! A client that makes the table grow and shrink.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::link::{Arguments, Link};

const KEYS: usize = 100_000;

/// Commands that are sent at once.
const PIPELINE: usize = 1_000;

/// Sets a hundred thousand keys and removes them again, until it is to stop.
pub(crate) fn churn(address: SocketAddr, stop: &AtomicBool) {
    let mut link = Link::open(address);
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        for command in ["SET", "DEL"] {
            for start in (0..KEYS).step_by(PIPELINE) {
                let commands: Vec<Arguments> = (start..start + PIPELINE)
                    .map(|number| {
                        let mut arguments = vec![command.to_owned(), format!("churn:{number}")];
                        arguments.extend((command == "SET").then(|| number.to_string()));
                        arguments
                    })
                    .collect();
                let replies = link.run_all(&commands);
                assert!(replies.iter().all(|reply| !reply.is_error()), "{:?}", replies[0]);
                if command == "SET" && stop.load(Ordering::Relaxed) {
                    // What is there is removed before the end.
                    break;
                }
            }
        }
        rounds += 1;
    }
    println!("the table grew and shrank {rounds} times");
}

/// Runs `work` while the table grows and shrinks.
pub(crate) fn meanwhile<T>(address: SocketAddr, work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let churning = scope.spawn(|| churn(address, &stop));
        // Also when the work fails.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        churning.join().expect("no panic");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
