//! Keys whatever they hold: DEL, UNLINK, EXISTS, TOUCH, TYPE, DBSIZE, FLUSHDB, FLUSHALL.

use super::context::Context;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, KeyLoop, Keys, Outcome, Row};
use super::string::KEY;
use crate::config::EventClasses;
use crate::resp::Args;
use crate::store::Key;

const GENERIC: Row = Row { group: "generic", categories: Categories::KEYSPACE, ..Row::BASE };

/// FLUSHDB and FLUSHALL.
const FLUSH: Row = Row {
    arity: -1,
    flags: Flags::WRITE,
    categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
    complexity: "O(1); the memory is given back little by little",
    history: &[("4.0.0", "Takes `ASYNC`."), ("6.2.0", "Takes `SYNC`.")],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    arguments: &[Argument {
        parts: &[
            Argument::word("async", "ASYNC", "4.0.0"),
            Argument::word("sync", "SYNC", "6.2.0"),
        ],
        ..Argument::new("async", ArgumentKind::OneOf).optional()
    }],
    ..Row::BASE
};

/// DEL and UNLINK, which are the same here: no memory is given back while a client waits.
const REMOVE: Handler = Handler::EachKey(&KeyLoop {
    begin: |_, _, _| Ok(()),
    each: |context, _, _, key| {
        let is_removed = context.database.remove(&context.session, key);
        if is_removed {
            context.notify(EventClasses::GENERIC, "del", key);
        }
        i64::from(is_removed)
    },
    end: |context, total| context.out.integer(total),
});

pub(super) static ROWS: [Row; 8] = [
    Row {
        name: "del",
        arity: -2,
        flags: Flags::WRITE,
        keys: Keys::all(1, &["RM", "delete"]),
        summary: "Deletes keys and returns how many there were",
        complexity: "O(N) where N is the number of keys",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arguments: &[KEY.multiple()],
        handler: REMOVE,
        ..GENERIC
    },
    Row {
        name: "unlink",
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: Keys::all(1, &["RM", "delete"]),
        since: "4.0.0",
        summary: "Deletes keys and returns how many there were, as DEL does",
        complexity: "O(N) where N is the number of keys",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arguments: &[KEY.multiple()],
        handler: REMOVE,
        ..GENERIC
    },
    Row {
        name: "exists",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::all(1, &["RO"]),
        summary: "Returns how many of the keys exist, one named twice counting twice",
        complexity: "O(N) where N is the number of keys",
        history: &[("3.0.3", "Takes several keys.")],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arguments: &[KEY.multiple()],
        handler: Handler::EachKey(&KeyLoop {
            begin: |_, _, _| Ok(()),
            each: |context, _, _, key| i64::from(exists(context, key)),
            end: |context, total| context.out.integer(total),
        }),
        ..GENERIC
    },
    Row {
        name: "touch",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::all(1, &["RO"]),
        since: "3.2.1",
        summary: "Marks keys as used now and returns how many there were",
        complexity: "O(N) where N is the number of keys",
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        arguments: &[KEY.multiple()],
        handler: Handler::EachKey(&KeyLoop {
            begin: |_, _, _| Ok(()),
            each: |context, _, _, key| {
                let found = context.database.touch(&context.session, key);
                context.look_up(key, found);
                found.into()
            },
            end: |context, total| context.out.integer(total),
        }),
        ..GENERIC
    },
    Row {
        name: "type",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::one(&["RO"]),
        summary: "Returns the type of the value of a key",
        arguments: &[KEY],
        handler: Handler::OneKey(type_of),
        ..GENERIC
    },
    Row {
        name: "dbsize",
        arity: 1,
        flags: Flags::READONLY.and(Flags::FAST),
        summary: "Returns the number of keys in the selected database",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        group: "server",
        handler: Handler::Plain(dbsize),
        ..GENERIC
    },
    Row {
        name: "flushdb",
        summary: "Deletes all keys of the selected database",
        handler: Handler::Alone(flushdb),
        ..FLUSH
    },
    Row {
        name: "flushall",
        summary: "Deletes all keys of all databases",
        handler: Handler::Alone(flushall),
        ..FLUSH
    },
];

fn exists(context: &mut Context<'_>, key: Key<'_>) -> bool {
    let found = context.database.contains(&context.session, key);
    context.look_up(key, found);
    found
}

fn type_of<'a>(context: &mut Context<'_>, _: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let name = if exists(context, key) { "string" } else { "none" };
    context.out.simple(name);
    Ok(())
}

fn dbsize<'a>(context: &mut Context<'_>, _: &Args<'a>) -> Outcome<'a> {
    context.session.expose_all();
    context.out.integer(context.database.len(&context.session) as i64);
    Ok(())
}

fn flushdb<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    check_flush_mode(args)?;
    context.database.flush(&context.session);
    context.out.ok();
    Ok(())
}

fn flushall<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    check_flush_mode(args)?;
    context.state.keyspace.flush_all(&context.session);
    context.out.ok();
    Ok(())
}

/// ASYNC and SYNC are taken and change nothing: either way the keys are gone when the reply is
/// sent, and their memory is given back afterwards.
fn check_flush_mode<'a>(args: &Args<'a>) -> Outcome<'a> {
    let is = |word: &str| args.get(1).eq_ignore_ascii_case(word.as_bytes());
    match args.len() {
        1 => Ok(()),
        2 if is("async") || is("sync") => Ok(()),
        _ => Err(Refusal::Syntax),
    }
}
