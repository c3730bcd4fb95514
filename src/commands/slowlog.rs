//! SLOWLOG: what the slow log holds.

use super::context::{Context, integer};
use super::help;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Flags, Handler, Outcome, Row};
use crate::resp::Args;

/// What all subcommands have in common.
const SLOWLOG_BASE: Row =
    Row { flags: Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE), since: "2.2.12", ..Row::BASE };

const SLOWLOG: &[Row] = &[
    Row {
        name: "get",
        arity: -2,
        summary: "Returns the newest entries of the slow log; all for -1",
        complexity: "O(N) where N is the number of entries returned",
        history: &[("4.0.0", "An entry has the client's address and name.")],
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        arguments: &[Argument::new("count", ArgumentKind::Integer).optional()],
        handler: Handler::Plain(get),
        ..SLOWLOG_BASE
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        since: "6.2.0",
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "slowlog", SLOWLOG)),
        ..SLOWLOG_BASE
    },
    Row {
        name: "len",
        arity: 2,
        summary: "Returns the number of entries in the slow log",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        handler: Handler::Plain(len),
        ..SLOWLOG_BASE
    },
    Row {
        name: "reset",
        arity: 2,
        summary: "Forgets all entries of the slow log",
        complexity: "O(N) where N is the number of entries",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        handler: Handler::Plain(reset),
        ..SLOWLOG_BASE
    },
];

pub(super) static ROWS: [Row; 1] = [Row {
    name: "slowlog",
    arity: -2,
    since: "2.2.12",
    summary: "Commands about the slow log",
    complexity: "Depends on the subcommand",
    subcommands: SLOWLOG,
    ..Row::BASE
}];

/// Entries that GET returns when it is not told how many (Redis's number).
const COUNT: i64 = 10;

fn get<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let count = match args.len() {
        2 => COUNT,
        3 => {
            let count = integer(args.get(2)).ok().filter(|count| *count >= -1);
            let text = "ERR count should be greater than or equal to -1";
            count.ok_or(Refusal::Text(text))?
        }
        _ => {
            return Err(Refusal::SubcommandSyntax { container: "slowlog", name: args.get(1) });
        }
    };
    // Below zero is -1: all of them.
    let entries = context.state.slow_log.newest(usize::try_from(count).unwrap_or(usize::MAX));
    let out = &mut *context.out;
    out.array(entries.len());
    for entry in entries {
        out.array(6);
        out.integer(entry.id.cast_signed());
        out.integer(entry.unix_seconds.cast_signed());
        out.integer(entry.took.as_micros() as i64);
        out.array(entry.arguments.len());
        entry.arguments.iter().for_each(|argument| out.bulk(argument));
        out.bulk(entry.peer.as_bytes());
        out.bulk(&entry.name);
    }
    Ok(())
}

fn len<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.integer(context.state.slow_log.len() as i64);
    Ok(())
}

fn reset<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.state.slow_log.reset();
    context.out.ok();
    Ok(())
}
