//! Commands: from a decoded batch to its replies.
//!
//! A worker owns one [`Engine`] and gives it the batches its connections have decoded. The engine
//! looks up the `Row` of each command, hashes and prefetches the keys of a window of
//! commands, and calls their handlers in order; a handler reads its arguments, works on the store
//! and writes the reply. What a command is, is one row of data; nothing about it is repeated
//! elsewhere:
//!
//! * `row` says what a row holds, `table` lists all rows, `lookup` finds one by name;
//! * `string`, `counter`, `bits`, `keys`, `connection`, `client_rows`, `server`, `info`, `memory`,
//!   `multi` hold rows and handlers by family; `slowlog` and `latency` tell what took long;
//!   `hello`, `help`, `config`, `command_info`, `docs`, `key_arguments` are the larger handlers;
//! * `saves`, `shutdown`, `replication`, `wait`, `cluster`, `modules`, `debug`, `lolwut` answer
//!   what those ask who operate servers;
//! * `engine` is a worker's, `windows` runs the commands of a batch, `dispatch` one command, `long`
//!   what is done in steps;
//! * `each_key` and `atomic` run commands of several keys at one instant; `multi`, `queue` and
//!   `exec` are transactions of several commands, `exclusive` is for those that have to be alone;
//! * `timing` measures commands, `command_stats` counts them (`histogram`), `setbacks` their
//!   errors; `slow_log` and `latency_monitor` keep what took long;
//! * `glob`, `sparkline`, `long_double`, `lcs`, `payload` know patterns, drawings, numbers, texts
//!   and formats, no store;
//! * `pubsub` is messages between clients, `notify` the events of keys, `monitor` what is shown of
//!   all commands; `outbox` sends them, `care` runs the commands of clients that need it;
//! * `access`, `auth`, `denials` and `acl` know who may come in, `cross_protocol` who never may,
//!   `redact` what nobody may see;
//! * `refusal` has every error text, `context` what a handler works with;
//! * `peers` are all connections as any worker may see them, which `client_list` shows and
//!   `client_kill` closes; `pause` has them wait, `reply_mode` leaves them without replies;
//! * `state` is what all workers share, `settings` all settings as they are now, `tunables` those
//!   that are read on the way, `effects` how the former reach the latter, `client` what one
//!   connection keeps, `post` the way to another worker's clients, `output_limits` how much may
//!   wait for one.
//!
//! Commands are atomic and linearizable, those on one key and those on several; the store does the
//! work for the former, and for the latter by its transactions.

mod access;
mod acl;
mod admission;
mod atomic;
mod auth;
mod bgrewriteaof;
mod bits;
mod care;
mod client;
mod client_kill;
mod client_list;
mod client_rows;
mod cluster;
mod command_info;
mod command_stats;
mod config;
mod connection;
mod context;
mod counter;
mod cross_protocol;
mod deadline;
mod debug;
mod debug_populate;
mod debug_protocol;
mod debug_reload;
mod debug_sleep;
mod denials;
mod dispatch;
mod docs;
mod each_key;
mod edit;
mod effects;
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
mod listening;
mod lolwut;
mod long;
mod long_double;
mod lookup;
mod memory;
mod modules;
mod monitor;
mod moves;
mod multi;
mod notify;
mod object;
mod occasional;
mod open_files;
mod outbox;
mod output_limits;
mod pause;
mod payload;
mod peers;
mod persistence;
mod post;
mod process;
mod progress;
mod pubsub;
mod queue;
mod redact;
mod refusal;
mod replication;
mod reply_mode;
mod rewriting;
mod row;
mod saves;
mod scan;
mod serialize;
mod server;
mod set;
mod setbacks;
mod settings;
mod shutdown;
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
mod wait;
mod windows;

pub use access::Access;
pub use client::Client;
pub use engine::Engine;
pub use listening::{ListenWish, Listening, Opened};
pub use lookup::is_logged;
pub use monitor::Monitors;
pub use occasional::Occasional;
pub use open_files::fit_clients;
pub use output_limits::{OutputClass, OutputLimits};
pub use peers::{ClientFigures, Marks, Peer, Rest};
pub use persistence::{Loading, LogSwitch, Persistence};
pub use post::{Carrier, Letter, Message, Parcel, Post};
pub use progress::{Awaited, Position, Progress};
pub use pubsub::{Kind, Registry as Channels};
pub use redact::shown_arguments;
pub use replication::ReplicationId;
pub use rewriting::{LogRequest, Reload};
pub use settings::Settings;
pub use shutdown::Shutdown;
pub use state::{COMPATIBLE_VERSION, ServerState};
pub use tunables::{Tunable, Tunables};
pub use windows::OUTPUT_SOFT_LIMIT;
