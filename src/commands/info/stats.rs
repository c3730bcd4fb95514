//! INFO stats: what has happened since the start or the last CONFIG RESETSTAT.

use super::Fields;
use crate::commands::context::Context;
use crate::commands::pubsub::Kind;
use crate::stats::{Rate, Registry};

/// Figures of replication, which there is not.
const OF_REPLICATION: [&str; 3] = ["sync_full:0", "sync_partial_ok:0", "sync_partial_err:0"];

/// Figures of what this server does not have: processes that copy the memory, other servers,
/// defragmentation, keys that clients keep for themselves.
const OF_OTHERS: [&str; 15] = [
    "latest_fork_usec:0",
    "total_forks:0",
    "migrate_cached_sockets:0",
    "slave_expires_tracked_keys:0",
    "active_defrag_hits:0",
    "active_defrag_misses:0",
    "active_defrag_key_hits:0",
    "active_defrag_key_misses:0",
    "total_active_defrag_time:0",
    "current_active_defrag_time:0",
    "tracking_total_keys:0",
    "tracking_total_items:0",
    "tracking_total_prefixes:0",
    "evicted_scripts:0",
    "unexpected_error_replies:0",
];

pub(super) fn stats(fields: &mut Fields<'_>, context: &Context<'_>) {
    let stats = &context.state.stats;
    fields.add("total_connections_received", stats.total(|worker| &worker.connections_received));
    fields.add("total_commands_processed", stats.total(|worker| &worker.commands_processed));
    fields.add("instantaneous_ops_per_sec", stats.per_second(Rate::Commands));
    fields.add("total_net_input_bytes", stats.total(|worker| &worker.net_input_bytes));
    fields.add("total_net_output_bytes", stats.total(|worker| &worker.net_output_bytes));
    fields.add_all(&["total_net_repl_input_bytes:0", "total_net_repl_output_bytes:0"]);
    for (name, rate) in [("input", Rate::InputBytes), ("output", Rate::OutputBytes)] {
        let kilobytes = stats.per_second(rate) as f64 / 1024.0;
        fields.line(format_args!("instantaneous_{name}_kbps:{kilobytes:.2}"));
    }
    fields.add_all(&["instantaneous_input_repl_kbps:0.00", "instantaneous_output_repl_kbps:0.00"]);
    fields.add("rejected_connections", stats.total(|worker| &worker.connections_rejected));
    fields.add_all(&OF_REPLICATION);
    keys(fields, stats);
    fields.add("keyspace_hits", stats.total(|worker| &worker.keyspace_hits));
    fields.add("keyspace_misses", stats.total(|worker| &worker.keyspace_misses));
    let channels = &context.state.channels;
    fields.add("pubsub_channels", channels.names_count(Kind::Channel));
    fields.add("pubsub_patterns", channels.names_count(Kind::Pattern));
    fields.add("pubsubshard_channels", channels.names_count(Kind::Shard));
    fields.add_all(&OF_OTHERS);
    fields.add("total_error_replies", stats.total(|worker| &worker.error_replies));
    let disconnections = stats.total(|worker| &worker.output_limit_disconnections);
    fields.add("client_output_buffer_limit_disconnections", disconnections);
    fields.add("dump_payload_sanitizations", 0);
    fields.add("total_reads_processed", stats.total(|worker| &worker.reads));
    fields.add("total_writes_processed", stats.total(|worker| &worker.writes));
    fields.add_all(&[
        // Every worker reads and writes for its own clients: none does so for another thread.
        "io_threaded_reads_processed:0",
        "io_threaded_writes_processed:0",
        // Buffers belong to workers, not to clients.
        "reply_buffer_shrinks:0",
        "reply_buffer_expands:0",
    ]);
    fields.add("acl_access_denied_auth", context.state.access.denials.count());
    // One user may do everything.
    fields.add_all(&[
        "acl_access_denied_cmd:0",
        "acl_access_denied_key:0",
        "acl_access_denied_channel:0",
    ]);
}

/// Keys that went without having been asked to.
fn keys(fields: &mut Fields<'_>, stats: &Registry) {
    fields.add("expired_keys", stats.total(|worker| &worker.expired_keys));
    // A sweep does not estimate what it has not seen, and makes up for time it did not get.
    fields.add_all(&["expired_stale_perc:0.00", "expired_time_cap_reached_count:0"]);
    let expiry_nanoseconds = stats.total(|worker| &worker.expiry_nanoseconds);
    fields.add("expire_cycle_cpu_milliseconds", expiry_nanoseconds / 1_000_000);
    fields.add("evicted_keys", stats.total(|worker| &worker.evicted_keys));
    fields.add("evicted_bytes", stats.total(|worker| &worker.evicted_bytes));
    fields.add("instantaneous_evicted_bytes_per_sec", stats.per_second(Rate::EvictedBytes));
    fields.add("evicted_clients", 0);
    let eviction_nanoseconds = stats.total(|worker| &worker.eviction_nanoseconds);
    fields.add("eviction_microseconds", eviction_nanoseconds / 1_000);
    // Milliseconds in which the data took more than maxmemory: ever, and this time.
    fields.add("total_eviction_exceeded_time", stats.excess.total_ms());
    fields.add("current_eviction_exceeded_time", stats.excess.current_ms());
}
