//! BITFIELD and BITFIELD_RO: operations on numbers in a value, read from the arguments and run.

use super::field::{Action, Field, Operation, Overflow};
use super::{checked, read};
use crate::commands::context::{Context, integer};
use crate::commands::edit::edit;
use crate::commands::refusal::Refusal;
use crate::commands::row::{Argument, ArgumentKind, Outcome};
use crate::config::EventClasses;
use crate::record::parse_canonical;
use crate::resp::Args;
use crate::store::Key;

const ENCODING: Argument = Argument::new("encoding", ArgumentKind::String);

/// GET encoding offset.
pub(super) const GET: Argument = Argument {
    token: Some("GET"),
    parts: &[ENCODING, super::OFFSET],
    ..Argument::new("encoding_offset", ArgumentKind::Block)
};

/// [OVERFLOW ...] (SET ... | INCRBY ...).
pub(super) const WRITE: Argument = Argument {
    parts: &[
        Argument {
            token: Some("OVERFLOW"),
            parts: &[
                Argument::token("wrap", "WRAP"),
                Argument::token("sat", "SAT"),
                Argument::token("fail", "FAIL"),
            ],
            ..Argument::new("wrap_sat_fail", ArgumentKind::OneOf).optional()
        },
        Argument {
            parts: &[
                Argument {
                    token: Some("SET"),
                    parts: &[ENCODING, super::OFFSET, super::VALUE],
                    ..Argument::new("encoding_offset_value", ArgumentKind::Block)
                },
                Argument {
                    token: Some("INCRBY"),
                    parts: &[ENCODING, super::OFFSET, INCREMENT],
                    ..Argument::new("encoding_offset_increment", ArgumentKind::Block)
                },
            ],
            ..Argument::new("write_operation", ArgumentKind::OneOf)
        },
    ],
    ..Argument::new("write", ArgumentKind::Block)
};

const INCREMENT: Argument = Argument::new("increment", ArgumentKind::Integer);

/// What a BITFIELD among the arguments, from `start`, does with its key.
pub(super) fn use_of_key(args: &Args<'_>, start: usize) -> &'static [&'static str] {
    let mut at = start + 2;
    while at < args.len() {
        let operands = match args.get(at).to_ascii_lowercase().as_slice() {
            b"get" => 2,
            b"overflow" => 1,
            // SET, INCRBY, and what is none of these: it may change the key.
            _ => return &["RW", "access", "update"],
        };
        at += 1 + operands;
    }
    &["RO", "access"]
}

pub(super) fn bitfield<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    key: Key<'a>,
) -> Outcome<'a> {
    let operations = parse(context, args)?;
    let fields = || operations.iter().filter(|operation| operation.writes()).map(|it| it.field);
    let Some(end) = fields().map(Field::end).max() else {
        return answer_reads(context, &operations, key);
    };
    let start = fields().map(Field::start).min().unwrap_or(end);
    if end > context.value_limit() {
        // Redis would let the last field reach over the limit by some bytes.
        return Err(Refusal::BitOffset);
    }
    // The value grows even when every operation fails: so does Redis's.
    let (answers, is_changed) = context.database.change(&context.session, key, |entry| {
        let is_longer = entry.is_none_or(|entry| entry.value().len() < end);
        edit(entry, start..end, |bytes| run_all(&operations, bytes, is_longer))
    });
    if is_changed {
        context.notify(EventClasses::STRING, "setbit", key);
    }
    context.out.array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => context.out.integer(number),
            None => context.out.null(),
        }
    }
    Ok(())
}

/// Runs all operations, and says whether any of them has changed the value, which they have made
/// longer before if `is_longer`.
fn run_all(
    operations: &[Operation],
    bytes: &mut [u8],
    is_longer: bool,
) -> (Vec<Option<i64>>, bool) {
    let mut is_changed = false;
    let answers = operations.iter().map(|operation| {
        let before = operation.field.read(bytes);
        let answer = operation.run(bytes);
        let has_written = operation.writes() && answer.is_some();
        is_changed |= has_written && (is_longer || operation.field.read(bytes) != before);
        answer
    });
    let answers = answers.collect();
    (answers, is_changed)
}

