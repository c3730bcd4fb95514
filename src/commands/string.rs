//! Strings: GET, SET, SETNX, MGET, MSET, APPEND, STRLEN.

use super::context::{Context, new_value, write_value};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, KeyLoop, Keys, Outcome, Row};
use crate::resp::Args;
use crate::store::{Key, Value};

/// The argument that nearly every command starts with.
pub(super) const KEY: Argument = Argument::new("key", ArgumentKind::Key);

const VALUE: Argument = Argument::new("value", ArgumentKind::String);

const STRING: Row = Row { group: "string", categories: Categories::STRING, ..Row::BASE };

pub(super) static ROWS: [Row; 7] = [
    Row {
        name: "get",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::one(&["RO", "access"]),
        summary: "Returns the value of a key",
        arguments: &[KEY],
        handler: Handler::OneKey(get),
        ..STRING
    },
    Row {
        name: "set",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one(&["OW", "update"]),
        summary: "Sets a key to a value, whatever it held before",
        arguments: &[KEY, VALUE],
        handler: Handler::OneKey(set),
        ..STRING
    },
    Row {
        name: "setnx",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: Keys::one(&["OW", "insert"]),
        summary: "Sets a key to a value unless the key exists",
        arguments: &[KEY, VALUE],
        handler: Handler::OneKey(setnx),
        ..STRING
    },
    Row {
        name: "mget",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::all(1, &["RO", "access"]),
        summary: "Returns the values of several keys",
        complexity: "O(N) where N is the number of keys",
        tips: &["request_policy:multi_shard"],
        arguments: &[KEY.multiple()],
        handler: Handler::EachKey(&KeyLoop {
            begin: |context, _, count| {
                context.out.array(count);
                Ok(())
            },
            each: |context, _, _, key| {
                write_found(context, key);
                0
            },
            end: |_, _| {},
        }),
        ..STRING
    },
    Row {
        name: "mset",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::all(2, &["OW", "update"]),
        since: "1.0.1",
        summary: "Sets several keys to their values",
        complexity: "O(N) where N is the number of keys",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        arguments: &[Argument {
            parts: &[KEY, VALUE],
            ..Argument::new("key_value", ArgumentKind::Block).multiple()
        }],
        handler: Handler::EachKey(&KeyLoop {
            begin: |_, args, _| {
                if args.len() % 2 == 0 {
                    return Err(Refusal::WrongArity { container: None, name: "mset" });
                }
                Ok(())
            },
            each: |context, args, index, key| {
                context.database.set(&context.session, key, new_value(args, index + 1));
                0
            },
            end: |context, _| context.out.ok(),
        }),
        ..STRING
    },
    Row {
        name: "append",
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: Keys::one(&["RW", "insert"]),
        since: "2.0.0",
        summary: "Appends bytes to the value of a key, which is made if need be",
        complexity: "O(1), amortized, for appended values of bounded length",
        arguments: &[KEY, VALUE],
        handler: Handler::OneKey(append),
        ..STRING
    },
    Row {
        name: "strlen",
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::one(&["RO"]),
        since: "2.2.0",
        summary: "Returns the length of the value of a key, in bytes",
        arguments: &[KEY],
        handler: Handler::OneKey(strlen),
        ..STRING
    },
];

fn get<'a>(context: &mut Context<'_>, _: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    write_found(context, key);
    Ok(())
}

/// Writes the value of a key, or null.
#[inline]
fn write_found(context: &mut Context<'_>, key: Key<'_>) {
    let out = &mut *context.out;
    let write = |value: Value<'_>| write_value(out, &value);
    let found = context.database.get(&context.session, key, write).is_some();
    context.counts.look_up(found);
    if !found {
        context.out.null();
    }
}

fn set<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    if args.len() > 3 {
        return Err(Refusal::Syntax);
    }
    context.database.set(&context.session, key, new_value(args, 2));
    context.out.ok();
    Ok(())
}

fn setnx<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let value = new_value(args, 2);
    let set = context.database.set_if_absent(&context.session, key, value);
    context.out.integer(i64::from(set));
    Ok(())
}

fn append<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let limit = context.state.config.proto_max_bulk_len_bytes;
    let database = context.database;
    let appended = database.append_within(&context.session, key, args.get(2), limit);
    let length = appended.map_err(|_| Refusal::ValueTooLong)?;
    context.out.integer(length as i64);
    Ok(())
}

fn strlen<'a>(context: &mut Context<'_>, _: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let length = context.database.get(&context.session, key, |value| value.len());
    context.counts.look_up(length.is_some());
    context.out.integer(length.unwrap_or(0) as i64);
    Ok(())
}
