//! Every interleaving, up to a bound of preemptions, of small models of the real table: one file a
//! protocol, and for each protocol the faults that must turn its models red.
//!
//! Run with
//! `RUSTFLAGS="--cfg loom -C debug-assertions" cargo test -p loom-tests --release --target-dir
//! target/loom`.
//! `LOOM_MAX_PREEMPTIONS` (3 if not set) bounds the preemptions of a model.
#![cfg(loom)]

mod append;
mod commits;
mod commits_counters;
mod commits_log;
mod commits_looks;
mod commits_moves;
mod commits_reads;
mod copies;
mod counters;
mod ends;
mod eviction;
mod exclusive;
mod expiry;
mod flush;
mod inserts;
mod log;
mod readers;
mod replay;
mod ring;
mod ring_order;
mod snapshot;
mod support;
mod swaps;
mod walks;
