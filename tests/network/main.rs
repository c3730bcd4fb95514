//! The server as a user meets it: the real program, spoken to over real sockets.
//!
//! Each test starts a server of its own on a free port and stops it at the end; what the server
//! logs is watched, so a panic anywhere inside fails the test that caused it.

#[expect(dead_code, unused_imports, reason = "shared with tests/crash and tests/log_checker")]
mod harness;

mod append_only_file;
mod authentication;
mod binary_values;
mod clients;
mod command_rows;
mod commands;
mod concurrency;
mod config_commands;
mod config_file;
mod config_rewrite;
mod debug_commands;
mod differential;
mod eviction_settings;
mod handshake;
mod info;
mod inline_commands;
mod life_cycle;
mod listeners;
mod log_and_redis;
mod log_blocks;
mod log_check;
mod log_recovery;
mod log_reload;
mod log_rewrite;
mod log_settings;
mod log_switch;
mod long_commands;
mod many_clients;
mod model;
mod monitor;
mod notifications;
mod packaging;
mod pause;
mod pipelines;
mod protected_mode;
mod protocol_errors;
mod pubsub;
mod redis_crate;
mod redis_tools;
mod replication_role;
mod reply_types;
mod safety;
mod shutdown;
mod slow_clients;
mod slowlog;
mod supervision;
mod transactions;