pub(super) fn bitfield_ro<'a>(
    context: &mut Context<'_>,
    args: &Args<'a>,
    key: Key<'a>,
) -> Outcome<'a> {
    let operations = parse(context, args)?;
    if operations.iter().any(Operation::writes) {
        return Err(Refusal::FieldReadOnly);
    }
    answer_reads(context, &operations, key)
}

/// Answers operations none of which writes.
fn answer_reads<'a>(
    context: &mut Context<'_>,
    operations: &[Operation],
    key: Key<'a>,
) -> Outcome<'a> {
    let read_all =
        |bytes: &[u8]| operations.iter().map(|operation| operation.field.read(bytes)).collect();
    let numbers: Option<Vec<i64>> = read(context, key, read_all);
    context.out.array(operations.len());
    match numbers {
        Some(numbers) => numbers.into_iter().for_each(|number| context.out.integer(number)),
        None => operations.iter().for_each(|_| context.out.integer(0)),
    }
    Ok(())
}

/// All operations, in order. What OVERFLOW says holds for those after it.
fn parse<'a>(context: &Context<'_>, args: &Args<'a>) -> Result<Vec<Operation>, Refusal<'a>> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        let word = args.get(at);
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("overflow") && left >= 1 {
            overflow = parse_overflow(args.get(at + 1))?;
            at += 2;
            continue;
        }
        let parts = match () {
            () if is("get") => 2,
            () if is("set") || is("incrby") => 3,
            () => return Err(Refusal::Syntax),
        };
        if left < parts {
            return Err(Refusal::Syntax);
        }
        let field = parse_field(context, args.get(at + 1), args.get(at + 2))?;
        let action = match parts {
            2 => Action::Get,
            _ if is("set") => Action::Set(integer(args.get(at + 3))?, overflow),
            _ => Action::Add(integer(args.get(at + 3))?, overflow),
        };
        operations.push(Operation { field, action });
        at += 1 + parts;
    }
    Ok(operations)
}

fn parse_overflow(text: &[u8]) -> Result<Overflow, Refusal<'static>> {
    match text.to_ascii_lowercase().as_slice() {
        b"wrap" => Ok(Overflow::Wrap),
        b"sat" => Ok(Overflow::Saturate),
        b"fail" => Ok(Overflow::Fail),
        _ => Err(Refusal::OverflowType),
    }
}

/// A field from its encoding, like `u8` or `i64`, and its offset, which counts fields of that width
/// after a `#`.
fn parse_field(
    context: &Context<'_>,
    encoding: &[u8],
    offset: &[u8],
) -> Result<Field, Refusal<'static>> {
    let (signed, bits) = parse_encoding(encoding).ok_or(Refusal::FieldType)?;
    let number = match offset.strip_prefix(b"#") {
        // A product of more than 64 bits wraps, as Redis's does.
        Some(count) => parse_canonical(count).map(|count| count.wrapping_mul(i64::from(bits))),
        None => parse_canonical(offset),
    };
    let offset = number.and_then(|number| checked(context, number)).ok_or(Refusal::BitOffset)?;
    Ok(Field { signed, bits, offset })
}

/// Whether there is a sign, and the width.
fn parse_encoding(text: &[u8]) -> Option<(bool, u32)> {
    // Redis reads the width as a C string: up to a NUL.
    let text = text.split(|&byte| byte == 0).next()?;
    let (signed, width, most) = match text.split_first()? {
        (b'i', width) => (true, width, 64),
        (b'u', width) => (false, width, 63),
        _ => return None,
    };
    let bits = u32::try_from(parse_canonical(width)?).ok()?;
    (1..=most).contains(&bits).then_some((signed, bits))
}
