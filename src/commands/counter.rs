//! Counters: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use super::context::{Context, integer, with_bytes};
use super::long_double::LongDouble;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::config::EventClasses;
use crate::resp::Args;
use crate::store::{Change, CounterError, Entry, Key, NewValue, Value};
use bytes::Bytes;

const COUNTER: Row = Row {
    group: "string",
    categories: Categories::STRING,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: Keys::one(&["RW", "access", "update"]),
    ..Row::BASE
};

pub(super) static ROWS: [Row; 5] = [
    Row {
        name: "incr",
        arity: 2,
        summary: "Adds one to the number a key holds, 0 if there is none",
        arguments: &[KEY],
        handler: Handler::OneKey(|context, _, key| add(context, key, 1)),
        ..COUNTER
    },
    Row {
        name: "decr",
        arity: 2,
        summary: "Takes one from the number a key holds, 0 if there is none",
        arguments: &[KEY],
        handler: Handler::OneKey(|context, _, key| add(context, key, -1)),
        ..COUNTER
    },
    Row {
        name: "incrby",
        arity: 3,
        summary: "Adds to the number a key holds, 0 if there is none",
        arguments: &[KEY, Argument::new("increment", ArgumentKind::Integer)],
        handler: Handler::OneKey(incrby),
        ..COUNTER
    },
    Row {
        name: "decrby",
        arity: 3,
        summary: "Subtracts from the number a key holds, 0 if there is none",
        arguments: &[KEY, Argument::new("decrement", ArgumentKind::Integer)],
        handler: Handler::OneKey(decrby),
        ..COUNTER
    },
    Row {
        name: "incrbyfloat",
        arity: 3,
        since: "2.6.0",
        summary: "Adds to the floating-point number a key holds, 0 if there is none",
        arguments: &[KEY, Argument::new("increment", ArgumentKind::Double)],
        handler: Handler::OneKey(incrbyfloat),
        ..COUNTER
    },
];

fn incrby<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    add(context, key, integer(args.get(2))?)
}

fn decrby<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let negated = integer(args.get(2))?.checked_neg();
    add(context, key, negated.ok_or(Refusal::DecrementOverflow)?)
}

fn add<'a>(context: &mut Context<'_>, key: Key<'a>, amount: i64) -> Outcome<'a> {
    let sum = context.database.add(&context.session, key, amount);
    let sum = sum.map_err(|error| match error {
        CounterError::NotAnInteger => Refusal::NotAnInteger,
        CounterError::Overflow => Refusal::Overflow,
    })?;
    context.notify(EventClasses::STRING, "incrby", key);
    context.out.integer(sum);
    Ok(())
}

/// The result is kept as text with the key's deadline, in the precision of Redis's `long double`.
fn incrbyfloat<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    const NOT_A_FLOAT: Refusal<'static> = Refusal::Text("ERR value is not a valid float");
    const NOT_FINITE: Refusal<'static> =
        Refusal::Text("ERR increment would produce NaN or Infinity");
    let increment = LongDouble::parse(args.get(2));
    let mut text = String::new();
    context.database.change(&context.session, key, |entry| {
        let value = match entry.map(Entry::settled) {
            None => Some(LongDouble::from(0)),
            Some(Value::Integer(number)) => Some(LongDouble::from(number)),
            Some(value) => with_bytes(value, LongDouble::parse),
        };
        let (Some(value), Some(increment)) = (value, increment) else {
            return Change::Keep(Err(NOT_A_FLOAT));
        };
        let Some(sum) = value.add(increment) else {
            return Change::Keep(Err(NOT_FINITE));
        };
        text = sum.format();
        let value = NewValue::Text(Bytes::copy_from_slice(text.as_bytes()));
        Change::Put { value, deadline: entry.and_then(Entry::deadline), result: Ok(()) }
    })?;
    context.notify(EventClasses::STRING, "incrbyfloat", key);
    context.out.bulk(text.as_bytes());
    Ok(())
}
