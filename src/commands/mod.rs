//! Commands: from a decoded batch to its replies.
//!
//! A worker owns one [`Engine`] and gives it the batches its connections have decoded. The engine
//! looks up the `Row` of each command, hashes and prefetches the keys of a window of
//! commands, and calls their handlers in order; a handler reads its arguments, works on the store
//! and writes the reply. What a command is, is one row of data; nothing about it is repeated
//! elsewhere:
//!
//! * `row` says what a row holds, `table` lists all rows, `lookup` finds one by name;
//! * `string`, `counter`, `bits`, `keys`, `connection`, `server`, `info`, `memory`, `multi` hold
//!   rows and handlers by family;
//!   `slowlog` and `latency` tell what took long;
//!   `hello`, `help`, `config`, `command_info`, `docs`, `key_arguments` are the larger handlers;
//! * `engine` runs batches, `dispatch` one command, `long` what is done in steps;
//! * `each_key` and `atomic` run commands of several keys at one instant; `multi`, `queue` and
//!   `exec` are transactions of several commands, `exclusive` is for those that have to be alone;
//! * `timing` measures commands, `command_stats` counts them (`histogram`), `setbacks` their errors;
//!   `slow_log` and `latency_monitor` keep what took long;
//! * `glob`, `sparkline`, `long_double`, `lcs`, `payload` know patterns, drawings, numbers, texts
//!   and formats, no store;
//! * `refusal` has every error text, `context` what a handler works with;
//! * `state` is what all workers share, `tunables` the settings that may change, `client` what one
//!   connection keeps, `post` the way to another worker's clients.
//!
//! Commands are atomic and linearizable, those on one key and those on several; the store does the
//! work for the former, and for the latter by its transactions.

mod admission;
mod atomic;
mod bgrewriteaof;
mod bits;
mod client;
mod command_info;
mod command_stats;
mod config;
mod connection;
mod context;
mod counter;
mod deadline;
mod dispatch;
mod docs;
mod each_key;
mod edit;
mod engine;
mod exclusive;
mod exec;
mod expire;
mod glob;
mod hello;
mod help;
mod histogram;
mod info;
mod key_arguments;
mod keys;
mod latency;
mod latency_monitor;
mod lcs;
mod long;
mod long_double;
mod lookup;
mod memory;
mod moves;
mod multi;
mod object;
mod payload;
mod persistence;
mod post;
mod process;
mod queue;
mod refusal;
mod rewriting;
mod row;
mod scan;
mod serialize;
mod server;
mod set;
mod setbacks;
mod slow_log;
mod slowlog;
mod sparkline;
mod state;
mod string;
mod subsequence;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod tunables;

pub use client::Client;
pub use engine::{Awaited, Engine, OUTPUT_SOFT_LIMIT, Position, Progress};
pub use lookup::is_logged;
pub use persistence::{Loading, Persistence};
pub use post::{Carrier, Message, Parcel, Post};
pub use state::{COMPATIBLE_VERSION, ServerState};
pub use tunables::{Tunable, Tunables};
