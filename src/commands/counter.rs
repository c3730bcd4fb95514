//! Counters: INCR, DECR, INCRBY, DECRBY.

use super::context::Context;
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::store::{CounterError, Key};

const COUNTER: Row = Row {
    group: "string",
    categories: Categories::STRING,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
    keys: Keys::one(&["RW", "access", "update"]),
    ..Row::BASE
};

pub(super) static ROWS: [Row; 4] = [
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
];

fn incrby<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    add(context, key, amount(args)?)
}

fn decrby<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let negated = amount(args)?.checked_neg();
    add(context, key, negated.ok_or(Refusal::DecrementOverflow)?)
}

fn amount<'a>(args: &Args<'a>) -> Result<i64, Refusal<'a>> {
    parse_canonical(args.get(2)).ok_or(Refusal::NotAnInteger)
}

fn add<'a>(context: &mut Context<'_>, key: Key<'a>, amount: i64) -> Outcome<'a> {
    let sum = context.database.add(&context.session, key, amount);
    let sum = sum.map_err(|error| match error {
        CounterError::NotAnInteger => Refusal::NotAnInteger,
        CounterError::Overflow => Refusal::Overflow,
    })?;
    context.out.integer(sum);
    Ok(())
}
