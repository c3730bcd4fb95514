//! INFO persistence: the log, its rewriting, and how far the loading is.

use std::time::Duration;

use super::Fields;
use crate::commands::context::Context;

/// Figures of processes that copy the memory to write it: there are none here.
const OF_FORKS: [&str; 9] = [
    "async_loading:0",
    "current_cow_peak:0",
    "current_cow_size:0",
    "current_cow_size_age:0",
    "current_fork_perc:0.00",
    "current_save_keys_processed:0",
    "current_save_keys_total:0",
    "rdb_changes_since_last_save:0",
    "rdb_bgsave_in_progress:0",
];

/// Figures of snapshots, of which there are none.
const OF_SNAPSHOTS: [&str; 7] = [
    "rdb_last_bgsave_status:ok",
    "rdb_last_bgsave_time_sec:-1",
    "rdb_current_bgsave_time_sec:-1",
    "rdb_saves:0",
    "rdb_last_cow_size:0",
    "rdb_last_load_keys_expired:0",
    "rdb_last_load_keys_loaded:0",
];

/// As the first ones, of rewriting the log.
const AFTER_FORKS: [&str; 3] =
    ["aof_last_cow_size:0", "module_fork_in_progress:0", "module_fork_last_cow_size:0"];

pub(super) fn persistence(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    let persistence = &state.persistence;
    let is_loading = persistence.is_loading();
    let status = persistence.handle().map(|handle| handle.status());
    let is_writing = status.is_none_or(|status| status.is_writing);
    let is_on = persistence.is_on();
    let rewriting = persistence.rewriting.report();
    let seconds = |time: Option<Duration>| time.map_or(-1, |time| time.as_secs().cast_signed());
    let well = |is_well: bool| if is_well { "ok" } else { "err" };
    fields.add("loading", u8::from(is_loading));
    fields.add_all(&OF_FORKS);
    // Where there are no snapshots, none has been missed since the start.
    fields.add("rdb_last_save_time", persistence.saved_unix_seconds());
    fields.add_all(&OF_SNAPSHOTS);
    fields.add("aof_enabled", u8::from(is_on));
    fields.add("aof_rewrite_in_progress", u8::from(rewriting.running_for.is_some()));
    fields.add("aof_rewrite_scheduled", 0);
    fields.add("aof_last_rewrite_time_sec", seconds(rewriting.last_took));
    fields.add("aof_current_rewrite_time_sec", seconds(rewriting.running_for));
    fields.add("aof_last_bgrewrite_status", well(rewriting.last_is_well));
    fields.add("aof_rewrites", rewriting.count);
    fields.add("aof_rewrites_consecutive_failures", rewriting.failures_in_a_row);
    fields.add("aof_last_write_status", well(is_writing));
    fields.add_all(&AFTER_FORKS);
    if is_on {
        // Nothing, while it is about to begin.
        let status = status.unwrap_or_default();
        fields.add("aof_current_size", status.current_bytes);
        fields.add("aof_base_size", status.base_bytes);
        fields.add("aof_pending_rewrite", 0);
        fields.add("aof_buffer_length", status.buffered_bytes);
        fields.add("aof_pending_bio_fsync", u8::from(status.sync_is_pending));
        fields.add("aof_delayed_fsync", persistence.delayed_syncs());
    }
    if is_loading {
        let loading = &persistence.loading;
        fields.add("loading_start_time", loading.started_unix_seconds());
        fields.add("loading_total_bytes", loading.total_bytes());
        fields.add("loading_loaded_bytes", loading.loaded_bytes());
        fields.line(format_args!("loading_loaded_perc:{:.2}", loading.percent()));
        fields.add("loading_eta_seconds", loading.left_seconds());
    }
}
