//! Bitmaps: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP, BITFIELD, BITFIELD_RO.
//!
//! A bitmap is a string. `range` has what is done to its bits, `field` the numbers in it, both
//! without a store; `bitfield` is the command of that name, the others are here.

mod bitfield;
mod field;
mod range;

use std::ops::Range;

use super::context::{Context, integer, with_bytes};
use super::edit::{edit, is_reversed, span};
use super::refusal::Refusal;
use super::row::{Argument, ArgumentKind, Categories, Flags, Handler, Keys, Outcome, Row};
use super::string::KEY;
use crate::config::EventClasses;
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::store::{Change, Encoding, Entry, Key, NewValue};
use range::{Combination, Combined};

const BITMAP: Row = Row { group: "bitmap", categories: Categories::BITMAP, ..Row::BASE };

const OFFSET: Argument = Argument::new("offset", ArgumentKind::Integer);

const VALUE: Argument = Argument::new("value", ArgumentKind::Integer);

const START: Argument = Argument::new("start", ArgumentKind::Integer);

const END: Argument = Argument::new("end", ArgumentKind::Integer);

/// Whether a range counts bytes or bits.
const UNIT: Argument = Argument {
    since: Some("7.0.0"),
    parts: &[Argument::token("byte", "BYTE"), Argument::token("bit", "BIT")],
    ..Argument::new("index_unit", ArgumentKind::OneOf).optional()
};

const UNIT_HISTORY: &[(&str, &str)] = &[("7.0.0", "Takes `BYTE` and `BIT`.")];

pub(super) static ROWS: [Row; 7] = [
    Row {
        name: "setbit",
        arity: 4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one(&["RW", "access", "update"]),
        since: "2.2.0",
        summary: "Sets or clears a bit of the value of a key and returns the old one",
        complexity: "O(N) where N is the length of the value",
        arguments: &[KEY, OFFSET, VALUE],
        handler: Handler::OneKey(setbit),
        ..BITMAP
    },
    Row {
        name: "getbit",
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::one(&["RO", "access"]),
        since: "2.2.0",
        summary: "Returns a bit of the value of a key, 0 past its end",
        arguments: &[KEY, OFFSET],
        handler: Handler::OneKey(getbit),
        ..BITMAP
    },
    Row {
        name: "bitcount",
        arity: -2,
        flags: Flags::READONLY,
        keys: Keys::one(&["RO", "access"]),
        since: "2.6.0",
        summary: "Counts the ones in the value of a key or in a range of it",
        complexity: "O(N) where N is the length of the range",
        history: UNIT_HISTORY,
        arguments: &[
            KEY,
            Argument {
                parts: &[START, END, UNIT],
                ..Argument::new("index", ArgumentKind::Block).optional()
            },
        ],
        handler: Handler::OneKey(bitcount),
        ..BITMAP
    },
    Row {
        name: "bitpos",
        arity: -3,
        flags: Flags::READONLY,
        keys: Keys::one(&["RO", "access"]),
        since: "2.8.7",
        summary: "Finds the first one or zero in the value of a key or in a range of it",
        complexity: "O(N) where N is the length of the range",
        history: UNIT_HISTORY,
        arguments: &[
            KEY,
            Argument::new("bit", ArgumentKind::Integer),
            Argument {
                parts: &[
                    START,
                    Argument {
                        parts: &[END, UNIT],
                        ..Argument::new("end_index", ArgumentKind::Block).optional()
                    },
                ],
                ..Argument::new("index", ArgumentKind::Block).optional()
            },
        ],
        handler: Handler::OneKey(bitpos),
        ..BITMAP
    },
    Row {
        name: "bitop",
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Some(Keys {
            first: 2,
            until_last: true,
            step: 1,
            access: &["OW", "update"],
            rest: Some(&["RO", "access"]),
            notes: None,
            as_used: None,
        }),
        since: "2.6.0",
        summary: "Combines the values of several keys bit by bit into another key",
        complexity: "O(N) where N is the length of all values together",
        arguments: &[
            Argument::new("operation", ArgumentKind::String),
            Argument::new("destkey", ArgumentKind::Key),
            Argument { key_spec: 1, ..KEY.multiple() },
        ],
        handler: Handler::Atomic(bitop),
        ..BITMAP
    },
    Row {
        name: "bitfield",
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: Keys::one_as_used("Reads the key, and changes it when told to", bitfield::use_of_key),
        since: "3.2.0",
        summary: "Reads and changes numbers of any width in the value of a key",
        complexity: "O(K) for K operations, and O(N) for the length of the value if one changes it",
        arguments: &[
            KEY,
            Argument {
                parts: &[bitfield::GET, bitfield::WRITE],
                ..Argument::new("operation", ArgumentKind::OneOf).optional().multiple()
            },
        ],
        handler: Handler::OneKey(bitfield::bitfield),
        ..BITMAP
    },
    Row {
        name: "bitfield_ro",
        arity: -2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: Keys::one(&["RO", "access"]),
        since: "6.0.0",
        summary: "Reads numbers of any width in the value of a key, as BITFIELD does",
        complexity: "O(K) for K operations",
        arguments: &[KEY, Argument { multiple_token: true, ..bitfield::GET.optional().multiple() }],
        handler: Handler::OneKey(bitfield::bitfield_ro),
        ..BITMAP
    },
];

