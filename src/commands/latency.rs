//! LATENCY: what was slow, and how long commands take.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::command_stats::Sums;
use super::context::Context;
use super::help;
use super::latency_monitor::{Event, Sample};
use super::lookup;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Flags, Handler, Outcome, Row};
use super::sparkline::{self, Column};
use crate::resp::Args;

/// What all subcommands have in common.
const LATENCY_BASE: Row = Row {
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    since: "2.8.13",
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    ..Row::BASE
};

const EVENT: Argument = Argument::new("event", ArgumentKind::String);

const LATENCY: &[Row] = &[
    Row {
        name: "doctor",
        arity: 2,
        summary: "Returns what is conspicuous about slow events, in plain words",
        handler: Handler::Plain(doctor),
        ..LATENCY_BASE
    },
    Row {
        name: "graph",
        arity: 3,
        summary: "Draws the samples of an event",
        arguments: &[EVENT],
        handler: Handler::Plain(graph),
        ..LATENCY_BASE
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        summary: help::SUMMARY,
        tips: &[],
        handler: Handler::Plain(|context, _| help::write(context, "latency", LATENCY)),
        ..LATENCY_BASE
    },
    Row {
        name: "histogram",
        arity: -2,
        since: "7.0.0",
        summary: "Returns how often commands took how long, all commands if none is named",
        complexity: "O(N) where N is the number of commands",
        arguments: &[Argument::new("command", ArgumentKind::String).optional().multiple()],
        handler: Handler::Plain(histogram),
        ..LATENCY_BASE
    },
    Row {
        name: "history",
        arity: 3,
        summary: "Returns the samples of an event",
        arguments: &[EVENT],
        handler: Handler::Plain(history),
        ..LATENCY_BASE
    },
    Row {
        name: "latest",
        arity: 2,
        summary: "Returns the last sample of every event, and its longest",
        handler: Handler::Plain(latest),
        ..LATENCY_BASE
    },
    Row {
        name: "reset",
        arity: -2,
        summary: "Forgets the samples of events, of all if none is named",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        arguments: &[EVENT.optional().multiple()],
        handler: Handler::Plain(reset),
        ..LATENCY_BASE
    },
];

pub(super) static ROWS: [Row; 1] = [Row {
    name: "latency",
    arity: -2,
    since: "2.8.13",
    summary: "Commands about how long things take",
    complexity: "Depends on the subcommand",
    subcommands: LATENCY,
    ..Row::BASE
}];

fn history<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let event = context.state.latency_monitor.event(args.get(2)).unwrap_or_default();
    context.out.array(event.samples.len());
    for sample in event.samples {
        context.out.array(2);
        context.out.integer(sample.unix_seconds.cast_signed());
        context.out.integer(sample.ms.cast_signed());
    }
    Ok(())
}

fn latest<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let events = context.state.latency_monitor.all();
    context.out.array(events.len());
    for (name, event) in events {
        // An event begins with a sample, and keeps the last one.
        let last = event.samples.back().copied();
        let last = last.unwrap_or(Sample { unix_seconds: 0, ms: 0 });
        context.out.array(4);
        context.out.bulk(name.as_bytes());
        context.out.integer(last.unix_seconds.cast_signed());
        context.out.integer(last.ms.cast_signed());
        context.out.integer(event.longest_ms.cast_signed());
    }
    Ok(())
}

fn reset<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let is_meant = |name: &[u8]| args.len() == 2 || args.iter().skip(2).any(|asked| asked == name);
    let count = context.state.latency_monitor.forget(is_meant);
    context.out.integer(count as i64);
    Ok(())
}

/// Columns of the drawing, and the length of the line above it.
const GRAPH_COLUMNS: usize = 80;

fn graph<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let name = args.get(2);
    let Some(event) = context.state.latency_monitor.event(name) else {
        return Err(Refusal::NoSamples(name));
    };
    // It is one of ours, which is text.
    let name = String::from_utf8_lossy(name);
    let text = drawing(&name, &event, unix_seconds());
    context.out.verbatim("txt", text.as_bytes());
    Ok(())
}

fn drawing(name: &str, event: &Event, now_seconds: u64) -> String {
    let times = event.samples.iter().map(|sample| sample.ms);
    let (low, high) = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
    let longest = event.longest_ms;
    let line = "-".repeat(GRAPH_COLUMNS);
    let mut text =
        format!("{name} - high {high} ms, low {low} ms (all time high {longest} ms)\n{line}\n");
    let columns: Vec<_> = (event.samples.iter())
        .map(|sample| Column {
            value: sample.ms,
            label: age(now_seconds.saturating_sub(sample.unix_seconds)),
        })
        .collect();
    text += &sparkline::draw(&columns, GRAPH_COLUMNS);
    text
}

