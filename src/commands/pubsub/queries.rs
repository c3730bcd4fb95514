//! PUBSUB: what is subscribed to.

use super::registry::Kind;
use super::{CHANNEL, PATTERN, PUBSUB_BASE, SHARD_CHANNEL};
use crate::commands::context::Context;
use crate::commands::glob::{self, Case};
use crate::commands::help;
use crate::commands::refusal::Refusal;
use crate::commands::row::{Categories, Flags, Handler, Outcome, Row};
use crate::resp::Args;

/// What the subcommands have in common.
const QUERY: Row =
    Row { flags: Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE), ..PUBSUB_BASE };

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "channels",
        arity: -2,
        since: "2.8.0",
        summary: "Lists the channels that clients are subscribed to",
        complexity: "O(N) where N is the number of channels",
        arguments: &[PATTERN.optional()],
        handler: Handler::Plain(|context, args| list(context, args, Kind::Channel)),
        ..QUERY
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        categories: Categories::NONE,
        since: "6.2.0",
        summary: help::SUMMARY,
        handler: Handler::Plain(|context, _| help::write(context, "pubsub", ROWS)),
        ..PUBSUB_BASE
    },
    Row {
        name: "numpat",
        arity: 2,
        since: "2.8.0",
        summary: "Counts the patterns that clients are subscribed to",
        handler: Handler::Plain(count_patterns),
        ..QUERY
    },
    Row {
        name: "numsub",
        arity: -2,
        since: "2.8.0",
        summary: "Counts the clients subscribed to channels, patterns apart",
        complexity: "O(N) where N is the number of channels asked for",
        arguments: &[CHANNEL.optional().multiple()],
        handler: Handler::Plain(|context, args| count_each(context, args, Kind::Channel)),
        ..QUERY
    },
    Row {
        name: "shardchannels",
        arity: -2,
        since: "7.0.0",
        summary: "Lists the channels of the shard that clients are subscribed to",
        complexity: "O(N) where N is the number of channels",
        arguments: &[PATTERN.optional()],
        handler: Handler::Plain(|context, args| list(context, args, Kind::Shard)),
        ..QUERY
    },
    Row {
        name: "shardnumsub",
        arity: -2,
        since: "7.0.0",
        summary: "Counts the clients subscribed to channels of the shard",
        complexity: "O(N) where N is the number of channels asked for",
        arguments: &[SHARD_CHANNEL.optional().multiple()],
        handler: Handler::Plain(|context, args| count_each(context, args, Kind::Shard)),
        ..QUERY
    },
];

fn list<'a>(context: &mut Context<'_>, args: &Args<'a>, kind: Kind) -> Outcome<'a> {
    let pattern = match args.len() {
        2 => None,
        3 => Some(args.get(2)),
        _ => return Err(Refusal::SubcommandSyntax { container: "PUBSUB", name: args.get(1) }),
    };
    let mut names = context.state.channels.names(kind);
    if let Some(pattern) = pattern {
        names.retain(|name| glob::matches_channel(pattern, name, Case::Sensitive));
    }
    context.out.array(names.len());
    names.iter().for_each(|name| context.out.bulk(name));
    Ok(())
}

fn count_patterns<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.out.integer(context.state.channels.names_count(Kind::Pattern) as i64);
    Ok(())
}

fn count_each<'a>(context: &mut Context<'_>, args: &Args<'a>, kind: Kind) -> Outcome<'a> {
    context.out.array(2 * (args.len() - 2));
    for name in args.iter().skip(2) {
        context.out.bulk(name);
        context.out.integer(context.state.channels.listeners_count(kind, name) as i64);
    }
    Ok(())
}
