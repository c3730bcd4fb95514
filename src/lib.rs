//! FerrumKV: a Redis-compatible in-memory key-value server whose cores share one lock-free
//! keyspace.
//!
//! The floors, lowest first; a module names only lower ones:
//!
//! | floor | modules |
//! |---|---|
//! | 0 | [`sync`]: atomics, epochs, and their stand-ins for model checkers; `error` |
//! | 1 | `resp`, `stats`, [`memory`] |
//! | 2 | [`record`]: a key and its value in one allocation; [`ring`]: the log's line; `config` |
//! | 3 | [`table`]: the lock-free hash table |
//! | 4 | [`store`]: databases and what may be done to their keys |
//! | 5 | `aof`: the log on disk |
//! | 6 | `commands`: rows of data, handlers, the batch engine |
//! | 7 | `server`: sockets and workers |
//!
//! A request goes from a `server` connection through the `resp` decoder to the `commands` engine,
//! which pins the epoch once a batch, brings the keys' memory near, and runs the handlers on the
//! [`store`]. `ARCHITECTURE.md` tells the whole way, the invariants and the reasons.
//!
//! Under `--cfg loom` and `--cfg shuttle` only the floors that carry protocols are built.

#[cfg(not(any(loom, shuttle)))]
pub mod aof;
#[cfg(not(any(loom, shuttle)))]
pub mod commands;
#[cfg(not(any(loom, shuttle)))]
pub mod config;
/// Of the settings models know what the store does.
#[cfg(any(loom, shuttle))]
pub mod config {
    mod policy;
    pub use policy::{Policy, Scope, Score, TENACITY_MAX};
}
#[cfg(not(any(loom, shuttle)))]
pub mod error;
pub mod memory;
pub mod record;
#[cfg(not(any(loom, shuttle)))]
pub mod resp;
pub mod ring;
#[cfg(not(any(loom, shuttle)))]
pub mod server;
#[cfg(not(any(loom, shuttle)))]
pub mod stats;
pub mod store;
pub mod sync;
pub mod table;
