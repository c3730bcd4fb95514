//! INFO: the state of the server in Redis's fields, one function for each section.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::context::Context;
use super::memory::{Figures, difference, maxmemory_bytes, maxmemory_policy, ratio};
use super::process;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Outcome, Row};
use super::state::COMPATIBLE_VERSION;
use crate::memory;
use crate::resp::Args;
use crate::sync::allocator;

pub(super) static ROWS: [Row; 1] = [Row {
    name: "info",
    arity: -1,
    flags: Flags::LOADING.and(Flags::STALE),
    categories: Categories::DANGEROUS,
    summary: "Returns the state of the server and its statistics",
    history: &[("7.0.0", "Takes several sections.")],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    arguments: &[Argument::new("section", ArgumentKind::String).optional().multiple()],
    handler: Handler::Plain(info),
    ..Row::BASE
}];

/// A section: its title, which names it in any case, and its fields.
struct Section {
    title: &'static str,
    add: fn(&mut Fields<'_>, &Context<'_>),
}

/// All sections, in the order they are shown whatever the order they are asked for.
const SECTIONS: &[Section] = &[
    Section { title: "Server", add: server },
    Section { title: "Clients", add: clients },
    Section { title: "Memory", add: memory_use },
    Section { title: "Persistence", add: persistence },
    Section { title: "Stats", add: stats },
    Section { title: "Replication", add: replication },
    Section { title: "CPU", add: processor },
    Section { title: "Cluster", add: cluster },
    Section { title: "Keyspace", add: keyspace },
];

/// Names that stand for all sections.
const ALL: [&[u8]; 3] = [b"default", b"all", b"everything"];

/// The handler.
fn info<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let asked = |title: &str| {
        let is = |word: &[u8]| {
            word.eq_ignore_ascii_case(title.as_bytes())
                || ALL.iter().any(|all| word.eq_ignore_ascii_case(all))
        };
        args.len() == 1 || args.iter().skip(1).any(is)
    };
    let mut text = String::new();
    for section in SECTIONS.iter().filter(|section| asked(section.title)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let mut fields = Fields { text: &mut text };
        fields.line(format_args!("# {}", section.title));
        (section.add)(&mut fields, context);
    }
    context.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// The text under way.
struct Fields<'t> {
    text: &'t mut String,
}

impl Fields<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = write!(self.text, "{line}\r\n");
    }

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{name}:{value}"));
    }

    /// Adds a number of bytes, and once more for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.line(format_args!("{name}_human:{}", human(bytes)));
    }
}

fn server(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    let uptime_seconds = state.started.elapsed().as_secs();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    fields.add("redis_version", COMPATIBLE_VERSION);
    fields.add("ferrum_version", env!("CARGO_PKG_VERSION"));
    fields.add("redis_mode", "standalone");
    fields.add("os", process::system_name());
    fields.add("arch_bits", usize::BITS);
    fields.add("process_id", std::process::id());
    fields.add("run_id", &state.run_id);
    fields.add("tcp_port", state.config.port);
    fields.add("server_time_usec", now.as_micros());
    fields.add("uptime_in_seconds", uptime_seconds);
    fields.add("uptime_in_days", uptime_seconds / (24 * 60 * 60));
    fields.add("io_threads", state.config.workers());
}

fn clients(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    fields.add("connected_clients", state.stats.total(|worker| &worker.connected_clients));
    fields.add("maxclients", state.tunables.max_clients.get());
    fields.add("blocked_clients", 0);
}

/// Figures of what this server does not have, which those who watch servers ask for.
const OF_SCRIPTS: [&str; 12] = [
    "used_memory_lua:0",
    "used_memory_vm_eval:0",
    "used_memory_lua_human:0B",
    "used_memory_scripts_eval:0",
    "number_of_cached_scripts:0",
    "number_of_functions:0",
    "number_of_libraries:0",
    "used_memory_vm_functions:0",
    "used_memory_vm_total:0",
    "used_memory_vm_total_human:0B",
    "used_memory_functions:0",
    "used_memory_scripts:0",
];

