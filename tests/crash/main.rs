//! What the log is for: nothing that was acknowledged is lost when the process dies, the disk fails
//! or the file is damaged.
//!
//! A crash is a real process that gets SIGKILL at a random moment under load. In the environment:
//!
//! - `FERRUM_CRASH_ROUNDS`: kills per policy, 10 if not set (scripts/crash.sh does 200);
//! - `FERRUM_CRASH_SEED`: the seed of the first round, 1 if not set.

mod damage;
mod faults;
mod history;
mod load;
mod rounds;
mod shim;

#[expect(dead_code, unused_imports, reason = "shared with tests/network, which uses all of it")]
#[path = "../network/harness/mod.rs"]
mod harness;