fn setbit<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let offset = offset(context, args.get(2))?;
    let value = match parse_canonical(args.get(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Refusal::NotABit),
    };
    let is_set = |bytes: &[u8]| bytes.len() > offset / 8 && range::bit(bytes, offset) == value;
    // A value that is raw already, which an edited one becomes, need not be stored again.
    let is_done =
        |entry: Entry<'_>| entry.encoding() == Encoding::Raw && with_bytes(entry.value(), is_set);
    let (old, is_longer) = context.database.change(&context.session, key, |entry| {
        if entry.is_some_and(is_done) {
            return Change::Keep((value, false));
        }
        let is_longer = entry.is_none_or(|entry| entry.value().len() <= offset / 8);
        edit(entry, offset / 8..offset / 8 + 1, |bytes| {
            let old = range::bit(bytes, offset);
            range::set_bit(bytes, offset, value);
            (old, is_longer)
        })
    });
    if old != value || is_longer {
        context.notify(EventClasses::STRING, "setbit", key);
    }
    context.out.integer(i64::from(old));
    Ok(())
}

/// Calls `read` with the bytes of a key that is present.
fn read<T>(context: &mut Context<'_>, key: Key<'_>, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let result = context.database.get(&context.session, key, |value| with_bytes(value, read));
    context.look_up(key, result.is_some());
    result
}

fn getbit<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let offset = offset(context, args.get(2))?;
    let bit = read(context, key, |bytes| range::bit(bytes, offset));
    context.out.integer(i64::from(bit.unwrap_or(false)));
    Ok(())
}

/// The number of a bit.
fn offset<'a>(context: &Context<'_>, text: &[u8]) -> Result<usize, Refusal<'a>> {
    parse_canonical(text).and_then(|offset| checked(context, offset)).ok_or(Refusal::BitOffset)
}

fn checked(context: &Context<'_>, offset: i64) -> Option<usize> {
    usize::try_from(offset).ok().filter(|offset| offset / 8 < context.value_limit())
}

/// What the numbers of a range count.
#[derive(Clone, Copy)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(text: &[u8]) -> Result<Unit, Refusal<'static>> {
        match text.to_ascii_lowercase().as_slice() {
            b"byte" => Ok(Unit::Byte),
            b"bit" => Ok(Unit::Bit),
            _ => Err(Refusal::Syntax),
        }
    }

    /// The bits from number `start` to number `end` of a value, both included; a negative number
    /// counts from the end.
    fn bits(self, start: i64, end: i64, bytes: &[u8]) -> Range<usize> {
        let width = match self {
            Unit::Byte => 8,
            Unit::Bit => 1,
        };
        let span = span(start, end, bytes.len() * 8 / width);
        span.start * width..span.end * width
    }
}

fn bitcount<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    // As in Redis, the arguments for an absent key are not even looked at.
    let count = read(context, key, |bytes| count_ones(args, bytes));
    context.out.integer(count.transpose()?.unwrap_or(0) as i64);
    Ok(())
}

fn count_ones<'a>(args: &Args<'a>, bytes: &[u8]) -> Result<u64, Refusal<'a>> {
    match args.len() {
        2 => return Ok(range::count(bytes)),
        4 | 5 => {}
        _ => return Err(Refusal::Syntax),
    }
    let (start, end) = (integer(args.get(2))?, integer(args.get(3))?);
    if is_reversed(start, end) {
        return Ok(0);
    }
    let unit = if args.len() == 5 { Unit::parse(args.get(4))? } else { Unit::Byte };
    Ok(range::count_within(bytes, unit.bits(start, end, bytes)))
}

fn bitpos<'a>(context: &mut Context<'_>, args: &Args<'a>, key: Key<'a>) -> Outcome<'a> {
    let wanted = match integer(args.get(2))? {
        0 => false,
        1 => true,
        _ => return Err(Refusal::BitArgument),
    };
    // An absent key is zeros without end, whatever the other arguments.
    let absent = if wanted { -1 } else { 0 };
    let place = read(context, key, |bytes| find_bit(args, bytes, wanted));
    context.out.integer(place.transpose()?.unwrap_or(absent));
    Ok(())
}

fn find_bit<'a>(args: &Args<'a>, bytes: &[u8], wanted: bool) -> Result<i64, Refusal<'a>> {
    let count = args.len();
    if count > 6 {
        return Err(Refusal::Syntax);
    }
    let start = if count > 3 { integer(args.get(3))? } else { 0 };
    let unit = if count == 6 { Unit::parse(args.get(5))? } else { Unit::Byte };
    let end = if count > 4 { integer(args.get(4))? } else { -1 };
    let bits = unit.bits(start, end, bytes);
    // Without an end, zeros follow; nothing is in an empty range, though.
    let follows = !wanted && count <= 4 && !bits.is_empty();
    let beyond = if follows { bits.end as i64 } else { -1 };
    Ok(range::find_within(bytes, bits, wanted).map_or(beyond, |place| place as i64))
}

fn bitop<'a>(context: &mut Context<'_>, args: &Args<'a>) -> Outcome<'a> {
    let combination = match args.get(1).to_ascii_lowercase().as_slice() {
        b"and" => Combination::And,
        b"or" => Combination::Or,
        b"xor" => Combination::Xor,
        b"not" => Combination::Not,
        _ => return Err(Refusal::Syntax),
    };
    if combination == Combination::Not && args.len() != 4 {
        return Err(Refusal::BitopNot);
    }
    let keyspace = &context.state.keyspace;
    let mut combined = Combined::new(combination);
    for source in args.iter().skip(3) {
        if read(context, keyspace.key(source), |bytes| combined.add(bytes)).is_none() {
            combined.add(&[]);
        }
    }
    let (target, bytes) = (keyspace.key(args.get(2)), combined.into_bytes());
    let length = bytes.len();
    if !bytes.is_empty() {
        context.database.set(&context.session, target, NewValue::Edited(bytes.into()));
        context.notify(EventClasses::STRING, "set", target);
    } else if context.database.remove(&context.session, target) {
        context.notify(EventClasses::GENERIC, "del", target);
    }
    context.out.integer(length as i64);
    Ok(())
}