fn memory_use(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    let figures = Figures::new(state);
    fields.add_bytes("used_memory", figures.used);
    fields.add_bytes("used_memory_rss", figures.resident);
    fields.add_bytes("used_memory_peak", figures.peak);
    fields.line(format_args!("used_memory_peak_perc:{:.2}%", figures.peak_percent()));
    fields.add("used_memory_overhead", figures.overhead);
    fields.add("used_memory_startup", figures.startup);
    fields.add("used_memory_dataset", figures.dataset);
    fields.line(format_args!("used_memory_dataset_perc:{:.2}%", figures.dataset_percent()));
    fields.add("allocator_allocated", figures.allocator.allocated_bytes);
    fields.add("allocator_active", figures.allocator.active_bytes);
    fields.add("allocator_resident", figures.allocator.resident_bytes);
    fields.add_bytes("total_system_memory", process::system_memory_bytes());
    OF_SCRIPTS.iter().for_each(|line| fields.line(format_args!("{line}")));
    fields.add("used_memory_scripts_human", "0B");
    fields.add_bytes("maxmemory", maxmemory_bytes(state));
    fields.add("maxmemory_policy", maxmemory_policy(state));
    for (name, more, less) in figures.losses() {
        fields.line(format_args!("{name}_ratio:{:.2}", ratio(more, less)));
        fields.line(format_args!("{name}_bytes:{}", difference(more, less)));
    }
    let (resident, used) = (figures.resident, figures.used);
    fields.line(format_args!("mem_fragmentation_ratio:{:.2}", ratio(resident, used)));
    fields.add("mem_fragmentation_bytes", difference(resident, used));
    fields.add("mem_not_counted_for_evict", figures.log + figures.ring);
    fields.add("mem_replication_backlog", 0);
    fields.add("mem_total_replication_buffers", 0);
    fields.add("mem_clients_slaves", 0);
    fields.add("mem_clients_normal", figures.clients);
    fields.add("mem_cluster_links", 0);
    fields.add("mem_aof_buffer", figures.log);
    fields.line(format_args!("mem_allocator:jemalloc-{}", allocator::version()));
    fields.add("active_defrag_running", 0);
    fields.add("lazyfree_pending_objects", memory::reaping().keys);
    fields.add("lazyfreed_objects", memory::reaped_keys());
    // What only this server has: see `Figures`.
    fields.add("mem_arrays", figures.arrays);
    fields.add("mem_ring", figures.ring);
    fields.add("mem_eviction", figures.eviction);
    ahe(fields, context);
    fields.add("mem_limbo", figures.limbo);
    fields.add("mem_reaping", figures.reaping);
    fields.add("mem_rewrite_images", figures.rewrite_images);
    fields.add("mem_pool", figures.pool);
}

/// What AHE has learned; the share of recency in its score above all.
fn ahe(fields: &mut Fields<'_>, context: &Context<'_>) {
    let report = context.state.keyspace.eviction().ahe().report();
    fields.line(format_args!("ahe_alpha:{:.4}", report.alpha));
    fields.add("ahe_learnings", report.learnings);
    fields.add("ahe_capacity_ticks", report.capacity_ticks);
    fields.add("ahe_tick_accesses", report.tick_accesses);
    fields.add("ahe_ghosts", report.ghosts);
    fields.add("ahe_ghost_hits", report.ghost_hits);
    fields.line(format_args!("ahe_pass_ms:{:.0}", report.pass_ms));
}

