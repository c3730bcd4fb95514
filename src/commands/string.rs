//! Strings: GET, MGET, MSET, MSETNX, APPEND, STRLEN, SETRANGE, GETRANGE, SUBSTR.

use super::context::{Context, integer, new_value, with_bytes, write_value};
use super::edit::{edit, is_reversed, span};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, KeyLoop, Keys, Outcome, Row};
use crate::config::EventClasses;
use crate::resp::{Args, LARGE_ARG};
use crate::store::{Change, Key, Value};

/// The argument that nearly every command starts with.
pub(super) const KEY: Argument = Argument::new("key", ArgumentKind::Key);

pub(super) const VALUE: Argument = Argument::new("value", ArgumentKind::String);

const STRING: Row = Row { group: "string", categories: Categories::STRING, ..Row::BASE };

const RANGE: &[Argument] = &[
    KEY,
    Argument::new("start", ArgumentKind::Integer),
    Argument::new("end", ArgumentKind::Integer),
];

pub(super) static ROWS: [Row; 9] = [
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
                context.notify(EventClasses::STRING, "set", key);
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
    Row {
        name: "msetnx",
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::all(2, &["OW", "insert"]),
        since: "1.0.1",
        summary: "Sets several keys to their values unless one of them exists",
        complexity: "O(N) where N is the number of keys",
        tips: &["request_policy:multi_shard", "response_policy:agg_min"],
        arguments: &[Argument {
            parts: &[KEY, VALUE],
            ..Argument::new("key_value", ArgumentKind::Block).multiple()
        }],
        handler: Handler::Atomic(msetnx),
        ..STRING
    },
    Row {
        name: "setrange",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one(&["RW", "update"]),
        since: "2.2.0",
        summary: "Overwrites part of the value of a key from an offset on, with zeros before it \
                  if need be",
        complexity: "O(N) where N is the length of the value",
        arguments: &[KEY, Argument::new("offset", ArgumentKind::Integer), VALUE],
        handler: Handler::OneKey(setrange),
        ..STRING
    },
    Row {
        name: "getrange",
        arity: 4,
        flags: Flags::READONLY,
        keys: Keys::one(&["RO", "access"]),
        since: "2.4.0",
        summary: "Returns part of the value of a key",
        complexity: "O(N) where N is the length of the part",
        arguments: RANGE,
        handler: Handler::OneKey(getrange),
        ..STRING
    },
    Row {
        name: "substr",
        arity: 4,
        flags: Flags::READONLY,
        keys: Keys::one(&["RO", "access"]),
        summary: "Returns part of the value of a key, as GETRANGE does",
        complexity: "O(N) where N is the length of the part",
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        arguments: RANGE,
        handler: Handler::OneKey(getrange),
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
    context.look_up(key, found);
    if !found {
        context.out.null();
    }
}

fn append<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let limit = context.value_limit();
    let database = context.database;
    let appended = database.append_within(&context.session, key, args.get(2), limit);
    let length = appended.map_err(|_| Refusal::ValueTooLong)?;
    context.notify(EventClasses::STRING, "append", key);
    context.out.integer(length as i64);
    Ok(())
}

fn strlen<'a>(context: &mut Context<'_>, _: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let length = context.database.get(&context.session, key, |value| value.len());
    context.look_up(key, length.is_some());
    context.out.integer(length.unwrap_or(0) as i64);
    Ok(())
}

fn msetnx<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    if args.len().is_multiple_of(2) {
        return Err(Refusal::WrongArity { container: None, name: "msetnx" });
    }
    let pairs = (1..args.len()).step_by(2);
    let key = |index| context.state.keyspace.key(args.get(index));
    let free = pairs.clone().all(|index| !context.database.contains(&context.session, key(index)));
    if free {
        for index in pairs {
            let value = new_value(args, index + 1);
            let key = context.state.keyspace.key(args.get(index));
            context.database.set(&context.session, key, value);
            context.notify(EventClasses::STRING, "set", key);
        }
    }
    context.out.integer(free.into());
    Ok(())
}

fn setrange<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let offset = u64::try_from(integer(args.get(2))?).map_err(|_| Refusal::OffsetOutOfRange)?;
    let limit = context.value_limit() as u64;
    let part = args.get(3);
    let length = context.database.change(&context.session, key, |entry| {
        let old = entry.map_or(0, |entry| entry.value().len());
        if part.is_empty() {
            return Change::Keep(Ok(old));
        }
        let end = offset.saturating_add(part.len() as u64);
        if end > limit {
            return Change::Keep(Err(Refusal::ValueTooLong));
        }
        let (start, end) = (offset as usize, end as usize);
        edit(entry, start..end, |bytes| {
            bytes[start..end].copy_from_slice(part);
            Ok(bytes.len())
        })
    })?;
    if !part.is_empty() {
        context.notify(EventClasses::STRING, "setrange", key);
    }
    context.out.integer(length as i64);
    Ok(())
}

fn getrange<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let (start, end) = (integer(args.get(2))?, integer(args.get(3))?);
    let out = &mut *context.out;
    let found = context.database.get(&context.session, key, |value| {
        let range = if is_reversed(start, end) { 0..0 } else { span(start, end, value.len()) };
        match value {
            // A long part of a large value is sent from where it is.
            Value::Large(large) if range.len() >= LARGE_ARG => {
                out.bulk_large(large.to_bytes().slice(range));
            }
            _ => with_bytes(value, |bytes| out.bulk(&bytes[range])),
        }
    });
    context.look_up(key, found.is_some());
    if found.is_none() {
        context.out.bulk(b"");
    }
    Ok(())
}
