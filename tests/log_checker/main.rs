//! The log against memory and against what clients saw.
//!
//! * `whole`: clients work on few hot keys with commands of all kinds; at the end, what an
//!   independent interpreter makes of the log is, key by key and deadline by deadline, what the
//!   server has in memory, and what a server has that is started on the log.
//! * `prefixes`: in a smaller run each operation is recorded with its times and its reply. The log
//!   is then one order of all writes, and must be one that explains every reply: so each
//!   prefix of it is a state that the server has been in.
//!
//! In the environment: `FERRUM_LOG_OPERATIONS`, how many operations, 200,000 if not set (two
//! million and more in a release build take some minutes), and `FERRUM_LOG_SEED`.

mod prefixes;
mod recorded;
mod whole;

#[expect(dead_code, unused_imports, reason = "shared with tests/network, which uses all of it")]
#[path = "../network/harness/mod.rs"]
mod harness;
