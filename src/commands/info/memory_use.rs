//! INFO memory: Redis's figures, and after them what only this server has.

use super::Fields;
use crate::commands::context::Context;
use crate::commands::memory::{Figures, difference, maxmemory_bytes, maxmemory_policy, ratio};
use crate::commands::process;
use crate::memory;
use crate::sync::allocator;

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

pub(super) fn memory_use(fields: &mut Fields<'_>, context: &Context<'_>) {
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
    fields.add_all(&OF_SCRIPTS);
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
