//! INFO commandstats, errorstats, latencystats: what commands do and how long they take.

use super::Fields;
use crate::commands::context::Context;

pub(super) fn calls(fields: &mut Fields<'_>, context: &Context<'_>) {
    for (name, sums) in context.state.command_stats.all() {
        let microseconds = sums.nanoseconds / 1_000;
        let mean = sums.nanoseconds as f64 / 1e3 / sums.calls.max(1) as f64;
        fields.line(format_args!(
            "cmdstat_{name}:calls={},usec={microseconds},usec_per_call={mean:.2},\
             rejected_calls={},failed_calls={}",
            sums.calls, sums.rejected, sums.failed,
        ));
    }
}

pub(super) fn errors(fields: &mut Fields<'_>, context: &Context<'_>) {
    for (code, count) in context.state.command_stats.errors() {
        fields.line(format_args!("errorstat_{}:count={count}", code.escape_ascii()));
    }
}

pub(super) fn percentiles(fields: &mut Fields<'_>, context: &Context<'_>) {
    if context.state.tunables.latency_tracking.get() == 0 {
        return;
    }
    let settings = &context.state.settings;
    let percents = settings.read(|config| config.latency_tracking_percentiles.clone());
    for (name, sums) in context.state.command_stats.all() {
        let Some(latencies) = sums.latencies else { continue };
        let values = latencies.percentiles(&percents).into_iter();
        let texts: Vec<_> = (percents.iter().zip(values))
            .map(|(percent, value)| format!("p{percent}={:.3}", value as f64 / 1e3))
            .collect();
        fields.line(format_args!("latency_percentiles_usec_{name}:{}", texts.join(",")));
    }
}
