//! How a key is kept: OBJECT.

use super::context::Context;
use super::help;
use super::refusal::Refusal;
use super::row::{Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::resp::Args;
use crate::store::{Encoding, Entry};

/// A subcommand about one key.
const ASKS: Row = Row {
    arity: 3,
    flags: Flags::READONLY,
    keys: Keys::second(&["RO"]),
    group: "generic",
    categories: Categories::KEYSPACE,
    since: "2.2.3",
    arguments: &[KEY],
    ..Row::BASE
};

const OBJECT: &[Row] = &[
    Row {
        name: "encoding",
        summary: "Returns the form in which a value is kept: int, embstr or raw",
        tips: &["nondeterministic_output"],
        handler: Handler::Plain(encoding),
        ..ASKS
    },
    Row {
        name: "freq",
        since: "4.0.0",
        summary: "Returns how often a key was used of late, on a logarithmic scale",
        tips: &["nondeterministic_output"],
        handler: Handler::Plain(freq),
        ..ASKS
    },
    Row {
        name: "help",
        arity: 2,
        flags: Flags::LOADING.and(Flags::STALE),
        keys: None,
        since: "6.2.0",
        summary: help::SUMMARY,
        arguments: &[],
        handler: Handler::Plain(|context, _| help::write(context, "object", OBJECT)),
        ..ASKS
    },
    Row {
        name: "idletime",
        summary: "Returns the seconds since a key was last used",
        tips: &["nondeterministic_output"],
        handler: Handler::Plain(idletime),
        ..ASKS
    },
    Row {
        name: "refcount",
        summary: "Returns how many references a value has, which is 1",
        tips: &["nondeterministic_output"],
        handler: Handler::Plain(refcount),
        ..ASKS
    },
];

pub(super) static ROWS: [Row; 1] = [Row {
    name: "object",
    arity: -2,
    group: "generic",
    since: "2.2.3",
    summary: "Commands about how a key is kept",
    complexity: "Depends on the subcommand",
    subcommands: OBJECT,
    ..Row::BASE
}];

/// Looks at the key that is the subcommand's argument; writes null if there is none.
fn look<T>(
    context: &mut Context<'_>,
    args: &Args<'_>,
    read: impl FnOnce(Entry<'_>) -> T,
) -> Option<T> {
    let key = context.state.keyspace.key(args.get(2));
    let found = context.database.peek(&context.session, key, read);
    context.counts.look_up(found.is_some());
    if found.is_none() {
        context.out.null();
    }
    found
}

fn encoding<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if let Some(encoding) = look(context, args, |entry| entry.encoding()) {
        let name: &[u8] = match encoding {
            Encoding::Int => b"int",
            Encoding::Embedded => b"embstr",
            Encoding::Raw => b"raw",
        };
        context.out.bulk(name);
    }
    Ok(())
}

/// Whether the policy goes by how often keys are used, and not by when.
fn counts_frequency(context: &Context<'_>) -> bool {
    context.state.keyspace.eviction().settings().counts_frequency()
}

fn freq<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let now = context.session.seconds();
    let decay_minutes = context.state.keyspace.eviction().settings().lfu_decay_minutes();
    match look(context, args, |entry| entry.frequency(now, decay_minutes)) {
        None => {}
        Some(frequency) if counts_frequency(context) => context.out.integer(frequency.into()),
        Some(_) => {
            return Err(Refusal::Text(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
                 Please note that when switching between policies at runtime LRU and LFU data \
                 will take some time to adjust.",
            ));
        }
    }
    Ok(())
}

fn idletime<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let now = context.session.seconds();
    match look(context, args, |entry| entry.idle_seconds(now)) {
        Some(_) if counts_frequency(context) => Err(Refusal::Text(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
             when switching between policies at runtime LRU and LFU data will take some time to \
             adjust.",
        )),
        Some(idle_seconds) => {
            context.out.integer(idle_seconds.cast_signed());
            Ok(())
        }
        None => Ok(()),
    }
}

fn refcount<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if look(context, args, |_| ()).is_some() {
        context.out.integer(1);
    }
    Ok(())
}
