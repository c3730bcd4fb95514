//! INFO keyspace, and ferrum: what the databases hold, and how their tables, the log's ring and the
//! workers are loaded.

use super::Fields;
use crate::commands::context::Context;

pub(super) fn keyspace(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    for index in 0..state.keyspace.databases() {
        let database = state.keyspace.database(index);
        let keys = database.len(&context.session);
        if keys > 0 {
            let expires = database.expiring(&context.session);
            let ttl = database.mean_ttl_millis(&context.session);
            fields.line(format_args!("db{index}:keys={keys},expires={expires},avg_ttl={ttl}"));
        }
    }
}

/// What only this server has, beside the figures that stand among Redis's.
pub(super) fn ferrum(fields: &mut Fields<'_>, context: &Context<'_>) {
    let state = context.state;
    let databases = (0..state.keyspace.databases()).map(|index| state.keyspace.database(index));
    let (mut slots, mut claimed, mut dead) = (0, 0, 0);
    for usage in databases.map(|database| database.table_usage(&context.session)) {
        slots += usage.slots;
        claimed += usage.claimed;
        dead += usage.dead;
    }
    fields.add("table_slots", slots);
    fields.add("table_slots_claimed", claimed);
    fields.add("table_slots_dead", dead);
    let report = state.keyspace.report(&context.session);
    fields.add("table_migrating", report.migrating);
    fields.add("table_migrations", report.migrations);
    let ring = state.keyspace.log().map(|log| log.ring().occupied());
    fields.add("log_ring_occupied", ring.unwrap_or(0));
    // There is a stripe more, of the thread that accepts connections; tests have fewer.
    let workers = state.config.workers().min(state.stats.workers());
    for index in 0..workers {
        let worker = state.stats.worker(index);
        let (connections, commands) = (&worker.connected_clients, &worker.commands_processed);
        fields.line(format_args!(
            "worker{index}:connections={},commands={},cpu_seconds={:.2},busy_percent={:.1}",
            connections.get(),
            commands.get(),
            worker.processor_time().as_secs_f64(),
            100.0 * state.stats.busy_share(index),
        ));
    }
}