fn persistence(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    let persistence = &state.persistence;
    let is_loading = persistence.is_loading();
    let status = persistence.handle().map(|handle| handle.status());
    let rewriting = persistence.rewriting.report();
    let seconds = |time: Option<Duration>| time.map_or(-1, |time| time.as_secs().cast_signed());
    let well = |is_well: bool| if is_well { "ok" } else { "err" };
    fields.add("loading", u8::from(is_loading));
    fields.add("async_loading", 0);
    fields.add("rdb_bgsave_in_progress", 0);
    fields.add("aof_enabled", u8::from(state.config.aof_path.is_some()));
    fields.add("aof_rewrite_in_progress", u8::from(rewriting.running_for.is_some()));
    fields.add("aof_rewrite_scheduled", 0);
    fields.add("aof_last_rewrite_time_sec", seconds(rewriting.last_took));
    fields.add("aof_current_rewrite_time_sec", seconds(rewriting.running_for));
    fields.add("aof_last_bgrewrite_status", well(rewriting.last_is_well));
    fields.add("aof_rewrites", rewriting.count);
    fields.add("aof_last_write_status", well(status.is_none_or(|status| status.is_writing)));
    if let Some(status) = status {
        fields.add("aof_current_size", status.current_bytes);
        fields.add("aof_base_size", status.base_bytes);
        fields.add("aof_pending_rewrite", 0);
        fields.add("aof_buffer_length", status.buffered_bytes);
        fields.add("aof_pending_bio_fsync", u8::from(status.sync_is_pending));
        fields.add("aof_delayed_fsync", status.delayed_syncs);
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

fn stats(fields: &mut Fields<'_>, context: &Context<'_>) {
    let stats = &context.state.stats;
    fields.add("total_connections_received", stats.total(|worker| &worker.connections_received));
    fields.add("total_commands_processed", stats.total(|worker| &worker.commands_processed));
    fields.add("instantaneous_ops_per_sec", stats.instantaneous_ops_per_sec());
    fields.add("total_net_input_bytes", stats.total(|worker| &worker.net_input_bytes));
    fields.add("total_net_output_bytes", stats.total(|worker| &worker.net_output_bytes));
    fields.add("rejected_connections", stats.total(|worker| &worker.connections_rejected));
    fields.add("expired_keys", stats.total(|worker| &worker.expired_keys));
    fields.add("evicted_keys", stats.total(|worker| &worker.evicted_keys));
    fields.add("evicted_bytes", stats.total(|worker| &worker.evicted_bytes));
    fields.add("evicted_clients", 0);
    let eviction_nanoseconds = stats.total(|worker| &worker.eviction_nanoseconds);
    fields.add("eviction_microseconds", eviction_nanoseconds / 1_000);
    // Milliseconds in which the data took more than maxmemory: ever, and this time.
    fields.add("total_eviction_exceeded_time", stats.excess.total_ms());
    fields.add("current_eviction_exceeded_time", stats.excess.current_ms());
    fields.add("keyspace_hits", stats.total(|worker| &worker.keyspace_hits));
    fields.add("keyspace_misses", stats.total(|worker| &worker.keyspace_misses));
    fields.add("total_error_replies", stats.total(|worker| &worker.error_replies));
}

fn replication(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    fields.add("role", "master");
    fields.add("connected_slaves", 0);
    fields.add("master_failover_state", "no-failover");
    fields.add("master_replid", &state.replication_id);
    fields.add("master_replid2", "0".repeat(40));
    fields.add("master_repl_offset", 0);
    fields.add("second_repl_offset", -1);
    fields.add("repl_backlog_active", 0);
}

fn processor(fields: &mut Fields<'_>, _: &Context<'_>) {
    let time = process::processor_time();
    for (name, seconds) in [
        ("used_cpu_sys", time.system_seconds),
        ("used_cpu_user", time.user_seconds),
        ("used_cpu_sys_children", time.children_system_seconds),
        ("used_cpu_user_children", time.children_user_seconds),
    ] {
        fields.line(format_args!("{name}:{seconds:.6}"));
    }
}

fn cluster(fields: &mut Fields<'_>, _: &Context<'_>) {
    fields.add("cluster_enabled", 0);
}

fn keyspace(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    for index in 0..state.keyspace.databases() {
        let database = state.keyspace.database(index);
        let keys = database.len(&context.session);
        if keys > 0 {
            let expires = database.expiring(&context.session);
            fields.line(format_args!("db{index}:keys={keys},expires={expires},avg_ttl=0"));
        }
    }
}

/// A number of bytes in the largest unit that keeps it above one, as Redis writes it.
fn human(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.2}{unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(992_056), "968.80K");
        assert_eq!(human(7_512_064), "7.16M");
        assert_eq!(human(25_276_063_744), "23.54G");
    }
}
