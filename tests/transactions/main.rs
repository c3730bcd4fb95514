//! Transactions and commands over several keys, by force: many clients at once, and a judge who
//! knows what they may see.
//!
//! In the environment:
//!
//! - `FERRUM_TRANSACTIONS_SERVER`: who is tested. Not set, it is this server, with its log on;
//!   `redis` is a redis-server; `HOST:PORT` one that runs already, whose data is flushed, and then
//!   the tests that need a restart are left out;
//! - `FERRUM_TRANSACTIONS`: how many transactions, 20,000 if not set (scripts/transactions.sh does
//!   a million);
//! - `FERRUM_TRANSACTIONS_SEED`: where the random choices begin, 1 if not set;
//! - `FERRUM_TRANSACTIONS_KILLS`: kills per policy of the log, 5 if not set.

mod bank;
mod checker;
mod churn;
mod command;
mod graph;
mod history;
mod kill;
mod link;
mod random;
mod rooms;
mod shuffle;
mod synthetic;
mod target;
mod worker;

#[expect(dead_code, unused_imports, reason = "shared with tests/network, which uses all of it")]
#[path = "../network/harness/mod.rs"]
mod harness;
