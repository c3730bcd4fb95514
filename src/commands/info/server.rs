//! INFO server, clients, replication, cpu: the process and who is connected to it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Fields;
use crate::commands::context::Context;
use crate::commands::process::{self, ProcessorTime};
use crate::commands::state::COMPATIBLE_VERSION;
use crate::config::Supervised;

/// Bits of the clock by which Redis tells how long keys are idle.
const LRU_CLOCK_BITS: u32 = 24;

pub(super) fn server(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    let config = &state.config;
    let uptime_seconds = state.started.elapsed().as_secs();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let hz = state.tunables.hz.get();
    let workers = config.workers();
    fields.add("redis_version", COMPATIBLE_VERSION);
    fields.add("ferrum_version", env!("CARGO_PKG_VERSION"));
    // What Redis's builds have; the numbers say that nothing is known.
    fields.add_all(&["redis_git_sha1:00000000", "redis_git_dirty:0", "redis_build_id:0"]);
    fields.add("redis_mode", "standalone");
    fields.add("os", process::system_name());
    fields.add("arch_bits", usize::BITS);
    fields.add("monotonic_clock", "POSIX clock_gettime");
    fields.add("multiplexing_api", "epoll");
    fields.add("atomicvar_api", "core::sync::atomic");
    fields.add("gcc_version", "0.0.0");
    fields.add("process_id", std::process::id());
    fields.add("process_supervised", supervised(config.supervised));
    fields.add("run_id", &state.run_id);
    fields.add("tcp_port", state.settings.read(|config| config.port));
    fields.add("server_time_usec", now.as_micros());
    fields.add("uptime_in_seconds", uptime_seconds);
    fields.add("uptime_in_days", uptime_seconds / (24 * 60 * 60));
    fields.add("hz", hz);
    fields.add("configured_hz", hz);
    fields.add("lru_clock", now.as_secs() & ((1 << LRU_CLOCK_BITS) - 1));
    fields.add("executable", process::executable());
    let file = config.config_file.as_ref().map(|path| path.display().to_string());
    fields.add("config_file", file.unwrap_or_default());
    fields.add("io_threads_active", u8::from(workers > 1));
    fields.add("io_threads", workers);
}

fn supervised(by: Supervised) -> &'static str {
    match by {
        Supervised::No => "no",
        Supervised::Systemd => "systemd",
        Supervised::Upstart => "upstart",
        Supervised::Auto => "unknown",
    }
}

pub(super) fn clients(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    let figures = state.client_figures();
    fields.add("connected_clients", state.stats.total(|worker| &worker.connected_clients));
    fields.add("cluster_connections", 0);
    fields.add("maxclients", state.tunables.max_clients.get());
    fields.add("client_recent_max_input_buffer", figures.input_bytes_max);
    fields.add("client_recent_max_output_buffer", figures.output_bytes_max);
    fields.add("blocked_clients", figures.blocked);
    fields.add("tracking_clients", 0);
    fields.add("pubsub_clients", figures.pubsub);
    fields.add("clients_in_timeout_table", 0);
}

pub(super) fn replication(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    fields.add("role", "master");
    fields.add("connected_slaves", 0);
    fields.add("master_failover_state", "no-failover");
    fields.add("master_replid", &state.replication_id);
    fields.add("master_replid2", "0".repeat(40));
    fields.add("master_repl_offset", 0);
    fields.add("second_repl_offset", -1);
    fields.add("repl_backlog_active", 0);
    // Redis's default; there is nobody to keep it for.
    fields.add("repl_backlog_size", 1 << 20);
    fields.add("repl_backlog_first_byte_offset", 0);
    fields.add("repl_backlog_histlen", 0);
}

pub(super) fn processor(fields: &mut Fields<'_>, _: &Context<'_>) {
    let (all, main) = (process::processor_time(), process::main_thread_time());
    let seconds = |time: &ProcessorTime| [time.system_seconds, time.user_seconds];
    for (name, seconds) in [
        ("used_cpu_sys", all.system_seconds),
        ("used_cpu_user", all.user_seconds),
        ("used_cpu_sys_children", all.children_system_seconds),
        ("used_cpu_user_children", all.children_user_seconds),
    ] {
        fields.line(format_args!("{name}:{seconds:.6}"));
    }
    let [system, user] = seconds(&main);
    fields.line(format_args!("used_cpu_sys_main_thread:{system:.6}"));
    fields.line(format_args!("used_cpu_user_main_thread:{user:.6}"));
}
