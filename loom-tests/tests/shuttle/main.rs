//! The real table under random schedules: more threads and longer runs than loom can enumerate,
//! over many migrations of one small segment. Every schedule also checks that each record and
//! array is freed once, and not while anyone may still touch it.
//!
//! Run with
//! `RUSTFLAGS="--cfg shuttle -C debug-assertions" cargo test -p loom-tests --release`
//! and `--target-dir target/shuttle`. Shuttle takes every ordering for the strongest; the orderings
//! are loom's to check.
#![cfg(shuttle)]

mod churn;
mod commits;
mod flush;
mod mixed;
mod readers;
mod ring;
mod support;
