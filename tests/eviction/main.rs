//! What happens when the memory is used up: who goes, who stays, what is refused, and whether the
//! bound holds, over TCP.
//!
//! `FERRUM_EVICTION_SERVER=redis` in the environment runs the same tests against a redis-server, to
//! see that they ask for nothing that it does not do; what only ours has is left out then.

mod accounting;
mod cap;
mod crowd;
mod databases;
mod load;
mod log;
mod lower;
mod out_of_memory;
mod run_time;
mod target;
mod transactions;
mod victims;

#[expect(dead_code, unused_imports, reason = "shared with tests/network, which uses all of it")]
#[path = "../network/harness/mod.rs"]
mod harness;