/// A time in its largest whole unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn doctor<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    let state = context.state;
    let threshold_ms = state.tunables.latency_monitor_threshold_ms.get();
    let slow_us = state.tunables.slowlog_log_slower_than_us.get().cast_signed();
    let events = state.latency_monitor.all();
    let mut text = String::new();
    if threshold_ms == 0 && events.is_empty() {
        text += "The latency monitor is off, so there is nothing to look at. CONFIG SET \
            latency-monitor-threshold <milliseconds> turns it on.\n";
    } else if events.is_empty() {
        text += "Nothing has taken longer than latency-monitor-threshold allows since the start or \
            the last LATENCY RESET.\n";
    } else {
        text += "These have taken longer than latency-monitor-threshold allows:\n\n";
        for (number, (name, event)) in events.iter().enumerate() {
            // A string takes whatever is written to it.
            let _ = writeln!(text, "{}. {}", number + 1, description(name, event));
        }
        text.push('\n');
        for (name, advice) in ADVICE {
            if name.iter().any(|name| events.contains_key(name)) {
                let _ = writeln!(text, "- {advice}");
            }
        }
        if slow_us < 0 || slow_us.unsigned_abs() > threshold_ms.saturating_mul(1_000) {
            let _ = writeln!(
                text,
                "- The slow log misses commands that are noted here: CONFIG SET \
                 slowlog-log-slower-than {} has it keep them.",
                threshold_ms.saturating_mul(1_000)
            );
        }
    }
    context.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// What to do about events.
const ADVICE: [(&[&str], &str); 4] = [
    (
        &["command", "fast-command"],
        "SLOWLOG GET shows which commands were slow. Those that walk the whole keyspace (KEYS) or \
         work on large values take long by themselves; others are slow when the machine is busy or \
         swaps.",
    ),
    (
        &["expire-cycle"],
        "Many keys pass their deadline at the same time: spread their times to live, or lower \
         active-expire-effort.",
    ),
    (
        &["eviction-cycle"],
        "Much memory has to be freed at once: raise maxmemory, or lower \
         maxmemory-eviction-tenacity.",
    ),
    (
        &["aof-write", "aof-fsync-always"],
        "The disk of the log is slow: see what else writes to it, or choose appendfsync everysec.",
    ),
];

/// An event in a line.
fn description(name: &str, event: &Event) -> String {
    let count = event.samples.len().max(1) as u64;
    let mean = event.samples.iter().map(|sample| sample.ms).sum::<u64>() / count;
    let deviation =
        event.samples.iter().map(|sample| sample.ms.abs_diff(mean)).sum::<u64>() / count;
    let first = event.samples.front().map_or(0, |sample| sample.unix_seconds);
    let period = unix_seconds().saturating_sub(first) as f64 / count as f64;
    let longest = event.longest_ms;
    format!(
        "{name}: {count} slow seconds (average {mean}ms, mean deviation {deviation}ms, period \
         {period:.2} sec). Longest ever {longest}ms."
    )
}

fn histogram<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let all = context.state.command_stats.all();
    let mut shown: Vec<&(&str, Sums)> = Vec::new();
    if args.len() == 2 {
        shown.extend(&all);
    }
    for name in args.iter().skip(2) {
        let name = name.to_ascii_lowercase();
        // A container stands for all its subcommands.
        let is_container = lookup::command(&name).is_some_and(|row| !row.subcommands.is_empty());
        let is_asked = |known: &[u8]| {
            known == name
                || is_container
                    && known.strip_prefix(&*name).is_some_and(|rest| rest.starts_with(b"|"))
        };
        shown.extend(all.iter().filter(|(known, _)| is_asked(known.as_bytes())));
    }
    shown.retain(|(_, sums)| sums.latencies.is_some());
    let out = &mut *context.out;
    out.map(shown.len());
    for (name, sums) in shown {
        let Some(latencies) = &sums.latencies else { continue };
        out.bulk(name.as_bytes());
        out.map(2);
        out.bulk(b"calls");
        out.integer(latencies.count().cast_signed());
        out.bulk(b"histogram_usec");
        let pairs = latencies.cumulative();
        out.map(pairs.len());
        for (bound, count) in pairs {
            out.integer(bound.cast_signed());
            out.integer(count.cast_signed());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_looks_as_it_does_in_redis() {
        let sample = |unix_seconds, ms| Sample { unix_seconds, ms };
        let samples = [sample(95, 2), sample(96, 10), sample(97, 4), sample(99, 3)].into();
        let text = drawing("command", &Event { samples, longest_ms: 10 }, 100);
        // Of redis-server 7.0.
        let expected = format!(
            "command - high 10 ms, low 2 ms (all time high 10 ms)\n{}\n \
             #  \n |  \n |_ \n_||o\n    \n5431\nssss\n",
            "-".repeat(80)
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn an_age_has_one_unit() {
        let ages = [59, 60, 3_599, 3_600, 86_399, 86_400].map(age);
        assert_eq!(ages, ["59s", "1m", "59m", "1h", "23h", "1d"]);
    }
}
